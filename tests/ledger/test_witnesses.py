"""Those who watch us: witnesses that cosign, and places that keep checkpoints. None of them holds up the log."""

import logging
import threading
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, HTTPServer

import orjson
import pytest

from ledger import publishing
from ledger.management.commands import sequencer as command
from ledger.models import Checkpoint, Cosignature, Entry
from ledger.publishing import Publisher, open_signer
from rako.core.postgres_programs import until
from rako.core.tlog.notes import open_note, parse_vkey
from rako.core.tlog.witness import Witness
from tests.core.tlog.stub_witness import StubWitness, WitnessKey, serve
from tests.ledger.publications import ORIGIN, configure, grow, overtake, published, set_back
from tests.ledger.soundness import rows
from tests.ledger.told import as_owner, tell

pytestmark = pytest.mark.django_db
by_several = pytest.mark.django_db(transaction=True)  # connections


@pytest.fixture(autouse=True)
def _settings(settings, tmp_path):
    configure(settings, tmp_path)


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
    grow(2)
    overtake(monkeypatch, Witness, "cosign")

    Publisher().publish()

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
