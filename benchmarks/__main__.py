"""`python -m benchmarks`: offers, recommend, checkout, webhook to conversion, and 100 against 100,000 offers."""

import os
import statistics
from typing import Any

import django

os.environ["DJANGO_SETTINGS_MODULE"] = "benchmarks.settings"
django.setup()  # its settings name the database's folder

from benchmarks import load, scenarios  # noqa: E402
from benchmarks.database import prepare  # noqa: E402
from benchmarks.registry import grow_registry  # noqa: E402
from rako.serving import Server, serving  # noqa: E402

CONNECTIONS = 8
SECONDS = float(os.environ.get("RAKO_BENCHMARK_SECONDS", "4"))
ROUNDS = 3
# No worker: it would deliver the prepared webhooks before the load does.
SETTINGS: Any = {"DJANGO_SETTINGS_MODULE": "benchmarks.settings"}


def main() -> None:
    """Prepare the database, start the product and the ceiling side by side, measure each scenario in turns."""
    prepare()
    with (
        serving(web_only="/health", **SETTINGS) as product,
        serving(web_only="/ceiling/0/0/1", RAKO_BENCHMARK_CEILING="1", **SETTINGS) as bare,
    ):
        print(f"{ROUNDS} rounds of {SECONDS:g} s each, {CONNECTIONS} connections, 2 web workers; medians\n")
        print(f"{'':<24}{'requests/s':>11}{'p50 ms':>9}{'p99 ms':>9}   {'ceiling/s':>10}{'ratio':>8}{'goal':>7}")
        for scenario in scenarios.SCENARIOS:
            measure(scenario, product, bare)
        compare_sizes(product)


def measure(scenario: scenarios.Scenario, product: Server, bare: Server) -> None:
    """Product and ceiling by turns, so that what else the machine does falls on both."""
    [first, second] = (scenario.make(2) * 2)[:2]
    scenarios.cost_of(first)
    cost = scenarios.cost_of(second)
    yardstick = [{"method": "GET", "path": f"/ceiling/{cost.selects}/{cost.writes}/{cost.commits}"}]
    ours, theirs = [], []
    for _ in range(ROUNDS):
        requests = scenario.make(1 if scenario.repeat else int(200 * SECONDS))
        ours.append(drive(product, requests, repeat=scenario.repeat))
        theirs.append(drive(bare, yardstick, repeat=True))
    report(scenario, ours, theirs, cost)


def report(scenario: scenarios.Scenario, ours: list[Any], theirs: list[Any], cost: scenarios.Cost) -> None:
    def median(rows: list[Any], name: str) -> float:
        return statistics.median(row[name] for row in rows)

    ratio = median(ours, "rps") / median(theirs, "rps")
    goal = f"{scenario.goal:.2f}" if scenario.goal else ""
    figures = f"{median(ours, 'rps'):>11.0f}{median(ours, 'p50_ms'):>9.1f}{median(ours, 'p99_ms'):>9.1f}"
    print(f"{scenario.name:<24}{figures}   {median(theirs, 'rps'):>10.0f}{ratio:>8.2f}{goal:>7}", end="")
    print(f"   {cost.selects} SELECTs, {cost.writes} writes in {cost.commits} transactions", flush=True)
    if failed := sum(row["failed"] for row in ours + theirs):
        print(f"  !! {failed} requests failed")


def compare_sizes(product: Server) -> None:
    """The same searches with 100 and with 100,000 offers in the registry."""
    print("\noffers in the registry       p50 ms by search")
    searches = ["?vertical=sim", "?max_price=25&contract_months=0", "?provider=smarty", "?provider=nobody"]
    searches += ["?data_gb_min=999999", "?limit=100"]
    p50s = []
    for wanted in (100, 100_000):
        have = grow_registry(wanted)
        row = []
        for search in searches:
            request = {"method": "GET", "path": f"/v1/offers{search}", "headers": scenarios.KEYED}
            rounds = [drive(product, [request], repeat=True, connections=1) for _ in range(ROUNDS)]
            row.append(statistics.median(result["p50_ms"] for result in rounds))
        p50s.append(row)
        print(
            f"{have:>22,}       "
            + "   ".join(f"{search or 'all'} {p50:.1f}" for search, p50 in zip(searches, row, strict=True))
        )
    ratios = [large / small for small, large in zip(*p50s, strict=True)]
    print(f"{'ratio (goal <= 1.5)':>22}       " + "   ".join(f"{ratio:.2f}" for ratio in ratios))


def drive(server: Server, requests: list[Any], *, repeat: bool, connections: int = CONNECTIONS) -> dict[str, Any]:
    """Send the requests from another process, for `SECONDS`."""
    return load.drive(server.base_url, requests, repeat=repeat, connections=connections, seconds=SECONDS)


if __name__ == "__main__":
    main()
