"""manage.py verify_ledger: what it takes, says and ends with."""

import json

import pytest
from django.core.management import CommandError, call_command
from django.db import connection

from ledger.models import Head, Verification
from tests.ledger.tampering import as_superuser, log, rows, sequence, signer, tell_small

__all__ = ["log", "signer"]


@pytest.fixture
def verify(signer, capsys):
    """Runs the command; gives its exit code and the lines it printed."""

    def run(*arguments):
        code = 0
        try:
            call_command("verify_ledger", *arguments)
        except SystemExit as stop:
            code = stop.code
        return code, capsys.readouterr().out.splitlines()

    return run


def tamper(first=100):
    late = f"(SELECT entry_id FROM ledger_leaf WHERE index >= {first})"
    as_superuser(f"UPDATE ledger_opening SET content = '{{}}' WHERE entry_id IN {late}")


def test_a_sound_ledger_is_said_to_be(verify):
    (entries,) = rows("SELECT count(*) FROM ledger_entry")[0]

    code, lines = verify()

    assert code == 0
    assert lines == [
        f"ledger sound: {entries} entries, 3 conversions, guards in place; 1 state of the signer; 5 checkpoints"
    ]


def test_the_last_line_names_the_first_bad_entry(verify):
    tamper()
    (entry_id,) = rows(
        "SELECT entry_id FROM ledger_entry WHERE id = (SELECT entry_id FROM ledger_leaf WHERE index = 100)"
    )[0]

    code, lines = verify()

    assert code == 3
    assert len(lines) == 20 + 2
    assert lines[-1].startswith("ledger TAMPERED WITH: ")
    assert lines[-1].endswith(f"the first is V8 {entry_id} (index 100): an opening is not what the body has sealed")


def test_a_program_is_told_in_json(verify):
    sound = json.loads(verify("--json")[1][0])
    tamper()
    code, lines = verify("--json")
    bad = json.loads(lines[0])

    assert (sound["sound"], sound["count"], sound["first"], sound["findings"]) == (True, 0, None, [])
    assert (code, bad["sound"], bad["mode"], bad["first"]["index"]) == (3, False, "full", 100)
    assert bad["count"] == len(bad["findings"]) > 100


def test_since_looks_only_at_what_came_after(verify):
    size = Head.objects.order_by("-size").values_list("size", flat=True)[1]
    tamper()

    code, lines = verify("--since", str(size), "--json")
    told = json.loads(lines[0])

    assert code == 3
    assert told["first"]["index"] == size
    assert told["checked"]["leaves"] == told["checked"]["size"] - size


def test_since_does_not_find_what_came_before(verify):
    as_superuser("UPDATE ledger_opening SET content = '{}' WHERE entry_id = (SELECT min(id) FROM ledger_entry)")

    assert verify("--since", "100")[0] == 0
    assert verify()[0] == 3


@pytest.mark.parametrize("size", [1, 255, 256, 257])
def test_since_goes_on_from_any_size(verify, size):
    assert verify("--since", str(size))[0] == 0


def test_since_finds_that_the_log_is_shorter(verify):
    code, lines = verify("--since", "100000")

    assert code == 3
    assert "V1 size 100000" in lines[-1]


def test_a_sample_is_proven_against_the_newest_checkpoint(verify):
    code, lines = verify("--sample", "50", "--json")

    told = json.loads(lines[0])
    assert (code, told["mode"], told["checked"]["leaves"]) == (0, "sample", 50)


@pytest.mark.parametrize(
    "tampering",
    [
        "UPDATE ledger_tile SET hashes = sha256(hashes)",
        "UPDATE ledger_leaf SET leaf_hash = sha256(leaf_hash)",
        "UPDATE ledger_checkpoint SET note = replace(note, E'\\n\\n', E'\\nmore\\n\\n')",
        "DELETE FROM ledger_leaf WHERE index % 2 = 0",
    ],
)
def test_a_sample_finds_widespread_damage(verify, tampering):
    as_superuser(tampering)

    assert verify("--sample", "100")[0] == 3


def test_checkpoints_are_taken_from_a_file(verify, tmp_path):
    kept = tmp_path / "kept.txt"
    kept.write_text("".join(f"{note}\n" for (note,) in rows("SELECT note FROM ledger_checkpoint ORDER BY size")))

    code, lines = verify("--checkpoint", str(kept))

    assert code == 0
    assert "; 5 checkpoints from outside" in lines[-1]


@pytest.mark.parametrize("content", [b"", b"nothing\n", b"a\n\nb\n", b"\xff\xfe", None])
def test_a_checkpoint_that_cannot_be_read_is_no_verdict(signer, tmp_path, content):
    file = tmp_path / "kept.txt"
    if content is not None:
        file.write_bytes(content)

    with pytest.raises(CommandError, match="could not finish") as error:
        call_command("verify_ledger", "--checkpoint", str(file))

    assert error.value.returncode == 1


def test_a_run_is_kept(verify):
    verify()
    tamper()
    verify("--since", "50")

    kept = Verification.objects.order_by("pk").values_list("mode", "is_sound")
    assert list(kept) == [("full", True), ("since", False)]


def test_who_may_only_read_may_verify(verify):
    with connection.cursor() as cursor:
        cursor.execute("CREATE ROLE ledger_auditor; GRANT SELECT ON ALL TABLES IN SCHEMA public TO ledger_auditor")
        cursor.execute("SET LOCAL ROLE ledger_auditor")

    code, lines = verify()

    assert (code, lines[-1][:12]) == (0, "ledger sound")
    assert not Verification.objects.exists()


def test_entries_that_wait_for_the_sequencer_are_checked_too(verify):
    tell_small(range(3))
    assert verify()[0] == 0

    as_superuser("UPDATE ledger_opening SET content = '{}' WHERE entry_id = (SELECT max(id) FROM ledger_entry)")
    assert verify()[0] == 3

    sequence()
    assert verify()[0] == 3
