"""Runs web, worker and sequencer as children of one process, and lets none outlive it."""

import contextlib
import ctypes
import logging
import os
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import requests

log = logging.getLogger("rako.serving")

ROOT = Path(__file__).resolve().parent.parent
HOST = "127.0.0.1"
_START_SECONDS = 60
_STOP_SECONDS = 15


class ServerFailed(Exception):
    """A child did not start, or ended."""


@dataclass(frozen=True, slots=True)
class Server:
    """A running web server with its worker and sequencer."""

    base_url: str
    processes: dict[str, subprocess.Popen[bytes]]

    def ended(self) -> str | None:
        """The name of a child that has ended."""
        return next((name for name, process in self.processes.items() if process.poll() is not None), None)


@contextlib.contextmanager
def serving(
    port: int | None = None,
    *,
    workers: int = 2,
    log_file: Path | None = None,
    web_only: str = "",
    public: bool = False,
    **environment: str,
) -> Iterator[Server]:
    """Serve on a port (a free one unless told) of the loopback address; the children are gone afterwards.

    `log_file` takes what the children print; without it they share our output. `web_only` leaves the others out and
    names the path that answers 200 when web is up. Links carry this address, or the configured one if `public`.
    Raises ServerFailed.
    """
    port = port or free_port()
    _refuse_taken(port)
    base_url = f"http://{HOST}:{port}"
    links = {} if public else {"RAKO_BASE_URL": base_url, "RAKO_LINK_BASE": base_url}
    child_environment = os.environ | environment | links
    out = log_file.open("ab") if log_file else None
    server = Server(base_url, {})
    try:
        for name, command in _commands(port, workers, web_only=bool(web_only)).items():
            server.processes[name] = subprocess.Popen(  # noqa: S603  # our own commands, no shell
                command,
                cwd=ROOT,
                env=child_environment,
                stdout=out,
                stderr=subprocess.STDOUT if out else None,
                stdin=subprocess.DEVNULL,
                start_new_session=True,  # Ctrl-C reaches us alone; we end the children in order
                preexec_fn=_die_with_parent,  # noqa: PLW1509  # nothing else runs in this process's threads
            )
        _wait_until_ready(server, web_only or "/health/ready")
        yield server
    finally:
        _stop(server)
        if out:
            out.close()


def free_port() -> int:
    """A port nobody listens on at this moment."""
    with socket.socket() as probe:
        probe.bind((HOST, 0))
        return int(probe.getsockname()[1])


def _refuse_taken(port: int) -> None:
    """The web server shares a port with whoever else allows it, so a taken one is found out first."""
    with socket.socket() as probe:
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind((HOST, port))
        except OSError:
            raise ServerFailed(f"is port {port} in use?") from None


def _commands(port: int, workers: int, *, web_only: bool) -> dict[str, list[str]]:
    manage = [sys.executable, "manage.py"]
    web = {"web": [*manage, "web", "--host", HOST, "--port", str(port), "--workers", str(workers)]}
    return web if web_only else web | {"worker": [*manage, "worker"], "sequencer": [*manage, "sequencer"]}


def _die_with_parent() -> None:
    """On Linux the kernel tells the child when we are gone, even if we were killed."""
    if sys.platform == "linux":
        pr_set_pdeathsig = 1
        ctypes.CDLL(None).prctl(pr_set_pdeathsig, signal.SIGTERM)


def _wait_until_ready(server: Server, path: str) -> None:
    deadline = time.monotonic() + _START_SECONDS
    while time.monotonic() < deadline:
        if name := server.ended():
            raise ServerFailed(f"the {name} process ended while starting")
        with contextlib.suppress(requests.RequestException):
            if requests.get(server.base_url + path, timeout=2).status_code == requests.codes.ok:
                return
        time.sleep(0.1)
    raise ServerFailed(f"not ready after {_START_SECONDS} seconds")


def _stop(server: Server) -> None:
    for process in server.processes.values():
        with contextlib.suppress(ProcessLookupError):
            os.killpg(process.pid, signal.SIGTERM)
    deadline = time.monotonic() + _STOP_SECONDS
    for process in server.processes.values():
        try:
            process.wait(max(0.1, deadline - time.monotonic()))
        except subprocess.TimeoutExpired:
            log.warning("process %s did not end in time", process.pid)
        # Whatever is left of its group: a child that was killed had no time to end its own.
        with contextlib.suppress(ProcessLookupError):
            os.killpg(process.pid, signal.SIGKILL)
        process.wait()
