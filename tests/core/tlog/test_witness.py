"""The witness protocol over a real socket: what a witness says is heard, and what it should not say is not believed."""

import threading
import time
from collections.abc import Iterator
from pathlib import Path

import pytest
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

from rako.core.tlog.checkpoints import Checkpoint
from rako.core.tlog.notes import NoteError, NoteSigner, open_note, parse_vkey
from rako.core.tlog.witness import Witness, WitnessConflict, WitnessInvalid, WitnessRefused, WitnessUnavailable
from tests.core.tlog.stored_log import StoredLog, make_leaves
from tests.core.tlog.stub_witness import StubWitness, WitnessKey, serve

ORIGIN = "rako.example/ledger"
LOG = StoredLog(make_leaves(40))
FORK = StoredLog(make_leaves(10) + make_leaves(40, branch="fork"))
SIGNER = NoteSigner(ORIGIN, Ed25519PrivateKey.generate())
TIMEOUT = 5


@pytest.fixture
def stub(tmp_path: Path) -> StubWitness:
    return StubWitness(tmp_path, ORIGIN, SIGNER.verifier)


@pytest.fixture
def url(stub: StubWitness) -> Iterator[str]:
    with serve(stub) as server:
        thread = threading.Thread(target=server.serve_forever, args=(0.02,))
        thread.start()
        yield f"http://127.0.0.1:{server.server_address[1]}/w1"
        stub.closing.set()
        server.shutdown()
        thread.join()


@pytest.fixture
def witness(stub: StubWitness, url: str) -> Witness:
    return Witness(stub.key.vkey, url)


def note(size: int, *, log: StoredLog = LOG, signer: NoteSigner = SIGNER, origin: str = ORIGIN) -> str:
    return signer.sign(Checkpoint(origin, size, log.tree(size).root()).text)


def cosign(witness: Witness, old: int, new: int, *, log: StoredLog = LOG) -> str:
    return witness.cosign(note(new, log=log), old, log.tree(new).consistency(old), TIMEOUT)


def test_a_cosignature_can_be_appended_to_the_note(witness, stub):
    line = cosign(witness, 0, 7)

    opened = open_note(note(7) + line, [SIGNER.verifier, parse_vkey(stub.key.vkey)])

    assert opened.names == (ORIGIN, "witness.example/w1")
    assert opened.signatures[1].timestamp == 1_790_000_000


def test_a_witness_follows_a_growing_log(witness, stub):
    for old, new in [(0, 1), (1, 8), (8, 8), (8, 33), (33, 40)]:
        assert cosign(witness, old, new) == stub.key.line(Checkpoint(ORIGIN, new, LOG.tree(new).root()).text)

    assert stub.last() == (40, LOG.tree(40).root())


def test_the_request_is_the_specified_one(witness, stub):
    cosign(witness, 0, 3)
    cosign(witness, 3, 5)

    first, second = [body for _, body in stub.requests]
    assert first == f"old 0\n\n{note(3)}"
    assert second.startswith("old 3\n")
    assert second.endswith(f"\n\n{note(5)}")
    assert len(second.partition("\n\n")[0].split("\n")) == 1 + len(LOG.tree(5).consistency(3))


def test_a_stale_old_size_is_a_conflict_that_names_the_witnesss_size(witness):
    cosign(witness, 0, 9)

    with pytest.raises(WitnessConflict) as conflict:
        cosign(witness, 4, 12)

    assert conflict.value.size == 9
    assert cosign(witness, conflict.value.size, 12)


def test_another_root_of_the_same_size_is_a_conflict(witness, stub):
    cosign(witness, 0, 20)

    with pytest.raises(WitnessConflict) as conflict:
        witness.cosign(note(20, log=FORK), 20, [], TIMEOUT)

    assert (conflict.value.size, stub.last()[1]) == (20, LOG.tree(20).root())


def test_a_fork_is_not_followed(witness, stub):
    cosign(witness, 0, 20)

    with pytest.raises(WitnessRefused) as refused:
        cosign(witness, 20, 30, log=FORK)

    assert (refused.value.status, stub.last()[0]) == (422, 20)


def test_a_witness_that_does_not_know_the_log_refuses(witness):
    other = NoteSigner("other.example/log", Ed25519PrivateKey.generate())

    with pytest.raises(WitnessRefused) as refused:
        witness.cosign(note(3, signer=other, origin="other.example/log"), 0, [], TIMEOUT)

    assert refused.value.status == 404


def test_a_witness_that_does_not_know_the_key_refuses(witness):
    with pytest.raises(WitnessRefused) as refused:
        witness.cosign(note(3, signer=NoteSigner(ORIGIN, Ed25519PrivateKey.generate())), 0, [], TIMEOUT)

    assert refused.value.status == 403


def test_a_shrunk_log_is_refused(witness):
    cosign(witness, 0, 20)

    with pytest.raises(WitnessRefused) as refused:
        witness.cosign(note(10), 20, [], TIMEOUT)

    assert refused.value.status == 400


@pytest.mark.parametrize("status", [500, 502, 503, 504, 429, 302, 307, 308, 202, 204])
def test_another_answer_means_trying_again_later(witness, stub, status):
    stub.mood = lambda honest: (status, honest[1], b"" if status == 204 else honest[2])

    with pytest.raises(WitnessUnavailable):
        cosign(witness, 0, 3)

    assert [path for path, _ in stub.requests] == ["/w1/add-checkpoint"]  # a redirect was not followed


@pytest.mark.parametrize(
    "body",
    [
        b"",
        b"\n",
        b"garbage\n",
        b"\xff\xfe\n",
        b"<html>\n",
        WitnessKey("witness.example/w1").line(Checkpoint(ORIGIN, 3, LOG.tree(3).root()).text).encode(),
        b"x" * 100_000,
        b"\n" * 2_000_000,
    ],
    ids=["empty", "newline", "text", "binary", "html", "namesake", "long", "huge"],
)
def test_an_answer_without_a_cosignature_that_holds_is_invalid(witness, stub, body):
    stub.mood = lambda honest: (200, honest[1], body)

    with pytest.raises(WitnessInvalid):
        cosign(witness, 0, 3)


def test_a_cosignature_of_another_checkpoint_is_invalid(witness, stub):
    stub.mood = lambda honest: (200, honest[1], stub.key.line(Checkpoint(ORIGIN, 2, LOG.tree(2).root()).text).encode())

    with pytest.raises(WitnessInvalid):
        cosign(witness, 0, 3)


def test_a_cosignature_already_in_the_note_does_not_stand_in_for_the_answer(witness, stub):
    cosigned = note(3) + cosign(witness, 0, 3)
    stub.mood = lambda honest: (200, honest[1], b"")

    with pytest.raises(WitnessInvalid):
        witness.cosign(cosigned, 3, [], TIMEOUT)


def test_only_the_lines_of_the_trusted_key_are_kept(witness, stub):
    unknown = WitnessKey("witness.example/w2").line(Checkpoint(ORIGIN, 3, LOG.tree(3).root()).text).encode()
    stub.mood = lambda honest: (200, honest[1], unknown + honest[2] + unknown)

    assert cosign(witness, 0, 3) == stub.key.line(Checkpoint(ORIGIN, 3, LOG.tree(3).root()).text)


@pytest.mark.parametrize(
    ("content_type", "body"),
    [
        ("text/plain", b"9\n"),
        ("text/x.tlog.size", b"9"),
        ("text/x.tlog.size", b"99"),
        ("text/x.tlog.size", b""),
        ("text/x.tlog.size", b"09\n"),
        ("text/x.tlog.size", b"-9\n"),
        ("text/x.tlog.size", b"nine\n"),
        ("text/x.tlog.size", b"9\n9\n"),
        ("text/x.tlog.size", b"9223372036854775808\n"),
    ],
)
def test_a_conflict_without_a_size_is_invalid(witness, stub, content_type, body):
    stub.mood = lambda honest: (409, content_type, body)

    with pytest.raises(WitnessInvalid):
        cosign(witness, 0, 3)


def test_a_silent_witness_is_given_up_in_time(witness, stub):
    stub.mood = lambda honest: (stub.closing.wait(10), honest)[1]
    started = time.monotonic()

    with pytest.raises(WitnessUnavailable):
        witness.cosign(note(3), 0, [], timeout=0.2)

    assert time.monotonic() - started < 2


def test_a_dripping_witness_is_given_up_in_time(witness, stub):
    stub.drip = 0.05
    started = time.monotonic()

    with pytest.raises(WitnessUnavailable):
        witness.cosign(note(3), 0, [], timeout=0.3)

    assert time.monotonic() - started < 2


def test_a_witness_that_is_not_there_is_unavailable():
    with pytest.raises(WitnessUnavailable):
        Witness(WitnessKey("w").vkey, "http://127.0.0.1:9").cosign(note(3), 0, [], TIMEOUT)


def test_after_a_failure_the_same_checkpoint_can_be_cosigned(witness, stub):
    """The reply was lost after the witness remembered: its size says so, and the same checkpoint is cosigned again."""
    stub.mood = lambda honest: (503, honest[1], b"")
    with pytest.raises(WitnessUnavailable):
        cosign(witness, 0, 3)
    stub.mood = None

    with pytest.raises(WitnessConflict) as conflict:
        cosign(witness, 0, 3)

    assert cosign(witness, conflict.value.size, 3)


def test_a_log_key_is_no_witness_key():
    with pytest.raises(NoteError):
        Witness(SIGNER.vkey, "http://127.0.0.1:9")


def test_a_path_longer_than_any_trees_is_not_sent(witness, stub):
    with pytest.raises(ValueError, match="length"):
        witness.cosign(note(3), 1, make_leaves(64), TIMEOUT)

    assert stub.requests == []
