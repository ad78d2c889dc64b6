"""`python -m benchmarks.mcp`: a search as an MCP tool call, over HTTP, against the same search as GET /v1/offers."""

import json
import os
import statistics
from pathlib import Path
from typing import Any

import django

os.environ["DJANGO_SETTINGS_MODULE"] = "benchmarks.settings"
django.setup()  # its settings name the database's folder

from mcp_types import CLIENT_CAPABILITIES_META_KEY, PROTOCOL_VERSION_META_KEY  # noqa: E402
from mcp_types.version import LATEST_HANDSHAKE_VERSION, LATEST_MODERN_VERSION  # noqa: E402

from benchmarks import load  # noqa: E402
from benchmarks.database import prepare  # noqa: E402
from benchmarks.scenarios import KEYED, Request  # noqa: E402
from rako.serving import Server, serving  # noqa: E402

SECONDS = float(os.environ.get("RAKO_BENCHMARK_SECONDS", "3"))
CONNECTIONS = 8
ROUNDS = 5
GOAL = 0.4
ARGUMENTS = {"vertical": "sim", "max_price": 25}


def main() -> None:
    """REST and both generations of MCP by turns: two web processes, one server. Ratios are of medians."""
    prepare()
    versions = {f"MCP {LATEST_HANDSHAKE_VERSION}": older(), f"MCP {LATEST_MODERN_VERSION}": newer()}
    searches = {"GET /v1/offers": rest()} | versions
    rounds: dict[str, list[dict[str, Any]]] = {name: [] for name in searches}
    with serving(web_only="/health", DJANGO_SETTINGS_MODULE="benchmarks.settings") as server:
        for _ in range(ROUNDS):
            for name, request in searches.items():
                rounds[name].append(drive(server, request))
    print(f"{ROUNDS} rounds of {SECONDS:g} s each, {CONNECTIONS} connections, 2 web workers; medians\n")
    print(f"{'':<20}{'requests/s':>11}{'ratio':>7}{'p50 ms':>9}{'p99 ms':>9}{'CPU ms':>9}{'ratio':>7}   (goal {GOAL})")
    yardstick = next(iter(rounds.values()))
    for name, figures in rounds.items():
        report(name, figures, yardstick)


def rest() -> Request:
    query = "&".join(f"{name}={value}" for name, value in ARGUMENTS.items())
    return {"method": "GET", "path": f"/v1/offers?{query}", "headers": KEYED}


def older() -> Request:
    return _call({"MCP-Protocol-Version": LATEST_HANDSHAKE_VERSION}, {})


def newer() -> Request:
    meta = {PROTOCOL_VERSION_META_KEY: LATEST_MODERN_VERSION, CLIENT_CAPABILITIES_META_KEY: {}}
    names = {"Mcp-Method": "tools/call", "Mcp-Name": "search_offers"}
    return _call({"MCP-Protocol-Version": LATEST_MODERN_VERSION} | names, {"_meta": meta})


def _call(headers: dict[str, str], more: dict[str, Any]) -> Request:
    params = {"name": "search_offers", "arguments": ARGUMENTS} | more
    body = json.dumps({"jsonrpc": "2.0", "id": 1, "method": "tools/call", "params": params})
    accept = {"Accept": "application/json, text/event-stream"}
    return {"method": "POST", "path": "/mcp", "headers": KEYED | accept | headers, "body": body}


def drive(server: Server, request: Request) -> dict[str, Any]:
    """A round, and the CPU time that the web processes took for each of its requests."""
    before = _cpu_seconds(server)
    figures = load.drive(server.base_url, [request], repeat=True, connections=CONNECTIONS, seconds=SECONDS)
    return figures | {"cpu_ms": (_cpu_seconds(server) - before) / figures["requests"] * 1000}


def _cpu_seconds(server: Server) -> float:
    """Of the web server and its workers; 0 where there is no /proc."""
    group = {process.pid for process in server.processes.values()}
    ticks = 0
    for stat in Path("/proc").glob("[0-9]*/stat"):
        try:
            fields = stat.read_text().rpartition(")")[2].split()
        except OSError:  # ended meanwhile
            continue
        if int(fields[2]) in group:  # each child leads a process group of its own
            ticks += int(fields[11]) + int(fields[12])
    return ticks / os.sysconf("SC_CLK_TCK")


def report(name: str, figures: list[dict[str, Any]], yardstick: list[dict[str, Any]]) -> None:
    def median(rows: list[dict[str, Any]], of: str) -> float:
        return statistics.median(row[of] for row in rows)

    rps, cpu = median(figures, "rps"), median(figures, "cpu_ms")
    shares = rps / median(yardstick, "rps"), median(yardstick, "cpu_ms") / cpu if cpu else 0.0
    times = f"{median(figures, 'p50_ms'):>9.1f}{median(figures, 'p99_ms'):>9.1f}"
    print(f"{name:<20}{rps:>11.0f}{shares[0]:>7.2f}{times}{cpu:>9.2f}{shares[1]:>7.2f}")
    if failed := sum(row["failed"] for row in figures):
        print(f"  !! {failed} requests failed")


if __name__ == "__main__":
    main()
