"""V5 and V6: what signer and witnesses signed, in the database and out of it."""

import threading
from collections.abc import Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, HTTPServer

import pytest
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from django.core.management import CommandError, call_command

from ledger.models import Checkpoint, Cosignature
from ledger.publishing import Destination
from ledger.verification import outside
from ledger.verification.outside import Unreadable, read_checkpoints
from ledger.verification.run import Scope, verify
from rako.core.tlog.notes import NoteSigner
from rako.core.tlog.signer import STATE
from rako.core.tlog.witness import Witness
from tests.core.tlog.stub_witness import WitnessKey
from tests.ledger.tampering import as_superuser, log, rows, signer

__all__ = ["log", "signer"]


@pytest.fixture
def newest(signer):
    return Checkpoint.objects.select_related("head").order_by("-pk").first()


@contextmanager
def serving(content: bytes, status: int = 200, **headers: str) -> Iterator[str]:
    """An address that answers every request so."""

    class Handler(BaseHTTPRequestHandler):
        def do_GET(self):
            self.send_response(status)
            for name, value in headers.items():
                self.send_header(name, value)
            self.end_headers()
            self.wfile.write(content)

        def log_message(self, *_):
            pass

    server = HTTPServer(("127.0.0.1", 0), Handler)
    thread = threading.Thread(target=server.serve_forever, daemon=True)
    thread.start()
    try:
        yield f"http://127.0.0.1:{server.server_port}/checkpoints"
    finally:
        server.shutdown()
        server.server_close()
        thread.join()


def details(*notes, check="V6"):
    return [finding.detail for finding in verify(Scope(notes=notes)).kept if finding.check == check]


def forged(origin, text_of=lambda origin: f"{origin}\n3\n{'A' * 43}=\n"):
    return NoteSigner(origin, Ed25519PrivateKey.generate()).sign(text_of(origin))


def test_what_is_exported_can_be_read_back(newest, tmp_path):
    file = tmp_path / "exported.txt"
    for note in (newest.note, newest.note, Checkpoint.objects.order_by("pk")[0].note):
        Destination(str(file)).send(note)

    notes = read_checkpoints(str(file))

    assert len(notes) == 2
    assert notes[0] == newest.note
    assert details(*notes) == []


def test_a_checkpoint_is_read_from_an_address(newest):
    with serving(newest.note.encode()) as url:
        assert read_checkpoints(url) == [newest.note]


def test_an_address_may_not_send_us_elsewhere(newest):
    with (
        serving(newest.note.encode()) as elsewhere,
        serving(b"", 302, Location=elsewhere) as url,
        pytest.raises(Unreadable),
    ):
        read_checkpoints(url)


def test_an_endless_answer_is_not_read(newest, monkeypatch):
    monkeypatch.setattr(outside, "MAX_BYTES", 1000)

    with serving(newest.note.encode() * 100) as url, pytest.raises(Unreadable):
        read_checkpoints(url)


def test_an_address_where_nobody_answers_is_no_verdict(signer):
    with serving(b"") as url:
        pass

    with pytest.raises(CommandError, match="could not finish"):
        call_command("verify_ledger", "--checkpoint", url)


def test_a_checkpoint_of_another_log_says_nothing(signer):
    with pytest.raises(Unreadable, match="another log"):
        verify(Scope(notes=(forged("other.example/ledger"),)))


def test_a_checkpoint_of_an_unknown_key_is_a_finding(newest, settings):
    found = details(forged(settings.RAKO_LEDGER_ORIGIN))

    assert len(found) == 2
    assert "no key of this log" in found[0]
    assert "another root" in found[1]


def test_a_cosigned_checkpoint_is_one(newest):
    witness = WitnessKey("witness.example/w1")
    text = newest.note.partition("\n\n")[0] + "\n"

    assert details(newest.note + witness.line(text)) == []


def test_cosignatures_of_known_witnesses_are_checked(newest, settings):
    witness, other = WitnessKey("witness.example/w1"), WitnessKey("witness.example/w1")
    settings.RAKO_WITNESSES = [Witness(witness.vkey, "http://127.0.0.1:1")]
    text = newest.note.partition("\n\n")[0] + "\n"
    Cosignature.objects.create(checkpoint=newest, witness=witness.name, line=witness.line(text))
    assert details(check="V5") == []

    as_superuser("DELETE FROM ledger_cosignature")
    Cosignature.objects.create(checkpoint=newest, witness=witness.name, line=other.line(text))
    assert len(details(check="V5")) == 1


def test_a_signer_that_remembers_another_log_is_a_finding(newest, settings, tmp_path):
    settings.RAKO_SIGNER_DIR = tmp_path
    state = '{"origin": "%s", "size": %s, "root": "%s="}'

    (tmp_path / STATE).write_text(state % (settings.RAKO_LEDGER_ORIGIN, newest.pk, "A" * 43))
    assert "another root" in details()[0]

    (tmp_path / STATE).write_text(state % (settings.RAKO_LEDGER_ORIGIN, newest.pk + 1, "A" * 43))
    assert "truncated" in details()[0]

    (tmp_path / STATE).write_text("{}")
    assert details() == ["its memory is no help: corrupt_state"]


def test_a_signer_on_another_host_is_not_missed(signer, settings, tmp_path):
    settings.RAKO_SIGNER_DIR = tmp_path / "nowhere"

    report = verify(Scope())

    assert report.is_sound
    assert "state of the signer" not in report.checked


def test_a_retired_key_still_counts(newest):
    """Old checkpoints stay signed by the key of their time."""
    assert len(rows("SELECT 1 FROM ledger_logkey WHERE purpose = 'checkpoint'")) == 1
    as_superuser("UPDATE ledger_logkey SET created_at = created_at - interval '9 years'")

    assert details(newest.note) == []
