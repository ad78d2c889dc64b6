"""The whole stack as processes: what starts together ends together, however it ends."""

import contextlib
import os
import shutil
import signal
import subprocess
import sys
import tempfile
import time
from pathlib import Path

import pytest

from rako.core.embedded_postgres import socket_dir
from rako.serving import free_port

ROOT = Path(__file__).resolve().parents[2]
PATIENCE_SECONDS = 40


def until(holds, seconds=10):
    deadline = time.monotonic() + seconds
    while not (found := holds()) and time.monotonic() < deadline:
        time.sleep(0.1)
    return found


def processes_of(folder):
    """The pids of all processes that work with this data folder, other than this one."""
    found = set()
    for process in Path("/proc").glob("[0-9]*"):
        with contextlib.suppress(OSError):
            marks = (process / "environ").read_bytes() + (process / "cmdline").read_bytes()
            if os.fsencode(folder) in marks and (process / "stat").read_text().rpartition(")")[2].split()[0] != "Z":
                found.add(int(process.name))
    return found - {os.getpid()}


@pytest.fixture(scope="module")
def folder():
    """A data folder of its own, short enough for a socket; whatever still runs there ends with the tests."""
    path = Path(tempfile.mkdtemp(prefix="rako-"))
    yield path
    for pid in processes_of(path):
        with contextlib.suppress(ProcessLookupError):
            os.kill(pid, signal.SIGKILL)
    shutil.rmtree(path, ignore_errors=True)
    shutil.rmtree(socket_dir(path), ignore_errors=True)


@pytest.fixture
def start(folder):
    """Starts one of our commands; what a test leaves running, with or without a parent, ends with the test."""
    environment = {"PATH": os.environ["PATH"], "RAKO_DATA_DIR": str(folder), "RAKO_LOG_LEVEL": "WARNING"}
    started = []

    def run(*command):
        started.append(
            subprocess.Popen(
                [sys.executable, "manage.py", *command],
                cwd=ROOT,
                env=environment | {"PYTHONUNBUFFERED": "1"},
                text=True,
                stdin=subprocess.PIPE,
                stdout=subprocess.PIPE,
                stderr=subprocess.STDOUT,
            )
        )
        return started[-1]

    yield run
    for pid in processes_of(folder):
        with contextlib.suppress(OSError):
            if "postgres" not in command_of(pid).split("\0")[0]:
                os.kill(pid, signal.SIGKILL)
    for process in started:
        process.communicate()


def walked(start):
    """A demo from start to end: its exit code and what it printed."""
    demo = start("demo")
    printed, _ = demo.communicate(timeout=PATIENCE_SECONDS)
    return demo.returncode, printed


def test_the_demo_walks_the_whole_job_and_leaves_no_process(start, folder):
    code, printed = walked(start)

    assert code == 0, printed
    assert "ledger sound" in printed
    assert "stands." in printed
    assert until(lambda: not processes_of(folder)), [command_of(pid) for pid in processes_of(folder)]


def test_a_killed_demo_takes_its_children_along_and_the_next_one_works(start, folder):
    demo = start("demo")
    assert any("Rako is up" in line for line in demo.stdout)
    children = processes_of(folder) - {demo.pid}

    demo.kill()
    demo.wait()

    assert len(children) >= 3
    assert until(lambda: not processes_of(folder)), [command_of(pid) for pid in processes_of(folder)]
    assert walked(start)[0] == 0


HOLD = "from django.db import connection as c; q = c.cursor(); q.execute('select pg_postmaster_start_time()::text');"
HOLD += "print('started', q.fetchone()[0], flush=True); input()"


def test_two_commands_share_one_embedded_server(start, folder):
    users = [start("shell", "--no-imports", "-c", HOLD) for _ in range(2)]
    lines = {next(line for line in user.stdout if line.startswith("started")) for user in users}

    ends = [user.communicate("\n", timeout=PATIENCE_SECONDS) and user.returncode for user in users]

    assert (len(lines), ends) == (1, [0, 0])
    assert until(lambda: not processes_of(folder))


@pytest.mark.parametrize("end", [signal.SIGTERM, signal.SIGINT])
def test_serve_stops_on_a_signal_with_all_its_children(start, folder, end):
    serve = start("serve", "--port", str(free_port()), "--workers", "1")
    assert any("Rako serves on" in line for line in serve.stdout)

    serve.send_signal(end)
    printed, _ = serve.communicate(timeout=PATIENCE_SECONDS)

    assert (serve.returncode, printed.splitlines()[-1]) == (0, "stopped")
    assert until(lambda: not processes_of(folder))


def test_serve_ends_when_its_web_server_is_killed_and_leaves_no_orphan(start, folder):
    serve = start("serve", "--port", str(free_port()), "--workers", "1")
    assert any("Rako serves on" in line for line in serve.stdout)
    [web] = [pid for pid in processes_of(folder) if parent_of(pid) == serve.pid and "manage.py web" in command_of(pid)]

    os.kill(web, signal.SIGKILL)

    assert serve.wait(PATIENCE_SECONDS) == 1
    assert until(lambda: not processes_of(folder)), [command_of(pid) for pid in processes_of(folder)]


def test_serve_refuses_a_port_that_is_taken(start):
    port = str(free_port())
    first = start("serve", "--port", port, "--workers", "1")
    assert any("Rako serves on" in line for line in first.stdout)

    second = start("serve", "--port", port, "--workers", "1")
    announced = next((line for line in second.stdout if "Rako serves on" in line or "Error" in line), "")

    assert f"is port {port} in use?" in announced


def parent_of(pid):
    return int(Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[1])


def command_of(pid):
    return Path(f"/proc/{pid}/cmdline").read_text().replace("\0", " ")
