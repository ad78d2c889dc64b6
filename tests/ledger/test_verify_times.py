"""V7 and V12: entries enter the log in time, and time goes forward in it."""

from datetime import timedelta

import pytest
from django.utils import timezone

from ledger.verification import times, waiting
from ledger.verification.findings import Report
from ledger.verification.run import Scope, verify
from ledger.verification.times import Batches, StoredHead
from tests.ledger.tampering import as_superuser, guards_in_force, rows, tell_small

T0 = timezone.now().replace(microsecond=0)


def at(seconds):
    moment = (T0 + timedelta(seconds=seconds)).replace(tzinfo=None)
    return moment.isoformat(timespec="milliseconds") + "Z"


def judge(*batches):
    """What is found in batches of (when their head was made, when their entries were recorded)."""
    report, size, recorded, heads = Report(), 0, [], []
    for made, entries in batches:
        size += len(entries)
        recorded += [at(second) for second in entries]
        heads.append(StoredHead(size, b"", at(made)))
    judged = Batches(report, 0)
    half = size // 2  # in two parts, as chunks cut batches
    judged.judge([head for head in heads if head.size <= half or head.size - half < size], 0, recorded[:half])
    judged.judge([head for head in heads if head.size > half], half, recorded[half:])
    return [finding.index for finding in report.kept]


@pytest.mark.django_db
@pytest.mark.parametrize(
    ("batches", "found"),
    [
        ([(1, [0, 0.5]), (2, [1.5]), (9, [8, 8.5])], []),
        # The sequencer was down, and works off an hour of entries in batches: heads long after the entries.
        ([(3600, [0, 900]), (3601, [1000, 2000]), (3602, [2100, 3500])], []),
        # A transaction that stayed open for half a minute.
        ([(1, [0]), (40, [39]), (41, [10, 40])], []),
        # One that claims to have, for two minutes.
        ([(1, [0]), (200, [199]), (201, [60, 200])], [2]),
        # Recorded after it was sequenced.
        ([(1, [0]), (2, [1.5, 3])], [2]),
    ],
)
def test_entries_are_as_old_as_their_place_says(batches, found):
    assert judge(*batches) == found


@pytest.fixture
def told(db, settings, tmp_path):
    """Three entries that nobody has sequenced."""
    settings.RAKO_SIGNER_DIR = tmp_path / "signer"
    tell_small(range(3))
    guards_in_force()


def test_what_is_young_may_wait(told):
    report = verify(Scope())

    assert report.is_sound
    assert report.checked["waiting"] == 3


def test_what_waits_too_long_is_found(told, monkeypatch):
    monkeypatch.setattr(waiting, "PATIENCE", timedelta(0))

    report = verify(Scope())

    (entry_id,) = rows("SELECT entry_id FROM ledger_entry ORDER BY id LIMIT 1")[0]
    assert [(finding.check, finding.subject) for finding in report.kept] == [("V7", entry_id)]
    assert "2 others with it (no sequencer has ever run)" in report.first.detail


def test_what_was_sequenced_meanwhile_is_not_late(told):
    ids = [pk for (pk,) in rows("SELECT id FROM ledger_entry")]
    as_superuser("INSERT INTO ledger_leaf (index, entry_id, leaf_hash) SELECT id, id, leaf_hash FROM ledger_entry")
    report = Report()

    waiting.check_late(report, ids)

    assert report.is_sound


def test_a_clock_that_went_back_is_found(db):
    as_superuser(
        "INSERT INTO ledger_head (size, root, horizon, floor, cluster) VALUES (1, '', '1', 0, 0)",
        "INSERT INTO ledger_head (size, root, horizon, floor, cluster) VALUES (2, '', '1', 0, 0)",
        "UPDATE ledger_head SET created_at = now() + size * interval '-1 hour'",
    )
    report = Report()

    times.check_clock(report)

    assert [(finding.check, finding.subject) for finding in report.kept] == [("V12", "head 2")]
