"""V11: what guards the ledger in the database is there, works, and is what the source says."""

import pytest
from django.db import connection

from ledger.functions import FUNCTIONS, TRIGGERS
from ledger.verification.findings import Report
from ledger.verification.guards import guards
from ledger.verification.run import check_guards
from rako.core.append_only import GUARDED_TABLES
from tests.ledger.tampering import guards_in_force

REFUSE = "FUNCTION rako_refuse_change() RETURNS trigger LANGUAGE plpgsql AS"
STAMP = "FUNCTION ledger_head_stamp() RETURNS trigger LANGUAGE plpgsql"


@pytest.fixture
def guarded(db):
    """A database with all its guards: the tests' liberty with TRUNCATE is taken back."""
    guards_in_force()


def found():
    report = Report()
    check_guards(report)
    assert {finding.check for finding in report.kept} <= {"V11"}
    return {finding.subject for finding in report.kept}


def run(*statements):
    with connection.cursor() as cursor:
        for statement in statements:
            cursor.execute(statement)


def test_a_migrated_database_is_guarded(guarded):
    assert found() == set()


def test_the_tests_own_liberty_is_a_finding(db):
    assert found() == GUARDED_TABLES


def test_each_guarded_table_has_a_guard_in_its_migrations():
    assert set(guards()) == GUARDED_TABLES


@pytest.mark.parametrize("name", TRIGGERS)
def test_a_trigger_that_is_not_always_on_is_found(guarded, name):
    table = TRIGGERS[name][0]

    run(f"ALTER TABLE {table} ENABLE TRIGGER {name}")

    assert found() == {table}


@pytest.mark.parametrize("table", sorted(GUARDED_TABLES))
def test_a_guard_that_is_off_is_found(guarded, table):
    run(f"ALTER TABLE {table} DISABLE TRIGGER {table}_no_change")

    assert found() == {table}


@pytest.mark.parametrize(
    "definition",
    [
        "BEFORE DELETE ON ledger_entry FOR EACH ROW",
        "BEFORE UPDATE OF kind OR DELETE ON ledger_entry FOR EACH ROW",
        "BEFORE UPDATE OR DELETE ON ledger_entry FOR EACH STATEMENT",
        "AFTER UPDATE OR DELETE ON ledger_entry FOR EACH ROW",
        "BEFORE UPDATE OR DELETE ON ledger_entry FOR EACH ROW WHEN (false)",
    ],
)
def test_a_guard_that_guards_less_is_found(guarded, definition):
    run(
        "DROP TRIGGER ledger_entry_no_change ON ledger_entry",
        f"CREATE TRIGGER ledger_entry_no_change {definition} EXECUTE FUNCTION rako_refuse_change()",
        "ALTER TABLE ledger_entry ENABLE ALWAYS TRIGGER ledger_entry_no_change",
    )

    assert found() == {"ledger_entry"}


def test_a_guard_of_fewer_columns_is_found(guarded):
    run(
        "DROP TRIGGER ledger_conversion_no_change ON ledger_conversion",
        "CREATE TRIGGER ledger_conversion_no_change BEFORE UPDATE OF id OR DELETE ON ledger_conversion FOR EACH ROW "
        "EXECUTE FUNCTION rako_refuse_change()",
        "ALTER TABLE ledger_conversion ENABLE ALWAYS TRIGGER ledger_conversion_no_change",
    )

    assert found() == {"ledger_conversion"}


@pytest.mark.parametrize(
    ("subject", "statement"),
    [
        ("rako_refuse_change", f"CREATE OR REPLACE {REFUSE} 'BEGIN RETURN OLD; END'"),
        ("ledger_head_stamp", f"CREATE OR REPLACE {STAMP} AS 'BEGIN RETURN NEW; END'"),
        ("ledger_head_stamp", "ALTER FUNCTION ledger_head_stamp() RESET search_path"),
        ("ledger_head_stamp", "ALTER FUNCTION ledger_head_stamp() SET search_path = pg_temp, public"),
        ("ledger_head_stamp", "ALTER FUNCTION ledger_head_stamp() SET session_replication_role = replica"),
        ("ledger_append", "ALTER FUNCTION ledger_append SECURITY INVOKER"),
        ("ledger_append", "ALTER FUNCTION ledger_append STRICT"),
        ("ledger_append", "GRANT EXECUTE ON FUNCTION ledger_append TO PUBLIC"),
        ("ledger_append", "CREATE FUNCTION ledger_append(text) RETURNS text LANGUAGE sql AS 'SELECT NULL::text'"),
        ("ledger_entry", "CREATE RULE swallow AS ON INSERT TO ledger_entry DO INSTEAD NOTHING"),
        ("ledger_leaf", "CREATE TRIGGER extra BEFORE INSERT ON ledger_leaf EXECUTE FUNCTION rako_refuse_change()"),
        ("ledger_entry", "ALTER TABLE ledger_entry ALTER COLUMN leaf_hash DROP EXPRESSION"),
        ("ledger_entry", "ALTER TABLE ledger_entry ENABLE ROW LEVEL SECURITY"),
        ("ledger_tile", "ALTER TABLE ledger_tile SET UNLOGGED"),
        ("ledger_posting", "CREATE TABLE more () INHERITS (ledger_posting)"),
        ("ledger_entry", "ALTER TABLE ledger_entry DROP CONSTRAINT entry_one_per_place_in_its_stream"),
        ("ledger_posting", "ALTER TABLE ledger_posting DROP CONSTRAINT posting_moves_something"),
        ("ledger_leaf", "ALTER TABLE ledger_leaf DROP CONSTRAINT ledger_leaf_pkey"),
        ("ledger_leaf", "ALTER TABLE ledger_leaf DROP CONSTRAINT ledger_leaf_entry_id_key"),
    ],
)
def test_what_is_undermined_is_found(guarded, subject, statement):
    run(statement)

    assert found() == {subject}


@pytest.mark.parametrize(
    ("table", "privilege"),
    [
        ("ledger_entry", "UPDATE"),
        ("ledger_entry", "UPDATE (kind)"),
        ("ledger_leaf", "DELETE"),
        ("ledger_head", "TRUNCATE"),
        ("ledger_posting", "TRIGGER"),
        ("ledger_conversion", "UPDATE"),
        ("ledger_conversion", "UPDATE (commission_minor)"),
    ],
)
@pytest.mark.parametrize("role", ["ledger_visitor", "PUBLIC"])
def test_a_right_to_change_facts_is_found(guarded, table, privilege, role):
    run("CREATE ROLE ledger_visitor", f"GRANT {privilege} ON {table} TO {role}")

    assert found() == {table}


def test_rights_that_the_application_needs_are_none_too_many(guarded):
    run(
        "CREATE ROLE ledger_visitor",
        "GRANT SELECT, INSERT ON ledger_leaf, ledger_head TO ledger_visitor",
        "GRANT UPDATE (status, validation_ends_at) ON ledger_conversion TO ledger_visitor",
        "GRANT SELECT, DELETE ON ledger_opening TO ledger_visitor",
        "GRANT EXECUTE ON FUNCTION ledger_append TO ledger_visitor",
    )

    assert found() == set()


def test_every_function_of_the_ledger_is_watched(db):
    with connection.cursor() as cursor:
        cursor.execute(
            "SELECT proname FROM pg_proc WHERE proname LIKE 'ledger\\_%' AND pronamespace = 'public'::regnamespace"
        )
        names = {name for (name,) in cursor.fetchall()}

    assert names == set(FUNCTIONS)
