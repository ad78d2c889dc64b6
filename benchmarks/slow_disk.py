"""Restarts the benchmark's own server with a millisecond more to each flush: a network disk instead of a local one."""

import contextlib
import os
import shutil
import signal
import subprocess
import tempfile
from collections.abc import Iterator
from pathlib import Path

from django.db import connection

from rako.core import postgres_programs as programs
from rako.core.embedded_postgres import SETTINGS, bin_dir, ensure_running, socket_dir

_DELAY = r"""
#define _GNU_SOURCE
#include <dlfcn.h>
#include <time.h>
static int slowed(const char *name, int descriptor) {
    struct timespec delay = {0, 1000000};
    nanosleep(&delay, 0);
    return ((int (*)(int))dlsym(RTLD_NEXT, name))(descriptor);
}
int fsync(int descriptor) { return slowed("fsync", descriptor); }
int fdatasync(int descriptor) { return slowed("fdatasync", descriptor); }
"""
# The other methods open the log so that each write is a flush, and call neither.
_SLOWED = {"fsync", "fdatasync"}


class CannotSlow(Exception):
    """There is no way to slow flushes down here; the text says what is missing."""


@contextlib.contextmanager
def slow_flushes(data_dir: Path) -> Iterator[None]:
    """Run the server of this folder with slow flushes. All connections must be closed. Raises CannotSlow."""
    compiler = shutil.which("cc") or shutil.which("gcc")
    if compiler is None:
        raise CannotSlow("there is no C compiler")
    with connection.cursor() as cursor:
        cursor.execute("SHOW wal_sync_method")
        [method] = cursor.fetchone()
    if method not in _SLOWED:
        raise CannotSlow(f"wal_sync_method is {method}")
    with tempfile.TemporaryDirectory() as folder:
        os.chmod(folder, 0o755)  # noqa: S103  # the server may run as another user
        library = Path(folder, "slow.so")
        command = [compiler, "-shared", "-fPIC", "-O2", "-x", "c", "-", "-o", str(library), "-ldl"]
        subprocess.run(command, input=_DELAY, text=True, check=True)  # noqa: S603
        _restart(data_dir, {"LD_PRELOAD": str(library)})
        try:
            yield
        finally:
            _stop(data_dir)
            ensure_running(data_dir)


def _stop(data_dir: Path) -> None:
    connection.close()
    connection.close_pool()  # type: ignore[attr-defined]
    cluster = programs.cluster_dir(data_dir)
    programs.end([programs.recorded(cluster)[0]], cluster, signal.SIGINT)


def _restart(data_dir: Path, environment: dict[str, str]) -> None:
    """Start it as the product does, which then takes it for its own, but for the environment."""
    _stop(data_dir)
    cluster = programs.cluster_dir(data_dir)
    account = programs.able_account(cluster)
    settings = [word for setting in SETTINGS.split() for word in ("-c", setting)]
    variables = [f"{name}={value}" for name, value in environment.items()]
    command = [str(bin_dir() / "postgres"), "-D", str(cluster), "-k", str(socket_dir(data_dir)), *settings]
    account.run("/bin/sh", "-c", '"$@" >/dev/null 2>&1 &', "sh", "env", *variables, *command)
    if not programs.until(lambda: programs.recorded(cluster)[1] == "ready"):
        raise CannotSlow("the server did not start")
