from django.db import migrations

# Django adds them for LIKE to every unique or referring text; under collation C, the index proper serves that, too.
_INDEXES = {
    "ledger_entry_entry_id_4915a6d7_like": "ledger_entry (entry_id varchar_pattern_ops)",
    "ledger_entry_idempotency_key_d7fe082d_like": "ledger_entry (idempotency_key varchar_pattern_ops)",
    "ledger_evidence_id_4d4ed7d6_like": "ledger_evidence (id varchar_pattern_ops)",
    "ledger_evidence_conversion_id_96f0d635_like": "ledger_evidence (conversion_id varchar_pattern_ops)",
}
_DROPPED = [f"DROP INDEX CONCURRENTLY IF EXISTS {name}" for name in _INDEXES]
_MADE = [f"CREATE INDEX CONCURRENTLY {name} ON {columns}" for name, columns in _INDEXES.items()]


class Migration(migrations.Migration):
    """Four indexes fewer for each proof to enter. Without locks, so without a transaction; it may be repeated."""

    atomic = False
    dependencies = [("ledger", "0005_fewer_queries")]

    operations = [migrations.RunSQL(_DROPPED, _DROPPED + _MADE)]
