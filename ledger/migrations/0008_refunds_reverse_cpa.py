from django.db import migrations, models

from rako.core.append_only import guard_sql

_FACTS = (
    "id, attribution_path, session_id, recommendation_id, agent_id, builder_id, merchant_id, offer_id, code_sha256, "
    "order_reference, transaction_value_minor, currency, commission_type, commission_minor, network_fee_minor, "
    "builder_payout_minor, network_fee_rate, validation_days, converted_at, recorded_at, first_validation_ends_at"
)
_OFF = (
    "DROP TRIGGER ledger_conversion_no_change ON ledger_conversion; "
    "DROP TRIGGER ledger_conversion_no_truncate ON ledger_conversion;"
)


class Migration(migrations.Migration):
    """How partial refunds were agreed on when a sale was recorded: a fact of it, guarded like the others."""

    dependencies = [("ledger", "0007_outcomes"), ("merchants", "0004_commercial_terms")]

    operations = [
        migrations.AddField(
            "conversion",
            "refunds_reverse_cpa",
            models.BooleanField(
                db_default=False,
                default=False,
                help_text="A part refund takes its share of fixed amounts, as then agreed.",
            ),
        ),
        migrations.RunSQL(
            _OFF + guard_sql("ledger_conversion", f"{_FACTS}, refunds_reverse_cpa"),
            _OFF + guard_sql("ledger_conversion", _FACTS),
        ),
    ]
