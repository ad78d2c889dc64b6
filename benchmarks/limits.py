"""`python -m benchmarks.limits`: what a limit and an Idempotency-Key add to `POST /v1/recommend`, at the same server.

By turns, many short rounds: keys without a limit and requests without the header; a key with a limit; and that with an
Idempotency-Key, a new one for each request. The cost of a request is the CPU time of the web processes and PostgreSQL,
where /proc tells it: on a machine that does other things, too, requests a second say little.
"""

import json
import os
import statistics
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import django

os.environ["DJANGO_SETTINGS_MODULE"] = "benchmarks.settings"
django.setup()  # its settings name the database's folder

from django.conf import settings  # noqa: E402

from benchmarks import load, scenarios  # noqa: E402
from benchmarks.database import prepare  # noqa: E402
from rako.core.embedded_postgres import cluster_dir  # noqa: E402
from rako.core.ids import new_id  # noqa: E402
from rako.serving import Server, serving  # noqa: E402
from sessions_app.models import AgentKey  # noqa: E402

ROUNDS = int(os.environ.get("RAKO_BENCHMARK_ROUNDS", "18"))
REQUESTS = 150
GOAL = 1.25
SETTINGS: Any = {"DJANGO_SETTINGS_MODULE": "benchmarks.settings"}


def main() -> None:
    """Measure the three by turns, each as often first as last. If the ratio of the medians lies far from the median of
    the rounds' ratios, or the quarters far apart, the machine was too busy and the run says nothing."""
    prepare()
    demo = AgentKey.objects.get(name="Published demo key")
    _, limited = AgentKey.issue(name="Limited", agent=demo.agent, tier="enterprise", rate_limit=10_000_000)
    keyed = {"Authorization": f"Bearer {limited}"}
    kinds = {"plain": scenarios.KEYED, "limited": keyed, "limited, idempotent": keyed | {"Idempotency-Key": ""}}
    with serving(web_only="/health", **SETTINGS) as server:
        for headers in kinds.values():  # plans, caches
            measure(server, headers)
        names = list(kinds)
        orders = [names[turn % 3 :] + names[: turn % 3] for turn in range(ROUNDS)]
        rounds = [{name: measure(server, kinds[name]) for name in order} for order in orders]
    report(rounds, names)


def report(rounds: list[dict[str, tuple[float, float]]], names: list[str]) -> None:
    print(f"{ROUNDS} rounds of {REQUESTS} requests each; goal for the ratio: {GOAL:.2f} at most\n")
    print(f"{'POST /v1/recommend':<22}{'requests/s':>11}{'CPU ms':>8}{'ratio':>8}{'by rounds: quarters, median':>32}")
    plain = statistics.median(one["plain"][1] for one in rounds)
    for name in names:
        rate, cost = (statistics.median(one[name][part] for one in rounds) for part in (0, 1))
        low, middle, high = statistics.quantiles((one[name][1] / one["plain"][1] for one in rounds), n=4)
        spread = f"{low:.2f} to {high:.2f}, {middle:.2f}"
        print(f"{name:<22}{rate:>11.0f}{cost * 1000:>8.2f}{cost / plain:>8.2f}{spread:>32}", flush=True)


def measure(server: Server, headers: dict[str, str]) -> tuple[float, float]:
    """Requests a second, and seconds of CPU a request (wall-clock time where there is no /proc)."""
    requests = scenarios.SCENARIOS[1].make(REQUESTS)
    for request in requests:
        request["headers"] = headers | ({"Idempotency-Key": new_id()} if "Idempotency-Key" in headers else {})
    before = cpu_seconds(server)
    done = load.drive(server.base_url, requests, repeat=False, connections=8, seconds=60)
    used = cpu_seconds(server) - before
    if done["failed"] or done["requests"] != REQUESTS:
        raise SystemExit(f"requests failed: {json.dumps(done)}")
    return done["rps"], (used or REQUESTS / done["rps"]) / REQUESTS


def cpu_seconds(server: Server) -> float:
    """Of the web processes and of PostgreSQL, with what has ended."""
    if not Path("/proc/self/stat").exists():
        return 0
    postmaster = int((cluster_dir(Path(settings.RAKO_DATA_DIR)) / "postmaster.pid").read_text().split()[0])
    ticks = sum(sum(_times(pid)) for root in (server.processes["web"].pid, postmaster) for pid in _family(root))
    return ticks / os.sysconf("SC_CLK_TCK")


def _family(pid: int) -> Iterator[int]:
    yield pid
    for child in Path(f"/proc/{pid}/task/{pid}/children").read_text().split():
        yield from _family(int(child))


def _times(pid: int) -> list[int]:
    """User and system time of a process, and of its children that have ended."""
    fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
    return [int(field) for field in fields[11:15]]


if __name__ == "__main__":
    main()
