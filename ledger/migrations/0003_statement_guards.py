from django.db import migrations

from ledger.functions import FUNCTIONS, TRIGGERS, create_trigger

# What postings and openings are held to, now once a statement; the openings of postings, which are kept; and heads.
_FUNCTIONS = ("ledger_with_entry", "ledger_posting_balanced", "ledger_opening_kept", "ledger_head_stamp")
_TRIGGERS = ("ledger_posting_with_entry", "ledger_opening_with_entry", "ledger_posting_balanced", "ledger_opening_kept")

_REPLACED = "".join(FUNCTIONS[name].replace("CREATE FUNCTION", "CREATE OR REPLACE FUNCTION") for name in _FUNCTIONS)
_PUT_ON = "".join(
    f"DROP TRIGGER IF EXISTS {name} ON {TRIGGERS[name][0]};\n{create_trigger(name)}" for name in _TRIGGERS
)


class Migration(migrations.Migration):
    """New guards on a running system: each table is locked for the moment in which its triggers change."""

    dependencies = [("ledger", "0002_guards")]

    # A new database has them from 0002 on, and so has one on its way back.
    operations = [migrations.RunSQL(_REPLACED + _PUT_ON, migrations.RunSQL.noop)]
