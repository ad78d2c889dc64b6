import django.db.models.deletion
from django.contrib.postgres.operations import AddIndexConcurrently
from django.db import migrations, models
from django.db.models import Q

_NOT_COMMON = ~Q(attribution_path="aap_flow")
# What a longer index begins with, and what Django makes for LIKE: with collation C the others serve that as well.
_NEEDLESS = {
    "ledger_conversion_agent_id_98c56d06": "agent_id",
    "ledger_conversion_agent_id_98c56d06_like": "agent_id varchar_pattern_ops",
    "ledger_conversion_merchant_id_34617d91": "merchant_id",
    "ledger_conversion_merchant_id_34617d91_like": "merchant_id varchar_pattern_ops",
    "ledger_conversion_id_93c5327d_like": "id varchar_pattern_ops",
    "ledger_conversion_builder_id_c2e81c6e_like": "builder_id varchar_pattern_ops",
    "ledger_conversion_offer_id_42a3e7f5_like": "offer_id varchar_pattern_ops",
    "ledger_conversion_recommendation_id_73d0eb18_like": "recommendation_id varchar_pattern_ops",
    "ledger_conversion_session_id_454c63ce_like": "session_id varchar_pattern_ops",
}


def _of_party(name: str, to: str) -> migrations.AlterField:
    field = models.ForeignKey(
        db_index=False, on_delete=django.db.models.deletion.PROTECT, related_name="conversions", to=to
    )
    return migrations.AlterField("conversion", name, field)


def _index(name: str, *fields: str, **options: Q) -> AddIndexConcurrently:
    return AddIndexConcurrently("conversion", models.Index(fields=fields, name=name, **options))


class Migration(migrations.Migration):
    """What pages, filters and the end of validations are read by; and without indexes that nothing reads."""

    # Indexes are built beside running writers.
    atomic = False

    dependencies = [("ledger", "0008_refunds_reverse_cpa")]

    operations = [
        _index("conversion_merchant_status", "merchant", "status", "-id"),
        _index("conversion_agent_status", "agent", "status", "-id"),
        _index("conversion_merchant_level", "merchant", "verification_level", "-id"),
        _index("conversion_agent_level", "agent", "verification_level", "-id"),
        _index("conversion_merchant_path", "merchant", "attribution_path", "-id", condition=_NOT_COMMON),
        _index("conversion_agent_path", "agent", "attribution_path", "-id", condition=_NOT_COMMON),
        _index("conversion_of_order", "merchant", "order_reference"),
        _index(
            "conversion_due", "validation_ends_at", "id", condition=Q(status__in=["pending_validation", "resolved"])
        ),
        migrations.SeparateDatabaseAndState(
            # Not by the fields: that would have PostgreSQL check their foreign keys anew.
            database_operations=[
                migrations.RunSQL(
                    f"DROP INDEX CONCURRENTLY IF EXISTS {name}",
                    f"CREATE INDEX CONCURRENTLY IF NOT EXISTS {name} ON ledger_conversion ({columns})",
                )
                for name, columns in _NEEDLESS.items()
            ],
            state_operations=[_of_party("agent", "sessions_app.agent"), _of_party("merchant", "merchants.merchant")],
        ),
    ]
