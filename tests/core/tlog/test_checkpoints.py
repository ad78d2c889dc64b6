import pytest
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

from rako.core.tlog.checkpoints import Checkpoint, CheckpointError, open_checkpoint, parse_checkpoint
from rako.core.tlog.notes import NoteError, NoteSigner, parse_vkey
from tests.core.tlog.stub_witness import WitnessKey

ROOT = "CsUYapGGPo4dkMgIAUqom/Xajj7h2fB2MPA3j2jxq2I="
# The specification's example, with a witness's signature below the log's.
EXAMPLE = f"example.com/behind-the-sofa\n20852163\n{ROOT}\n"
ORIGIN = "example.com/behind-the-sofa"


@pytest.fixture
def log() -> NoteSigner:
    return NoteSigner(ORIGIN, Ed25519PrivateKey.generate())


def test_the_specifications_checkpoint_is_read_and_written_alike():
    checkpoint = parse_checkpoint(EXAMPLE)

    assert (checkpoint.origin, checkpoint.size, checkpoint.root.hex()[:8]) == (ORIGIN, 20852163, "0ac5186a")
    assert checkpoint.text == EXAMPLE


def test_extension_lines_are_kept():
    text = f"{EXAMPLE}one\n two \n"

    assert parse_checkpoint(text).extensions == ("one", " two ")
    assert parse_checkpoint(text).text == text


def test_an_empty_log_has_size_0():
    assert parse_checkpoint(f"log\n0\n{ROOT}\n").size == 0


@pytest.mark.parametrize(
    "text",
    [
        "",
        "\n\n\n",
        EXAMPLE[:-1],
        f"\n{EXAMPLE}",
        f"{EXAMPLE}\n",
        f"{EXAMPLE}one\n\ntwo\n",
        f"{EXAMPLE}one",
        "log\n1\n",
        f"log\n{ROOT}\n",
        f"\n1\n{ROOT}\n",
        f"log\n\n{ROOT}\n",
        f"log\n01\n{ROOT}\n",
        f"log\n00\n{ROOT}\n",
        f"log\n-1\n{ROOT}\n",
        f"log\n+1\n{ROOT}\n",
        f"log\n1 \n{ROOT}\n",
        f"log\n 1\n{ROOT}\n",
        f"log\n1_0\n{ROOT}\n",
        f"log\n1e3\n{ROOT}\n",
        f"log\n0x1\n{ROOT}\n",
        f"log\n١\n{ROOT}\n",
        f"log\n9223372036854775808\n{ROOT}\n",
        f"log\n1\r\n{ROOT}\n",
        "log\n1\n\n",
        f"log\n1\n{ROOT[:-1]}\n",
        f"log\n1\n{ROOT[:-2]}J=\n",
        f"log\n1\n{ROOT[:-4]}\n",
        f"log\n1\n{ROOT}A\n",
        f"log\n1\n {ROOT}\n",
        f"log\n1\n{ROOT.replace('/', '_')}\n",
        f"log\n1\n{'A' * 42}==\n",
        f"log\n1\n{'A' * 88}\n",
        f"log\n1\n{'aa' * 32}\n",
    ],
)
def test_what_is_not_exactly_a_checkpoint_is_refused(text):
    with pytest.raises(CheckpointError):
        parse_checkpoint(text)


@pytest.mark.parametrize(
    "parts", [("", 0, bytes(32)), ("a\nb", 0, bytes(32)), ("a", -1, bytes(32)), ("a", 2**63, bytes(32)), ("a", 0, b"")]
)
def test_a_checkpoint_that_cannot_be_written_cannot_be_made(parts):
    with pytest.raises(CheckpointError):
        Checkpoint(*parts)


@pytest.mark.parametrize("extension", ["", "a\nb"])
def test_an_extension_is_one_line(extension):
    with pytest.raises(CheckpointError):
        Checkpoint("log", 0, bytes(32), (extension,))


def test_a_signed_checkpoint_opens(log):
    assert open_checkpoint(log.sign(EXAMPLE), [log.verifier], ORIGIN) == parse_checkpoint(EXAMPLE)


def test_a_cosigned_checkpoint_opens(log):
    witness = WitnessKey("witness.example/w1")
    note = log.sign(EXAMPLE) + witness.line(EXAMPLE)

    assert open_checkpoint(note, [log.verifier, parse_vkey(witness.vkey)], ORIGIN).size == 20852163


def test_a_checkpoint_of_another_log_is_refused(log):
    with pytest.raises(CheckpointError):
        open_checkpoint(log.sign(EXAMPLE.replace("sofa", "bed")), [log.verifier], ORIGIN)
    with pytest.raises(CheckpointError):
        open_checkpoint(log.sign(EXAMPLE), [log.verifier], "example.com/behind-the-bed")


def test_witnesses_alone_make_no_checkpoint():
    witness = WitnessKey("witness.example/w1")

    with pytest.raises(CheckpointError):
        open_checkpoint(f"{EXAMPLE}\n{witness.line(EXAMPLE)}", [parse_vkey(witness.vkey)], ORIGIN)


def test_a_checkpoint_that_nobody_trusted_signed_is_refused(log):
    with pytest.raises(NoteError, match="no trusted key"):
        open_checkpoint(NoteSigner(ORIGIN, Ed25519PrivateKey.generate()).sign(EXAMPLE), [log.verifier], ORIGIN)


def test_a_signed_text_that_is_no_checkpoint_is_refused(log):
    with pytest.raises(CheckpointError):
        open_checkpoint(log.sign(f"{ORIGIN}\n01\n{ROOT}\n"), [log.verifier], ORIGIN)
