import django.db.models.deletion
import django.utils.timezone
from django.db import migrations, models
from django.db.models import Q

# A merchant may have had a degraded connection beside an active one, or several: the newest that works stands.
LET_GO = """
UPDATE merchants_connection old SET status = 'disconnected', disconnected_at = now()
WHERE status = 'degraded' AND EXISTS (
    SELECT FROM merchants_connection other WHERE other.merchant_id = old.merchant_id
        AND (other.status = 'active' OR (other.status = 'degraded' AND other.id > old.id))
)
"""
# The way back knows no pending ones.
LET_GO_OF_PENDING = """
UPDATE merchants_connection SET status = 'disconnected', disconnected_at = now() WHERE status = 'pending'
"""


class Migration(migrations.Migration):
    dependencies = [("merchants", "0002_guards")]

    operations = [
        migrations.AddField(
            "connection",
            "mode",
            models.CharField(
                choices=[("key", "an API key of the merchant's"), ("connect", "Stripe Connect")],
                default="key",
                db_default="key",
                editable=False,
                max_length=8,
            ),
        ),
        migrations.AlterField(
            "connection",
            "status",
            models.CharField(
                choices=[
                    ("pending", "Pending"),
                    ("active", "Active"),
                    ("degraded", "Degraded"),
                    ("disconnected", "Disconnected"),
                ],
                default="active",
                max_length=12,
            ),
        ),
        migrations.RemoveConstraint("connection", "connection_status_is_known"),
        migrations.AddConstraint(
            "connection",
            models.CheckConstraint(
                condition=Q(status__in=["pending", "active", "degraded", "disconnected"]),
                name="connection_status_is_known",
            ),
        ),
        migrations.AddConstraint(
            "connection",
            models.CheckConstraint(condition=Q(mode__in=["key", "connect"]), name="connection_mode_is_known"),
        ),
        migrations.RunSQL(LET_GO, LET_GO_OF_PENDING),
        migrations.RemoveConstraint("connection", "connection_one_active_per_merchant"),
        migrations.AddConstraint(
            "connection",
            models.UniqueConstraint(
                fields=["merchant"], condition=~Q(status="disconnected"), name="connection_one_standing_per_merchant"
            ),
        ),
        migrations.CreateModel(
            "OAuthState",
            [
                ("state_sha256", models.CharField(max_length=64, primary_key=True, serialize=False)),
                ("session_sha256", models.CharField(max_length=64)),
                ("created_at", models.DateTimeField(default=django.utils.timezone.now)),
                ("used_at", models.DateTimeField(null=True)),
                (
                    "merchant",
                    models.ForeignKey(
                        on_delete=django.db.models.deletion.CASCADE, related_name="+", to="merchants.merchant"
                    ),
                ),
            ],
        ),
    ]
