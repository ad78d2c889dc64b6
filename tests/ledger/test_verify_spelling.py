"""V8: a body has one form, and each of its parts is where it must be."""

import pytest
from django.utils import timezone

from ledger.verification.entries import check_entry
from ledger.verification.findings import Report
from ledger.verification.rows import entries_of
from ledger.verification.spelling import is_spelt
from rako.core.facts import Fact, state
from rako.core.ids import new_id
from tests.ledger.tampering import as_superuser

# Facts that look like the parts around them.
POSING = {
    "evidence": None,
    "facts": {"kind": "test.told", "nonce": "0" * 32, "text": ',"kind":"test.told","nonce":"'},
    "kind": '","nonce":"',
    "v": 1,
}


def told(facts, **changes):
    """The row of an entry with these facts."""
    fields = {"stream_id": new_id(), "kind": "test.told", "occurred_at": timezone.now(), "idempotency_key": new_id()}
    entry = state(Fact(facts=facts, **fields | changes))
    return entry.id, next(iter(entries_of([entry.id])))


def found(row):
    report = Report()
    check_entry(row, report)
    return {finding.check for finding in report.kept}


@pytest.mark.parametrize("facts", [{}, POSING, {"é".encode().hex(): "é\u2028\U0001f600", "n": [2**53 - 1, -1, {}]}])
@pytest.mark.parametrize("changes", [{}, {"evidence_sha256": "ab" * 32}, {"for_agent": {}}, {"for_merchant": {"a": 1}}])
def test_what_was_stated_spells_its_body(db, facts, changes):
    _, row = told(facts, **changes)

    assert is_spelt(row)
    assert found(row) == set()


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
    key, row = told({"a": 1, "b": [2], "c": "x"})
    written = row[11].decode()
    assert old in written

    body = written.replace(old, new, 1) if old != "}" else written + "\n"
    as_superuser(f"UPDATE ledger_entry SET body = decode('{body.encode().hex()}', 'hex') WHERE id = {key}")

    (row,) = entries_of([key])
    assert not is_spelt(row)
    assert "V8" in found(row) or found(row) == {"V9"}
