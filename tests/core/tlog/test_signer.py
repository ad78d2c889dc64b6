"""The signer never contradicts itself, whatever the database, the disk or the clock does around it."""

import json
import os
import stat
import subprocess
import sys
import threading
from pathlib import Path

import pytest

from rako.core.tlog.checkpoints import Checkpoint, CheckpointError, open_checkpoint, parse_checkpoint
from rako.core.tlog.notes import NoteSigner, note_text, parse_vkey
from rako.core.tlog.signer import Refused, Signer
from rako.core.tlog.tree import EMPTY_ROOT
from tests.core.tlog.racing_signer import ORIGIN, SHARED, branch
from tests.core.tlog.stored_log import DEPTH, StoredLog, make_leaves

LOG = StoredLog(make_leaves(60))
FORK = StoredLog(make_leaves(10) + make_leaves(50, branch="fork"))
DYING_SIGNER = """
import os, sys
from pathlib import Path
from rako.core.tlog import signer, signer_state
folder, moment, origin, size, root, old_size, *path = sys.argv[1:]
owner, name = {
    "before the state": (signer, "write_state"),
    "before the rename": (Path, "rename"),
    "after the rename": (signer_state, "sync_folder"),
    "before the answer": (signer.NoteSigner, "sign"),
}[moment]
setattr(owner, name, lambda *args: os._exit(9))
path = [bytes.fromhex(node) for node in path]
signer.Signer(Path(folder), origin).sign(int(size), bytes.fromhex(root), path, old_size=int(old_size))
"""


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    return tmp_path / "signer"


@pytest.fixture
def signer(folder: Path) -> Signer:
    return Signer.create(folder, ORIGIN)


def extend(signer: Signer, size: int, *, log: StoredLog = LOG) -> str:
    old = signer.last[0]
    return signer.sign(size, log.tree(size).root(), log.tree(size).consistency(old), old_size=old)


def reason(signer: Signer, size: int, root: bytes, path: list[bytes], old_size: int) -> tuple[str, int | None]:
    with pytest.raises(Refused) as refused:
        signer.sign(size, root, path, old_size=old_size)
    return refused.value.reason, refused.value.size


def test_a_new_signer_starts_with_an_empty_log(signer):
    assert signer.last == (0, EMPTY_ROOT)
    assert parse_vkey(signer.vkey).name == ORIGIN


def test_a_growing_log_is_signed(signer):
    for size in (1, 2, 7, 8, 40, 60):
        note = extend(signer, size)

        checkpoint = Checkpoint(ORIGIN, size, LOG.tree(size).root())
        assert open_checkpoint(note, [parse_vkey(signer.vkey)], ORIGIN) == checkpoint
        assert signer.last == (size, checkpoint.root)


def test_another_process_goes_on_where_the_last_one_stopped(signer, folder):
    extend(signer, 7)

    other = Signer(folder, ORIGIN)

    assert (other.vkey, other.last) == (signer.vkey, signer.last)
    extend(other, 9)
    assert signer.last[0] == 9


def test_the_empty_log_can_be_signed(signer):
    assert parse_checkpoint(note_text(signer.sign(0, EMPTY_ROOT, [], old_size=0))).size == 0


@pytest.mark.parametrize("old_size", [0, 7, 20, 99])
def test_the_same_checkpoint_again_gives_the_same_bytes(signer, old_size):
    extend(signer, 7)
    note = extend(signer, 20)

    assert signer.sign(20, LOG.tree(20).root(), [], old_size=old_size) == note


# What is asked for when size 20 was signed last: (size, log, proof from, old_size) -> the refusal.
REFUSALS = {
    "smaller": ((10, LOG, None, 20), "shrunk"),
    "nothing": ((0, LOG, None, 20), "shrunk"),
    "same size, other root": ((20, FORK, None, 20), "fork"),
    "same size, other root, old proof": ((20, FORK, 5, 5), "fork"),
    "larger, other history": ((30, FORK, 20, 20), "inconsistent"),
    "larger, without proof": ((30, LOG, None, 20), "inconsistent"),
    "larger, proof from elsewhere": ((30, LOG, 19, 20), "inconsistent"),
    "larger, proof of another size": ((30, LOG, 21, 20), "inconsistent"),
    "stale old size": ((30, LOG, 10, 10), "stale"),
    "old size ahead": ((30, LOG, 25, 25), "stale"),
    "as if it were new": ((30, LOG, None, 0), "stale"),
    "an old request again": ((7, LOG, None, 0), "stale"),
}


@pytest.mark.parametrize("case", REFUSALS)
def test_what_contradicts_the_last_checkpoint_is_refused(signer, folder, case):
    extend(signer, 7)
    note = extend(signer, 20)
    before = (folder / "state.json").read_bytes()
    (size, log, since, old_size), expected = REFUSALS[case]
    path = [] if since is None else LOG.tree(30).consistency(since)

    assert reason(signer, size, log.tree(size).root(), path, old_size) == (expected, 20)
    assert (folder / "state.json").read_bytes() == before
    assert signer.sign(20, LOG.tree(20).root(), [], old_size=20) == note


def test_the_first_checkpoint_needs_no_proof_and_takes_none(signer):
    assert reason(signer, 5, LOG.tree(5).root(), LOG.tree(5).consistency(3), 0) == ("inconsistent", 0)
    assert reason(signer, 0, bytes(32), [], 0) == ("fork", 0)
    assert signer.sign(5, LOG.tree(5).root(), [], old_size=0)


@pytest.mark.parametrize(("size", "root"), [(-1, bytes(32)), (5, bytes(31)), (2**63, bytes(32))])
def test_what_is_no_checkpoint_is_not_signed(signer, size, root):
    with pytest.raises(CheckpointError):
        signer.sign(size, root, [], old_size=0)


def test_a_lost_state_is_not_made_up(signer, folder):
    extend(signer, 20)
    (folder / "state.json").unlink()

    for other in (signer, Signer(folder, ORIGIN)):
        assert reason(other, 21, LOG.tree(21).root(), LOG.tree(21).consistency(20), 20) == ("lost_state", None)
        with pytest.raises(Refused, match="lost_state"):
            _ = other.last
    with pytest.raises(FileExistsError):
        Signer.create(folder, ORIGIN)
    assert not (folder / "state.json").exists()


GOOD = {"origin": ORIGIN, "size": 0, "root": "47DEQpj8HBSa+/TImW+5JCeuQeRkm5NMpJWZG3hSuFU="}


@pytest.mark.parametrize(
    "content",
    [
        "",
        "\0" * 100,
        "{",
        "[]",
        "[[]]",
        "null",
        "5",
        json.dumps(GOOD)[:-1],
        json.dumps(GOOD | {"size": -1}),
        json.dumps(GOOD | {"size": "0"}),
        json.dumps(GOOD | {"size": 0.0}),
        json.dumps(GOOD | {"size": True}),
        json.dumps(GOOD | {"size": None}),
        json.dumps(GOOD | {"size": 2**63}),
        json.dumps(GOOD | {"root": "47DEQpj8HBSa"}),
        json.dumps(GOOD | {"root": None}),
        json.dumps(GOOD | {"root": "A" * 43 + "="}),
        json.dumps(GOOD | {"origin": ""}),
        json.dumps(GOOD | {"origin": 5}),
        json.dumps(GOOD | {"extra": 1}),
        json.dumps({"size": 0, "root": GOOD["root"]}),
    ],
)
def test_a_corrupt_state_is_refused(signer, folder, content):
    (folder / "state.json").write_text(content)

    assert reason(signer, 1, LOG.tree(1).root(), [], 0) == ("corrupt_state", None)
    assert (folder / "state.json").read_text() == content


def test_the_state_is_readable_json(signer, folder):
    assert json.loads((folder / "state.json").read_text()) == GOOD


def test_a_folder_of_another_log_is_refused(signer, folder):
    assert reason(Signer(folder, "other.example/log"), 1, LOG.tree(1).root(), [], 0) == ("wrong_origin", None)


def test_a_key_is_never_replaced(signer, folder):
    key = (folder / "key").read_bytes()

    with pytest.raises(FileExistsError):
        Signer.create(folder, ORIGIN)

    assert (folder / "key").read_bytes() == key


def test_a_lost_key_is_not_made_up(signer, folder):
    extend(signer, 20)
    (folder / "key").unlink()

    with pytest.raises(FileNotFoundError):
        Signer(folder, ORIGIN)
    with pytest.raises(FileExistsError):
        Signer.create(folder, ORIGIN)


def test_a_folder_without_a_signer_is_left_alone(tmp_path):
    with pytest.raises(FileNotFoundError):
        Signer(tmp_path, ORIGIN)

    assert list(tmp_path.iterdir()) == []


def test_only_the_owner_may_look(signer, folder):
    extend(signer, 3)

    assert stat.S_IMODE(folder.stat().st_mode) == 0o700
    assert {path.name: stat.S_IMODE(path.stat().st_mode) for path in folder.iterdir()} == {
        "key": 0o600,
        "state.json": 0o600,
        "lock": 0o600,
    }


def test_a_folder_that_was_open_to_others_is_closed(folder):
    folder.mkdir(mode=0o755)

    Signer.create(folder, ORIGIN)

    assert stat.S_IMODE(folder.stat().st_mode) == 0o700


def test_the_state_is_on_the_disk_before_the_answer(signer, monkeypatch):
    steps = []
    fsync, rename, sign = os.fsync, Path.rename, NoteSigner.sign
    kind = {True: "fsync folder", False: "fsync file"}
    monkeypatch.setattr(os, "fsync", lambda fd: (steps.append(kind[stat.S_ISDIR(os.fstat(fd).st_mode)]), fsync(fd))[1])
    monkeypatch.setattr(Path, "rename", lambda path, to: (steps.append("rename"), rename(path, to))[1])
    monkeypatch.setattr(NoteSigner, "sign", lambda notes, text: (steps.append("sign"), sign(notes, text))[1])

    extend(signer, 20)
    signer.sign(20, LOG.tree(20).root(), [], old_size=0)

    assert steps[:3] == ["fsync file", "rename", "fsync folder"]
    assert steps[-2:] == ["fsync folder", "sign"]
    assert steps.count("sign") == 2


@pytest.mark.parametrize(
    ("moment", "remembered"),
    [("before the state", 7), ("before the rename", 7), ("after the rename", 20), ("before the answer", 20)],
)
def test_a_signer_killed_at_any_step_answers_the_retry_with_the_same_bytes(signer, folder, moment, remembered):
    extend(signer, 7)
    root, path = LOG.tree(20).root(), LOG.tree(20).consistency(7)
    arguments = [folder, moment, ORIGIN, 20, root.hex(), 7, *(node.hex() for node in path)]

    killed = subprocess.run([sys.executable, "-c", DYING_SIGNER, *map(str, arguments)], check=False)

    assert (killed.returncode, signer.last[0]) == (9, remembered)
    retried = signer.sign(20, root, path, old_size=7)
    assert note_text(retried) == Checkpoint(ORIGIN, 20, root).text
    assert signer.sign(20, root, path, old_size=7) == Signer(folder, ORIGIN).sign(20, root, [], old_size=20) == retried


def test_a_full_disk_leaves_the_last_state(signer, monkeypatch):
    extend(signer, 7)

    def full(descriptor: int) -> None:
        raise OSError(28, "No space left on device")

    with monkeypatch.context() as patch:
        patch.setattr(os, "fsync", full)
        with pytest.raises(OSError, match="No space"):
            extend(signer, 20)

    assert signer.last == (7, LOG.tree(7).root())
    assert extend(signer, 20)


def test_processes_that_sign_at_once_never_fork(signer, folder):
    limit = SHARED + 30 * DEPTH
    runs = [
        subprocess.Popen(
            [sys.executable, "-m", "tests.core.tlog.racing_signer", folder, name, str(limit), str(seed)],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
        )
        for seed, name in enumerate(["one", "two", "one", "two"])
    ]
    for run in runs:
        assert run.stdout.readline() == "ready\n"
    notes = [json.loads(run.communicate("go\n")[0]) for run in runs]

    heads = [open_checkpoint(note, [parse_vkey(signer.vkey)], ORIGIN) for signed in notes for note in signed]
    branches = {name: branch(name, limit) for name in ("one", "two")}
    held = [name for name, log in branches.items() if all(log.tree(head.size).root() == head.root for head in heads)]
    assert [run.returncode for run in runs] == [0, 0, 0, 0]
    assert (len(held), max(head.size for head in heads)) == (1, limit)


def test_threads_that_sign_at_once_never_fork(signer, folder):
    refusals, notes = [], []

    def ask(log: StoredLog) -> None:
        try:
            notes.append(Signer(folder, ORIGIN).sign(40, log.tree(40).root(), [], old_size=0))
        except Refused as refused:
            refusals.append(refused.reason)

    threads = [threading.Thread(target=ask, args=(log,)) for log in [LOG, FORK] * 4]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()

    assert (len(set(notes)), len(notes), refusals) == (1, 4, ["fork"] * 4)
