import django.db.models.deletion
import django.utils.timezone
from django.db import migrations, models

import rako.core.ids
from rako.core.append_only import guard_sql

# Where a statement came from is as fixed as its bytes.
_COLUMNS = "id, connection_id, event_id, event_type, received_at, headers, body, sha256"
_LIFT = (
    "DROP TRIGGER checkout_webhookreceipt_no_change ON checkout_webhookreceipt; "
    "DROP TRIGGER checkout_webhookreceipt_no_truncate ON checkout_webhookreceipt;"
)


class Migration(migrations.Migration):
    dependencies = [
        ("checkout", "0003_payment_method"),
        ("merchants", "0002_guards"),
    ]

    operations = [
        migrations.AddField(
            model_name="webhookreceipt",
            name="source",
            field=models.CharField(
                choices=[("webhook", "Webhook"), ("reconciliation", "Reconciliation")],
                db_default="webhook",
                default="webhook",
                max_length=14,
            ),
        ),
        migrations.CreateModel(
            name="Finding",
            fields=[
                ("id", rako.core.ids.UlidField(primary_key=True, serialize=False)),
                (
                    "kind",
                    models.CharField(
                        choices=[
                            ("missing_local", "paid there, no conversion here"),
                            ("missing_at_psp", "a conversion here, no payment there"),
                            ("amount_mismatch", "another amount"),
                            ("currency_mismatch", "another currency"),
                            ("status_mismatch", "paid here, not paid there"),
                            ("refund_missing", "a refund there that is not recorded"),
                            ("refund_extra", "a refund here that is none there"),
                            ("refund_total_mismatch", "refunds come to another sum"),
                            ("dispute_missing", "a dispute there that is not recorded"),
                            ("dispute_state_mismatch", "a dispute ended otherwise"),
                            ("duplicate_payment", "one checkout paid twice"),
                            ("unknown_resolved", "the outcome of a charge is known there"),
                            ("late_payment", "paid after the attribution window"),
                            ("foreign_metadata", "our metadata on a payment that is not ours"),
                            ("stale_pending", "pending for too long"),
                            ("webhook_gap", "an event that never arrived"),
                            ("connection_error", "the PSP could not be read"),
                        ],
                        max_length=24,
                    ),
                ),
                (
                    "reference",
                    models.CharField(help_text="The object at the PSP, or our checkout or event.", max_length=255),
                ),
                ("is_money", models.BooleanField()),
                (
                    "state",
                    models.CharField(
                        choices=[("open", "Open"), ("resolved", "Resolved"), ("accepted", "Accepted")],
                        default="open",
                        max_length=8,
                    ),
                ),
                ("detail", models.CharField(blank=True, max_length=500)),
                ("first_seen_at", models.DateTimeField(default=django.utils.timezone.now, editable=False)),
                ("last_seen_at", models.DateTimeField(default=django.utils.timezone.now, editable=False)),
                ("ended_at", models.DateTimeField(blank=True, editable=False, null=True)),
                ("reason", models.CharField(blank=True, help_text="Why it was accepted.", max_length=300)),
                (
                    "checkout",
                    models.ForeignKey(
                        blank=True,
                        null=True,
                        on_delete=django.db.models.deletion.PROTECT,
                        related_name="findings",
                        to="checkout.checkout",
                    ),
                ),
                (
                    "connection",
                    models.ForeignKey(
                        on_delete=django.db.models.deletion.PROTECT, related_name="findings", to="merchants.connection"
                    ),
                ),
                (
                    "merchant",
                    models.ForeignKey(
                        on_delete=django.db.models.deletion.PROTECT,
                        related_name="payment_findings",
                        to="merchants.merchant",
                    ),
                ),
            ],
            options={
                "indexes": [
                    models.Index(
                        condition=models.Q(("is_money", True), ("state", "open")),
                        fields=["merchant"],
                        name="finding_holds_money",
                    ),
                    models.Index(fields=["connection", "reference"], name="finding_of_object"),
                ],
                "constraints": [
                    models.UniqueConstraint(fields=("connection", "kind", "reference"), name="finding_one_per_object"),
                    models.CheckConstraint(
                        condition=models.Q(
                            models.Q(("ended_at", None), ("state", "open")),
                            models.Q(("ended_at__isnull", False), ("state__in", ["resolved", "accepted"])),
                            _connector="OR",
                        ),
                        name="finding_ends_once",
                    ),
                ],
            },
        ),
        migrations.CreateModel(
            name="ReadingPosition",
            fields=[
                ("id", models.BigAutoField(auto_created=True, primary_key=True, serialize=False, verbose_name="ID")),
                ("objects_read", models.CharField(help_text="payments, refunds, disputes or events", max_length=12)),
                ("read_until", models.DateTimeField(null=True)),
                ("since", models.DateTimeField(null=True)),
                ("until", models.DateTimeField(null=True)),
                ("cursor", models.TextField(blank=True)),
                (
                    "connection",
                    models.ForeignKey(
                        on_delete=django.db.models.deletion.PROTECT, related_name="+", to="merchants.connection"
                    ),
                ),
            ],
            options={
                "constraints": [
                    models.UniqueConstraint(fields=("connection", "objects_read"), name="reading_position_one_per_list")
                ],
            },
        ),
        migrations.RunSQL(
            _LIFT + guard_sql("checkout_webhookreceipt", f"{_COLUMNS}, source"),
            _LIFT + guard_sql("checkout_webhookreceipt", _COLUMNS),
        ),
    ]
