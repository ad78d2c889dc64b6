"""A verification's two connections see one state of the database, and their findings are one report."""

from concurrent.futures import ThreadPoolExecutor

import pytest
from django.db import connection

from ledger.models import LogKey
from ledger.verification.findings import KEPT, Finding, Report
from ledger.verification.snapshots import beside, one_snapshot


def add_key(vkey):
    LogKey.objects.create(vkey=vkey, purpose=LogKey.Purpose.RECEIPT)
    connection.close()


def keys():
    yield from LogKey.objects.order_by("pk").values_list("vkey", flat=True)


@pytest.mark.django_db(transaction=True)
def test_what_is_committed_meanwhile_is_seen_by_neither(settings):
    with ThreadPoolExecutor() as others:
        others.submit(add_key, "before").result()
        with one_snapshot() as snapshot:
            seen = list(keys())
            others.submit(add_key, "meanwhile").result()

            with beside(snapshot, keys) as steps:
                assert list(steps) == seen == list(keys()) == ["before"]


@pytest.mark.django_db(transaction=True)
def test_what_fails_there_fails_here():
    def steps():
        yield 1
        raise ValueError("of the other connection")

    with (
        one_snapshot() as snapshot,
        beside(snapshot, steps) as taken,
        pytest.raises(ValueError, match="of the other connection"),
    ):
        list(taken)


@pytest.mark.django_db
def test_in_a_transaction_of_the_callers_one_connection_does_it_all():
    LogKey.objects.create(vkey="mine", purpose=LogKey.Purpose.RECEIPT)

    with one_snapshot() as snapshot, beside(snapshot, keys) as steps:
        assert (snapshot, list(steps)) == (None, ["mine"])


def test_merged_reports_count_as_one():
    one, other = Report(), Report()
    one.take(Finding("V2", "entry", "", 7) for _ in range(KEPT))
    other.take(Finding("V4", "tile", "", 9) for _ in range(KEPT + 5))
    other.add("V3", "head", "", 3)
    other.tally("checkpoints", 2)

    one.merge(other)

    assert (one.count, len(one.kept), one.checked) == (2 * KEPT + 6, KEPT, {"checkpoints": 2})
    assert one.first == other.first == Finding("V3", "head", "", 3)
