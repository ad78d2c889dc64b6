"""V11, tables: plain tables with all their constraints, that nobody else may change."""

from django.apps import apps
from django.db.models import Model

from ledger.verification.findings import Report
from ledger.verification.guards import guards
from ledger.verification.rows import query
from rako.core.append_only import GUARDED_TABLES

_LEAF_HASH = r"sha256(('\x00'::bytea || body))"
# Ordinary, permanent, with no rows hidden by policies or added by inheritance.
_ODD = """
SELECT name FROM unnest(%s::text[]) name LEFT JOIN pg_class c
    ON c.relname = name AND c.relnamespace = current_schema()::regnamespace
WHERE c.oid IS NULL OR c.relkind <> 'r' OR c.relpersistence <> 'p' OR c.relrowsecurity OR c.relhassubclass ORDER BY name
"""
_RULES = "SELECT tablename, rulename FROM pg_rules WHERE schemaname = current_schema() AND tablename = ANY(%s)"
_GENERATED = """
SELECT pg_get_expr(adbin, adrelid) FROM pg_attrdef JOIN pg_attribute ON attrelid = adrelid AND attnum = adnum
WHERE adrelid = to_regclass('ledger_entry') AND attname = 'leaf_hash' AND attgenerated = 's'
"""
# PostgreSQL 18 knows constraints that are not enforced; older ones have no such column.
_CONSTRAINTS = """
SELECT c.relname, k.conname, k.contype::text, ARRAY(
    SELECT a.attname::text FROM pg_attribute a WHERE a.attrelid = c.oid AND a.attnum = ANY (k.conkey)
) FROM pg_constraint k JOIN pg_class c ON c.oid = k.conrelid
WHERE c.relnamespace = current_schema()::regnamespace AND c.relname LIKE 'ledger\\_%%' AND k.convalidated
    AND coalesce((to_jsonb(k) ->> 'conenforced')::boolean, true)
UNION ALL
SELECT c.relname, i.relname, 'i', '{}' FROM pg_index x JOIN pg_class i ON i.oid = x.indexrelid
    JOIN pg_class c ON c.oid = x.indrelid
WHERE c.relnamespace = current_schema()::regnamespace AND c.relname LIKE 'ledger\\_%%'
    AND x.indisunique AND x.indisvalid AND x.indisready
"""
_GRANTED = """
SELECT c.relname, acl.privilege_type, NULL, coalesce(role.rolname, 'PUBLIC')
FROM pg_class c CROSS JOIN aclexplode(c.relacl) acl LEFT JOIN pg_roles role ON role.oid = acl.grantee
WHERE c.relname = ANY(%(tables)s) AND c.relnamespace = current_schema()::regnamespace
    AND acl.grantee <> c.relowner AND role.rolsuper IS NOT TRUE
    AND acl.privilege_type IN ('UPDATE', 'DELETE', 'TRUNCATE', 'TRIGGER')
UNION ALL
SELECT c.relname, acl.privilege_type, a.attname::text, coalesce(role.rolname, 'PUBLIC')
FROM pg_class c JOIN pg_attribute a ON a.attrelid = c.oid CROSS JOIN aclexplode(a.attacl) acl
    LEFT JOIN pg_roles role ON role.oid = acl.grantee
WHERE c.relname = ANY(%(tables)s) AND c.relnamespace = current_schema()::regnamespace
    AND acl.grantee <> c.relowner AND role.rolsuper IS NOT TRUE AND acl.privilege_type = 'UPDATE'
ORDER BY 1, 2, 3, 4
"""
# Without an ACL a function is everybody's.
_PUBLIC_APPEND = """
SELECT 1 FROM pg_proc p LEFT JOIN LATERAL aclexplode(p.proacl) acl ON true
WHERE p.proname = 'ledger_append' AND (p.proacl IS NULL OR (acl.grantee = 0 AND acl.privilege_type = 'EXECUTE'))
"""


def check_tables(report: Report) -> None:
    """Note tables that are not plain, rules that rewrite statements, and a leaf hash that is not computed."""
    tables = [sorted(GUARDED_TABLES)]
    for (table,) in query(_ODD, tables):
        report.add("V11", table, "is not the plain table it should be")
    for table, rule in query(_RULES, tables):
        report.add("V11", table, f"the rule {rule} rewrites statements")
    if query(_GENERATED) != [(_LEAF_HASH,)]:
        report.add("V11", "ledger_entry", "leaf_hash is not computed from the body")


def check_constraints(report: Report) -> None:
    """Note constraints of the models that the database does not have, or does not enforce."""
    rows = query(_CONSTRAINTS)
    names = {(table, name) for table, name, _, _ in rows}
    shapes = {(table, kind, frozenset(columns)) for table, _, kind, columns in rows}
    for model in apps.get_app_config("ledger").get_models():
        table = model._meta.db_table
        for constraint in model._meta.constraints:
            if (table, constraint.name) not in names:
                report.add("V11", table, f"the constraint {constraint.name} is missing or not enforced")
        for kind, columns in _keys(model):
            if (table, kind, columns) not in shapes:
                what = {"p": "primary key", "u": "unique key", "f": "foreign key"}[kind]
                report.add("V11", table, f"the {what} on {', '.join(sorted(columns))} is missing or not enforced")


def check_privileges(report: Report) -> None:
    """Note rights to change facts that others than owner and superusers have, and an append function for everybody."""
    for table, privilege, column, role in query(_GRANTED, {"tables": sorted(GUARDED_TABLES)}):
        guard = guards().get(table)
        is_free = column is not None and guard is not None and guard.columns and column not in guard.columns
        if not is_free and not (privilege == "DELETE" and guard is not None and guard.is_erasable):
            what = privilege if column is None else f"{privilege} ({column})"
            report.add("V11", table, f"{role} has the right to {what}")
    if query(_PUBLIC_APPEND):
        report.add("V11", "ledger_append", "everybody has the right to EXECUTE")


def _keys(model: type[Model]) -> list[tuple[str, frozenset[str]]]:
    """The keys that a model's fields come to: their kind and columns."""
    meta = model._meta
    primary = frozenset(field.column for field in meta.pk_fields if field.column)
    keys = [("p", primary)]
    for field in meta.concrete_fields:
        column = frozenset({field.column or field.attname})
        if field.unique and column != primary:
            keys.append(("u", column))
        if field.remote_field is not None and getattr(field, "db_constraint", True):
            keys.append(("f", column))
    return keys
