"""Who can do what to the facts: many statements, by three roles, without and with the event trigger."""

import pytest
from django.core.management import CommandError

from rako.core.ids import new_id
from tests.ledger.deployment import APP, DEPLOY, SUPERUSER, become, deployed, protect
from tests.ledger.test_forging import refusal, run

# How PostgreSQL says no: privileges; our guards; a computed column; what goes with an entry; a head not larger.
PRIVILEGE, GUARD, COMPUTED, BROKEN, TAKEN = "42501", "23001", "428C9", "23000", "23505"
WITHOUT_EFFECT = "22012"  # division by zero, see IS_GRANTED: a GRANT of what one may not grant is only warned of
OK = None

APPEND = (
    f"SELECT ledger_append('{new_id()}', '{new_id()}', 'test.told', '{{}}', '{'0' * 32}', now(), 'key', "
    "NULL, NULL, NULL, NULL, NULL, '{}', '{}', '{}', '{}')"
)
ENTRY = "INSERT INTO ledger_entry (entry_id, stream_id, stream_seq, kind, idempotency_key, occurred_at, body"
ENTRY_VALUES = "VALUES ('e', 's', 1, 'k', 'i', now(), '{}'"
POSTING = "INSERT INTO ledger_posting (entry_id, place, account, owner_id, currency, amount_minor)"
OPENING = "INSERT INTO ledger_opening (entry_id, party, content) SELECT id, 'agent', '{}' FROM ledger_entry"
LEAF = "INSERT INTO ledger_leaf (index, entry_id, leaf_hash) SELECT"
HEAD = "INSERT INTO ledger_head (size, root, horizon, floor, cluster) VALUES"
REPLICA = "SET LOCAL session_replication_role = replica;"
IS_GRANTED = "SELECT 1 / has_table_privilege('{app}', 'ledger_entry', 'UPDATE')::int"
NOTHING = "RETURNS trigger LANGUAGE plpgsql AS 'BEGIN RETURN NULL; END'"

# What is tried: what comes of it for the app role, the deploy role, a superuser; with the event trigger for the latter
# two. (The app role meets its privileges first, and is told the same with and without.)
MATRIX = {
    # Rows of facts.
    "SELECT count(*) FROM ledger_entry": (OK, OK, OK, OK, OK),
    "SELECT 1 FROM ledger_entry FOR UPDATE": (PRIVILEGE, OK, OK, OK, OK),
    "LOCK TABLE ledger_entry IN EXCLUSIVE MODE": (PRIVILEGE, OK, OK, OK, OK),
    "UPDATE ledger_entry SET kind = 'x'": (PRIVILEGE, GUARD, GUARD, GUARD, GUARD),
    "UPDATE ledger_posting SET owner_id = 'x'": (PRIVILEGE, GUARD, GUARD, GUARD, GUARD),
    "UPDATE ledger_opening SET content = 'x'": (PRIVILEGE, GUARD, GUARD, GUARD, GUARD),
    "UPDATE ledger_leaf SET leaf_hash = 'x'": (PRIVILEGE, GUARD, GUARD, GUARD, GUARD),
    "UPDATE ledger_head SET root = 'x'": (PRIVILEGE, GUARD, GUARD, GUARD, GUARD),
    "DELETE FROM ledger_entry": (PRIVILEGE, GUARD, GUARD, GUARD, GUARD),
    "DELETE FROM ledger_posting": (PRIVILEGE, GUARD, GUARD, GUARD, GUARD),
    "DELETE FROM ledger_leaf": (PRIVILEGE, GUARD, GUARD, GUARD, GUARD),
    "DELETE FROM ledger_head": (PRIVILEGE, GUARD, GUARD, GUARD, GUARD),
    "DELETE FROM ledger_opening": (GUARD, GUARD, GUARD, GUARD, GUARD),
    "DELETE FROM ledger_opening WHERE entry_id NOT IN (SELECT entry_id FROM ledger_posting)": (OK, OK, OK, OK, OK),
    "TRUNCATE ledger_entry CASCADE": (PRIVILEGE, GUARD, GUARD, GUARD, GUARD),
    f"{REPLICA} DELETE FROM ledger_entry": (PRIVILEGE, PRIVILEGE, GUARD, PRIVILEGE, GUARD),
    f"{REPLICA} TRUNCATE ledger_entry CASCADE": (PRIVILEGE, PRIVILEGE, GUARD, PRIVILEGE, GUARD),
    f"{LEAF} index, entry_id, 'x' FROM ledger_leaf ON CONFLICT (index) DO UPDATE SET leaf_hash = 'x'": (
        *(PRIVILEGE, GUARD, GUARD, GUARD, GUARD),
    ),
    "MERGE INTO ledger_entry e USING ledger_leaf l ON e.id = l.entry_id WHEN MATCHED THEN UPDATE SET kind = 'x'": (
        *(PRIVILEGE, GUARD, GUARD, GUARD, GUARD),
    ),
    "MERGE INTO ledger_entry e USING ledger_leaf l ON e.id = l.entry_id WHEN MATCHED THEN DELETE": (
        *(PRIVILEGE, GUARD, GUARD, GUARD, GUARD),
    ),
    # New rows. What an owner claims of an entry is replaced: see test_forging.
    APPEND: (OK, OK, OK, OK, OK),
    f"SET LOCAL synchronous_commit = off; {APPEND}": (GUARD, GUARD, GUARD, GUARD, GUARD),
    f"{ENTRY}) {ENTRY_VALUES})": (PRIVILEGE, OK, OK, OK, OK),
    f"{ENTRY}, recorded_at) {ENTRY_VALUES}, '2020-01-01')": (PRIVILEGE, OK, OK, OK, OK),
    f"{ENTRY}, xid) {ENTRY_VALUES}, '1')": (PRIVILEGE, OK, OK, OK, OK),
    f"{ENTRY}, id) OVERRIDING SYSTEM VALUE {ENTRY_VALUES}, -5)": (PRIVILEGE, OK, OK, OK, OK),
    f"{ENTRY}, leaf_hash) {ENTRY_VALUES}, 'x')": (COMPUTED, COMPUTED, COMPUTED, COMPUTED, COMPUTED),
    f"{POSTING} SELECT id, 9 + sign, 'bad_debt', '', 'GBP', sign FROM ledger_entry, (VALUES (1), (-1)) line(sign)": (
        *(PRIVILEGE, BROKEN, BROKEN, BROKEN, BROKEN),
    ),
    OPENING: (PRIVILEGE, BROKEN, BROKEN, BROKEN, BROKEN),
    # The application sequences: whether it does so truly is for verification and witnesses to find out.
    f"{LEAF} 1, max(id), 'x' FROM ledger_entry": (OK, OK, OK, OK, OK),
    f"{LEAF} 0, max(id), 'x' FROM ledger_entry": (TAKEN, TAKEN, TAKEN, TAKEN, TAKEN),
    f"{HEAD} (1, 'x', '1', 0, 0)": (BROKEN, BROKEN, BROKEN, BROKEN, BROKEN),
    # What keeps the rows.
    "ALTER TABLE ledger_entry DISABLE TRIGGER ledger_entry_no_change; UPDATE ledger_entry SET kind = 'x'": (
        *(PRIVILEGE, OK, OK, GUARD, GUARD),
    ),
    "ALTER TABLE ledger_entry DISABLE TRIGGER ALL": (PRIVILEGE, PRIVILEGE, OK, PRIVILEGE, GUARD),
    "DROP TRIGGER ledger_entry_stamp ON ledger_entry": (PRIVILEGE, OK, OK, GUARD, GUARD),
    "ALTER TRIGGER ledger_entry_stamp ON ledger_entry RENAME TO x": (PRIVILEGE, OK, OK, GUARD, GUARD),
    f"CREATE FUNCTION x() {NOTHING}; CREATE TRIGGER x BEFORE INSERT ON ledger_entry EXECUTE FUNCTION x()": (
        *(PRIVILEGE, OK, OK, GUARD, GUARD),
    ),
    "CREATE RULE x AS ON INSERT TO ledger_entry DO INSTEAD NOTHING": (PRIVILEGE, OK, OK, GUARD, GUARD),
    f"CREATE OR REPLACE FUNCTION rako_refuse_change() {NOTHING}": (PRIVILEGE, OK, OK, GUARD, GUARD),
    f"CREATE OR REPLACE FUNCTION ledger_entry_stamp() {NOTHING}": (PRIVILEGE, OK, OK, GUARD, GUARD),
    "ALTER FUNCTION ledger_append RENAME TO x": (PRIVILEGE, OK, OK, GUARD, GUARD),
    "ALTER FUNCTION ledger_append SECURITY INVOKER": (PRIVILEGE, OK, OK, GUARD, GUARD),
    "DROP FUNCTION ledger_append": (PRIVILEGE, OK, OK, GUARD, GUARD),
    "DROP FUNCTION rako_refuse_change CASCADE": (PRIVILEGE, OK, OK, GUARD, GUARD),
    "DROP TABLE ledger_posting": (PRIVILEGE, OK, OK, GUARD, GUARD),
    "DROP SCHEMA public CASCADE": (PRIVILEGE, OK, OK, GUARD, GUARD),
    "DROP OWNED BY {owner} CASCADE": (PRIVILEGE, OK, OK, GUARD, GUARD),
    "ALTER TABLE ledger_entry RENAME TO x": (PRIVILEGE, OK, OK, GUARD, GUARD),
    "ALTER TABLE ledger_entry SET SCHEMA {elsewhere}": (PRIVILEGE, OK, OK, GUARD, GUARD),
    "ALTER SCHEMA public RENAME TO x": (PRIVILEGE, OK, OK, GUARD, GUARD),
    "ALTER TABLE ledger_entry ALTER kind TYPE text": (PRIVILEGE, OK, OK, GUARD, GUARD),
    "ALTER TABLE ledger_posting DROP CONSTRAINT posting_moves_something": (PRIVILEGE, OK, OK, GUARD, GUARD),
    "ALTER SEQUENCE ledger_entry_id_seq RESTART": (PRIVILEGE, OK, OK, GUARD, GUARD),
    "CREATE UNIQUE INDEX x ON ledger_posting (entry_id, account)": (PRIVILEGE, OK, OK, GUARD, GUARD),
    "CREATE POLICY x ON ledger_entry": (PRIVILEGE, OK, OK, GUARD, GUARD),
    # A child's rows would be read with the table's, and no trigger sees them.
    "CREATE TABLE x () INHERITS (ledger_entry)": (PRIVILEGE, OK, OK, GUARD, GUARD),
    # Event triggers do not hear of grants: verification looks at them.
    f"GRANT UPDATE ON ledger_entry TO {{app}}; {IS_GRANTED}": (WITHOUT_EFFECT, OK, OK, OK, OK),
    "GRANT {owner} TO {app}": (PRIVILEGE, PRIVILEGE, OK, PRIVILEGE, OK),
    # What is nobody's business: other tables, also those that refer to facts.
    "CREATE TABLE x (id varchar(26) REFERENCES ledger_conversion); DROP TABLE x": (PRIVILEGE, OK, OK, OK, OK),
    "ALTER TABLE merchants_offer ADD COLUMN x int": (PRIVILEGE, OK, OK, OK, OK),
    "CREATE TEMP TABLE ledger_entry (id int); DROP TABLE ledger_entry": (OK, OK, OK, OK, OK),
    "REINDEX TABLE ledger_entry": (PRIVILEGE, OK, OK, OK, OK),
}
CASES = [(APP, False), (DEPLOY, False), (SUPERUSER, False), (DEPLOY, True), (SUPERUSER, True), (APP, True)]


@pytest.fixture(scope="module")
def cast(django_db_setup, django_db_blocker):
    with django_db_blocker.unblock(), deployed() as cast:
        yield cast


@pytest.fixture(autouse=True)
def _truncation_is_refused(cast, db):
    """As everywhere but in the test suite."""
    run("ALTER TABLE ledger_entry ENABLE ALWAYS TRIGGER ledger_entry_no_truncate")


@pytest.mark.parametrize(
    ("role", "is_armed"), CASES, ids=lambda value: {True: "armed", False: "bare"}.get(value, value)
)
@pytest.mark.parametrize("statement", MATRIX)
def test_the_matrix(cast, statement, role, is_armed):
    if is_armed:
        protect(event_trigger=True)
    become(cast, role)

    sql = statement
    for name, value in vars(cast).items():
        sql = sql.replace(f"{{{name}}}", value)

    assert refusal(sql) == MATRIX[statement][CASES.index((role, is_armed)) % 5]


# --- the event trigger ------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "statement",
    [
        "ALTER EVENT TRIGGER rako_refuse_ddl DISABLE",
        "DROP EVENT TRIGGER rako_refuse_drop",
        "DROP SCHEMA rako_guard CASCADE",
        "DROP FUNCTION rako_guard.refuse_ddl() CASCADE",
        f"CREATE OR REPLACE FUNCTION rako_guard.refuse_ddl() {NOTHING}",
    ],
)
def test_only_a_superuser_disarms_it(cast, statement):
    protect(event_trigger=True)
    become(cast, DEPLOY)

    assert refusal(statement) == PRIVILEGE


def test_a_superuser_does_not_pass_it_as_a_replica(cast):
    protect(event_trigger=True)

    assert refusal(f"{REPLICA} DROP TABLE ledger_posting") == GUARD


def test_it_can_be_taken_off_for_a_migration_and_put_back(cast):
    change = "ALTER TABLE ledger_entry ADD COLUMN x int"
    protect(event_trigger=True)
    protect(event_trigger=True)
    assert refusal(change) == GUARD

    protect(event_trigger=False)

    assert refusal(change) is None
    protect(event_trigger=False)


def test_it_says_what_it_needs_of_whom(cast):
    become(cast, DEPLOY)

    for wanted in (True, False):
        with pytest.raises(CommandError, match="only a superuser"):
            protect(event_trigger=wanted)
