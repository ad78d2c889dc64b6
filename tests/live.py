"""A whole Rako as processes, with a data folder and a database of its own: for tests that only speak HTTP."""

import json
import os
import shutil
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from rako.core.embedded_postgres import socket_dir
from rako.serving import free_port

ROOT = Path(__file__).resolve().parents[1]
_PATIENCE_SECONDS = 120
_SUBJECT = "import json; from rako.conformance_subject import subject; print(json.dumps(subject({url!r})))"


@dataclass(frozen=True)
class LiveRako:
    """Where it listens, what it prints, and where it keeps its data."""

    base_url: str
    log: Path
    folder: Path

    def conformance_subject(self) -> dict[str, Any]:
        """What the conformance suite is told of it."""
        shell = [sys.executable, "manage.py", "shell", "--no-imports", "-c", _SUBJECT.format(url=self.base_url)]
        told = subprocess.run(shell, cwd=ROOT, env=environment(self.folder), capture_output=True, text=True, check=True)
        found: dict[str, Any] = json.loads(told.stdout)
        return found | {"server_log": str(self.log)}


@contextmanager
def serve() -> Iterator[LiveRako]:
    """Web, worker and sequencer with the demo registry, once they are ready; nothing of them is left afterwards."""
    folder = Path(tempfile.mkdtemp(prefix="rako-"))
    log, url = folder / "serve.log", f"http://127.0.0.1:{(port := free_port())}"
    command = [sys.executable, "manage.py", "serve", "--port", str(port), "--workers", "1"]
    with log.open("wb") as out:
        process = subprocess.Popen(command, cwd=ROOT, env=environment(folder), stdout=out, stderr=subprocess.STDOUT)
    try:
        _await_start(process, log)
        yield LiveRako(url, log, folder)
    finally:
        process.terminate()
        try:
            process.wait(_PATIENCE_SECONDS)
        finally:
            process.kill()
            shutil.rmtree(folder, ignore_errors=True)
            shutil.rmtree(socket_dir(folder), ignore_errors=True)


def environment(folder: Path) -> dict[str, str]:
    """Its environment: none of the tests' own settings."""
    return {"PATH": os.environ["PATH"], "RAKO_DATA_DIR": str(folder), "PYTHONUNBUFFERED": "1"}


def _await_start(process: subprocess.Popen[bytes], log: Path) -> None:
    deadline = time.monotonic() + _PATIENCE_SECONDS
    while b"Rako serves on" not in log.read_bytes():
        assert process.poll() is None, log.read_text()
        assert time.monotonic() < deadline, log.read_text()
        time.sleep(0.1)
