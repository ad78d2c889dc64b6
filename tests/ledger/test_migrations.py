"""Migrations as a deployment runs them, in a database of its own: forward, all the way back, and forward again."""

import os
import secrets
import subprocess
import sys
from importlib import import_module
from pathlib import Path

import pytest
from django.db import connection
from django.db.migrations import SeparateDatabaseAndState

from ledger.functions import FUNCTIONS, TRIGGERS
from rako.core.append_only import GUARDED_TABLES
from settlement import verification as settlement

# Without a test that asks for the test database, pytest-django would leave the connection on the real one.
pytestmark = pytest.mark.django_db

ROOT = Path(__file__).resolve().parent.parent.parent
MIGRATE = "from django.core.management import call_command; call_command('migrate', verbosity=0, skip_checks=True)"
BACK = "call_command('migrate', 'ledger', 'zero', verbosity=0, skip_checks=True)"
TO_THE_OLD_APPEND = "call_command('migrate', 'ledger', '0004', verbosity=0, skip_checks=True)"
TO_THE_NEW_APPEND = "call_command('migrate', 'ledger', '0006', verbosity=0, skip_checks=True)"
REPLACED = {"ledger_append", "ledger_entry_stamp", "ledger_with_entry", "ledger_posting_balanced"}
TO_THE_OLD_MESSAGES = "call_command('migrate', 'notifications', '0001', verbosity=0, skip_checks=True)"
# Two messages of one entry.
MESSAGES = """
INSERT INTO sessions_app_builder (id, name, email, is_active, created_at)
    VALUES (repeat('1', 26), 'b', '', true, now());
INSERT INTO notifications_endpoint (id, builder_id, url, description, event_types, state, disabled_because, secret)
    VALUES (repeat('2', 26), repeat('1', 26), '', '', '{}', 'enabled', '', 'x');
INSERT INTO notifications_message (id, endpoint_id, entry_id, event_type, payload, state, attempts_made, due_at,
    created_at) SELECT rpad(type, 26, '0'), repeat('2', 26), repeat('3', 26), type, '{}', 'pending', 0, now(), now()
    FROM unnest('{payout.paid,conversions.settled}'::text[]) AS type
"""
APPEND = """
SELECT ledger_append(id, id, 'test.told', '{}', repeat('0', 32), now(), id, NULL, NULL, NULL, NULL, NULL,
    '{bad_debt,fee_pending}', '{"",""}', '{GBP,GBP}', '{5,-5}') FROM rpad(%s, 26, '0') AS id
"""
# name, table, function, and whether it fires in every session ('A')
TRIGGERS_NOW = """
SELECT tgname::text, tgrelid::regclass::text, tgfoid::regproc::text, tgenabled::text FROM pg_trigger
WHERE NOT tgisinternal AND tgrelid::regclass::text = ANY(%s)
"""
SCHEMA = """
SELECT 'table ' || table_name || '.' || column_name || ' ' || data_type FROM information_schema.columns
    WHERE table_schema = 'public'
UNION ALL SELECT 'constraint ' || conrelid::regclass || ' ' || conname || ' ' || pg_get_constraintdef(oid)
    FROM pg_constraint WHERE connamespace = 'public'::regnamespace
UNION ALL SELECT indexdef FROM pg_indexes WHERE schemaname = 'public'
UNION ALL SELECT concat(pg_get_triggerdef(oid), ' ', tgenabled) FROM pg_trigger WHERE NOT tgisinternal
UNION ALL SELECT concat_ws(' ', oid::regprocedure, prosrc, proacl, proconfig, prosecdef)
    FROM pg_proc WHERE pronamespace = 'public'::regnamespace AND proname LIKE ANY ('{ledger%,rako%}')
"""


class Database:
    """An empty database beside the tests' own."""

    def __init__(self):
        self.name = f"rako_{secrets.token_hex(6)}"
        self.connection = connection.copy()
        self.connection.settings_dict["NAME"] = self.name

    def migrate(self, *steps):
        """Run migrations in a process of their own, as an operator would."""
        here = f"from django.conf import settings; settings.DATABASES['default']['NAME'] = '{self.name}'"
        code = f"{here}; import django; django.setup(); {'; '.join(steps)}"
        environment = os.environ | {"DJANGO_SETTINGS_MODULE": "tests.settings"}
        subprocess.run([sys.executable, "-c", code], cwd=ROOT, env=environment, check=True)

    def ask(self, sql, values=None):
        with self.connection.cursor() as cursor:
            cursor.execute(sql, values)
            return {row if len(row) > 1 else row[0] for row in cursor.fetchall()} if cursor.description else set()


@pytest.fixture(scope="module")
def migrated(django_db_setup, django_db_blocker):
    """A database with all migrations, made once for the module."""
    found = Database()
    with django_db_blocker.unblock(), connection.cursor() as cursor:
        cursor.execute(f"CREATE DATABASE {found.name}")
        try:
            found.migrate(MIGRATE)
            yield found
        finally:
            found.connection.close()
            cursor.execute(f"DROP DATABASE {found.name} WITH (FORCE)")


def faults(database):
    """The triggers on tables of facts that are missing, foreign, or do not fire in every session."""
    wanted = {(name, table, function, "A") for name, (table, _, function) in TRIGGERS.items()}
    wanted |= {(name, table, function, "A") for name, (table, function) in settlement.TRIGGERS.items()}
    for table in GUARDED_TABLES:
        wanted |= {(f"{table}_{kind}", table, "rako_refuse_change", "A") for kind in ("no_change", "no_truncate")}
    return sorted(database.ask(TRIGGERS_NOW, [list(GUARDED_TABLES)]) ^ wanted)


def test_migrations_leave_every_guard_on_and_no_other(migrated):
    assert faults(migrated) == []


@pytest.mark.parametrize(
    "change",
    [
        "DISABLE TRIGGER ledger_entry_no_truncate",
        "ENABLE TRIGGER ledger_entry_stamp",
        "ENABLE REPLICA TRIGGER ledger_entry_no_change",
    ],
)
def test_a_guard_that_a_migration_left_off_would_be_seen(migrated, change):
    migrated.connection.set_autocommit(False)
    try:
        migrated.ask(f"ALTER TABLE ledger_entry {change}")

        assert {name for name, *_ in faults(migrated)} == {change.split()[-1]}
    finally:
        migrated.connection.rollback()
        migrated.connection.set_autocommit(True)


def test_the_functions_are_those_of_the_source(migrated):
    stored = migrated.ask("SELECT proname::text, prosrc FROM pg_proc WHERE proname LIKE 'ledger%%'", [])

    assert {name for name, _ in stored} == FUNCTIONS.keys()
    assert [name for name, source in stored if source not in FUNCTIONS[name]] == []


def test_functions_look_for_tables_before_anybodys_temporary_ones(migrated):
    unsafe = (
        "SELECT oid::regproc::text FROM pg_proc WHERE proname LIKE 'ledger%%' AND proname <> 'ledger_canonical' "
        "AND proconfig[1] IS DISTINCT FROM 'search_path=public, pg_temp'"
    )

    assert migrated.ask(unsafe, []) == set()


def test_nobody_may_append_unless_granted(migrated):
    assert (
        migrated.ask("SELECT proname FROM pg_proc WHERE proname = 'ledger_append' AND proacl::text ~ '[{,]='") == set()
    )


def test_entries_are_appended_before_and_after_the_append_became_cheaper(migrated):
    migrated.migrate(MIGRATE.split("; ")[0], TO_THE_NEW_APPEND)  # without what came after it
    migrated.ask(APPEND, ["01"])
    before = migrated.ask(SCHEMA)

    migrated.migrate(MIGRATE.split("; ")[0], TO_THE_OLD_APPEND)
    migrated.ask(APPEND, ["02"])
    old = migrated.ask(SCHEMA)
    migrated.migrate(MIGRATE.split("; ")[0], TO_THE_NEW_APPEND)
    migrated.ask(APPEND, ["03"])

    assert len([line for line in old - before if "_like" in line]) == 4
    assert {line.split("(")[0] for line in before - old} == REPLACED
    assert migrated.ask(SCHEMA) == before
    assert migrated.ask("SELECT count(*), (SELECT count(*) FROM ledger_posting) FROM ledger_entry") == {(3, 6)}
    migrated.migrate(MIGRATE)


def test_messages_are_kept_when_their_constraint_is_swapped_beside_running_workers(migrated):
    """Back, those of a type that was not known then are forgotten."""
    migrated.ask(MESSAGES)
    before = migrated.ask(SCHEMA)

    migrated.migrate(MIGRATE.split("; ")[0], TO_THE_OLD_MESSAGES)
    old = migrated.ask(SCHEMA)
    kept = migrated.ask("SELECT event_type FROM notifications_message")
    migrated.migrate(MIGRATE)

    unique = {line.split("message_one_per_entry ")[1] for line in before ^ old if "constraint" in line}
    assert unique == {"UNIQUE (endpoint_id, entry_id)", "UNIQUE (endpoint_id, entry_id, event_type)"}
    assert (kept, migrated.ask("SELECT event_type FROM notifications_message")) == ({"payout.paid"}, {"payout.paid"})
    assert migrated.ask(SCHEMA) == before


def test_the_constraint_of_messages_is_built_without_a_lock():
    """An index that is built under a lock of the table would hold up all workers."""
    migration = import_module("notifications.migrations.0002_what_was_missed").Migration
    [step] = [each for each in migration.operations if isinstance(each, SeparateDatabaseAndState)]
    built = [sql for each in step.database_operations for sql in (each.sql, each.reverse_sql) if "CREATE" in sql]

    assert not migration.atomic
    assert ["CONCURRENTLY" in sql for sql in built] == [True, True]


def test_all_the_way_back_and_forward_again_is_the_same(migrated):
    before = migrated.ask(SCHEMA)

    migrated.connection.close()
    migrated.migrate(MIGRATE.split("; ")[0], BACK)
    gone = migrated.ask(SCHEMA)
    migrated.migrate(MIGRATE)

    assert [line for line in gone if "ledger_" in line] == []
    assert migrated.ask(SCHEMA) == before
