"""Who may do what in the database: the application's own role, and a guard against changes of the schema.

For deployments where one role owns the tables and the application connects as another. What a table lets be changed is
read from its guard (`rako.core.append_only`), so that a new table is covered as soon as it is migrated.
"""

import re
from collections.abc import Iterable
from typing import Any, NamedTuple

from django.apps import apps
from django.db import connection
from psycopg import sql

from ledger.functions import APPEND_ARGUMENTS, FUNCTIONS
from rako.core.append_only import GUARDED_TABLES

# What only the function `ledger_append` writes, with its owner's rights.
WRITTEN_BY_APPEND = frozenset({"ledger_entry", "ledger_posting", "ledger_opening"})
# Written by `migrate`, read by `check` and by whoever asks what is applied.
READ_ONLY_TABLES = frozenset({"django_migrations"})
_EVERYTHING = ("SELECT", "INSERT", "UPDATE", "DELETE")
_TOO_MUCH = ("INSERT", "UPDATE", "DELETE", "TRUNCATE", "REFERENCES", "TRIGGER")

# A guard without DELETE leaves rows erasable; one with columns leaves the others open.
_GUARDS = """
SELECT c.relname, (t.tgtype & 8) = 0, ARRAY(
    SELECT a.attname::text FROM pg_attribute a
    WHERE a.attrelid = c.oid AND a.attnum > 0 AND NOT a.attisdropped AND a.attgenerated = ''
        AND cardinality(t.tgattr::int2[]) > 0 AND a.attnum <> ALL (t.tgattr::int2[])
    ORDER BY a.attname
) FROM pg_trigger t JOIN pg_class c ON c.oid = t.tgrelid
WHERE t.tgname = c.relname || '_no_change' AND c.relname = ANY(%s) AND c.relnamespace = current_schema()::regnamespace
"""
# Identity columns draw from their sequence without anybody's leave; serial columns do not.
_SERIALS = """
SELECT s.relname FROM pg_depend d JOIN pg_class s ON s.oid = d.objid AND s.relkind = 'S'
    JOIN pg_class t ON t.oid = d.refobjid
WHERE d.classid = 'pg_class'::regclass AND d.refclassid = 'pg_class'::regclass AND d.deptype = 'a'
    AND t.relname = ANY(%s) AND t.relnamespace = current_schema()::regnamespace ORDER BY s.relname
"""
_RELATION = "(quote_ident(current_schema()) || '.' || quote_ident(name))::regclass"
_HELD = f"""
SELECT privilege || ' on ' || name FROM unnest(%(tables)s::text[]) AS name, unnest(%(privileges)s::text[]) AS privilege
WHERE has_table_privilege(%(role)s, {_RELATION}, privilege)
UNION ALL SELECT 'UPDATE (' || attname || ') on ' || name
FROM unnest(%(tables)s::text[]) AS name JOIN pg_attribute ON attrelid = {_RELATION} AND attnum > 0 AND NOT attisdropped
WHERE has_column_privilege(%(role)s, attrelid, attnum, 'UPDATE')
UNION ALL SELECT 'CREATE on the schema' WHERE has_schema_privilege(%(role)s, current_schema(), 'CREATE')
"""  # noqa: S608 - two constants
_FOREIGN = """
SELECT relname, pg_get_userbyid(relowner) FROM pg_class
WHERE relname = ANY(%s) AND relnamespace = current_schema()::regnamespace AND NOT pg_has_role(relowner, 'USAGE')
ORDER BY relname LIMIT 1
"""
_UNFIT = """
SELECT CASE
    WHEN rolsuper THEN 'is a superuser'
    WHEN rolcreaterole THEN 'may give itself other roles (CREATEROLE)'
    WHEN EXISTS (
        SELECT FROM pg_class
        WHERE relname = ANY(%(tables)s) AND relnamespace = current_schema()::regnamespace
            AND pg_has_role(rolname, relowner, 'MEMBER')
    ) THEN 'owns the tables, or is a member of their owner'
END FROM pg_roles WHERE rolname = %(role)s
"""


class UnfitRole(Exception):
    """Grants cannot bind this role, or it does not exist."""


class Access(NamedTuple):
    """What the application may do with a table; `columns` are those it may update, of a table whose rows are facts."""

    privileges: tuple[str, ...]
    columns: tuple[str, ...] = ()


def access() -> dict[str, Access]:
    """The least that the application needs, by table. Raises UnfitRole if a table of facts has no guard."""
    ordinary = {model._meta.db_table for model in apps.get_models(include_auto_created=True)} - GUARDED_TABLES
    found = dict.fromkeys(sorted(ordinary), Access(_EVERYTHING))
    found |= dict.fromkeys(sorted(READ_ONLY_TABLES), Access(("SELECT",)))
    guards = {name: (is_erasable, columns) for name, is_erasable, columns in _rows(_GUARDS, [sorted(GUARDED_TABLES)])}
    if unguarded := GUARDED_TABLES - guards.keys():
        raise UnfitRole(f"no guard on {', '.join(sorted(unguarded))}: run migrate first")
    for name, (is_erasable, columns) in sorted(guards.items()):
        inserted = () if name in WRITTEN_BY_APPEND else ("INSERT",)
        found[name] = Access(("SELECT", *inserted, *(("DELETE",) if is_erasable else ())), tuple(columns))
    return found


def check_role(role: str) -> None:
    """Raise UnfitRole unless the role exists and can be held by grants, and they are ours to make."""
    # PostgreSQL only warns of a grant that has no effect.
    for table, owner in _rows(_FOREIGN, [list(access())]):
        raise UnfitRole(f"{table} is not yours: run this as the owner, {owner}, or a member of it")
    found = _rows(_UNFIT, {"role": role, "tables": sorted(GUARDED_TABLES)})
    if not found:
        raise UnfitRole(f"there is no role {role}: CREATE ROLE it first")
    if found[0][0]:
        raise UnfitRole(f"{role} {found[0][0]}: no grant can hold it")


def grants(role: str) -> list[str]:
    """The statements that leave a role with `access`, and nobody else with more by way of PUBLIC."""
    wanted, to, schema = access(), _name(role), _schema()
    append = f"FUNCTION ledger_append({APPEND_ARGUMENTS})"
    by_access: dict[tuple[str, ...], list[str]] = {}
    for table, allowed in wanted.items():
        by_access.setdefault(allowed.privileges, []).append(table)
    return [
        f"REVOKE CREATE ON SCHEMA {schema} FROM PUBLIC, {to}",
        f"GRANT USAGE ON SCHEMA {schema} TO {to}",
        f"REVOKE ALL ON {_names(wanted)} FROM PUBLIC, {to}",
        *(f"GRANT {', '.join(what)} ON {_names(tables)} TO {to}" for what, tables in by_access.items()),
        *(
            f"GRANT UPDATE ({_names(allowed.columns)}) ON {_name(table)} TO {to}"
            for table, allowed in wanted.items()
            if allowed.columns
        ),
        *(f"GRANT USAGE ON SEQUENCE {_name(name)} TO {to}" for (name,) in _rows(_SERIALS, [list(wanted)])),
        f"REVOKE ALL ON {append} FROM PUBLIC, {to}",
        f"GRANT EXECUTE ON {append} TO {to}",
    ]


def excess(role: str) -> list[str]:
    """What a role may do to facts beyond `access`, however it came by it: another role, another grantor."""
    allowed = access()
    fine = {f"{privilege} on {table}" for table in GUARDED_TABLES for privilege in allowed[table].privileges}
    fine |= {f"UPDATE ({column}) on {table}" for table in GUARDED_TABLES for column in allowed[table].columns}
    held = _rows(_HELD, {"role": role, "tables": sorted(GUARDED_TABLES), "privileges": list(_TOO_MUCH)})
    return sorted({what for (what,) in held} - fine)


# In a schema of its own: whoever owns the ledger's could drop that, function and triggers with it, and nothing would
# be left to refuse it. Two events, one function: what was dropped is not among the commands, and the other way round.
# Objects are known by their identity ("name on schema.table" for what sits on a table); renames and inheritance, by
# what they leave behind.
_REFUSE_DDL = """
CREATE FUNCTION rako_guard.refuse_ddl() RETURNS event_trigger LANGUAGE plpgsql
    SET search_path = pg_catalog, pg_temp AS $$
DECLARE
    v_what text;
BEGIN
    IF TG_EVENT = 'sql_drop' THEN
        -- Dropping a table that refers to facts takes internal triggers off theirs; the facts lose nothing by it.
        SELECT object_identity INTO v_what FROM pg_event_trigger_dropped_objects()
            WHERE object_identity ~ {pattern} AND object_identity !~ '^"RI_ConstraintTrigger_';
    ELSIF TG_TAG <> 'REINDEX' THEN
        SELECT coalesce(
            (SELECT min(object_identity) FROM pg_event_trigger_ddl_commands() WHERE object_identity ~ {pattern}),
            (SELECT min(name) FROM unnest({tables}::text[]) AS name WHERE to_regclass(name) IS NULL),
            (SELECT min(name) FROM unnest({functions}::text[]) AS name WHERE to_regproc(name) IS NULL),
            (SELECT min(object_identity) FROM pg_event_trigger_ddl_commands() JOIN pg_index ON indexrelid = objid
                WHERE indrelid IN (SELECT to_regclass(name) FROM unnest({tables}::text[]) AS name)),
            (SELECT min(inhrelid::regclass::text) FROM pg_inherits
                WHERE inhparent IN (SELECT to_regclass(name) FROM unnest({tables}::text[]) AS name))
        ) INTO v_what;
    END IF;
    IF v_what IS NOT NULL THEN
        RAISE EXCEPTION '% on % is refused: it holds facts', TG_TAG, v_what USING ERRCODE = 'restrict_violation',
            HINT = 'Before a migration of these tables: manage.py protect_database --no-event-trigger';
    END IF;
END $$
"""
NO_EVENT_TRIGGER = [
    "DROP EVENT TRIGGER IF EXISTS rako_refuse_ddl",
    "DROP EVENT TRIGGER IF EXISTS rako_refuse_drop",
    "DROP SCHEMA IF EXISTS rako_guard CASCADE",
]


def event_trigger() -> list[str]:
    """The statements that make PostgreSQL refuse, to every role, any change to what facts are kept by."""
    schema = _schema()
    names = "|".join(["ledger_", "rako_refuse_", *sorted(GUARDED_TABLES)])
    values = {
        "pattern": f"(^| on | for )({re.escape(schema)}\\.({names})|rako_guard)",
        "tables": [f"{schema}.{table}" for table in sorted(GUARDED_TABLES)],
        "functions": [f"{schema}.{name}" for name in sorted({*FUNCTIONS, "rako_refuse_change"})],
    }
    function = sql.SQL(_REFUSE_DDL).format(**{name: sql.Literal(value) for name, value in values.items()})
    call = "EXECUTE FUNCTION rako_guard.refuse_ddl()"
    return [
        *NO_EVENT_TRIGGER,
        "CREATE SCHEMA rako_guard",
        function.as_string(),
        f"CREATE EVENT TRIGGER rako_refuse_ddl ON ddl_command_end {call}",
        f"CREATE EVENT TRIGGER rako_refuse_drop ON sql_drop {call}",
        # Also under session_replication_role = replica.
        "ALTER EVENT TRIGGER rako_refuse_ddl ENABLE ALWAYS",
        "ALTER EVENT TRIGGER rako_refuse_drop ENABLE ALWAYS",
    ]


def _rows(query: str, values: Any = None) -> list[tuple[Any, ...]]:
    with connection.cursor() as cursor:
        cursor.execute(query, values)
        return list(cursor.fetchall())


def _schema() -> str:
    return str(_rows("SELECT quote_ident(current_schema())")[0][0])


def _name(name: str) -> str:
    return sql.Identifier(name).as_string()


def _names(names: Iterable[str]) -> str:
    return ", ".join(_name(name) for name in names)
