from django.contrib.postgres.operations import AddConstraintNotValid, AddIndexConcurrently, ValidateConstraint
from django.db import migrations, models
from django.db.models import F, Q

REVERSED = "What was taken back of the commission; below zero, a correction added it."
# Until now only entries and events told it. A sale whose last entry leaves it whole stays as it is.
FILL = """
WITH last AS (
    SELECT DISTINCT ON (stream_id) stream_id, convert_from(body, 'UTF8')::jsonb #> '{facts,retained}' AS retained
    FROM ledger_entry WHERE kind LIKE 'conversion.%' AND kind <> 'conversion.recorded'
    ORDER BY stream_id, stream_seq DESC
), told AS (
    SELECT sale.id,
        (array_agg(event.amount_minor ORDER BY event.occurred_at DESC, event.reference DESC)
            FILTER (WHERE event.kind = 'corrected'))[1] AS corrected,
        coalesce(sum(event.amount_minor) FILTER (
            WHERE event.kind = 'refunded'
                AND (sale.validation_ends_at IS NULL OR event.occurred_at < sale.validation_ends_at)
                AND NOT EXISTS (SELECT FROM ledger_event failed WHERE failed.conversion_id = sale.id
                    AND failed.kind = 'refund_failed' AND failed.reference = event.reference)
                AND NOT EXISTS (SELECT FROM ledger_event later WHERE later.conversion_id = sale.id
                    AND later.kind = 'reinstated' AND later.occurred_at >= event.occurred_at)
        ), 0) AS refunded
    FROM ledger_conversion sale JOIN ledger_event event ON event.conversion_id = sale.id
    GROUP BY sale.id
)
UPDATE ledger_conversion sale SET
    corrected_value_minor = told.corrected,
    refunded_minor = least(told.refunded, coalesce(told.corrected, sale.transaction_value_minor)),
    reversed_commission_minor = sale.commission_minor - (last.retained ->> 'amount_minor')::bigint,
    reversed_fee_minor = sale.network_fee_minor - (last.retained ->> 'fee_minor')::bigint,
    reversed_payout_minor = sale.builder_payout_minor - (last.retained ->> 'payout_minor')::bigint
FROM last, told WHERE last.stream_id = sale.id AND told.id = sale.id AND last.retained IS NOT NULL AND (
    told.corrected IS NOT NULL OR told.refunded <> 0
    OR sale.commission_minor <> (last.retained ->> 'amount_minor')::bigint
)
"""


class Migration(migrations.Migration):
    """What is left of a sale stands on its row, as differences to what was recorded."""

    # The rows are filled while others write, and the constraint is checked without keeping them from it.
    atomic = False

    dependencies = [("ledger", "0013_payment_reference")]

    operations = [
        migrations.AddField(
            "conversion",
            "corrected_value_minor",
            models.BigIntegerField(blank=True, help_text="The transaction value after all.", null=True),
        ),
        migrations.AddField(
            "conversion",
            "refunded_minor",
            models.BigIntegerField(db_default=0, default=0, help_text="What takes back commission."),
        ),
        migrations.AddField(
            "conversion",
            "reversed_commission_minor",
            models.BigIntegerField(db_default=0, default=0, help_text=REVERSED),
        ),
        migrations.AddField("conversion", "reversed_fee_minor", models.BigIntegerField(db_default=0, default=0)),
        migrations.AddField("conversion", "reversed_payout_minor", models.BigIntegerField(db_default=0, default=0)),
        migrations.RunSQL(FILL, migrations.RunSQL.noop),
        AddConstraintNotValid(
            model_name="conversion",
            constraint=models.CheckConstraint(
                condition=Q(
                    reversed_commission_minor=F("reversed_fee_minor") + F("reversed_payout_minor"),
                    reversed_fee_minor__lte=F("network_fee_minor"),
                    reversed_payout_minor__lte=F("builder_payout_minor"),
                )
                & Q(refunded_minor__gte=0),
                name="conversion_keeps_no_less_than_nothing",
            ),
        ),
        ValidateConstraint(model_name="conversion", name="conversion_keeps_no_less_than_nothing"),
        *(
            AddIndexConcurrently(
                "conversion",
                models.Index(fields=[party], condition=Q(is_held=True), name=f"conversion_held_of_{party}"),
            )
            for party in ("merchant", "builder")
        ),
    ]
