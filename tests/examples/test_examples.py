"""The examples do what they say: a buyer pays on the page that they print, and they tell of the sale."""

import os
import re
import shlex
import subprocess

import pytest

from conformance import psp
from conformance.config import Subject
from conformance.world import World
from tests.counterparties import mcp_conformance
from tests.examples import install
from tests.live import ROOT

EXAMPLES = ROOT / "examples"
CARD = {"number": "4242 4242 4242 4242", "expiry": "12 / 34", "cvc": "123"}


# The README asks for Node 22.18 or later.
PATH = f"{mcp_conformance.node().parent}{os.pathsep}{os.environ['PATH']}"


def command(name):
    """How the README tells to run an example, from the folder of the repository."""
    told = re.search(rf"\]\({re.escape(name)}\).*\| `([^`]+)`", (EXAMPLES / "README.md").read_text())
    return shlex.split(told[1])


def environment(live_rako, key="aap_demo_key"):
    return {"PATH": PATH, "AAP_API_URL": live_rako.base_url, "AAP_API_KEY": key}


def sold_by(name, live_rako):
    """Run an agent, pay on its page as the buyer, and return its exit code and all that it printed."""
    kept = environment(live_rako)
    with subprocess.Popen(command(name), cwd=ROOT, env=kept, text=True, stdout=subprocess.PIPE) as agent:
        printed = []
        for line in agent.stdout:
            printed.append(line)
            if page := re.search(r"Pay here: (\S+)", line):
                buyer = World(Subject(live_rako.base_url, "", "", payment_form=CARD))
                psp.pay_on_page(buyer, {"checkoutUrl": page[1]})
                buyer.close()
    return agent.returncode, "".join(printed)


def refused(name, live_rako):
    kept = environment(live_rako, key="aap_nobody")
    done = subprocess.run(command(name), cwd=ROOT, env=kept, capture_output=True, text=True, check=False)
    return done.returncode, done.stderr


@pytest.fixture(scope="module")
def node():
    """What the TypeScript example is run and checked by; without it that is skipped, or fails if it is required."""
    if why := mcp_conformance.missing() or install.missing():
        message = f"NO TYPESCRIPT: the example did not run ({why})"
        if os.environ.get("RAKO_TEST_REQUIRE") == "all":
            pytest.fail(message)
        pytest.skip(message)


def test_the_agent_with_the_official_client_sells(live_rako):
    code, printed = sold_by("agent.py", live_rako)

    assert code == 0
    assert re.search(r"Sold for \d+\.\d\d: conversion [0-9A-Z]{26} is pending\.", printed), printed


def test_the_agent_with_the_official_client_tells_why_it_was_refused(live_rako):
    code, said = refused("agent.py", live_rako)

    assert (code, said) == (1, "Refused with 401: Missing or invalid API key\n")


def test_the_agent_in_typescript_sells(live_rako, node):
    code, printed = sold_by("agent.ts", live_rako)

    assert code == 0
    assert re.search(r"Sold for \d+\.\d\d: conversion [0-9A-Z]{26} is pending\.", printed), printed


def test_the_agent_in_typescript_tells_why_it_was_refused(live_rako, node):
    code, said = refused("agent.ts", live_rako)

    assert (code, said) == (1, "401 unauthorized: Missing or invalid API key\n")


def test_the_agent_in_typescript_is_typed_strictly(node):
    modules = install.folder() / "node_modules"
    # Erasable: Node runs the file as it stands, by leaving the types out.
    strict = ["--strict", "--noUncheckedIndexedAccess", "--erasableSyntaxOnly", "--target", "es2022"]
    found = ["--module", "es2022", "--types", "node", "--typeRoots", str(modules / "@types")]
    tsc = [str(modules / ".bin" / "tsc"), "--ignoreConfig", "--noEmit", *strict, *found, str(EXAMPLES / "agent.ts")]

    done = subprocess.run(tsc, env={"PATH": PATH}, capture_output=True, text=True, check=False)

    assert done.returncode == 0, done.stdout + done.stderr


def test_the_python_example_is_short():
    lines = (EXAMPLES / "agent.py").read_text().splitlines()

    assert len(lines) <= 60
