"""`make conformance`: the whole run as a stranger starts it, against a server that is given or one of our own."""

import json
import os
import subprocess
import sys
from xml.etree import ElementTree

import pytest

from tests.live import ROOT, environment


def conformance(*arguments, **given):
    kept = {"PATH": os.environ["PATH"]} | given
    command = ["make", "-s", "conformance", *arguments]
    return subprocess.run(command, cwd=ROOT, env=kept, capture_output=True, text=True, check=False)


@pytest.fixture
def address(live_rako):
    return [f"BASE_URL={live_rako.base_url}", "AGENT_KEY=aap_demo_key", "MERCHANT_KEY=aap_demo_merchant_key"]


def test_a_server_is_tested_with_an_address_and_two_keys(address, tmp_path):
    junit, markdown = tmp_path / "junit.xml", tmp_path / "report.md"

    done = conformance(*address, f"ARGS=--junit {junit} --markdown {markdown}")

    assert done.returncode == 0, done.stdout + done.stderr
    assert " 0 MUST failed, 0 SHOULD failed," in done.stdout
    assert int(ElementTree.parse(junit).getroot().get("tests")) >= 45  # noqa: S314 - the suite wrote it
    assert markdown.read_text().startswith("# AAP v1 conformance of http://127.0.0.1:")


def test_wrong_keys_could_not_be_tested(address):
    done = conformance(address[0], "AGENT_KEY=aap_nobody", address[2])

    assert done.returncode != 0
    assert "the server does not know the agent's key" in done.stderr


def test_without_an_address_our_own_server_is_started_tested_and_stopped(live_rako):
    # In the folder of a server that runs: its database is there and migrated.
    rules = ["health-is-public", "a-signed-event-makes-a-conversion", "a-withdrawn-offer-is-not-found"]
    command = [sys.executable, "manage.py", "conformance", *(word for rule in rules for word in ("--rule", rule))]

    kept = environment(live_rako.folder)
    done = subprocess.run(command, cwd=ROOT, env=kept, capture_output=True, text=True, check=False)

    assert done.returncode == 0, done.stdout + done.stderr
    assert "3 rules: 3 passed, 0 MUST failed" in done.stdout
    assert not (live_rako.folder / "conformance.toml").exists()
    assert keys_left(live_rako) == [1, 1]


def keys_left(live_rako):
    """How many keys of agents and of merchants can still be used: the published ones."""
    counts = "[model.objects.usable().count() for model in (AgentKey, MerchantKey)]"
    asked = f"from sessions_app.models import AgentKey; from merchants.models import MerchantKey; print({counts})"
    command = [sys.executable, "manage.py", "shell", "--no-imports", "-c", asked]
    kept = environment(live_rako.folder)
    return json.loads(subprocess.run(command, cwd=ROOT, env=kept, capture_output=True, text=True, check=True).stdout)
