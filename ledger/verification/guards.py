"""V11, triggers and functions: what refuses changes is there, fires always, and is what the source says."""

import re
from functools import cache
from typing import Any, NamedTuple

from django.db.migrations import RunSQL
from django.db.migrations.loader import MigrationLoader

from ledger.functions import FUNCTIONS, TRIGGERS
from ledger.verification.findings import Report
from ledger.verification.rows import query
from rako.core.append_only import GUARDED_TABLES, REFUSAL_FUNCTION

_GUARD = re.compile(r"CREATE TRIGGER (\w+)_no_change BEFORE UPDATE(?: OF ([\w, ]+?))?( OR DELETE)? ON (\w+)\s")
# What a function sets while it runs. Only the search path is taken over from the migration.
_SETTING = re.compile(r"\bSET (\w+) (?:FROM CURRENT|= (\w+))")
# pg_trigger.tgtype
_ROW, _BEFORE = 1, 2
_EVENTS = {"INSERT": 4, "DELETE": 8, "UPDATE": 16, "TRUNCATE": 32}
_TRIGGERS = """
SELECT c.relname, t.tgname, p.proname, t.tgtype::int, t.tgenabled::text, t.tgqual IS NULL AND t.tgnargs = 0,
    t.tginitdeferred, coalesce(t.tgnewtable::text, ''), ARRAY(
        SELECT a.attname::text FROM pg_attribute a WHERE a.attrelid = c.oid AND a.attnum = ANY (t.tgattr::int2[])
    )
FROM pg_trigger t JOIN pg_class c ON c.oid = t.tgrelid JOIN pg_proc p ON p.oid = t.tgfoid
WHERE NOT t.tgisinternal AND c.relname = ANY(%s) AND c.relnamespace = current_schema()::regnamespace
"""
_FUNCTIONS = """
SELECT p.proname, p.prosrc, l.lanname, p.prosecdef, p.provolatile::text, p.proisstrict, p.proconfig
FROM pg_proc p JOIN pg_language l ON l.oid = p.prolang WHERE p.proname = ANY(%s)
"""
_PATH = "SELECT quote_ident(current_schema()) || ', pg_temp'"


class Guard(NamedTuple):
    """What a table's migration lets nobody change: these columns (all, if none are named), and rows unless erasable."""

    columns: frozenset[str]
    is_erasable: bool


class Trigger(NamedTuple):
    """A trigger, as far as it matters what it does."""

    function: str
    type: int
    columns: frozenset[str] = frozenset()
    is_deferred: bool = False
    told: str = ""  # what it calls the rows of a statement


@cache
def guards() -> dict[str, Guard]:
    """The guards by table, as the migrations put them: the last one counts."""
    found = {}
    migrations = MigrationLoader(None).disk_migrations
    for key in sorted(migrations):
        for operation in migrations[key].operations:
            text = operation.sql if isinstance(operation, RunSQL) and isinstance(operation.sql, str) else ""
            for _, columns, is_final, table in _GUARD.findall(text):
                names = (name.strip() for name in columns.split(",") if columns)
                found[table] = Guard(frozenset(names), not is_final)
    return found


def check_triggers(report: Report) -> None:
    """Note triggers that are missing, changed or not always on, and ones on the ledger's tables that are not ours."""
    wanted = _wanted()
    present: dict[tuple[str, str], Trigger] = {}
    for table, name, function, kind, enabled, is_plain, is_deferred, told, columns in query(
        _TRIGGERS, [sorted(GUARDED_TABLES)]
    ):
        if (table, name) not in wanted:
            if table.startswith("ledger_"):
                report.add("V11", table, f"the trigger {name} is not ours")
        elif enabled == "A" and is_plain:
            present[table, name] = Trigger(function, kind, frozenset(columns), is_deferred, told)
    for (table, name), trigger in sorted(wanted.items()):
        if present.get((table, name)) != trigger:
            report.add("V11", table, f"its trigger {name} is missing, changed or not always on")


def check_functions(report: Report) -> None:
    """Note functions that are not those of the source, word for word."""
    sources = FUNCTIONS | {"rako_refuse_change": REFUSAL_FUNCTION}
    path = query(_PATH)[0][0]
    present: dict[str, list[tuple[Any, ...]]] = {name: [] for name in sources}
    for name, *rest in query(_FUNCTIONS, [sorted(sources)]):
        present[name].append(tuple(rest))
    for name, source in sources.items():
        # One of a name: another with other arguments could be called in its place.
        if present[name] != [_function(source, path)]:
            report.add("V11", name, "the function is not that of the source")


def _wanted() -> dict[tuple[str, str], Trigger]:
    wanted = {}
    for name, (table, when, function) in TRIGGERS.items():
        moment, _, events = when.partition(" ")
        event, _, columns = events.removeprefix("EACH ").partition(" OF ")
        is_told = events.startswith("EACH ")
        kind = _EVENTS[event] | (0 if is_told else _ROW) | (_BEFORE if moment == "BEFORE" else 0)
        is_deferred = moment == "AFTER" and not is_told
        wanted[table, name] = Trigger(
            function, kind, frozenset(columns.split()), is_deferred, "told" if is_told else ""
        )
    for table in GUARDED_TABLES:
        guard = guards().get(table, Guard(frozenset(), False))
        kind = _ROW | _BEFORE | _EVENTS["UPDATE"] | (0 if guard.is_erasable else _EVENTS["DELETE"])
        wanted[table, f"{table}_no_change"] = Trigger("rako_refuse_change", kind, guard.columns)
        wanted[table, f"{table}_no_truncate"] = Trigger("rako_refuse_change", _BEFORE | _EVENTS["TRUNCATE"])
    return wanted


def _function(source: str, path: str) -> tuple[Any, ...]:
    """What PostgreSQL's catalog says of a function that this text made."""
    head, body, _ = source.split("$$")
    settings = [f"{name}={value or path}" for name, value in _SETTING.findall(head)]
    return body, "plpgsql", "SECURITY DEFINER" in head, "i" if "IMMUTABLE" in head else "v", False, settings or None
