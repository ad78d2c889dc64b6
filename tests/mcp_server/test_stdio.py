"""`manage.py mcp` as a process: what it refuses to start without, and that it prints nothing but protocol."""

import json
import os
import subprocess
import sys

import pytest
from django.conf import settings

from rako.serving import free_port
from tests.factories import MerchantKeyFactory
from tests.mcp_server.clients import database_environment

NOWHERE = "postgres://127.0.0.1:1/none?connect_timeout=1"


def run(*messages, **environment):
    """The process, fed with these messages and then with the end of its input."""
    return subprocess.run(
        [sys.executable, "manage.py", "mcp"],
        cwd=settings.BASE_DIR,
        env=os.environ | {"DJANGO_SETTINGS_MODULE": "rako.settings"} | environment,
        input="".join(f"{json.dumps(message)}\n" for message in messages),
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )


def test_nothing_but_protocol_is_printed(key):
    """Whatever it logs and however it fares."""
    search = {"name": "search_offers", "arguments": {}}
    environment = database_environment() | {"RAKO_LOG_LEVEL": "DEBUG", "AAP_API_KEY": key}

    done = run(
        {"jsonrpc": "2.0", "id": 1, "method": "ping"},
        {"not": "a message"},
        {"jsonrpc": "2.0", "id": 2, "method": "initialize", "params": INITIALIZE},
        {"jsonrpc": "2.0", "id": 3, "method": "tools/call", "params": search},
        **environment,
    )

    assert done.returncode == 0, done.stderr
    assert {json.loads(line)["jsonrpc"] for line in done.stdout.splitlines()} == {"2.0"}
    assert key not in done.stdout + done.stderr


INITIALIZE = {
    "protocolVersion": "2025-11-25",
    "capabilities": {},
    "clientInfo": {"name": "test", "version": "1"},
}


@pytest.mark.django_db(transaction=True)
def test_a_key_that_is_no_agents_does_not_start():
    done = run(**database_environment(), AAP_API_KEY=MerchantKeyFactory().secret)

    assert (done.returncode, done.stdout) == (1, "")
    assert done.stderr.endswith("AAP_API_KEY: Missing or invalid API key\n")


@pytest.mark.parametrize(
    ("environment", "reason"),
    [
        ({"AAP_API_KEY": ""}, "AAP_API_KEY is not set"),
        ({"RAKO_MODE": "live"}, "AAP_API_KEY is not set"),  # the demo key is the sandbox's alone
        ({"DATABASE_URL": NOWHERE}, "the database cannot be reached"),
        ({"AAP_API_URL": "localhost:3456"}, "AAP_API_URL is malformed"),
    ],
    ids=["no key", "live", "no database", "no address"],
)
def test_it_says_in_one_line_why_it_does_not_start(environment, reason):
    done = run(**environment)

    assert (done.returncode, done.stdout) == (1, "")
    assert reason in done.stderr.splitlines()[-1]


def test_through_another_server_it_starts_without_a_database():
    environment = {"DATABASE_URL": NOWHERE, "AAP_API_URL": f"http://127.0.0.1:{free_port()}"}

    done = run({"jsonrpc": "2.0", "id": 2, "method": "initialize", "params": INITIALIZE}, **environment)

    assert done.returncode == 0, done.stderr
    assert json.loads(done.stdout)["result"]["serverInfo"]["name"] == "rako"
