"""Refunds and disputes, and triggers that hold them to what was paid."""

import django.db.models.deletion
import django.utils.timezone
from django.db import migrations, models

import checkout.connectors.sandbox.ids

# Whoever refunds second waits for the first, and then counts it: a CHECK cannot look at other rows.
REFUNDS_WITHIN_PAYMENT = """
CREATE FUNCTION sandbox_check_refunds() RETURNS trigger LANGUAGE plpgsql AS $$
DECLARE
    paid bigint;
    refunded bigint;
BEGIN
    SELECT amount_minor INTO paid FROM sandbox_payment
        WHERE id = NEW.payment_id AND status = 'succeeded' FOR NO KEY UPDATE;
    SELECT sum(amount_minor) INTO refunded FROM sandbox_refund
        WHERE payment_id = NEW.payment_id AND status <> 'failed';
    IF paid IS NULL OR refunded > paid THEN
        RAISE EXCEPTION 'refunds of % exceed what was paid', NEW.payment_id USING ERRCODE = 'check_violation';
    END IF;
    RETURN NULL;
END $$;
CREATE TRIGGER sandbox_refund_within_payment AFTER INSERT OR UPDATE ON sandbox_refund FOR EACH ROW
    EXECUTE FUNCTION sandbox_check_refunds();
"""
REFUNDS_WITHIN_PAYMENT_UNDONE = """
DROP TRIGGER sandbox_refund_within_payment ON sandbox_refund;
DROP FUNCTION sandbox_check_refunds();
"""
DISPUTE_WITHIN_PAYMENT = """
CREATE FUNCTION sandbox_check_dispute() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    IF NOT EXISTS (
        SELECT FROM sandbox_payment
        WHERE id = NEW.payment_id AND status = 'succeeded' AND amount_minor >= NEW.amount_minor
    ) THEN
        RAISE EXCEPTION 'dispute of % exceeds what was paid', NEW.payment_id USING ERRCODE = 'check_violation';
    END IF;
    RETURN NULL;
END $$;
CREATE TRIGGER sandbox_dispute_within_payment AFTER INSERT OR UPDATE ON sandbox_dispute FOR EACH ROW
    EXECUTE FUNCTION sandbox_check_dispute();
"""
DISPUTE_WITHIN_PAYMENT_UNDONE = """
DROP TRIGGER sandbox_dispute_within_payment ON sandbox_dispute;
DROP FUNCTION sandbox_check_dispute();
"""
# A refund that failed, a dispute that was won or only asked about: over. A lost one may still be won.
FINAL_STATES = """
CREATE TRIGGER sandbox_refund_final BEFORE UPDATE OF status ON sandbox_refund FOR EACH ROW
    WHEN (OLD.status = 'failed' AND NEW.status <> OLD.status
        OR OLD.status = 'succeeded' AND NEW.status = 'pending')
    EXECUTE FUNCTION sandbox_refuse_reopening();
CREATE TRIGGER sandbox_dispute_final BEFORE UPDATE OF status ON sandbox_dispute FOR EACH ROW
    WHEN (OLD.status IN ('won', 'warning_closed') AND NEW.status <> OLD.status
        OR OLD.status = 'lost' AND NEW.status NOT IN ('lost', 'won'))
    EXECUTE FUNCTION sandbox_refuse_reopening();
"""
FINAL_STATES_UNDONE = """
DROP TRIGGER sandbox_dispute_final ON sandbox_dispute;
DROP TRIGGER sandbox_refund_final ON sandbox_refund;
"""
# What the two checks above rest on.
FIXED_AMOUNTS = """
CREATE FUNCTION sandbox_refuse_other_amount() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    RAISE EXCEPTION 'the amount of a % is fixed', TG_TABLE_NAME USING ERRCODE = 'restrict_violation';
END $$;
CREATE TRIGGER sandbox_payment_amount_fixed BEFORE UPDATE OF amount_minor, currency ON sandbox_payment FOR EACH ROW
    WHEN ((OLD.amount_minor, OLD.currency) IS DISTINCT FROM (NEW.amount_minor, NEW.currency))
    EXECUTE FUNCTION sandbox_refuse_other_amount();
"""
FIXED_AMOUNTS_UNDONE = """
DROP TRIGGER sandbox_payment_amount_fixed ON sandbox_payment;
DROP FUNCTION sandbox_refuse_other_amount();
"""


class Migration(migrations.Migration):
    dependencies = [
        ("sandbox", "0001_initial"),
    ]

    operations = [
        migrations.CreateModel(
            name="Dispute",
            fields=[
                ("amount_minor", models.BigIntegerField()),
                ("created_at", models.DateTimeField(default=django.utils.timezone.now, editable=False)),
                ("id", checkout.connectors.sandbox.ids.PrefixedIdField("du_", serialize=False)),
                (
                    "status",
                    models.CharField(
                        choices=[
                            ("warning_needs_response", "Inquiry"),
                            ("warning_closed", "Inquiry Closed"),
                            ("needs_response", "Open"),
                            ("lost", "Lost"),
                            ("won", "Won"),
                        ],
                        max_length=22,
                    ),
                ),
            ],
        ),
        migrations.CreateModel(
            name="Refund",
            fields=[
                ("amount_minor", models.BigIntegerField()),
                ("created_at", models.DateTimeField(default=django.utils.timezone.now, editable=False)),
                ("id", checkout.connectors.sandbox.ids.PrefixedIdField("re_", serialize=False)),
                (
                    "status",
                    models.CharField(
                        choices=[("pending", "Pending"), ("succeeded", "Succeeded"), ("failed", "Failed")], max_length=9
                    ),
                ),
                ("settles_at", models.DateTimeField(null=True)),
            ],
        ),
        migrations.AddIndex(
            model_name="event",
            index=models.Index(fields=["account", "created_at", "id"], name="sandbox_event_listed"),
        ),
        migrations.AddIndex(
            model_name="payment",
            index=models.Index(fields=["account", "created_at", "id"], name="sandbox_payment_listed"),
        ),
        migrations.AddField(
            model_name="dispute",
            name="payment",
            field=models.ForeignKey(
                on_delete=django.db.models.deletion.PROTECT, related_name="disputes", to="sandbox.payment"
            ),
        ),
        migrations.AddField(
            model_name="refund",
            name="payment",
            field=models.ForeignKey(
                on_delete=django.db.models.deletion.PROTECT, related_name="refunds", to="sandbox.payment"
            ),
        ),
        migrations.AddIndex(
            model_name="dispute",
            index=models.Index(fields=["created_at", "id"], name="sandbox_dispute_listed"),
        ),
        migrations.AddConstraint(
            model_name="dispute",
            constraint=models.CheckConstraint(
                condition=models.Q(("amount_minor__gt", 0)), name="sandbox_dispute_amount"
            ),
        ),
        migrations.AddConstraint(
            model_name="dispute",
            constraint=models.CheckConstraint(
                condition=models.Q(
                    ("status__in", ["warning_needs_response", "warning_closed", "needs_response", "lost", "won"])
                ),
                name="sandbox_dispute_status",
            ),
        ),
        migrations.AddConstraint(
            model_name="dispute",
            constraint=models.UniqueConstraint(
                condition=models.Q(("status__in", ("warning_needs_response", "needs_response"))),
                fields=("payment",),
                name="sandbox_dispute_one_open",
            ),
        ),
        migrations.AddIndex(
            model_name="refund",
            index=models.Index(
                condition=models.Q(("status", "pending")), fields=["settles_at"], name="sandbox_refund_settling"
            ),
        ),
        migrations.AddIndex(
            model_name="refund",
            index=models.Index(fields=["created_at", "id"], name="sandbox_refund_listed"),
        ),
        migrations.AddConstraint(
            model_name="refund",
            constraint=models.CheckConstraint(
                condition=models.Q(("amount_minor__gt", 0)), name="sandbox_refund_amount"
            ),
        ),
        migrations.AddConstraint(
            model_name="refund",
            constraint=models.CheckConstraint(
                condition=models.Q(("status__in", ["pending", "succeeded", "failed"])), name="sandbox_refund_status"
            ),
        ),
        migrations.AddConstraint(
            model_name="refund",
            constraint=models.CheckConstraint(
                condition=models.Q(
                    models.Q(("settles_at__isnull", False), ("status", "pending")),
                    models.Q(models.Q(("status", "pending"), _negated=True), ("settles_at", None)),
                    _connector="OR",
                ),
                name="sandbox_refund_settles",
            ),
        ),
        migrations.RunSQL(REFUNDS_WITHIN_PAYMENT, REFUNDS_WITHIN_PAYMENT_UNDONE),
        migrations.RunSQL(DISPUTE_WITHIN_PAYMENT, DISPUTE_WITHIN_PAYMENT_UNDONE),
        migrations.RunSQL(FINAL_STATES, FINAL_STATES_UNDONE),
        migrations.RunSQL(FIXED_AMOUNTS, FIXED_AMOUNTS_UNDONE),
    ]
