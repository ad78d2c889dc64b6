"""The sandbox PSP's tables, and a trigger that keeps final states final."""

import checkout.connectors.sandbox.ids
import django.db.models.deletion
import django.utils.timezone
from django.db import migrations, models


# Whoever asks, by whatever code: what is paid, failed or over is never reopened.
FINAL_STATES = """
CREATE FUNCTION sandbox_refuse_reopening() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    RAISE EXCEPTION '% % is final', TG_TABLE_NAME, OLD.status USING ERRCODE = 'restrict_violation';
END $$;
CREATE TRIGGER sandbox_paymentpage_final BEFORE UPDATE OF status ON sandbox_paymentpage FOR EACH ROW
    WHEN (OLD.status IN ('complete', 'expired') AND NEW.status <> OLD.status)
    EXECUTE FUNCTION sandbox_refuse_reopening();
CREATE TRIGGER sandbox_payment_final BEFORE UPDATE OF status ON sandbox_payment FOR EACH ROW
    WHEN (OLD.status IN ('succeeded', 'failed', 'canceled') AND NEW.status <> OLD.status)
    EXECUTE FUNCTION sandbox_refuse_reopening();
"""
FINAL_STATES_UNDONE = """
DROP TRIGGER sandbox_payment_final ON sandbox_payment;
DROP TRIGGER sandbox_paymentpage_final ON sandbox_paymentpage;
DROP FUNCTION sandbox_refuse_reopening();
"""


class Migration(migrations.Migration):
    initial = True

    dependencies = []

    operations = [
        migrations.CreateModel(
            name="Account",
            fields=[
                ("id", checkout.connectors.sandbox.ids.PrefixedIdField("acct_", serialize=False)),
                ("display_name", models.TextField()),
                ("secret_key", models.CharField(max_length=100)),
                ("webhook_secret", models.CharField(max_length=100)),
                ("webhook_path", models.CharField(max_length=300)),
                ("is_closed", models.BooleanField(default=False)),
                ("created_at", models.DateTimeField(default=django.utils.timezone.now, editable=False)),
            ],
            options={
                "constraints": [
                    models.CheckConstraint(
                        condition=models.Q(("webhook_path__startswith", "/")), name="sandbox_account_webhook_path"
                    )
                ],
            },
        ),
        migrations.CreateModel(
            name="Event",
            fields=[
                ("id", checkout.connectors.sandbox.ids.PrefixedIdField("evt_", serialize=False)),
                ("type", models.CharField(max_length=60)),
                ("payload", models.JSONField()),
                ("created_at", models.DateTimeField(default=django.utils.timezone.now, editable=False)),
                (
                    "account",
                    models.ForeignKey(
                        on_delete=django.db.models.deletion.PROTECT, related_name="+", to="sandbox.account"
                    ),
                ),
            ],
        ),
        migrations.CreateModel(
            name="PaymentPage",
            fields=[
                ("request_digest", models.CharField(blank=True, max_length=64)),
                ("amount_minor", models.BigIntegerField()),
                ("currency", models.CharField(max_length=3)),
                ("merchant_name", models.TextField()),
                ("item_name", models.TextField()),
                ("metadata", models.JSONField(default=dict)),
                ("created_at", models.DateTimeField(default=django.utils.timezone.now, editable=False)),
                ("id", checkout.connectors.sandbox.ids.PrefixedIdField("cs_", serialize=False)),
                ("idempotency_key", models.CharField(max_length=255)),
                ("success_url", models.TextField()),
                ("cancel_url", models.TextField()),
                (
                    "status",
                    models.CharField(
                        choices=[("open", "Open"), ("complete", "Complete"), ("expired", "Expired")],
                        default="open",
                        max_length=8,
                    ),
                ),
                (
                    "payment_status",
                    models.CharField(
                        choices=[("unpaid", "Unpaid"), ("processing", "Processing"), ("paid", "Paid")],
                        default="unpaid",
                        max_length=10,
                    ),
                ),
                ("expires_at", models.DateTimeField()),
                (
                    "account",
                    models.ForeignKey(
                        on_delete=django.db.models.deletion.PROTECT, related_name="+", to="sandbox.account"
                    ),
                ),
            ],
        ),
        migrations.CreateModel(
            name="Payment",
            fields=[
                ("request_digest", models.CharField(blank=True, max_length=64)),
                ("amount_minor", models.BigIntegerField()),
                ("currency", models.CharField(max_length=3)),
                ("merchant_name", models.TextField()),
                ("item_name", models.TextField()),
                ("metadata", models.JSONField(default=dict)),
                ("created_at", models.DateTimeField(default=django.utils.timezone.now, editable=False)),
                ("id", checkout.connectors.sandbox.ids.PrefixedIdField("pi_", serialize=False)),
                ("idempotency_key", models.CharField(max_length=255, null=True)),
                (
                    "status",
                    models.CharField(
                        choices=[
                            ("requires_payment_method", "Requires Payment Method"),
                            ("requires_action", "Requires Action"),
                            ("processing", "Processing"),
                            ("succeeded", "Succeeded"),
                            ("failed", "Failed"),
                            ("canceled", "Canceled"),
                        ],
                        default="requires_payment_method",
                        max_length=23,
                    ),
                ),
                ("decline_code", models.CharField(blank=True, max_length=40)),
                ("card_brand", models.CharField(blank=True, max_length=20)),
                ("card_last4", models.CharField(blank=True, max_length=4)),
                ("off_session", models.BooleanField(default=False)),
                ("settles_as", models.CharField(blank=True, max_length=9)),
                ("settles_at", models.DateTimeField(null=True)),
                (
                    "account",
                    models.ForeignKey(
                        on_delete=django.db.models.deletion.PROTECT, related_name="+", to="sandbox.account"
                    ),
                ),
                (
                    "page",
                    models.OneToOneField(
                        null=True,
                        on_delete=django.db.models.deletion.PROTECT,
                        related_name="payment",
                        to="sandbox.paymentpage",
                    ),
                ),
            ],
        ),
        migrations.CreateModel(
            name="Delivery",
            fields=[
                ("id", models.BigAutoField(auto_created=True, primary_key=True, serialize=False, verbose_name="ID")),
                ("attempts", models.PositiveSmallIntegerField(default=0)),
                ("last_status_code", models.PositiveSmallIntegerField(null=True)),
                ("last_error", models.CharField(blank=True, max_length=300)),
                ("next_attempt_at", models.DateTimeField(default=django.utils.timezone.now, null=True)),
                ("delivered_at", models.DateTimeField(null=True)),
                (
                    "event",
                    models.ForeignKey(
                        on_delete=django.db.models.deletion.PROTECT, related_name="deliveries", to="sandbox.event"
                    ),
                ),
            ],
            options={
                "verbose_name_plural": "deliveries",
                "indexes": [
                    models.Index(
                        condition=models.Q(("delivered_at", None)),
                        fields=["next_attempt_at"],
                        name="sandbox_delivery_due",
                    )
                ],
                "constraints": [
                    models.CheckConstraint(condition=models.Q(("attempts__lte", 16)), name="sandbox_delivery_attempts"),
                    models.CheckConstraint(
                        condition=models.Q(("delivered_at", None), ("next_attempt_at", None), _connector="OR"),
                        name="sandbox_delivery_done",
                    ),
                ],
            },
        ),
        migrations.AddIndex(
            model_name="paymentpage",
            index=models.Index(condition=models.Q(("status", "open")), fields=["expires_at"], name="sandbox_page_open"),
        ),
        migrations.AddConstraint(
            model_name="paymentpage",
            constraint=models.UniqueConstraint(fields=("account", "idempotency_key"), name="sandbox_page_once_per_key"),
        ),
        migrations.AddConstraint(
            model_name="paymentpage",
            constraint=models.CheckConstraint(condition=models.Q(("amount_minor__gt", 0)), name="sandbox_page_amount"),
        ),
        migrations.AddConstraint(
            model_name="paymentpage",
            constraint=models.CheckConstraint(
                condition=models.Q(("currency__regex", "^[A-Z]{3}$")), name="sandbox_page_currency"
            ),
        ),
        migrations.AddConstraint(
            model_name="paymentpage",
            constraint=models.CheckConstraint(
                condition=models.Q(("status__in", ["open", "complete", "expired"])), name="sandbox_page_status"
            ),
        ),
        migrations.AddConstraint(
            model_name="paymentpage",
            constraint=models.CheckConstraint(
                condition=models.Q(
                    ("payment_status", "unpaid"),
                    models.Q(("payment_status__in", ["processing", "paid"]), ("status", "complete")),
                    _connector="OR",
                ),
                name="sandbox_page_money",
            ),
        ),
        migrations.AddIndex(
            model_name="payment",
            index=models.Index(
                condition=models.Q(("status", "processing")), fields=["settles_at"], name="sandbox_payment_settling"
            ),
        ),
        migrations.AddIndex(
            model_name="payment",
            index=models.Index(
                condition=models.Q(("status", "requires_action")), fields=["created_at"], name="sandbox_payment_step_up"
            ),
        ),
        migrations.AddConstraint(
            model_name="payment",
            constraint=models.UniqueConstraint(
                fields=("account", "idempotency_key"), name="sandbox_payment_once_per_key"
            ),
        ),
        migrations.AddConstraint(
            model_name="payment",
            constraint=models.CheckConstraint(
                condition=models.Q(("amount_minor__gt", 0)), name="sandbox_payment_amount"
            ),
        ),
        migrations.AddConstraint(
            model_name="payment",
            constraint=models.CheckConstraint(
                condition=models.Q(("currency__regex", "^[A-Z]{3}$")), name="sandbox_payment_currency"
            ),
        ),
        migrations.AddConstraint(
            model_name="payment",
            constraint=models.CheckConstraint(
                condition=models.Q(
                    (
                        "status__in",
                        ["requires_payment_method", "requires_action", "processing", "succeeded", "failed", "canceled"],
                    )
                ),
                name="sandbox_payment_status",
            ),
        ),
        migrations.AddConstraint(
            model_name="payment",
            constraint=models.CheckConstraint(
                condition=models.Q(("card_last4__regex", "^([0-9]{4})?$")), name="sandbox_payment_last4"
            ),
        ),
        migrations.AddConstraint(
            model_name="payment",
            constraint=models.CheckConstraint(
                condition=models.Q(
                    models.Q(("idempotency_key__isnull", False), ("off_session", True), ("page", None)),
                    models.Q(("idempotency_key", None), ("off_session", False), ("page__isnull", False)),
                    _connector="OR",
                ),
                name="sandbox_payment_origin",
            ),
        ),
        migrations.AddConstraint(
            model_name="payment",
            constraint=models.CheckConstraint(
                condition=models.Q(
                    models.Q(
                        ("settles_as__in", ["succeeded", "failed"]),
                        ("settles_at__isnull", False),
                        ("status", "processing"),
                    ),
                    models.Q(
                        models.Q(("status", "processing"), _negated=True), ("settles_as", ""), ("settles_at", None)
                    ),
                    _connector="OR",
                ),
                name="sandbox_payment_settles",
            ),
        ),
        migrations.RunSQL(FINAL_STATES, FINAL_STATES_UNDONE),
    ]
