"""A disk that can be filled up: a copy of the tests' database on a small file system of its own."""

import contextlib
import os
import shutil
import subprocess
import tempfile
from collections.abc import Iterator
from pathlib import Path

from django.db import connection

from rako.core.postgres_programs import Account, cluster_dir, owner_account
from tests.ledger.clusters import connected_to, database_in, new_database

ROOM = 1024 * 1024


class NoSmallDisk(Exception):
    """The kernel does not let us mount a file system."""


class SmallDisk:
    """`free` makes room again: until then a file takes all but a megabyte."""

    def __init__(self, folder: Path) -> None:
        self._ballast = folder / "ballast"
        left = os.statvfs(folder)
        with self._ballast.open("wb") as file:
            os.posix_fallocate(file.fileno(), 0, left.f_bavail * left.f_frsize - ROOM)

    def free(self) -> None:
        self._ballast.unlink()


@contextlib.contextmanager
def small_disk(server: Path) -> Iterator[SmallDisk]:
    """Django's connection goes to a database of an own server that has room for a megabyte more. Raises NoSmallDisk."""
    with _mounted(owner_account(cluster_dir(server))) as folder:
        with connected_to(**database_in(server, "postgres")), connection.cursor() as cursor:
            cursor.execute(f"CREATE TABLESPACE small_disk LOCATION '{folder}'")
        with new_database(server, "TEMPLATE rako TABLESPACE small_disk"):
            yield SmallDisk(folder)
            name = connection.settings_dict["NAME"]
        with connected_to(**database_in(server, "postgres")), connection.cursor() as cursor:
            cursor.execute(f"DROP DATABASE {name} WITH (FORCE)")
            cursor.execute("DROP TABLESPACE small_disk")


@contextlib.contextmanager
def _mounted(account: Account) -> Iterator[Path]:
    place = Path(tempfile.mkdtemp(prefix="rako-test-"))
    place.chmod(0o755)
    folder = place / "disk"
    folder.mkdir()
    options = f"size=64m,mode=700,uid={account.uid},gid={account.gid}"
    try:
        done = subprocess.run(
            ["mount", "-t", "tmpfs", "-o", options, "tmpfs", folder], check=False, capture_output=True, text=True
        )
        if done.returncode:
            raise NoSmallDisk(f"the kernel refuses to mount a tmpfs: {done.stderr.strip()}")
        try:
            yield folder
        finally:
            subprocess.run(["umount", "--lazy", folder], check=True)
    finally:
        shutil.rmtree(place)
