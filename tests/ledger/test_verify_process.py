"""manage.py verify_ledger as a process of its own: its exit codes are an interface."""

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest
from django.conf import settings
from django.db import connection

from rako.core.embedded_postgres import PORT

MANAGE = Path(settings.BASE_DIR) / "manage.py"


def manage(*arguments, **environment):
    command = [sys.executable, str(MANAGE), "verify_ledger", *arguments]
    return subprocess.run(
        command, capture_output=True, text=True, timeout=60, check=False, env=os.environ | environment
    )


@pytest.mark.parametrize(
    "arguments",
    [["--since", "x"], ["--since", "-1"], ["--full", "--sample", "3"], ["--sample", "1", "--checkpoint", "f"]],
)
def test_bad_arguments_end_with_2(arguments):
    done = manage(*arguments)

    assert done.returncode == 2, done.stderr


def test_without_a_database_it_ends_with_1():
    done = manage(DATABASE_URL="postgres://rako@127.0.0.1:1/rako?connect_timeout=1")

    assert done.returncode == 1
    assert "could not finish" in done.stderr
    assert done.stdout == ""


@pytest.mark.django_db(transaction=True)  # the run is kept, and committed
def test_a_process_of_its_own_ends_with_3(tmp_path):
    """The tests' database has no guards against TRUNCATE."""
    place = connection.settings_dict
    url = f"postgres://{place['USER']}@/{place['NAME']}?host={place['HOST']}&port={place['PORT'] or PORT}"

    done = manage("--json", DATABASE_URL=url, RAKO_SIGNER_DIR=str(tmp_path))

    assert done.returncode == 3, done.stderr
    assert {finding["check"] for finding in json.loads(done.stdout)["findings"]} == {"V11"}
