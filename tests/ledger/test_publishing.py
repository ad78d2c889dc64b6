"""Publishing signs only what continues what was signed, survives any death on the way, and asks those who watch us."""

import logging
import threading
import time
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, HTTPServer

import orjson
import pytest
from django.core.management import CommandError, call_command

from ledger import publishing
from ledger.management.commands import sequencer as command
from ledger.models import Checkpoint, Cosignature, Entry, Head, LogKey
from ledger.publishing import Publisher, SignerLost, open_signer
from ledger.sequencer import Sequencer
from rako.core.postgres_programs import until
from rako.core.receipts import receipt_signer
from rako.core.tlog.checkpoints import open_checkpoint
from rako.core.tlog.notes import open_note, parse_vkey
from rako.core.tlog.signer import Refused, Signer
from rako.core.tlog.witness import Witness
from tests.core.tlog.stub_witness import StubWitness, WitnessKey, serve
from tests.ledger import children
from tests.ledger.soundness import rows
from tests.ledger.told import as_owner, drain, tell, tell_many
from tests.threads import race

pytestmark = pytest.mark.django_db
by_several = pytest.mark.django_db(transaction=True)  # connections

ORIGIN = "rako.sh/ledger"
GUARDS = tuple(f"ledger_{table}.ledger_{table}_no_change" for table in ("leaf", "head", "checkpoint"))


@pytest.fixture(autouse=True)
def _settings(settings, tmp_path):
    settings.RAKO_SIGNER_DIR = tmp_path / "signer"
    settings.RAKO_LEDGER_ORIGIN = ORIGIN
    settings.RAKO_WITNESSES = []
    settings.RAKO_CHECKPOINT_EXPORT = ""


def grow(count=1):
    """So many more entries in the log, as one head."""
    tell_many(count)
    drain(Sequencer())


def published(count=1):
    grow(count)
    return Publisher().publish()


def set_back(size):
    """What a backup of then would bring back: the newer part of the log is gone, entries and all."""
    as_owner(
        f"DELETE FROM ledger_checkpoint WHERE size > {size}",
        f"DELETE FROM ledger_head WHERE size > {size}",
        f"CREATE TEMP TABLE gone AS SELECT entry_id FROM ledger_leaf WHERE index >= {size}",
        f"DELETE FROM ledger_leaf WHERE index >= {size}",
        "DELETE FROM ledger_posting WHERE entry_id IN (TABLE gone)",
        "DELETE FROM ledger_entry WHERE id IN (TABLE gone)",
        "DROP TABLE gone",
        guards=(*GUARDS, "ledger_entry.ledger_entry_no_change", "ledger_posting.ledger_posting_no_change"),
    )


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


# Witnesses.


@pytest.fixture
def stub(settings, tmp_path) -> Iterator[StubWitness]:
    signer = open_signer()
    witness = StubWitness(tmp_path, ORIGIN, parse_vkey(signer.vkey))
    server = serve(witness)
    thread = threading.Thread(target=server.serve_forever, args=(0.02,))
    thread.start()
    settings.RAKO_WITNESSES = [Witness(witness.key.vkey, f"http://127.0.0.1:{server.server_port}/w1")]
    yield witness
    witness.closing.set()
    server.shutdown()
    thread.join()
    server.server_close()


def cosigned():
    return list(Cosignature.objects.order_by("checkpoint").values_list("checkpoint_id", flat=True))


def contradictions():
    return [orjson.loads(bytes(entry.body))["facts"] for entry in Entry.objects.filter(kind="log.contradicted")]


def test_a_cosignature_is_stored_and_completes_the_note(stub):
    checkpoint = published(3)

    note = checkpoint.note + Cosignature.objects.get().line
    assert open_note(note, [parse_vkey(open_signer().vkey), parse_vkey(stub.key.vkey)]).names == (ORIGIN, stub.key.name)


def test_the_next_checkpoint_is_proven_from_the_one_cosigned_last(stub):
    published(3)
    published(4)
    Publisher().publish()

    assert (cosigned(), [body.split("\n")[0] for _, body in stub.requests]) == ([3, 7], ["old 0", "old 3"])


def test_an_answer_that_was_lost_is_made_up_for(stub):
    stub.mood = lambda honest: (500, "text/plain", b"lost on the way\n")
    checkpoint = published(3)
    assert (checkpoint.pk, cosigned(), stub.last()[0]) == (3, [], 3)
    stub.mood = None

    published(4)

    assert (cosigned(), contradictions()) == ([7], [])
    assert [body.split("\n")[0] for _, body in stub.requests] == ["old 0", "old 0", "old 3"]


def test_the_same_checkpoint_is_cosigned_after_its_answer_was_lost(stub):
    stub.mood = lambda honest: (500, "text/plain", b"lost on the way\n")
    published(3)
    stub.mood = None

    Publisher().publish()

    assert (cosigned(), contradictions()) == ([3], [])


def test_a_witness_that_hangs_is_asked_again_and_nothing_signed_is_lost(stub, monkeypatch):
    monkeypatch.setattr(publishing, "WITNESS_SECONDS", 0.2)
    stub.drip = 0.15
    assert published(3).pk == 3
    assert cosigned() == []
    stub.drip = None

    Publisher().publish()

    assert (cosigned(), Checkpoint.objects.count()) == ([3], 1)


def test_a_witness_that_is_not_there_keeps_no_checkpoint_back(settings):
    settings.RAKO_WITNESSES = [Witness(WitnessKey("witness.example/w1").vkey, "http://127.0.0.1:9/w1")]

    assert published(3).pk == 3


def test_a_cosignature_of_another_key_is_not_stored(stub):
    line = WitnessKey(stub.key.name).line("any text")
    stub.mood = lambda honest: (200, "text/plain", line.encode())

    assert (published(3).pk, cosigned()) == (3, [])


@by_several
def test_a_hanging_witness_does_not_hold_up_the_log(stub, monkeypatch):
    stub.drip = 0.2
    grow()
    stop = threading.Event()
    thread = threading.Thread(target=command.run, args=(stop, 0.02))
    thread.start()
    try:
        assert until(lambda: stub.requests, 5)
        tell()
        assert until(lambda: rows("SELECT max(size) FROM ledger_head") == [(2,)], 0.9)
    finally:
        stop.set()
        stub.closing.set()
        thread.join()


@pytest.fixture
def log_set_back_with_its_signer(stub, settings):
    """The worst an owner can do: the log and the signer's state both say 4, but the witness has cosigned 7."""
    published(4)
    state = (settings.RAKO_SIGNER_DIR / "state.json").read_bytes()
    published(3)
    as_owner(
        "DELETE FROM ledger_cosignature WHERE size > 4", guards=("ledger_cosignature.ledger_cosignature_no_change",)
    )
    set_back(4)
    (settings.RAKO_SIGNER_DIR / "state.json").write_bytes(state)


@pytest.mark.parametrize("added", [1, 3, 6])
def test_what_contradicts_a_witness_is_kept_and_alarms(log_set_back_with_its_signer, stub, added, caplog):
    checkpoint = published(added)

    assert checkpoint.pk == 4 + added
    [kept] = contradictions()
    assert kept == {"witness": stub.key.name, "witness_size": 7, "checkpoint": checkpoint.note}
    assert f"witness {stub.key.name} contradicts our log" in caplog.text
    assert 4 + added not in cosigned()


def test_a_contradiction_does_not_feed_itself(log_set_back_with_its_signer):
    for _ in range(6):
        published()

    assert len(contradictions()) == 1


def test_a_witness_that_another_process_has_led_further_is_no_alarm(stub, monkeypatch):
    published(2)
    late = Publisher()
    grow(2)
    honest = Signer.sign

    def overtaken(signer, *args, **names):
        """After we have our signature, another process has the next head signed and cosigned."""
        note = honest(signer, *args, **names)
        monkeypatch.setattr(Signer, "sign", honest)
        published(3)
        return note

    monkeypatch.setattr(Signer, "sign", overtaken)
    late.publish()

    assert (cosigned(), contradictions()) == ([2, 7], [])


# Where checkpoints are kept out of our reach.


def test_the_export_file_grows_by_one_note_and_an_empty_line(settings, tmp_path, monkeypatch):
    settings.RAKO_CHECKPOINT_EXPORT = str(tmp_path / "checkpoints")
    monkeypatch.setattr(publishing, "EXPORT_SECONDS", 0.0)
    publisher = Publisher()
    notes = []
    for _ in range(3):
        grow()
        notes.append(publisher.publish().note)
        publisher.publish()

    assert (tmp_path / "checkpoints").read_text() == "".join(f"{note}\n" for note in notes)
    assert all(note.endswith("\n") for note in notes)


def test_not_every_checkpoint_is_exported(settings, tmp_path):
    settings.RAKO_CHECKPOINT_EXPORT = str(tmp_path / "checkpoints")
    publisher = Publisher()
    for _ in range(3):
        grow()
        publisher.publish()

    assert (tmp_path / "checkpoints").read_text() == f"{Checkpoint.objects.get(pk=1).note}\n"


@pytest.fixture
def archive(settings) -> Iterator[list[str]]:
    """An address that takes checkpoints; the first it refuses."""
    received: list[str] = []

    class Handler(BaseHTTPRequestHandler):
        def do_POST(self) -> None:
            received.append(self.rfile.read(int(self.headers["Content-Length"])).decode())
            self.send_response(503 if len(received) == 1 else 204)
            self.end_headers()

        def log_message(self, *args: object) -> None:
            """Tests are quiet."""

    server = HTTPServer(("127.0.0.1", 0), Handler)
    thread = threading.Thread(target=server.serve_forever, args=(0.02,))
    thread.start()
    settings.RAKO_CHECKPOINT_EXPORT = f"http://127.0.0.1:{server.server_port}/"
    yield received
    server.shutdown()
    thread.join()
    server.server_close()


def test_an_address_that_refuses_is_tried_again_and_keeps_nothing_back(archive, caplog):
    caplog.set_level(logging.WARNING, "rako.ledger")
    grow()
    publisher = Publisher()

    notes = [publisher.publish().note for _ in range(3)]

    assert archive == notes[:2]
    assert "could not be exported" in caplog.text


def test_a_file_that_cannot_be_written_keeps_nothing_back(settings, tmp_path):
    settings.RAKO_CHECKPOINT_EXPORT = str(tmp_path / "missing" / "checkpoints")
    assert published().pk == 1

    (tmp_path / "missing").mkdir()
    note = Publisher().publish().note

    assert (tmp_path / "missing" / "checkpoints").read_text() == f"{note}\n"
