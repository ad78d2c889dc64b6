"""A missing sale may be claimed by the link that led to it, too: a fact of the dispute, guarded like the others."""

from django.db import migrations, models
from django.db.models import Q

from rako.core.append_only import guard_sql

_OFF = (
    "DROP TRIGGER ledger_dispute_no_change ON ledger_dispute; "
    "DROP TRIGGER ledger_dispute_no_truncate ON ledger_dispute;"
)
_FACTS = (
    "id, kind, opened_by, merchant_id, agent_id, recommendation_id, currency, claimed_value_minor, order_reference, "
    "sold_at, opened_at"
)


class Migration(migrations.Migration):
    dependencies = [("ledger", "0016_fraud_looks")]

    operations = [
        migrations.AddField(
            model_name="dispute",
            name="attribution_path",
            field=models.CharField(
                choices=[("aap_flow", "aap_flow"), ("tracked_link", "tracked_link")],
                db_default="aap_flow",
                default="aap_flow",
                help_text="By which the missing sale is claimed.",
                max_length=12,
            ),
        ),
        migrations.AddConstraint(
            model_name="dispute",
            constraint=models.CheckConstraint(
                condition=Q(attribution_path="aap_flow") | Q(attribution_path="tracked_link", kind="missing_sale"),
                name="dispute_claims_a_path",
            ),
        ),
        migrations.RunSQL(
            _OFF + guard_sql("ledger_dispute", f"{_FACTS}, attribution_path"),
            _OFF + guard_sql("ledger_dispute", _FACTS),
        ),
    ]
