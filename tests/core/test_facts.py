"""Facts become entries: what is stated is what is stored, once, in its place, or not at all."""

import hashlib
import json
import os
from datetime import UTC, datetime

import orjson
import pytest
import rfc8785
from django.db import IntegrityError, connection, transaction
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from ledger.models import Balance, Entry, Opening, Posting
from rako.core.facts import Fact, canonical, state
from rako.core.facts import Posting as Line
from rako.core.ids import new_id
from rako.core.wire import instant
from tests.threads import race

DEPTH = int(os.environ.get("RAKO_TEST_DEPTH", "1"))
SALE = (
    Line("merchant_accrued", "m", "GBP", 800),
    Line("builder_pending", "b", "GBP", -640),
    Line("fee_pending", "", "GBP", -160),
)
AT = datetime(2026, 11, 22, 10, 0, 0, 123999, UTC)


def fact(**changes):
    fields = {"stream_id": new_id(), "kind": "test.told", "facts": {"note": "ü"}, "occurred_at": AT}
    return Fact(**fields | {"idempotency_key": new_id()} | changes)


def body_of(entry):
    return orjson.loads(bytes(entry.body))


# --- canonical JSON -------------------------------------------------------------------------------------------------

_keys = st.text(st.characters(max_codepoint=0x7F, exclude_characters="\x00"), max_size=8)
_texts = st.text(st.characters(exclude_categories=["Cs"], exclude_characters="\x00"), max_size=20)
_values = st.recursive(
    st.none() | st.booleans() | st.integers(-(2**53) + 1, 2**53 - 1) | _texts,
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(_keys, inner, max_size=4),
    max_leaves=12,
)
_documents = st.dictionaries(_keys, _values, max_size=6)


@settings(max_examples=min(500 * DEPTH, 40_000), deadline=None)
@given(_documents)
def test_canonical_bytes_are_those_of_an_independent_implementation(document):
    assert canonical(document) == rfc8785.dumps(document)


@settings(
    max_examples=min(100 * DEPTH, 10_000), deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture]
)
@given(_documents)
def test_postgresql_finds_every_canonical_document_canonical(db, document):
    raw = canonical(document).decode()

    with connection.cursor() as cursor:
        cursor.execute("SELECT ledger_canonical(%s::jsonb)", [raw])
        assert cursor.fetchone() == (raw,)


@pytest.mark.parametrize(
    "document",
    [
        {"a": 1.5},
        {"a": 1.0},
        {"a": -0.0},
        {"a": {"b": [1.5]}},
        {"a": float("nan")},
        {"a": float("inf")},
        {"a": 2**53},
        {"a": -(2**53)},
        {"a": b"bytes"},
        {"a": AT},
        {"a": {1, 2}},
        {"é": 1},
        {1: 1},
        {None: 1},
        {"a": "\x00"},
        {"a\x00": 1},
        {"a": ["\ud800"]},
        {"\ud800": 1},
    ],
    ids=repr,
)
def test_what_has_no_one_form_is_refused(document):
    with pytest.raises((TypeError, ValueError)):
        canonical(document)


def test_what_is_nested_beyond_reason_is_refused():
    document = {}
    for _ in range(100_000):
        document = {"a": document}

    with pytest.raises(ValueError, match="nested"):
        canonical(document)


@pytest.mark.parametrize("field", ["facts", "for_merchant", "for_agent"])
def test_a_fact_that_has_no_form_leaves_no_entry(db, field):
    with pytest.raises(TypeError):
        state(fact(**{field: {"rate": 0.2}}))

    assert not Entry.objects.exists()


# --- what is stored -------------------------------------------------------------------------------------------------


def test_the_body_holds_all_of_the_fact_and_nothing_else(db):
    told = fact(postings=SALE, evidence_sha256="ab" * 32, for_merchant={"order": "o-1"}, for_agent={"agent_id": "a"})

    appended = state(told)

    body = body_of(Entry.objects.get())
    assert body.pop("nonce") != body.pop("sealed")
    assert body == {
        "entry_id": appended.entry_id,
        "evidence": "ab" * 32,
        "facts": {"note": "ü"},
        "kind": "test.told",
        "occurred_at": "2026-11-22T10:00:00.123Z",
        "postings": [["merchant_accrued", "GBP", 800], ["builder_pending", "GBP", -640], ["fee_pending", "GBP", -160]],
        "prev": None,
        "recorded_at": instant(appended.recorded_at),
        "stream_id": told.stream_id,
        "stream_seq": 1,
        "v": 1,
    }


@pytest.mark.parametrize("postings", [(), SALE])
@pytest.mark.parametrize("opened", [{}, {"for_merchant": {"a": "ü"}}, {"for_agent": {"a": 1}}])
def test_the_body_is_canonical_and_postgresql_hashes_it(db, postings, opened):
    state(fact(postings=postings, **opened))

    entry = Entry.objects.get()
    assert rfc8785.dumps(body_of(entry)) == bytes(entry.body)
    assert bytes(entry.leaf_hash) == hashlib.sha256(b"\x00" + bytes(entry.body)).digest()


def test_columns_say_what_the_body_says(db):
    told = fact(merchant_id="m", agent_id="a")

    appended = state(told)

    entry = Entry.objects.get()
    body = body_of(entry)
    assert {
        name: getattr(entry, name) for name in ("entry_id", "stream_id", "stream_seq", "kind")
    }.items() <= body.items()
    assert (instant(entry.recorded_at), instant(entry.occurred_at)) == (body["recorded_at"], body["occurred_at"])
    assert (entry.merchant_id, entry.agent_id, entry.idempotency_key) == ("m", "a", told.idempotency_key)
    assert appended == (entry.pk, entry.entry_id, 1, entry.recorded_at, bytes(entry.leaf_hash), True)


def test_postings_are_stored_as_the_body_lists_them(db):
    state(fact(postings=SALE))

    rows = Posting.objects.order_by("place").values_list("place", "account", "owner_id", "currency", "amount_minor")
    assert list(rows) == [(place, *line) for place, line in enumerate(SALE, start=1)]


def test_an_opening_has_the_hash_that_the_body_seals(db):
    state(fact(for_merchant={"order": "o-1"}, for_agent={"reason": "ü"}))

    openings = {row.party: bytes(row.content) for row in Opening.objects.all()}
    sealed = {party: hashlib.sha256(content).hexdigest() for party, content in openings.items()}
    assert body_of(Entry.objects.get())["sealed"] == sealed
    assert orjson.loads(openings["merchant"]).items() >= {"order": "o-1"}.items()
    assert all(len(orjson.loads(content)["nonce"]) == 32 for content in openings.values())


def test_equal_facts_have_different_hashes(db):
    once = {"facts": {"amount": 1}, "for_agent": {"reason": "none"}}

    first, second = state(fact(**once)), state(fact(**once))

    assert first.leaf_hash != second.leaf_hash
    assert len({json.dumps(body_of(entry)["sealed"]) for entry in Entry.objects.all()}) == 2


def test_an_entry_names_the_hash_of_the_one_before(db):
    stream = new_id()

    first, second = state(fact(stream_id=stream)), state(fact(stream_id=stream))

    assert (second.stream_seq, body_of(Entry.objects.get(pk=second.id))["prev"]) == (2, first.leaf_hash.hex())


# --- once, and all or nothing ---------------------------------------------------------------------------------------


def test_a_fact_told_twice_gives_the_entry_of_then(db):
    told = fact(postings=SALE)

    first, second = state(told), state(told)

    assert second == (*first[:-1], False)
    assert (Entry.objects.count(), Posting.objects.count()) == (1, 3)


def test_a_row_comes_with_its_fact(db):
    row = balance()

    state(fact(), along_with=row)

    assert (Balance.objects.count(), Entry.objects.count(), row._state.adding) == (1, 1, False)


def test_a_refused_row_leaves_no_entry(db):
    balance().save(force_insert=True)

    with pytest.raises(IntegrityError, match="duplicate key"), transaction.atomic():
        state(fact(), along_with=balance())

    assert not Entry.objects.exists()


def test_a_refused_entry_leaves_no_row(db):
    unknown = (Line("piggy_bank", "", "GBP", 1), Line("bad_debt", "", "GBP", -1))

    with pytest.raises(IntegrityError, match="posting_account_is_known"), transaction.atomic():
        state(fact(postings=unknown), along_with=balance())

    assert (Balance.objects.count(), Entry.objects.count(), Posting.objects.count()) == (0, 0, 0)


def test_a_row_that_is_there_already_may_pass(db):
    balance().save(force_insert=True)

    assert state(fact(), along_with=balance(), ignore_conflict=True).is_new
    assert Balance.objects.count() == 1


def test_what_is_rolled_back_was_never_stated(db):
    told = fact(postings=SALE, for_agent={"a": 1})

    with transaction.atomic():
        state(told)
        transaction.set_rollback(True)

    assert [model.objects.count() for model in (Entry, Posting, Opening)] == [0, 0, 0]
    assert state(told).is_new


@pytest.mark.django_db(transaction=True)
def test_outside_a_transaction_it_is_committed_on_return():
    state(fact(postings=SALE))

    seen = race(lambda _: Entry.objects.count(), times=1)  # over another connection

    assert seen == [1]


@pytest.mark.django_db(transaction=True)
def test_unbalanced_postings_outside_a_transaction_leave_nothing():
    with pytest.raises(IntegrityError, match="do not add up to zero"):
        state(fact(postings=SALE[:2]), along_with=balance())

    assert [model.objects.count() for model in (Entry, Posting, Balance)] == [0, 0, 0]


# --- eight at once --------------------------------------------------------------------------------------------------


@pytest.mark.django_db(transaction=True)
def test_a_stream_has_neither_gap_nor_fork_under_eight_writers():
    stream = new_id()

    race(lambda _: [state(fact(stream_id=stream)) for _ in range(5)])

    entries = list(Entry.objects.order_by("stream_seq"))
    assert [entry.stream_seq for entry in entries] == list(range(1, 41))
    hashes = [None, *(bytes(entry.leaf_hash).hex() for entry in entries)]
    assert [body_of(entry)["prev"] for entry in entries] == hashes[:-1]


@pytest.mark.django_db(transaction=True)
def test_a_stream_grows_in_time_under_eight_writers():
    stream = new_id()

    race(lambda _: [state(fact(stream_id=stream)) for _ in range(5)])

    times = list(Entry.objects.order_by("stream_seq").values_list("recorded_at", flat=True))
    assert times == sorted(times)


@pytest.mark.django_db(transaction=True)
def test_eight_tell_the_same_fact_and_one_entry_is_made():
    told = fact(postings=SALE)

    outcomes = race(lambda _: state(told))

    assert sorted(appended.is_new for appended in outcomes) == [False] * 7 + [True]
    assert len({appended.entry_id for appended in outcomes}) == 1
    assert (Entry.objects.count(), Posting.objects.count()) == (1, 3)


def balance():
    return Balance(account="bad_debt", owner_id="", currency="GBP", balance_minor=0)
