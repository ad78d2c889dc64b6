"""The stand-alone verifier as a merchant runs it: on good proofs, with its options, and on files that are none."""

import ast
import json
import os
import subprocess
import sys

import pytest

from tests.tools import forge as f
from tests.tools.conftest import SCRIPT, VERIFIER


def run(*words: object) -> subprocess.CompletedProcess[str]:
    """In a clean environment, isolated from ours: what a stranger's machine would do."""
    command = [sys.executable, "-I", str(SCRIPT), *map(str, words)]
    environment = {"PATH": os.environ["PATH"]}
    return subprocess.run(
        command, env=environment, cwd="/", capture_output=True, encoding="utf-8", timeout=60, check=False
    )


@pytest.fixture
def proof(tmp_path):
    return f.forge().save(tmp_path / "good.json")


@pytest.fixture
def save(tmp_path):
    """Writes what an option points at."""

    def write(name, content):
        path = tmp_path / name
        path.write_bytes(content if isinstance(content, bytes) else content.encode())
        return path

    return write


def pins(save):
    return ["--log-key", f.LOG.vkey, "--receipt-key", f.RECEIPT.vkey, "--code-key", save("code.pem", f.CODE.pem)]


@pytest.mark.parametrize("party", ["merchant", "agent"])
def test_a_good_proof_is_proven_on_a_strangers_machine(tmp_path, party):
    done = run(f.forge(party=party).save(tmp_path / "good.json"))

    assert (done.returncode, done.stderr) == (0, "")
    assert "\nPROVEN\n" in done.stdout


def test_the_summary_says_what_a_newcomer_asks(proof):
    said = run(proof).stdout

    for words in (
        "Côte Mobile, Plan 20 GB, at 12 GBP",
        "12.00 GBP by aap_flow",
        "Verified as            reconciled",
        "8.00 GBP: 6.40 GBP builder payout and 1.60 GBP network fee",
        "validated, by the last entry shown",
        "at index 7 of a ledger of 20 entries",
        "merchant_receivable debit 8.00 GBP; builder_payable credit 6.40 GBP; fee_revenue credit 1.60 GBP",
        "Sealed order_reference ORD-1",
        "Not proven: that the sale was truly as recorded",
    ):
        assert words in said


def test_a_failed_check_is_named_and_nothing_after_it_is_claimed(tmp_path):
    forged = f.forge(lambda bodies: bodies[1]["facts"]["commission"].update(gross_minor=900))

    done = run(forged.save(tmp_path / "bad.json"))

    assert done.returncode == 3
    assert "NOT PROVEN: the check 'commission' failed: gross_minor was recorded as 900, but the signed" in done.stdout
    assert "not reached  postings" in done.stdout
    assert "\nPROVEN" not in done.stdout


def test_no_arguments_is_wrong_usage():
    assert run().returncode == 2


@pytest.mark.parametrize("words", [["--log-key", "nonsense"], ["--consistency", "c.json"], ["--no-such-option"]])
def test_wrong_options_are_wrong_usage(proof, words):
    assert run(proof, *words).returncode == 2


def test_a_missing_file_is_unreadable(tmp_path):
    done = run(tmp_path / "none.json")

    assert (done.returncode, "Traceback" in done.stderr) == (1, False)
    assert done.stderr.startswith("CANNOT READ: ")


def test_keys_of_the_file_are_warned_of_in_one_line(proof):
    [line] = [line for line in run(proof).stdout.splitlines() if line.startswith("WARNING")]

    for words in ("THE KEYS CAME WITH THE FILE", "/v1/ledger/keys", "/.well-known/jwks.json", "--log-key"):
        assert words in line


def test_pinned_keys_need_no_warning(proof, save):
    done = run(proof, *pins(save))

    assert (done.returncode, "WARNING" in done.stdout) == (0, False)


def test_a_saved_key_set_pins_the_code_keys(verdict, save):
    keys = [{"kty": "OKP", "crv": "Ed25519", "kid": "2026", "x": f.b64url(f.CODE.raw)}]

    assert verdict(f.forge().file, "--code-key", save("jwks.json", json.dumps({"keys": keys}))) == (0, None)


IMPOSTOR = f.Signer("impostor", "impostor")


@pytest.mark.parametrize(
    ("option", "key", "check"),
    [
        ("--log-key", f.Signer(f.ORIGIN, "impostor").vkey, "checkpoint"),
        ("--log-key", f.RECEIPT.vkey, "checkpoint"),
        ("--receipt-key", f.Signer(f.RECEIPT.name, "impostor").vkey, "receipts"),
        ("--code-key", IMPOSTOR.pem, "code"),
        ("--code-key", json.dumps({"keys": [{"crv": "Ed25519", "x": f.b64url(IMPOSTOR.raw)}]}), "code"),
        ("--code-key", json.dumps({"keys": []}), "code"),
    ],
)
def test_a_pinned_key_outranks_the_files_own(verdict, save, option, key, check):
    value = save("pinned", key) if option == "--code-key" else key

    assert verdict(f.forge().file, option, value) == (3, check)


def test_one_of_several_pinned_keys_suffices(verdict, save):
    other = f.Signer(f.ORIGIN, "last year").vkey

    assert verdict(f.forge().file, "--log-key", other, *pins(save)) == (0, None)


def test_signatures_of_witnesses_are_passed_over(verdict):
    file = f.forge().file
    file["checkpoint"] += f"— witness.example/w1 {f.b64(bytes(76))}\n"

    assert verdict(file) == (0, None)


# --- Evidence and outside checkpoints


def test_the_evidence_behind_the_sale_is_recognised(verdict, save):
    assert verdict(f.forge().file, "--evidence", save("evidence", f.EVIDENCE)) == (0, None)


def test_other_evidence_is_refused(verdict, save):
    assert verdict(f.forge().file, "--evidence", save("evidence", f.EVIDENCE + b"\n")) == (3, "evidence")


def test_the_same_checkpoint_from_elsewhere_agrees(verdict, save):
    forged = f.forge()

    assert verdict(forged.file, "--checkpoint", save("note", forged.checkpoint(f.SIZE))) == (0, None)


def test_another_root_of_the_same_size_is_a_fork(verdict, save):
    fork = f.forge(lambda bodies: bodies[1].update(nonce="0" * 32))

    assert verdict(f.forge().file, "--checkpoint", save("note", fork.checkpoint(f.SIZE))) == (3, "outside")


def test_an_outside_checkpoint_must_be_the_ledgers(verdict, save):
    forged = f.forge()
    note = forged.checkpoint(f.SIZE, f.Signer(f.ORIGIN, "impostor"))

    assert verdict(forged.file, "--checkpoint", save("note", note)) == (3, "outside")


def test_another_size_needs_a_consistency_proof_and_says_which(tmp_path, save):
    forged = f.forge()

    done = run(forged.save(tmp_path / "good.json"), "--checkpoint", save("note", forged.checkpoint(16)))

    assert done.returncode == 3
    assert "needs a consistency proof; fetch /v1/ledger/consistency?from=16&to=20" in done.stdout


@pytest.mark.parametrize("size", range(1, 41))
def test_ledgers_that_grew_into_one_another_agree(verdict, save, size):
    grown = f.forge(size=40)
    file = f.forge().file | {"checkpoint": grown.checkpoint(20)}
    for shown in file["entries"]:
        shown["inclusion"] = [f.b64(step) for step in f.inclusion(shown["index"], grown.leaves[:20])]
    words = ["--checkpoint", save("note", grown.checkpoint(size))]
    path = save("path", json.dumps(grown.consistency(*sorted((size, 20)))))

    assert verdict(file, *words, "--consistency", path) == (0, None)


@pytest.mark.parametrize("size", [3, 8, 16, 19, 33, 40])
def test_a_ledger_that_was_rewritten_does_not(verdict, save, size):
    honest, rewritten = f.forge(size=40), f.forge(lambda bodies: bodies[1].update(nonce="0" * 32), size=40)
    rewritten.leaves[0] = bytes(32)
    words = ["--checkpoint", save("note", rewritten.checkpoint(size))]
    path = save("path", json.dumps(honest.consistency(*sorted((size, 20)))))

    assert verdict(f.forge().file, *words, "--consistency", path) == (3, "outside")


@pytest.mark.parametrize("change", [{"path": []}, {"from": 15}, {"to": 21}, {"extra": 1}, {"path": ["AAAA"]}])
def test_a_bent_consistency_proof_does_not_pass(verdict, save, change):
    forged = f.forge()
    words = ["--checkpoint", save("note", forged.checkpoint(16))]

    code, _ = verdict(
        forged.file, *words, "--consistency", save("path", json.dumps(forged.consistency(16, 20) | change))
    )

    assert code == (1 if change == {"extra": 1} or change.get("path") else 3)


def test_inclusion_and_consistency_agree_with_naive_trees_of_every_size():
    leaves = [f.sha256(b"%d" % place) for place in range(34)]
    for size in range(1, 34):
        tree = f.root_of(leaves[:size])
        for place in range(size):
            path = f.inclusion(place, leaves[:size])
            assert VERIFIER.inclusion_root(leaves[place], place, size, path) == tree
            assert VERIFIER.inclusion_root(leaves[place], place, size, [*path, tree]) != tree
            assert size == 1 or VERIFIER.inclusion_root(leaves[place], place, size, path[:-1]) != tree
            older = (place + 1, f.root_of(leaves[: place + 1]))
            between = f.consistency(place + 1, leaves[: size + 1])
            assert VERIFIER.is_consistent(older, (size + 1, f.root_of(leaves[: size + 1])), between)


# --- Commission


@pytest.mark.parametrize(
    ("com", "value", "path", "gross", "amount", "fee"),
    [
        ({"type": "cpa", "value": 8}, 1200, "aap_flow", 800, 800, 160),
        ({"type": "cpa", "value": 8}, 1200, "tracked_link", 800, 600, 120),
        ({"type": "cpa", "value": 8}, 1200, "extension", 800, 600, 120),
        ({"type": "cpa", "value": 8}, 1200, "influence", 800, 400, 80),
        ({"type": "cpa", "value": 3.5}, 0, "aap_flow", 350, 350, 70),
        ({"type": "percentage", "value": 5}, 18900, "aap_flow", 945, 945, 189),
        ({"type": "percentage", "value": 5}, 44900, "aap_flow", 2245, 2245, 449),
        ({"type": "percentage", "value": 2.5}, 100, "aap_flow", 3, 3, 1),  # halves go up, at each step
        ({"type": "hybrid", "value": 3, "min": 15}, 48732, "tracked_link", 2962, 2222, 444),
    ],
)
def test_the_protocols_commissions_are_recomputed(verdict, com, value, path, gross, amount, fee):
    """Protocol, section 4: the published vectors."""

    def sell(bodies):
        parts = {"type": com["type"], "gross_minor": gross, "path_multiplier": VERIFIER.MULTIPLIERS[path]}
        facts = bodies[1]["facts"]
        facts |= {"transaction_value_minor": value, "attribution_path": path}
        facts["commission"] |= parts | f.split(amount, fee)
        bodies[1]["postings"] = f.postings(amount, fee)
        del bodies[2:]

    assert verdict(f.forge(sell, terms=f.payload(com=com)).file) == (0, None)


@pytest.mark.parametrize(
    ("com", "check"),
    [
        ('{"type":"cpa","value":1e400}', "commission"),
        ('{"type":"cpa","value":1e-400}', "commission"),
        ('{"type":"cpa","value":-1}', "commission"),
        ('{"type":"cpa","value":8.001}', "commission"),
        ('{"type":"cpa","value":1e999999999999999999999}', "code"),
        ('{"type":"cpa","value":NaN}', "code"),
        ('{"type":"cpa","value":"8"}', "code"),
        ('{"type":"cpa","value":true}', "code"),
        ('{"type":"cpa","value":8,"value":8}', "code"),
        ('{"type":"cpa","value":8,"min":1}', "code"),
        ('{"type":"hybrid","value":8}', "code"),
        ('{"type":"gift","value":8}', "code"),
        ('"8.00"', "code"),
    ],
)
def test_absurd_terms_earn_nothing_even_if_signed_and_recorded(verdict, com, check):
    raw = f.compact(f.payload()).replace(b'{"type":"cpa","value":8}', com.encode())

    assert verdict(f.forge(terms=raw).file) == (3, check)


@pytest.mark.parametrize(
    "raw",
    [
        b"{}",
        b"8",
        b"\xff",
        f.compact(f.payload(v=2)),
        f.compact(f.payload(iss="rako.io")),
        f.compact(f.payload(cur="XXX")),
        f.compact(f.payload(iat="now")),
        f.compact(f.payload(note="x")),
        f.compact(dict(reversed(f.payload().items()))),
    ],
    ids=lambda raw: repr(raw[:12]),
)
def test_another_payload_is_no_offer_even_if_signed(verdict, raw):
    assert verdict(f.forge(terms=raw).file) == (3, "code")


@pytest.mark.parametrize(
    "text",
    ["rako.sh/other\n20\n{root}\n", "rako.sh/ledger\n020\n{root}\n", "rako.sh/ledger\n0\n{root}\n", "rako.sh/ledger\n"],
)
def test_another_text_is_no_checkpoint_even_if_signed(verdict, text):
    forged = f.forge()
    note = f.LOG.note(text.format(root=f.b64(f.root_of(forged.leaves))))

    assert verdict(forged.file | {"checkpoint": note}) == (3, "checkpoint")


def test_further_lines_of_a_checkpoint_are_extensions(verdict):
    forged = f.forge()
    note = f.LOG.note(f"{f.ORIGIN}\n20\n{f.b64(f.root_of(forged.leaves))}\nmore to come\n")

    assert verdict(forged.file | {"checkpoint": note}) == (0, None)


def test_a_fee_of_nothing_may_be_left_out_of_the_postings(verdict):
    def waive(bodies):
        bodies[1]["facts"]["commission"] |= f.split(800, 0)
        bodies[3]["facts"]["retained"] |= f.split(800, 0)
        bodies[1]["facts"]["commission"]["fee_rate"] = "0.0000"
        bodies[1]["postings"] = f.postings(800, 0)[:2]

    assert verdict(f.forge(waive).file) == (0, None)


def test_attached_evidence_may_say_what_is_left(verdict):
    said = {"status_before": "pending_validation", "retained": f.split(800, 160)}

    assert verdict(f.forge(lambda bodies: bodies[2]["facts"].update(said)).file) == (0, None)


def test_a_refund_leaves_what_it_says(tmp_path):
    def refund(bodies):
        bodies[3]["kind"] = "conversion.refunded"
        bodies[3]["facts"] |= {"status": "clawed_back", "retained": f.split(0, 0)}
        bodies[3]["postings"] = f.postings(-800, -160)

    said = run(f.forge(refund).save(tmp_path / "refunded.json")).stdout

    assert "Left of it             0.00 GBP" in said
    assert "Postings sum up to     zero in every account" in said


# --- Files that are no proofs


@pytest.mark.parametrize(
    "raw",
    [
        b"",
        b"[]",
        b"null",
        b"{",
        b"\xff",
        b"\xef\xbb\xbf{}",
        b'{"format":"rako-conversion-proof@v2"}',
        b'{"format":1}',
        b"[" * 200_000,
        b'{"format":NaN}',
        b'{"a":1,"a":2}',
        b'{"a":' + b"9" * 5000 + b"}",
        b'{"a":"\\ud800"}',
    ],
    ids=lambda raw: repr(raw[:12]),
)
def test_what_is_no_proof_is_unreadable(verdict, raw):
    assert verdict(raw)[0] == 1


def test_a_good_proof_beyond_all_size_is_not_read(verdict):
    raw = json.dumps(f.forge().file).encode()

    assert verdict(raw + b" " * VERIFIER.MAX_BYTES)[0] == 1


def test_a_key_twice_in_the_file_is_unreadable(verdict):
    raw = json.dumps(f.forge().file).encode()

    assert verdict(raw[:-1] + b', "party": "merchant"}')[0] == 1


def test_nothing_in_the_file_can_drive_the_terminal(tmp_path):
    forged = f.forge(terms=f.payload(pro="\x1b[2K\rEvil\u202e", prd="line\nPROVEN"))

    done = run(forged.save(tmp_path / "odd.json"))

    assert done.returncode == 0
    assert "?[2K?Evil?, line?PROVEN" in done.stdout


# --- The file itself


def test_the_verifier_is_one_file_for_python_3_9_with_one_package():
    tree = ast.parse(SCRIPT.read_text(), feature_version=(3, 9))
    names = {alias.name for node in ast.walk(tree) if isinstance(node, ast.Import) for alias in node.names}
    names |= {str(node.module) for node in ast.walk(tree) if isinstance(node, ast.ImportFrom) and not node.level}

    foreign = {name.split(".")[0] for name in names} - set(sys.stdlib_module_names)

    assert foreign == {"cryptography"}
