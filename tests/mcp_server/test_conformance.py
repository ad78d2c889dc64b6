"""The conformance suite of the Model Context Protocol's own makers, for both generations of the protocol.

What needs features that we do not have is in `expected_failures.yml`, check by check. Where the suite is not installed
the test is skipped, or fails if `RAKO_TEST_REQUIRE=all`.
"""

import os
from pathlib import Path

import pytest

from tests.counterparties.faults import Answer, FaultProxy
from tests.counterparties.mcp_conformance import missing, run_suite

BASELINE = Path(__file__).with_name("expected_failures.yml")


class KeyedProxy(FaultProxy):
    """Adds an agent's key to each request: the suite has no way to send one."""

    def __init__(self, upstream: str, key: str) -> None:
        super().__init__(upstream)
        self._key = key

    def _forward(self, method: str, target: str, headers: dict[str, str], body: bytes) -> Answer:
        return super()._forward(method, target, headers | {"Authorization": f"Bearer {self._key}"}, body)


@pytest.fixture
def suite() -> None:
    reason = missing()
    if reason is not None:
        say = pytest.fail if os.environ.get("RAKO_TEST_REQUIRE") == "all" else pytest.skip
        say(f"NO MCP CONFORMANCE SUITE: {reason}; the server was not held against it")


@pytest.mark.parametrize("version", ["2025-11-25", "2026-07-28"])
def test_nothing_fails_but_what_we_do_not_offer(suite, live_server, key, tmp_path, version):
    with KeyedProxy(live_server.url, key) as proxy:
        done = run_suite(f"{proxy.url}/mcp", version, baseline=BASELINE, results=tmp_path)

    assert done.returncode == 0, done.stdout[-3000:] + done.stderr[-1000:]
    assert len(list(tmp_path.iterdir())) > 20
