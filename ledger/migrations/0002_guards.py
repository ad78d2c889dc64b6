from django.db import migrations

from rako.core.append_only import guard

# The application may claim when something happened, never when it was recorded.
STAMP = """
CREATE FUNCTION ledger_entry_stamp() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    NEW.recorded_at := clock_timestamp();
    RETURN NEW;
END $$;
CREATE TRIGGER ledger_entry_stamp BEFORE INSERT ON ledger_entry
    FOR EACH ROW EXECUTE FUNCTION ledger_entry_stamp();
ALTER TABLE ledger_entry ENABLE ALWAYS TRIGGER ledger_entry_stamp;
"""
UNSTAMP = "DROP TRIGGER ledger_entry_stamp ON ledger_entry; DROP FUNCTION ledger_entry_stamp();"

# All of a conversion but what its lifecycle moves: status, verification_level, validation_ends_at.
FACTS = (
    "id, attribution_path, session_id, recommendation_id, agent_id, builder_id, merchant_id, offer_id, code_sha256, "
    "order_reference, transaction_value_minor, currency, commission_type, commission_minor, network_fee_minor, "
    "builder_payout_minor, validation_days, converted_at, recorded_at"
)


class Migration(migrations.Migration):
    dependencies = [("ledger", "0001_initial"), ("merchants", "0002_guards")]

    operations = [
        migrations.RunSQL(STAMP, UNSTAMP),
        guard("ledger_entry"),
        guard("ledger_evidence"),
        guard("ledger_conversion", FACTS),
    ]
