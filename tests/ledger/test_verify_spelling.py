"""V8: a body has one form, and each of its parts is where it must be."""

import pytest
from django.utils import timezone

from ledger.models import Entry, Leaf
from ledger.sequencer import Sequencer
from ledger.verification.entries import check_entry
from ledger.verification.findings import Report
from ledger.verification.rows import entries_of
from ledger.verification.spelling import leaves
from rako.core.facts import Fact, Posting, state
from rako.core.ids import new_id
from tests.ledger.tampering import as_superuser

# Facts that look like the parts around them.
POSING = {
    "evidence": None,
    "facts": {"kind": "test.told", "nonce": "0" * 32, "text": ',"kind":"test.told","nonce":"'},
    "kind": '","nonce":"',
    "v": 1,
}


SALE = [Posting("bank_clearing", "", "GBP", 800), Posting("fee_revenue", "", "GBP", -800)]


def told(facts, **changes):
    """A sequenced entry with these facts: its number."""
    fields = {"stream_id": new_id(), "kind": "test.told", "occurred_at": timezone.now(), "idempotency_key": new_id()}
    entry = state(Fact(facts=facts, **fields | changes))
    Sequencer().tick()
    return entry.id


def is_sound(key):
    index = Leaf.objects.get(entry=key).pk
    ((_, _, _, sound),) = leaves(index, index + 1)
    return sound


def found(key):
    report = Report()
    for row in entries_of([key]):
        check_entry(row, report)
    return {finding.check for finding in report.kept}


def rewrite(key, body):
    """Put other bytes into an entry, with the hash that belongs to them."""
    as_superuser(
        f"UPDATE ledger_entry SET body = decode('{body.encode().hex()}', 'hex') WHERE id = {key}",
        f"UPDATE ledger_leaf leaf SET leaf_hash = entry.leaf_hash FROM ledger_entry entry "
        f"WHERE entry.id = leaf.entry_id AND entry.id = {key}",
    )


@pytest.mark.parametrize("facts", [{}, POSING, {"é".encode().hex(): "é\u2028\U0001f600", "n": [2**53 - 1, -1, {}]}])
@pytest.mark.parametrize("changes", [{}, {"evidence_sha256": "ab" * 32}, {"for_agent": {}}, {"for_merchant": {"a": 1}}])
def test_what_was_stated_spells_its_body(db, facts, changes):
    key = told(facts, **changes)

    assert is_sound(key)
    assert found(key) == set()


def test_postings_in_two_currencies_are_sound(db):
    key = told({}, postings=[*SALE, *(line._replace(currency="EUR") for line in SALE)])

    assert is_sound(key)
    assert found(key) == set()


@pytest.mark.parametrize(("account", "owner"), [("bank_clearing", "x"), ("merchant_accrued", "x"), ("bad_debt", "")])
def test_postings_that_do_not_balance_or_are_somebody_elses_are_found(db, account, owner):
    """With a body that says the same."""
    key = told({}, postings=SALE)
    amount = 800 if owner else 801
    as_superuser(
        f"UPDATE ledger_posting SET account = '{account}', owner_id = '{owner}', amount_minor = {amount} "
        f"WHERE entry_id = {key} AND amount_minor > 0"
    )
    written = bytes(Entry.objects.get(pk=key).body).decode()

    rewrite(key, written.replace('["bank_clearing","GBP",800]', f'["{account}","GBP",{amount}]'))

    assert not is_sound(key)
    assert found(key) == ({"V8"} if owner else {"V10"})


@pytest.mark.parametrize(
    ("old", "new"),
    [
        ('"a":1', '"a":1.0'),
        ('"a":1', '"a":1e0'),
        ('"a":1', '"a": 1'),
        ('"a":1', '"a":9007199254740993'),
        ('"a":1', '"a":1,"a":1'),
        ('"a":1', '"é":1'),
        ('"a":1,"b":[2]', '"b":[2],"a":1'),
        ('"b":[2]', '"b":[2.5]'),
        ('"c":"x"', '"c":"\\u0078"'),
        ('"v":1', '"v":2'),
        ('"v":1', '"v":1.0'),
        ('"v":1', '"v":true'),
        ('"stream_seq":1', '"stream_seq":true'),
        ('"evidence":null', '"evidence":"abc"'),
        ('"evidence":null', f'"evidence":"{"AB" * 32}"'),
        ('"kind":"test.told"', '"kind":"test.tolt"'),
        ('"nonce":"', '"nonce":"x'),
        ('"postings":[]', '"postings":[["bad_debt","GBP",1]]'),
        ('"prev":null', '"prev":""'),
        ('"sealed":{}', '"sealed":{"owner":""}'),
        ("}", "}\n"),
    ],
)
def test_what_is_spelt_otherwise_is_found(db, old, new):
    key = told({"a": 1, "b": [2], "c": "x"})
    written = bytes(Entry.objects.get(pk=key).body).decode()
    assert old in written

    rewrite(key, written.replace(old, new, 1) if old != "}" else written + "\n")

    assert not is_sound(key)
    assert "V8" in found(key) or found(key) == {"V9"}
