"""schemathesis holds the running server against its own schema: all phases and checks, as `schemathesis.toml` says."""

import os
import subprocess
import sys
from pathlib import Path

import pytest
from django.core.servers.basehttp import WSGIRequestHandler

from rako import demo_data
from tests.rako.test_health import worker

ROOT = Path(__file__).resolve().parents[2]
DEPTH = int(os.environ.get("RAKO_TEST_DEPTH", "1"))


@pytest.fixture
def served(live_server, settings, monkeypatch):
    """The address of a server with the demo registry, whose outer payment processors are not there."""
    # The test server sends headers and body apart: each reply would wait 40 ms for an acknowledgement.
    monkeypatch.setattr(WSGIRequestHandler, "disable_nagle_algorithm", True)
    settings.RAKO_BASE_URL = settings.RAKO_LINK_BASE = live_server.url
    settings.RAKO_STRIPE_API_BASE = settings.RAKO_HYPERSWITCH_API_BASE = "http://127.0.0.1:9"
    demo_data.load()
    worker(0)
    return live_server.url


@pytest.mark.parametrize(("phase", "examples"), [("examples,coverage", 1), ("fuzzing", 5), ("stateful", 30)])
def test_the_server_does_what_its_schema_says(served, phase, examples):
    run = subprocess.run(
        [
            *(sys.executable, "-m", "schemathesis.cli", "run", f"{served}/openapi.json"),
            *("--phases", phase, "--max-examples", str(examples * DEPTH)),
        ],
        cwd=ROOT,
        capture_output=True,
        text=True,
        check=False,
    )

    assert run.returncode == 0, run.stdout[-20_000:] + run.stderr[-2_000:]
