"""The examples do what they say: a buyer pays on the page that they print, and they tell of the sale."""

import json
import os
import re
import subprocess
import sys

import pytest

from conformance import psp
from conformance.config import Subject
from conformance.world import World
from tests.examples import install
from tests.live import ROOT

EXAMPLES = ROOT / "examples"
CARD = {"number": "4242 4242 4242 4242", "expiry": "12 / 34", "cvc": "123"}


def environment(live_rako, key="aap_demo_key"):
    return {"PATH": os.environ["PATH"], "AAP_API_URL": live_rako.base_url, "AAP_API_KEY": key}


def sold_by(command, live_rako):
    """Run an agent, pay on its page as the buyer, and return its exit code and all that it printed."""
    with subprocess.Popen(command, env=environment(live_rako), text=True, stdout=subprocess.PIPE) as agent:
        printed = []
        for line in agent.stdout:
            printed.append(line)
            if page := re.search(r"Pay here: (\S+)", line):
                buyer = World(Subject(live_rako.base_url, "", "", payment_form=CARD))
                psp.pay_on_page(buyer, {"checkoutUrl": page[1]})
                buyer.close()
    return agent.returncode, "".join(printed)


def refused(command, live_rako):
    kept = environment(live_rako, key="aap_nobody")
    done = subprocess.run(command, env=kept, capture_output=True, text=True, check=False)
    return done.returncode, done.stderr


@pytest.fixture(scope="module")
def javascript(tmp_path_factory):
    """The TypeScript example, checked strictly and compiled; without Node it is skipped, or fails if it is required."""
    if why := install.missing():
        message = f"NO TYPESCRIPT: the example did not run ({why})"
        if os.environ.get("RAKO_TEST_REQUIRE") == "all":
            pytest.fail(message)
        pytest.skip(message)
    out, modules = tmp_path_factory.mktemp("javascript"), install.folder() / "node_modules"
    # Erasable: newer Nodes run the file as it stands, by leaving the types out.
    strict = ["--strict", "--noUncheckedIndexedAccess", "--erasableSyntaxOnly", "--target", "es2022"]
    found = ["--module", "es2022", "--types", "node", "--typeRoots", str(modules / "@types"), "--outDir", str(out)]
    command = [str(modules / ".bin" / "tsc"), "--ignoreConfig", *strict, *found, str(EXAMPLES / "agent.ts")]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stdout + done.stderr
    return (out / "agent.js").rename(out / "agent.mjs")


def test_the_agent_with_the_official_client_sells(live_rako):
    code, printed = sold_by([sys.executable, str(EXAMPLES / "agent.py")], live_rako)

    assert code == 0
    assert re.search(r"Sold for \d+\.\d\d: conversion [0-9A-Z]{26} is pending\.", printed), printed


def test_the_agent_with_the_official_client_tells_why_it_was_refused(live_rako):
    code, said = refused([sys.executable, str(EXAMPLES / "agent.py")], live_rako)

    assert (code, said) == (1, "Refused with 401: Missing or invalid API key\n")


def test_the_agent_in_typescript_sells(live_rako, javascript):
    code, printed = sold_by(["node", str(javascript)], live_rako)

    assert code == 0
    assert re.search(r"Sold for \d+\.\d\d: conversion [0-9A-Z]{26} is pending\.", printed), printed


def test_the_agent_in_typescript_tells_why_it_was_refused(live_rako, javascript):
    code, said = refused(["node", str(javascript)], live_rako)

    assert (code, said) == (1, "401 unauthorized: Missing or invalid API key\n")


def test_the_python_example_is_short():
    lines = (EXAMPLES / "agent.py").read_text().splitlines()

    assert len(lines) <= 65


def test_the_mcp_configuration_starts_our_server_or_reaches_it():
    servers = json.loads((EXAMPLES / "mcp.json").read_text())["mcpServers"]
    over_http, over_stdio = servers["rako"], servers["rako-stdio"]

    assert (over_http["type"], over_http["url"]) == ("http", "http://127.0.0.1:3456/mcp")
    assert over_http["headers"] == {"Authorization": "Bearer aap_demo_key"}
    assert over_stdio["command"].endswith("/.venv/bin/python")
    assert (over_stdio["args"][0].endswith("/manage.py"), over_stdio["args"][1:]) == (True, ["mcp"])
    assert over_stdio["env"] == {"AAP_API_URL": "http://127.0.0.1:3456", "AAP_API_KEY": "aap_demo_key"}
