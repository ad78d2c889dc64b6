"""Forged facts: what an intruder could try with SQL alone, at the tables and at the one function that writes them."""

from datetime import UTC, datetime, timedelta

import orjson
import pytest
from django.db import DatabaseError, connection, transaction
from django.utils import timezone

from ledger.models import Entry, Event, Leaf, Opening, Posting
from ledger.sequencer import Sequencer
from rako.core.facts import canonical
from rako.core.ids import new_id

INVALID, RESTRICTED, BROKEN, CHECKED, NULL = "22023", "23001", "23000", "23514", "23502"
TEXT = ("entry_id", "stream_id", "kind", "facts", "nonce", "key", "merchant_id", "agent_id", "evidence")
ARRAYS = {"accounts": "text[]", "owners": "text[]", "currencies": "text[]", "amounts": "bigint[]"}
TYPES = dict.fromkeys(TEXT, "text") | ARRAYS | {"occurred_at": "timestamptz"}
TYPES |= {"merchant_opening": "bytea", "agent_opening": "bytea"}
INJECTION = 'x","v":2,"facts":{"forged":true},"kind":"'


def run(sql, values=None):
    with connection.cursor() as cursor:
        cursor.execute(sql, values)
        return cursor.fetchall() if cursor.description else cursor.rowcount


def refusal(sql, values=None, *, until_commit=False):
    """The SQLSTATE with which PostgreSQL refuses a statement, by COMMIT at the latest; None if it does not."""
    try:
        with transaction.atomic():
            run(sql, values)
            if until_commit:
                run("SET CONSTRAINTS ALL IMMEDIATE")
    except DatabaseError as error:
        return error.__cause__.sqlstate
    return None


def call(**changes):
    """SQL that calls `ledger_append`, and its values."""
    values = dict.fromkeys(TYPES) | {name: [] for name in ARRAYS}
    values |= {"entry_id": new_id(), "stream_id": new_id(), "kind": "test.told", "facts": "{}", "nonce": "0" * 32}
    values |= {"key": new_id(), "occurred_at": timezone.now()} | changes
    arguments = ", ".join(f"p_{name} => %({name})s::{kind}" for name, kind in TYPES.items())
    return f"SELECT * FROM ledger_append({arguments})", values


def append(**changes):
    return run(*call(**changes))[0]


def lines(*rows):
    """Postings as the function takes them."""
    return dict(zip(ARRAYS, map(list, zip(*rows, strict=True)), strict=True))


def entry(**changes):
    """SQL that inserts an entry past the function, as only the table's owner can, and its values."""
    values = {"entry_id": new_id(), "stream_id": new_id(), "stream_seq": 1, "kind": "test.told", "body": b"{}"}
    values |= {"idempotency_key": new_id(), "occurred_at": timezone.now()} | changes
    places = ", ".join("%s::xid8" if name == "xid" else "%s" for name in values)
    return f"INSERT INTO ledger_entry ({', '.join(values)}) VALUES ({places})", list(values.values())


BALANCED = lines(("merchant_accrued", "m", "GBP", 5), ("bad_debt", "", "GBP", -5))

# --- what PostgreSQL says of an entry, whatever its writer claims -----------------------------------------------------


@pytest.mark.parametrize(
    "claim", [{"recorded_at": datetime(2020, 1, 1, tzinfo=UTC)}, {"xid": "1"}, {"id": -5}], ids=str
)
def test_a_claimed_time_transaction_or_number_is_replaced_and_the_entry_is_sequenced(db, claim):
    run(*entry(**claim))

    forged = Entry.objects.get()
    assert abs(timezone.now() - forged.recorded_at) < timedelta(seconds=5)
    assert (forged.xid, forged.pk > 0) == (run("SELECT pg_current_xact_id()::text::bigint")[0][0], True)
    assert (Sequencer().tick(), Leaf.objects.get().entry_id) == (1, forged.pk)


def test_a_statement_that_sleeps_first_is_not_recorded_in_the_past(db):
    sql, values = call()
    slept = sql.replace("FROM ledger_append", "FROM pg_sleep(1.2), LATERAL ledger_append")

    run(slept, values)

    assert run("SELECT clock_timestamp() - recorded_at FROM ledger_entry")[0][0] < timedelta(seconds=1)


def test_a_leaf_hash_cannot_be_claimed(db):
    assert refusal(*entry(leaf_hash=b"\x00" * 32)) == "428C9"  # generated_always


def test_what_a_crash_may_lose_is_not_appended(db):
    run("SET LOCAL synchronous_commit = off")

    assert (refusal(*call()), refusal(*entry())) == (RESTRICTED, RESTRICTED)


# --- streams ----------------------------------------------------------------------------------------------------------


def test_a_stream_has_no_gap(db):
    stream = run("SELECT stream_id FROM ledger_entry WHERE id = %s", [append()[0]])[0][0]

    assert refusal(*entry(stream_id=stream, stream_seq=3)) == BROKEN
    assert refusal(*entry(stream_seq=2)) == BROKEN


@pytest.mark.parametrize("place", [0, -1])
def test_a_stream_starts_at_one(db, place):
    assert refusal(*entry(stream_seq=place)) == CHECKED


def test_a_place_in_a_stream_is_taken_once(db):
    stream = new_id()
    append(stream_id=stream)

    assert refusal(*entry(stream_id=stream)) == "23505"  # unique_violation


# --- postings and openings --------------------------------------------------------------------------------------------


@pytest.mark.parametrize("party", ["merchant", "agent"])
@pytest.mark.django_db(transaction=True)
def test_nothing_is_added_to_an_entry_of_old(party):
    number = append()[0]

    postings = (
        "INSERT INTO ledger_posting (entry_id, place, account, owner_id, currency, amount_minor) "
        "SELECT %s, 2 + sign, 'bad_debt', '', 'GBP', sign FROM (VALUES (1), (-1)) line(sign)"
    )
    assert refusal(postings, [number]) == BROKEN
    opening = "INSERT INTO ledger_opening (entry_id, party, content) VALUES (%s, %s, 'x')"
    assert refusal(opening, [number, party]) == BROKEN


@pytest.mark.parametrize(
    "postings",
    [
        lines(("merchant_accrued", "m", "GBP", 5)),
        lines(("merchant_accrued", "m", "GBP", 5), ("bad_debt", "", "GBP", -4)),
        lines(("merchant_accrued", "m", "GBP", 5), ("bad_debt", "", "EUR", -5)),
        lines(("merchant_accrued", "m", "GBP", 5), ("bad_debt", "", "EUR", 3), ("bad_debt", "", "GBP", -8)),
    ],
    ids=["one line", "a penny short", "two currencies", "only the sum of both"],
)
def test_postings_that_do_not_add_up_never_commit(db, postings):
    assert refusal(*call(**postings), until_commit=True) == CHECKED


@pytest.mark.parametrize("mode", ["ALL IMMEDIATE", "ALL DEFERRED"])
@pytest.mark.django_db(transaction=True)
def test_no_mode_of_constraints_lets_them_commit(mode):
    def commit():
        with transaction.atomic():
            run(f"SET CONSTRAINTS {mode}")
            run(*call(**lines(("merchant_accrued", "m", "GBP", 5))))

    with pytest.raises(DatabaseError, match="do not add up to zero"):
        commit()
    assert (Entry.objects.count(), Posting.objects.count()) == (0, 0)


def test_a_line_added_after_the_check_is_checked_again(db):
    number = append(**BALANCED)[0]
    run("SET CONSTRAINTS ALL IMMEDIATE; SET CONSTRAINTS ALL DEFERRED")
    late = "INSERT INTO ledger_posting (entry_id, place, account, owner_id, currency, amount_minor)"

    assert refusal(f"{late} VALUES (%s, 3, 'bad_debt', '', 'GBP', 1)", [number], until_commit=True) == CHECKED


@pytest.mark.parametrize(
    ("postings", "code"),
    [
        (lines(('bad_debt","GBP",0],["x', "", "GBP", 1)), CHECKED),
        (lines(("bad_debt", "", 'GBP",0],["', 1)), "22001"),  # string_data_right_truncation
        (lines(("bad_debt", "", '"', 1)), CHECKED),
        (lines(("bad_debt", "m" * 27, "GBP", 1)), "22001"),
        (lines(("bad_debt", "", "XXX", 1)), CHECKED),
        (lines(("bad_debt", "", "GBP", 0)), CHECKED),
        (lines(("bad_debt", "", "GBP", None)), NULL),
        (lines((None, "", "GBP", 1)), NULL),
        (BALANCED | {"owners": ["m"]}, NULL),
        (BALANCED | {"amounts": [5, -5, 1]}, NULL),
        (BALANCED | {"accounts": []}, NULL),
        (BALANCED | {"accounts": [["merchant_accrued"], ["bad_debt"]]}, NULL),
        (BALANCED | {"amounts": "[0:1]={5,-5}"}, NULL),
        (BALANCED | {"amounts": "[0:2]={1,5,-5}"}, NULL),
        (lines(("bad_debt", "", "GBP", 2**53), ("fee_pending", "", "GBP", -(2**53))), INVALID),
        (lines(("bad_debt", "", "GBP", -(2**63)), ("fee_pending", "", "GBP", 2**63 - 1)), INVALID),
    ],
)
def test_lines_that_are_none_are_refused(db, postings, code):
    assert refusal(*call(**postings)) == code


def test_an_opening_is_never_changed(db):
    append(merchant_opening=b"{}")

    assert refusal("UPDATE ledger_opening SET content = '{\"forged\":1}'") == RESTRICTED
    assert refusal("UPDATE ledger_opening SET party = 'agent'") == RESTRICTED


@pytest.mark.django_db(transaction=True)
def test_an_erased_opening_does_not_come_back_as_another():
    number = append(merchant_opening=b"{}")[0]
    run("DELETE FROM ledger_opening")

    again = "INSERT INTO ledger_opening (entry_id, party, content) VALUES (%s, 'merchant', '{\"forged\":1}')"
    assert (refusal(again, [number]), Opening.objects.count()) == (BROKEN, 0)


def test_an_event_is_not_taken_from_its_conversion(db, claimed_event):
    take = "UPDATE ledger_event SET conversion_id = %s"

    assert refusal(take, [None]) == RESTRICTED
    assert refusal(take, [new_id()]) == RESTRICTED
    assert Event.objects.get().conversion_id == claimed_event.conversion_id


@pytest.mark.parametrize("more", [1, 1000])
def test_a_head_is_of_the_leaves_that_are_there(db, more):
    append()
    Sequencer().tick()
    head = "INSERT INTO ledger_head (size, root, horizon, floor, cluster) SELECT max(index) + 1 + %s, 'x', '1', 0, 0"

    assert refusal(f"{head} FROM ledger_leaf", [more]) == BROKEN


# --- what the function takes ------------------------------------------------------------------------------------------


@pytest.mark.parametrize("name", [name for name in TEXT if name not in ("key", "merchant_id", "agent_id")])
@pytest.mark.parametrize("value", [INJECTION, '"', "\\", "", " ", "{", "é", "\n", "x\n"], ids=repr)
def test_nothing_but_its_own_shape_enters_the_body(db, name, value):
    assert refusal(*call(**{name: value})) in (INVALID, "22P02")  # or invalid_text_representation: no JSON at all


@pytest.mark.parametrize("name", ["entry_id", "stream_id", "kind", "nonce", "evidence"])
@pytest.mark.parametrize("tail", ["0", "\n", " ", '"', INJECTION], ids=repr)
def test_a_right_beginning_is_not_enough(db, name, tail):
    right = {"entry_id": new_id(), "stream_id": new_id(), "kind": "told", "nonce": "0" * 32, "evidence": "a" * 64}

    assert refusal(*call(**{name: right[name]})) is None
    assert refusal(*call(**{name: right[name] + tail})) == INVALID


@pytest.mark.parametrize("name", ["key", "merchant_id", "agent_id"])
def test_what_stays_outside_the_body_does_not_reach_it(db, name):
    number = append(**{name: 'x","v":2,"y":"'})[0]

    body = bytes(Entry.objects.get(pk=number).body)
    assert (b'"v":2' in body, canonical(orjson.loads(body))) == (False, body)


@pytest.mark.parametrize("name", [*sorted(set(TEXT) - {"merchant_id", "agent_id", "evidence"}), "occurred_at"])
def test_nothing_that_belongs_in_every_entry_may_be_absent(db, name):
    assert refusal(*call(**{name: None})) == NULL


@pytest.mark.parametrize(
    "facts",
    [
        *("null", "[]", "1", '"{}"', "true"),
        *('{"a":1}}', '{"a":1},"v":2', '{"a":1},{"b":2}', '{"a":1}{}', "{}//", '{"a":'),
        *(' {"a":1}', '{"a":1} ', '{"a": 1}', '{\n"a":1}', '{"a":[1, 2]}'),
        *('{"a":1,"a":2}', '{"a":{"b":1,"b":1}}', '{"b":1,"a":2}', '{"a":[{"c":1,"b":1}]}'),
        *('{"a":1.5}', '{"a":1.0}', '{"a":1e2}', '{"a":-0}', '{"a":-0.0}', '{"a":[0.10]}', '{"a":{"b":1E400}}'),
        *('{"a":9007199254740992}', '{"a":-9007199254740992}', '{"a":[[9007199254740993]]}'),
        *('{"a":NaN}', '{"a":Infinity}', '{"a":01}', '{"a":+1}', "{'a':1}", '{"a":True}'),
        *('{"é":1}', '{"a":{"\U0001f600":1}}', '{"\\u0061":1}', '{"a":"\\u0061"}', '{"a":"\\/"}', '{"a":"\\u001F"}'),
        *('{"a":"\\u0000"}', '{"a":"\\ud800"}', '{"a":"\\udc00\\ud800"}', '{"\\ud800":1}', '{"a":"\n"}', '{"a":"\t"}'),
    ],
    ids=repr,
)
def test_facts_that_are_no_canonical_object_are_refused(db, facts):
    # Not canonical; no JSON; a character that text cannot hold.
    assert refusal(*call(facts=facts)) in (INVALID, "22P02", "22P05")


@pytest.mark.parametrize(
    "facts", ["{}", '{"A":1,"B":2,"a":{"":null}}', '{"a":"é\U0001f600\u2028"}', '{"a":"\\u001f\x7f\\n\\"\\\\/"}']
)
def test_facts_that_are_canonical_are_not(db, facts):
    number = append(facts=facts)[0]

    assert canonical(orjson.loads(bytes(Entry.objects.get(pk=number).body))["facts"]).decode() == facts


def test_a_nul_does_not_even_reach_the_function(db):
    with pytest.raises((ValueError, DatabaseError), match="NUL"):
        run(*call(facts='{"a":"\x00"}'))


@pytest.mark.parametrize("at", ["infinity", "-infinity", "0044-03-15 BC", "10000-01-01", "294276-12-31"])
def test_a_time_that_nobody_can_read_is_refused(db, at):
    assert refusal(*call(occurred_at=at)) == INVALID


def test_a_stolen_id_makes_no_second_entry(db):
    stolen = append()[1]

    assert refusal(*call(entry_id=stolen)) == "40001"  # serialization_failure: no place found
    assert Entry.objects.count() == 1


# --- temporary tables in the session's way ----------------------------------------------------------------------------


def test_a_temporary_table_does_not_stand_in_for_the_ledger(db):
    run("CREATE TEMP TABLE ledger_entry (LIKE public.ledger_entry INCLUDING ALL)")
    run("CREATE TEMP TABLE ledger_posting (LIKE public.ledger_posting)")

    append(**BALANCED)

    assert run("SELECT count(*) FROM public.ledger_entry UNION ALL SELECT count(*) FROM pg_temp.ledger_entry") == [
        (1,),
        (0,),
    ]


def test_a_temporary_table_does_not_lend_the_owners_rights(db):
    taken_over = "BEGIN RAISE EXCEPTION 'taken over'; END"
    run(f"CREATE FUNCTION pg_temp.whoami() RETURNS trigger LANGUAGE plpgsql AS $${taken_over}$$")
    run("CREATE TEMP TABLE ledger_entry (LIKE public.ledger_entry INCLUDING ALL)")
    run("CREATE TRIGGER whoami BEFORE INSERT ON pg_temp.ledger_entry FOR EACH ROW EXECUTE FUNCTION pg_temp.whoami()")

    assert refusal(*call()) is None


@pytest.fixture
def claimed_event(recommendation, proof):
    from ledger.conversions import record_conversion
    from ledger.lifecycle import Told, tell

    conversion = record_conversion(recommendation, proof()).conversion
    told = Told(Event.Kind.REFUNDED, "pi_1", "re_1", timezone.now(), 100)
    assert tell(conversion.merchant_id, told) == conversion
    return Event.objects.get()


def test_an_entry_that_waited_long_for_its_commit_is_refused(db):
    run("ALTER TABLE ledger_entry DISABLE TRIGGER ledger_entry_stamp")
    statement = entry(recorded_at=timezone.now() - timedelta(seconds=51))

    assert refusal(*statement, until_commit=True) == BROKEN


def test_synchronous_commit_is_asked_for_again_when_an_entry_is_committed(db):
    append()
    run("SET LOCAL synchronous_commit = off")

    assert refusal("SET CONSTRAINTS ALL IMMEDIATE") == RESTRICTED
    run("SET LOCAL synchronous_commit = on")  # the test's own end looks at what is pending, too
