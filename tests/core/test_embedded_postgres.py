"""Every promise of the embedded server, kept by real servers and real processes that start, share and die."""

import contextlib
import os
import shutil
import signal
import subprocess
import sys
import sysconfig
import tempfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import psycopg
import pytest

from rako.core.embedded_postgres import bin_dir, socket_dir
from rako.core.postgres_programs import end, has_ended, owner_account, recorded, servers_of, until

PROJECT = Path(__file__).resolve().parents[2]
ENVIRONMENT = {"PATH": os.environ["PATH"], "PYTHONPATH": str(PROJECT), "PYTHONDONTWRITEBYTECODE": "1"}
# Asks with psql, which starts ten times as fast as a Python that imports psycopg.
PRELUDE = """
import os, signal, subprocess, sys, time
from pathlib import Path
from rako.core.embedded_postgres import bin_dir, ensure_running, socket_dir, stop_if_unused
from rako.core.postgres_programs import recorded
folder = Path(sys.argv[1])
def query(sql):
    psql = [bin_dir() / "psql", "-XAtq", "-h", socket_dir(folder), "-U", "rako", "-d", "rako", "-c", sql]
    return subprocess.run(psql, check=True, stdout=subprocess.PIPE, text=True).stdout.strip()
def server():
    return recorded(folder.resolve() / "postgres")[0]
"""
USE = "ensure_running(folder); print(server(), query('select 42'), flush=True);"
HOLD = USE + "sys.stdin.read()"
needs_root = pytest.mark.skipif(os.geteuid() != 0, reason="only root can become another user")


def process(folder: Path, code: str, **options: Any) -> "subprocess.Popen[str]":
    """A Python process that runs the code with its data folder as argument."""
    options = {
        "stdin": subprocess.PIPE,
        "stdout": subprocess.PIPE,
        "stderr": subprocess.PIPE,
        "env": ENVIRONMENT,
        **options,
    }
    command = [options.pop("python", sys.executable), "-c", PRELUDE + code, str(folder)]
    return subprocess.Popen(command, cwd="/", text=True, **options)


def run(folder: Path, code: str, **options: Any) -> str:
    """What the process prints; an AssertionError with its error output if it fails."""
    user = process(folder, code, **options)
    output, errors = user.communicate(timeout=60)
    assert user.returncode == 0, errors
    return output.strip()


def refusal(folder: Path, code: str = USE, **options: Any) -> str:
    """The text of the EmbeddedPostgresError with which the process ends."""
    user = process(folder, code, **options)
    _, errors = user.communicate(timeout=60)
    _, found, text = errors.partition("EmbeddedPostgresError: ")
    assert found, errors
    return text


@contextlib.contextmanager
def using(folder: Path, **options: Any) -> Iterator["subprocess.Popen[str]"]:
    """A process that uses the server until the block ends."""
    with process(folder, HOLD, **options) as user:
        assert user.stdout
        assert user.stdin
        assert user.stdout.readline().split()[1:] == ["42"], user.communicate()[1]
        yield user
        with contextlib.suppress(BrokenPipeError):
            user.stdin.close()


def server(folder: Path) -> int:
    """The pid of the server that runs for this folder, 0 if none does."""
    return recorded(folder.resolve() / "postgres")[0]


def kill_server(folder: Path) -> None:
    """End the server as a crash would, and wait until it is gone."""
    pid = server(folder)
    os.kill(pid, signal.SIGKILL)
    assert until(lambda: has_ended(pid))


def clean_up(folder: Path) -> None:
    """End what still runs below the folder and delete it with its socket folder."""
    for data in (path.parent.resolve() for path in folder.rglob("startup.lock")):
        end(servers_of(data / "postgres"), data / "postgres", signal.SIGQUIT)
        if socket_dir(data) != data / "postgres":
            shutil.rmtree(socket_dir(data), ignore_errors=True)
    shutil.rmtree(folder)


@pytest.fixture(scope="module")
def warm() -> Iterator[Path]:
    """A data folder whose cluster is made once for the tests that only start and stop its server."""
    folder = Path(tempfile.mkdtemp(prefix="rako-test-"))
    folder.chmod(0o755)
    yield folder / "data"
    clean_up(folder)


def copied(warm: Path, folder: Path) -> Path:
    """The folder, now with a copy of a cluster, which takes less time than a new one."""
    run(warm, USE)
    subprocess.run(["cp", "-a", warm, folder], check=True)
    return folder


@pytest.fixture
def place() -> Iterator[Path]:
    """An empty folder that every OS user may enter, unlike pytest's own."""
    folder = Path(tempfile.mkdtemp(prefix="rako-test-"))
    folder.chmod(0o755)
    yield folder
    clean_up(folder)


@pytest.fixture
def other_user() -> dict[str, Any]:
    """The options that run a process as an ordinary user, by a Python that this user can reach."""
    packages = os.pathsep.join([str(PROJECT), sysconfig.get_path("platlib")])
    user: dict[str, Any] = {
        "user": "nobody",
        "group": "nogroup",
        "extra_groups": [],
        "env": ENVIRONMENT | {"PYTHONPATH": packages},
    }
    for python in (sys.executable, "/usr/bin/python3"):
        with contextlib.suppress(OSError):
            if subprocess.run([python, "-c", PRELUDE, "/"], check=False, capture_output=True, **user).returncode == 0:
                return {"python": python, **user}
    pytest.skip("Python or this project is installed where other users cannot reach it")


def test_the_first_start_creates_a_durable_utf8_database_and_the_end_stops_it(place: Path) -> None:
    facts = (
        "select current_setting('data_checksums'), current_setting('fsync'), current_setting('synchronous_commit'), "
    )
    facts += (
        "pg_encoding_to_char(encoding), datlocale, current_user from pg_database where datname = current_database()"
    )
    with using(place / "data"):
        pid = server(place / "data")
        with psycopg.connect(host=str(socket_dir(place / "data")), port=5432, user="rako", dbname="rako") as connection:
            assert connection.execute(facts).fetchone() == ("on", "on", "on", "UTF8", "C.UTF-8", "rako")
    assert has_ended(pid)


def test_later_calls_are_cheap_and_change_nothing(warm: Path) -> None:
    code = "ensure_running(folder); pid = server(); start = time.monotonic()\n"
    code += "for _ in range(100): ensure_running(folder)\n"
    code += "assert server() == pid; print(time.monotonic() - start)"
    assert float(run(warm, code)) < 1


def test_two_processes_share_one_server_and_the_last_one_stops_it(warm: Path) -> None:
    with using(warm):
        pid = server(warm)
        assert run(warm, USE).split()[0] == str(pid)
        assert server(warm) == pid
    assert has_ended(pid)


def test_eight_processes_that_start_at_once_share_one_server(place: Path) -> None:
    users = [process(place, HOLD) for _ in range(8)]
    printed = {user.stdout.readline() for user in users if user.stdout}
    assert printed == {f"{server(place)} 42\n"}
    for user in users:
        assert user.communicate()[1] == ""
    assert server(place) == 0


def test_a_killed_user_leaves_a_server_that_the_next_one_uses_and_stops(warm: Path) -> None:
    with using(warm) as user:
        pid = server(warm)
        user.kill()
        user.wait()
    assert run(warm, USE) == f"{pid} 42"
    assert has_ended(pid)


def test_a_user_that_is_told_to_stop_while_it_is_busy_stops_its_server(warm: Path) -> None:
    user = process(warm, USE + "time.sleep(60)")
    assert user.stdout is not None
    user.stdout.readline()

    user.terminate()
    user.communicate(timeout=30)

    assert user.returncode == 128 + signal.SIGTERM
    assert until(lambda: not servers_of(warm.resolve() / "postgres"))


def test_a_server_without_users_can_be_stopped_and_one_with_users_cannot(warm: Path) -> None:
    with using(warm) as user:
        assert run(warm, "print(stop_if_unused(folder), query('select 42'))") == "False 42"
        user.kill()
        user.wait()
    assert run(warm, "print(stop_if_unused(folder), server())") == "True 0"


def test_a_process_restarts_its_killed_server_with_the_data_intact(warm: Path) -> None:
    code = (
        "ensure_running(folder); query('create table kept as select 7'); pid = server(); os.kill(pid, signal.SIGKILL)\n"
    )
    code += "while server() == pid: time.sleep(.01)\n"
    code += "ensure_running(folder); print(query('select * from kept'), server() != pid); query('drop table kept')"
    assert run(warm, code) == "7 True"


def test_a_reused_pid_in_the_records_of_a_dead_server_does_no_harm(warm: Path) -> None:
    with using(warm):
        kill_server(warm)
    account = owner_account(warm / "postgres")
    as_server: dict[str, Any] = {"user": account.uid, "group": account.gid} if os.geteuid() == 0 else {}
    with subprocess.Popen(["sleep", "60"], **as_server) as unrelated:
        for record in (warm / "postgres/postmaster.pid", warm / "postgres/.s.PGSQL.5432.lock"):
            lines = record.read_text().split("\n")
            record.write_text("\n".join([str(unrelated.pid), *lines[1:]]))
        assert run(warm, USE).endswith(" 42")
        assert unrelated.poll() is None
        unrelated.kill()


def test_a_folder_deleted_under_its_server_is_made_anew(warm: Path, place: Path) -> None:
    folder = copied(warm, place / ("l" * 150))
    with using(folder):
        old = server(folder)
        shutil.rmtree(folder)
        assert run(folder, USE).endswith(" 42")
        assert has_ended(old)


def test_initdb_killed_half_way_is_recovered_from(place: Path) -> None:
    with process(place, USE) as user:
        assert until(lambda: any(place.glob("postgres.new-*/PG_VERSION")), seconds=20)
        user.kill()
    assert not (place / "postgres").exists()
    assert run(place, USE).endswith(" 42")


def test_a_path_too_long_for_a_socket_gets_a_closed_folder_in_tmp(warm: Path, place: Path) -> None:
    folder = copied(warm, place / ("l" * 150))
    with using(folder):
        sockets = socket_dir(folder)
        assert sockets != folder / "postgres"
        assert sockets.stat().st_mode & 0o777 == 0o700
        assert sockets.stat().st_uid == (folder / "postgres").stat().st_uid
        assert (sockets / ".s.PGSQL.5432").is_socket()


def test_a_path_with_spaces_and_what_a_shell_expands_works(place: Path) -> None:
    assert run(place / "a b $HOME `id` \"q\" 'q', c%s", USE).endswith(" 42")


@pytest.mark.parametrize("trap", ["symlink", "open", pytest.param("foreign", marks=needs_root)])
def test_a_socket_folder_that_somebody_else_laid_out_is_refused(place: Path, trap: str) -> None:
    folder = place / ("l" * 150)
    sockets = socket_dir(folder)
    if trap == "symlink":
        sockets.symlink_to(place)
    else:
        sockets.mkdir(0o700 if trap == "foreign" else 0o755)
        os.chown(sockets, 65533 if trap == "foreign" else owner_account(folder).uid, -1)
    try:
        assert str(sockets) in refusal(folder)
    finally:
        sockets.unlink() if trap == "symlink" else sockets.rmdir()


def test_no_tcp_port_is_opened(warm: Path) -> None:
    with using(warm):
        pid = server(warm)
        sockets = {os.readlink(entry) for entry in Path(f"/proc/{pid}/fd").iterdir()}
        rows = [
            row for name in ("tcp", "tcp6") for row in Path(f"/proc/{pid}/net/{name}").read_text().split("\n")[1:-1]
        ]
        assert not sockets & {f"socket:[{row.split()[9]}]" for row in rows}


def test_a_forked_child_that_exits_does_not_stop_the_server(warm: Path) -> None:
    code = "ensure_running(folder); pid = server()\n"
    code += "if not os.fork(): sys.exit(0)\n"
    code += "os.wait(); assert server() == pid; print(query('select 42'))"
    assert run(warm, code) == "42"


def test_a_forked_child_keeps_the_server_of_a_parent_that_exits(warm: Path) -> None:
    code = "ensure_running(folder); parent = os.getpid()\n"
    code += "if not os.fork():\n while os.getppid() == parent: time.sleep(.01)\n"
    code += " time.sleep(.3); print(server(), query('select 42'), flush=True)\n"
    printed = run(warm, code)
    assert printed.endswith(" 42")
    assert until(lambda: server(warm) == 0)


def test_ctrl_c_in_the_terminal_does_not_reach_the_server(warm: Path) -> None:
    # A shell's background jobs, such as this test may be in, ignore the signal unless told otherwise.
    code = "signal.signal(signal.SIGINT, signal.default_int_handler)\n"
    code += f"try:\n {USE} time.sleep(10)\nexcept KeyboardInterrupt: print(server())"
    with process(warm, code, process_group=0) as user:
        assert user.stdout
        pid = user.stdout.readline().split()[0]
        os.killpg(user.pid, signal.SIGINT)
        assert user.stdout.readline().strip() == pid


def test_who_reads_our_output_does_not_wait_for_the_server(warm: Path) -> None:
    user = process(warm, f"{USE} os.kill(os.getpid(), signal.SIGKILL)")
    assert user.communicate(timeout=20)[0].endswith(" 42\n")
    assert server(warm) != 0
    run(warm, "stop_if_unused(folder)")


def test_a_failed_start_shows_the_end_of_the_log(warm: Path) -> None:
    run(warm, USE)
    version = warm / "postgres/PG_VERSION"
    version.write_text("17\n")
    try:
        assert "initialized by PostgreSQL version 17" in refusal(warm)
    finally:
        version.write_text("18\n")


def test_a_missing_package_is_named_with_the_way_out() -> None:
    code = "from rako.core.embedded_postgres import bin_dir; bin_dir()"
    without_packages = [sys.executable, "-S", "-c", code]
    done = subprocess.run(without_packages, env=ENVIRONMENT, cwd="/", capture_output=True, text=True, check=False)
    assert "no embedded PostgreSQL for this platform" in done.stderr
    assert "DATABASE_URL" in done.stderr


@needs_root
def test_root_serves_from_below_a_closed_folder_and_opens_nothing(place: Path) -> None:
    folder = place / "closed" / "project" / ".rako"
    folder.mkdir(parents=True)
    (place / "closed").chmod(0o700)
    modes = [path.stat().st_mode for path in (place / "closed", folder.parent, folder)]
    assert run(folder, USE).endswith(" 42")
    assert [path.stat().st_mode for path in (place / "closed", folder.parent, folder)] == modes
    assert (folder / "postgres").stat().st_uid != 0


@needs_root
def test_root_that_may_not_pass_on_its_rights_says_what_to_set(place: Path) -> None:
    (place / "closed").mkdir(0o700)
    command = ["setpriv", "--bounding-set=-dac_read_search", "--inh-caps=-all", sys.executable, "-c", PRELUDE + USE]
    done = subprocess.run(
        [*command, place / "closed"], env=ENVIRONMENT, cwd="/", capture_output=True, text=True, check=False
    )
    assert "EmbeddedPostgresError" in done.stderr
    assert "RAKO_DATA_DIR" in done.stderr
    assert "DATABASE_URL" in done.stderr


@needs_root
def test_an_ordinary_user_has_a_server_next_to_ours(warm: Path, place: Path, other_user: dict[str, Any]) -> None:
    (place / "theirs").mkdir()
    shutil.chown(place / "theirs", other_user["user"])
    with using(warm), using(place / "theirs", **other_user):
        pid = server(place / "theirs")
        assert Path(f"/proc/{pid}").owner() == other_user["user"]
        assert pid != server(warm)
    assert has_ended(pid)


@needs_root
def test_the_folder_of_another_user_is_refused_with_its_owner(warm: Path, other_user: dict[str, Any]) -> None:
    run(warm, USE)
    text = refusal(warm, **other_user)
    for part in (str(warm), "owner: root", "RAKO_DATA_DIR", "DATABASE_URL"):
        assert part in text


DJANGO = """
import django
from django.conf import settings
database = {"ENGINE": "rako.core.postgres_backend", "NAME": "rako", "USER": "rako", "HOST": str(socket_dir(folder))}
settings.configure(RAKO_DATA_DIR=folder, DATABASES={"default": database | {"OPTIONS": {"pool": POOL}}})
django.setup()
"""


@pytest.mark.parametrize("pool", [None, {"min_size": 1, "max_size": 2}])
def test_the_backend_starts_the_server_at_the_first_connection(warm: Path, pool: dict[str, int] | None) -> None:
    code = DJANGO.replace("POOL", repr(pool)) + "from django.db import connection; before = server()\n"
    code += "cursor = connection.cursor(); cursor.execute('select 42'); print(before, *cursor.fetchone(), server() > 0)"
    assert run(warm, code) == "0 42 True"
    assert server(warm) == 0


def test_dbshell_opens_the_bundled_psql_on_a_running_server(warm: Path) -> None:
    code = DJANGO.replace("POOL", "None") + "from django.core.management import call_command\n"
    code += "call_command('dbshell', '--', '-Atc', 'select 40 + 2')"
    assert run(warm, code) == "42"
    assert (bin_dir() / "psql").exists()
