"""Publishing signs only what continues what was signed, and survives any death on the way."""

import threading
import time

import pytest
from django.core.management import CommandError, call_command

from ledger.management.commands import sequencer as command
from ledger.models import Checkpoint, Head, LogKey
from ledger.publishing import Publisher, SignerLost, open_signer
from rako.core.postgres_programs import until
from rako.core.receipts import receipt_signer
from rako.core.tlog.checkpoints import open_checkpoint
from rako.core.tlog.notes import parse_vkey
from rako.core.tlog.signer import Refused, Signer
from tests.ledger import children
from tests.ledger.publications import GUARDS, ORIGIN, configure, grow, overtake, published, set_back
from tests.ledger.soundness import rows
from tests.ledger.told import as_owner, tell
from tests.threads import race

pytestmark = pytest.mark.django_db
by_several = pytest.mark.django_db(transaction=True)  # connections


@pytest.fixture(autouse=True)
def _settings(settings, tmp_path):
    configure(settings, tmp_path)


def refusal():
    before = Checkpoint.objects.count()
    with pytest.raises(Refused) as refused:
        Publisher().publish()
    assert Checkpoint.objects.count() == before
    return refused.value.reason, refused.value.size


def test_an_empty_log_has_nothing_to_publish():
    assert Publisher().publish() is None


def test_the_newest_head_is_signed_and_its_keys_are_kept_for_good():
    checkpoint = published(3)

    opened = open_checkpoint(checkpoint.note, [parse_vkey(open_signer().vkey)], ORIGIN)
    assert (opened.size, opened.root) == (3, bytes(Head.objects.get(pk=3).root))
    assert {(key.purpose, key.vkey) for key in LogKey.objects.all()} == {
        ("checkpoint", open_signer().vkey),
        ("receipt", receipt_signer().vkey),
    }


def test_a_head_is_signed_once_and_only_the_newest():
    publisher = Publisher()
    grow(2)
    grow(2)
    first = publisher.publish()

    assert publisher.publish() == first
    assert [checkpoint.pk for checkpoint in Checkpoint.objects.all()] == [4]


def test_two_publishers_take_turns():
    publishers = [Publisher(), Publisher()]
    for turn in range(6):
        grow(turn + 1)
        publishers[turn % 2].publish()

    assert [checkpoint.pk for checkpoint in Checkpoint.objects.order_by("pk")] == [1, 3, 6, 10, 15, 21]


@pytest.mark.parametrize("moment", ["last", "sign"])
def test_a_publisher_that_is_overtaken_publishes_what_came_after(monkeypatch, moment):
    published(2)
    grow(2)
    overtake(monkeypatch, Signer, moment)

    assert Publisher().publish().pk == 7
    assert [checkpoint.pk for checkpoint in Checkpoint.objects.order_by("pk")] == [2, 7]


@by_several
def test_many_publishers_at_once_raise_no_false_alarm():
    Publisher()
    stop = threading.Event()

    def work(number):
        if number == 0:
            for _ in range(20):
                grow()
            stop.set()
        publisher = Publisher()
        while not stop.is_set():
            publisher.publish()

    troubles = [trouble for trouble in race(work, 4) if trouble is not None]

    # That others were first, twice in a row, is no alarm.
    assert {trouble.reason for trouble in troubles} <= {"stale"}
    assert Publisher().publish().pk == 20


@by_several
def test_processes_that_start_together_share_one_new_signer():
    assert len(set(race(lambda _: open_signer().vkey))) == 1


# What happens to the signer between two calls, and to whoever calls it.


@by_several
@pytest.mark.parametrize(
    ("step", "remembered"), [("before the state", 2), ("before the reply", 5), ("before it is stored", 5)]
)
def test_a_publisher_killed_on_the_way_is_followed_by_one_that_finishes(settings, step, remembered):
    published(2)
    grow(3)

    assert children.outcome(children.publish_and_die, step) == -9

    signer = open_signer()
    assert (signer.last[0], Checkpoint.objects.count()) == (remembered, 1)
    note = Publisher().publish().note
    assert note == signer.sign(5, bytes(Head.objects.get(pk=5).root), [], old_size=5)
    assert Checkpoint.objects.get(pk=5).note == note


def test_a_tail_cut_off_is_noticed_before_anything_is_added():
    published(4)
    published(3)
    set_back(4)

    assert refusal() == ("shrunk", 7)


def test_a_log_that_lost_everything_is_noticed():
    published(4)
    set_back(0)

    assert refusal() == ("shrunk", 4)


@pytest.mark.parametrize(("added", "reason"), [(2, "shrunk"), (3, "fork"), (5, "inconsistent")])
def test_nothing_is_signed_for_a_log_that_was_set_back_and_grows_on(added, reason):
    published(4)
    published(3)
    set_back(4)
    grow(added)

    assert refusal() == (reason, 7)
    assert open_signer().last[0] == 7
    assert rows("SELECT max(size) FROM ledger_head") == [(4 + added,)]


def test_a_checkpoint_that_was_taken_away_is_put_back_byte_for_byte():
    note = published(4).note
    as_owner("DELETE FROM ledger_checkpoint", guards=(GUARDS[2],))

    assert Publisher().publish().note == note


def test_a_log_without_its_signer_is_not_given_another(settings, tmp_path):
    published()
    settings.RAKO_SIGNER_DIR = tmp_path / "elsewhere"
    grow()

    with pytest.raises(SignerLost):
        Publisher()
    with pytest.raises(CommandError, match="SignerLost"):
        call_command("sequencer", once=True)
    assert (Checkpoint.objects.count(), settings.RAKO_SIGNER_DIR.exists()) == (1, False)


def test_a_state_without_its_key_is_not_given_another(settings):
    (open_signer(), (settings.RAKO_SIGNER_DIR / "key").unlink())

    with pytest.raises(SignerLost):
        open_signer()


def test_a_signer_that_forgot_what_it_signed_signs_nothing(settings):
    published()
    grow()
    (settings.RAKO_SIGNER_DIR / "state.json").unlink()

    assert refusal() == ("lost_state", None)


def test_a_signer_set_back_to_an_older_state_catches_up(settings):
    published(2)
    state = (settings.RAKO_SIGNER_DIR / "state.json").read_bytes()
    note = published(3).note
    (settings.RAKO_SIGNER_DIR / "state.json").write_bytes(state)

    assert Publisher().publish().note == note
    assert open_signer().last[0] == 5


@by_several
def test_while_nothing_is_signed_entries_are_still_taken(settings, caplog):
    published(4)
    published(3)
    set_back(4)
    stop = threading.Event()
    thread = threading.Thread(target=command.run, args=(stop, 0.02))
    thread.start()
    try:
        assert until(lambda: "Refused" in caplog.text, 5)
        began = time.monotonic()
        tell()
        assert until(lambda: rows("SELECT max(size) FROM ledger_head") == [(5,)], 5)
        assert time.monotonic() - began < 0.9, "it waited for the signer"
    finally:
        stop.set()
        thread.join()
    assert [checkpoint.pk for checkpoint in Checkpoint.objects.all()] == [4]


@by_several
def test_a_signer_that_is_mended_is_used_without_a_restart(settings, tmp_path, monkeypatch):
    monkeypatch.setattr(command, "PUBLISH_SECONDS", 0.05)
    published()
    folder, away = settings.RAKO_SIGNER_DIR, tmp_path / "away"
    folder.rename(away)
    grow()
    stop = threading.Event()
    thread = threading.Thread(target=command.run, args=(stop, 0.02))
    thread.start()
    time.sleep(0.3)
    assert not Checkpoint.objects.filter(pk=2).exists()

    away.rename(folder)

    assert until(lambda: Checkpoint.objects.filter(pk=2).exists(), 5)
    stop.set()
    thread.join()
