import pytest
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

from rako.core.tlog.checkpoints import CheckpointError, parse_checkpoint
from rako.core.tlog.notes import NoteSigner, open_note
from rako.core.tlog.receipts import receipt_name, receipt_text

ENTRY = "01J8XKZ5W3T9Q4N7R2M6V8B0CD"
TIME = "2026-11-22T10:00:00.123Z"


def test_a_receipt_says_which_entry_was_recorded_when():
    text = receipt_text("rako.sh/ledger", ENTRY, bytes(32), TIME)

    assert text == f"rako.sh/ledger/receipt\n{ENTRY}\nAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA=\n{TIME}\n"


def test_a_signed_receipt_opens_to_its_text():
    signer = NoteSigner(receipt_name("rako.sh/ledger"), Ed25519PrivateKey.generate())
    text = receipt_text("rako.sh/ledger", ENTRY, bytes(32), TIME)

    assert open_note(signer.sign(text), [signer.verifier]).text == text


def test_a_receipt_cannot_pass_as_a_checkpoint():
    with pytest.raises(CheckpointError):
        parse_checkpoint(receipt_text("rako.sh/ledger", ENTRY, bytes(32), TIME))


@pytest.mark.parametrize(
    "parts",
    [
        ("", "", bytes(32), TIME),
        ("log", f"{ENTRY}\nmore", bytes(32), TIME),
        ("log", ENTRY, bytes(31), TIME),
        ("log", ENTRY, bytes(32), ""),
        ("log\nother", ENTRY, bytes(32), TIME),
    ],
)
def test_a_receipt_has_four_whole_lines(parts):
    with pytest.raises(ValueError, match="parts of a receipt"):
        receipt_text(*parts)
