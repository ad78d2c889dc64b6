"""PostgreSQL servers of a test's own – to be killed, filled up and restored into – and ways to point Django at them."""

import contextlib
import itertools
import os
import shutil
import signal
import subprocess
import tempfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from django.conf import settings
from django.db import connection

from rako.core.embedded_postgres import bin_dir, ensure_running, socket_dir
from rako.core.postgres_programs import PORT, end, has_ended, recorded, servers_of, until

_numbers = itertools.count()


@contextlib.contextmanager
def own_server() -> Iterator[Path]:
    """The data folder of a new server with an empty database `rako`.

    It only writes, and does not wait for the disk: the processes of a test are killed, not the machine.
    """
    place = Path(tempfile.mkdtemp(prefix="rako-test-"))
    place.chmod(0o755)
    folder = place / "data"
    try:
        ensure_running(folder)
        with connected_to(**database_in(folder)), connection.cursor() as cursor:
            cursor.execute("ALTER SYSTEM SET fsync = off")
            cursor.execute("SELECT pg_reload_conf()")
        yield folder
    finally:
        end(servers_of(folder.resolve() / "postgres"), folder.resolve() / "postgres", signal.SIGQUIT)
        shutil.rmtree(place)


@contextlib.contextmanager
def connected_to(**changes: Any) -> Iterator[None]:
    """Django's connection, and that of children started meanwhile, goes elsewhere: HOST, NAME, RAKO_DATA_DIR…"""
    folder = changes.pop("RAKO_DATA_DIR", settings.RAKO_DATA_DIR)
    before = settings.RAKO_DATA_DIR, dict(connection.settings_dict)
    connection.close()
    settings.RAKO_DATA_DIR = folder
    connection.settings_dict.update(changes)
    try:
        yield
    finally:
        connection.close()
        settings.RAKO_DATA_DIR = before[0]
        connection.settings_dict.update(before[1])


def database_in(folder: Path, name: str = "rako") -> dict[str, Any]:
    """What `connected_to` needs for a database of an own server."""
    place = {"HOST": str(socket_dir(folder)), "PORT": str(PORT), "USER": "rako", "PASSWORD": ""}
    return place | {"NAME": name, "RAKO_DATA_DIR": folder}


@contextlib.contextmanager
def new_database(folder: Path, options: str = "") -> Iterator[None]:
    """Django's connection goes to a new database of an own server, by default a copy of `rako`."""
    name = f"test_{next(_numbers)}"
    with connected_to(**database_in(folder, "postgres")), connection.cursor() as cursor:
        cursor.execute(f"CREATE DATABASE {name} {options or 'TEMPLATE rako'}")
    with connected_to(**database_in(folder, name)):
        yield


def kill_server(folder: Path, *, and_sessions: bool = False) -> None:
    """Kill the postmaster; its sessions notice and end. Or kill all at once, so that none writes a word more."""
    cluster = folder.resolve() / "postgres"
    server = recorded(cluster)[0]
    sessions = _children_of(server)
    os.kill(server, signal.SIGSTOP)  # it would clean up after the first that dies
    for pid in [*(sessions if and_sessions else []), server]:
        with contextlib.suppress(ProcessLookupError):
            os.kill(pid, signal.SIGKILL)
    assert until(lambda: all(has_ended(pid) for pid in (server, *sessions)))


def dump(*options: str) -> str:
    """pg_dump of Django's database."""
    return _program("pg_dump", "--no-owner", *options).stdout


def restore(script: str) -> None:
    """Run a dump's script in Django's database."""
    _program("psql", "-XqAt", "-v", "ON_ERROR_STOP=1", stdin=script)


def _children_of(pid: int) -> list[int]:
    return [int(word) for word in Path(f"/proc/{pid}/task/{pid}/children").read_text().split()]


def _program(name: str, *options: str, stdin: str | None = None) -> "subprocess.CompletedProcess[str]":
    place = connection.settings_dict
    names = {"PGHOST": "HOST", "PGPORT": "PORT", "PGUSER": "USER", "PGPASSWORD": "PASSWORD", "PGDATABASE": "NAME"}
    environment = os.environ | {variable: str(place[key]) for variable, key in names.items() if place[key]}
    command = [str(bin_dir() / name), *options]
    return subprocess.run(command, check=True, input=stdin, capture_output=True, text=True, env=environment)
