"""Node and OpenSSL come to the same verdict on the same files, by code of their own."""

import copy

import pytest

from tests.tools import forge as f
from tests.tools.foreign import node_verdict, openssl_verifies, require
from tests.tools.test_manipulations import AUTHORITY, GOOD, MISSHAPEN, OUTSIDER

# The layers Node checks too: signatures, inclusion, commitments, the chain. The rest is the first verifier's alone.
SHARED = (
    "payload of the code",
    "signature of the code",
    "another genuine code",
    "nonce of a body",
    "index of a neighbour",
    "path too short",
    "path too long",
    "signature of the checkpoint",
    "checkpoint signed by another key",
    "a false signature beside the true one",
    "signature of a receipt",
    "receipt of another entry",
    "opening of the other party",
    "entry left out in the middle",
)


@pytest.mark.parametrize("party", ["merchant", "agent"])
def test_node_agrees_that_a_good_proof_holds(tmp_path, party):
    path = f.forge(party=party).save(tmp_path / "proof.json")

    assert node_verdict(path) == (0, "holds: 4 entries of a ledger of 20\n")


@pytest.mark.parametrize("name", SHARED)
def test_node_agrees_that_a_bent_proof_does_not_hold(tmp_path, name):
    file = copy.deepcopy(GOOD)
    OUTSIDER[name][0](file)

    assert node_verdict(f.Forged(file).save(tmp_path / "proof.json"))[0] == 3


@pytest.mark.parametrize("name", ["broken chain", "gap in the numbers", "another code"])
def test_node_agrees_that_the_authority_went_wrong(tmp_path, name):
    path = f.forge(AUTHORITY[name][0]).save(tmp_path / "proof.json")

    assert node_verdict(path)[0] == 3


@pytest.mark.parametrize("name", ["unknown format", "body in no base64", "key id of another key"])
def test_node_agrees_that_a_misshapen_file_is_unreadable(tmp_path, name):
    file = copy.deepcopy(GOOD)
    MISSHAPEN[name](file)

    assert node_verdict(f.Forged(file).save(tmp_path / "proof.json"))[0] == 1


def test_openssl_accepts_checkpoint_and_receipts():
    assert openssl_verifies(GOOD["checkpoint"], f.LOG.vkey)
    assert all(openssl_verifies(entry["receipt"], f.RECEIPT.vkey) for entry in GOOD["entries"])


@pytest.mark.parametrize(
    "note",
    [
        GOOD["checkpoint"].replace("\n20\n", "\n21\n"),
        f.Signer(f.ORIGIN, "alien").note("x\n"),
        GOOD["entries"][0]["receipt"],
    ],
    ids=["changed", "of another key", "of another name"],
)
def test_openssl_refuses_other_notes(note):
    assert not openssl_verifies(note, f.LOG.vkey)


@pytest.mark.parametrize(("required", "outcome"), [("", pytest.skip.Exception), ("all", pytest.fail.Exception)])
def test_a_missing_program_is_told_loudly(monkeypatch, required, outcome):
    monkeypatch.setenv("RAKO_TEST_REQUIRE", required)

    with pytest.raises(outcome, match="no-such-program IS NOT INSTALLED"):
        require("no-such-program")
