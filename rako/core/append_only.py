"""Rows that are facts: Python refuses to change them, and PostgreSQL refuses whoever asks."""

from typing import Any, NoReturn, TypeVar

from django.db import migrations, models

M = TypeVar("M", bound=models.Model)


class AppendOnlyError(Exception):
    """Something tried to change or delete a fact."""


class AppendOnlyQuerySet(models.QuerySet[M]):
    """A queryset that reads and creates."""

    def update(self, **values: Any) -> NoReturn:
        raise AppendOnlyError(f"{self.model.__name__} rows are facts: they are never updated")

    def delete(self) -> NoReturn:
        raise AppendOnlyError(f"{self.model.__name__} rows are facts: they are never deleted")

    def bulk_update(self, *args: Any, **options: Any) -> NoReturn:
        raise AppendOnlyError(f"{self.model.__name__} rows are facts: they are never updated")


AppendOnlyManager = models.Manager.from_queryset(AppendOnlyQuerySet)


class AppendOnlyModel(models.Model):
    """A model whose rows are inserted once."""

    objects = AppendOnlyManager()

    class Meta:
        abstract = True
        base_manager_name = "objects"

    def save(self, *args: Any, **options: Any) -> None:
        if not self._state.adding:
            raise AppendOnlyError(f"{type(self).__name__} rows are facts: they are never updated")
        # Merged, not added: objects.create() passes force_insert itself.
        super().save(*args, **options | {"force_insert": True})

    def delete(self, *args: Any, **options: Any) -> NoReturn:
        raise AppendOnlyError(f"{type(self).__name__} rows are facts: they are never deleted")


# Every table that a migration puts a guard on; `verify_ledger` holds the database against this list.
GUARDED_TABLES = frozenset(
    {
        "merchants_commissionterms",
        "merchants_signingkey",
        "sessions_app_recommendation",
        "sessions_app_click",
        "sessions_app_attributionkey",
        "ledger_entry",
        "ledger_posting",
        "ledger_opening",
        "ledger_leaf",
        "ledger_tile",
        "ledger_head",
        "ledger_checkpoint",
        "ledger_cosignature",
        "ledger_logkey",
        "ledger_verification",
        "ledger_evidence",
        "ledger_conversion",
        "ledger_event",
        "ledger_milestone",
        "ledger_dispute",
        "ledger_disputestatement",
        "ledger_fraudhold",
        "settlement_batch",
        "settlement_line",
        "settlement_waiting",
        "settlement_invoice",
        "settlement_merchantpayment",
        "settlement_statement",
        "settlement_payoutfile",
        "settlement_payout",
        "checkout_webhookreceipt",
        "checkout_pspobject",
    }
)

REFUSAL_FUNCTION = """
CREATE FUNCTION rako_refuse_change() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    RAISE EXCEPTION '% on % is refused: its rows are facts', TG_OP, TG_TABLE_NAME
        USING ERRCODE = 'restrict_violation';
END $$;
"""


def refusal_function() -> migrations.RunSQL:
    """The trigger function that all guards call; installed once."""
    return migrations.RunSQL(REFUSAL_FUNCTION, "DROP FUNCTION rako_refuse_change();")


def guard_sql(table: str, columns: str = "", *, is_erasable: bool = False) -> str:
    """SQL that makes a table append-only or, with `columns` (comma-separated), only those columns immutable.

    Rows of an erasable table may be deleted.

    ALWAYS: the triggers fire even under session_replication_role = replica. TRUNCATE has a trigger of its
    own, because the test suite's teardown truncates and switches just that one off.
    """
    update = f"UPDATE OF {columns}" if columns else "UPDATE"
    return f"""
CREATE TRIGGER {table}_no_change BEFORE {update}{"" if is_erasable else " OR DELETE"} ON {table}
    FOR EACH ROW EXECUTE FUNCTION rako_refuse_change();
CREATE TRIGGER {table}_no_truncate BEFORE TRUNCATE ON {table}
    FOR EACH STATEMENT EXECUTE FUNCTION rako_refuse_change();
ALTER TABLE {table} ENABLE ALWAYS TRIGGER {table}_no_change;
ALTER TABLE {table} ENABLE ALWAYS TRIGGER {table}_no_truncate;
"""


def guard(table: str, columns: str = "", *, is_erasable: bool = False) -> migrations.RunSQL:
    """A migration operation that puts the guards of `guard_sql` on a table; it can be reversed."""
    undo = f"DROP TRIGGER {table}_no_change ON {table}; DROP TRIGGER {table}_no_truncate ON {table};"
    return migrations.RunSQL(guard_sql(table, columns, is_erasable=is_erasable), undo)
