from django.db import migrations

from ledger.functions import APPEND_ARGUMENTS, FUNCTIONS, TRIGGERS, create_trigger
from rako.core.append_only import guard

# All of a conversion but what its lifecycle moves: status, verification_level, validation_ends_at.
FACTS = (
    "id, attribution_path, session_id, recommendation_id, agent_id, builder_id, merchant_id, offer_id, code_sha256, "
    "order_reference, transaction_value_minor, currency, commission_type, commission_minor, network_fee_minor, "
    "builder_payout_minor, network_fee_rate, validation_days, converted_at, recorded_at, first_validation_ends_at"
)
# All of an event but the conversion that it finds.
EVENT = "id, merchant_id, kind, sale_reference, reference, amount_minor, reason, occurred_at, received_at, sha256"

_TRIGGERS = "".join(create_trigger(name) for name in TRIGGERS)
_NO_TRIGGERS = "".join(f"DROP TRIGGER {name} ON {table};\n" for name, (table, _, _) in TRIGGERS.items())
_NO_FUNCTIONS = "".join(f"DROP FUNCTION {name};\n" for name in FUNCTIONS)


class Migration(migrations.Migration):
    dependencies = [("ledger", "0001_initial"), ("merchants", "0002_guards")]

    operations = [
        migrations.RunSQL("".join(FUNCTIONS.values()), _NO_FUNCTIONS),
        migrations.RunSQL(f"REVOKE ALL ON FUNCTION ledger_append({APPEND_ARGUMENTS}) FROM PUBLIC;", ""),
        migrations.RunSQL(_TRIGGERS, _NO_TRIGGERS),
        guard("ledger_entry"),
        guard("ledger_posting"),
        guard("ledger_opening", "entry_id, party, content", is_erasable=True),
        guard("ledger_leaf"),
        guard("ledger_tile"),
        guard("ledger_head"),
        guard("ledger_checkpoint"),
        guard("ledger_cosignature"),
        guard("ledger_logkey"),
        guard("ledger_verification"),
        guard("ledger_evidence"),
        guard("ledger_conversion", FACTS),
        guard("ledger_event", EVENT),
    ]
