"""`make replay`: the whole year and a half, through the public API, and every month held against plain Python."""

import io
import json
import os
import sys
import time
import urllib.request
from collections.abc import Iterable, Sequence
from concurrent.futures import ThreadPoolExecutor
from itertools import groupby
from typing import Any

import django

os.environ["DJANGO_SETTINGS_MODULE"] = "benchmarks.settings"
django.setup()  # its settings name the database's folder

from django.conf import settings  # noqa: E402
from django.core.management import call_command  # noqa: E402

from benchmarks.database import prepare  # noqa: E402
from benchmarks.replay.comparing import disagreements  # noqa: E402
from benchmarks.replay.expected import months  # noqa: E402
from benchmarks.replay.market import open_market, recommend, row_of  # noqa: E402
from benchmarks.replay.orders import CannotFetch, Order, orders  # noqa: E402
from ledger.models import Conversion  # noqa: E402
from rako.core.money import major_text  # noqa: E402
from rako.core.progress import progress  # noqa: E402
from rako.serving import serving  # noqa: E402
from settlement.models import Payout  # noqa: E402

_ROWS = 500
_AT_ONCE = 2
_CONFIG: Any = {"DJANGO_SETTINGS_MODULE": "benchmarks.settings", "RAKO_MAX_BODY_BYTES": "1048576"}


def main() -> int:
    try:
        # Beside the database's folder, which is made anew.
        found = orders(settings.RAKO_DATA_DIR.parent / "replay")
    except CannotFetch as error:
        print(f"cannot replay: {error}")
        return 1
    prepare()
    market = open_market()
    expected = months(found, lambda order: market.agent_of(order).builder_id)
    wrong, seconds = [], 0.0
    with serving(**_CONFIG) as server:
        url = f"{server.base_url}/v1/conversions"
        by_month = [(period, list(rows)) for period, rows in groupby(sorted(found, key=_when), key=_period)]
        for period, rows in by_month:
            seconds += report(url, market.key, recommend(market, rows), period)
            call_command("close_validation_periods", "--as-of", f"{rows[-1].on}T23:59:59Z", stdout=io.StringIO())
            call_command("settle", "--period", period, stdout=io.StringIO())
            month = expected[period]
            wrong += list(disagreements(period, month))
            paid = sum(month.paid.values())
            print(f"{period}  {month.count:6,} orders  {_pounds(month.value)}  {_pounds(month.charged)} charged  "
                  f"{_pounds(paid)} paid out", flush=True)  # fmt: skip
    total = sum(row.value_minor for row in found)
    told = sum(Conversion.objects.values_list("transaction_value_minor", flat=True))
    if told != total:
        wrong.append(f"{told} recorded instead of {total}")
    print(f"{len(found):,} orders of {_pounds(total)} reported at {len(found) / seconds:,.0f} rows/s, "
          f"{Payout.objects.count()} payouts, {len(wrong)} disagreements with plain Python")  # fmt: skip
    for line in wrong:
        print(f"  {line}")
    return 3 if wrong else 0


def report(url: str, key: str, told: Sequence[tuple[Order, str]], period: str) -> float:
    """Send a month's orders in batches; returns the seconds it took. Raises RuntimeError if a row is refused."""
    batches = [told[start : start + _ROWS] for start in range(0, len(told), _ROWS)]
    started = time.perf_counter()
    with ThreadPoolExecutor(_AT_ONCE) as pool:
        sent = pool.map(lambda batch: _send(url, key, batch), batches)
        for _ in progress(sent, total=len(batches), label=f"{period}, batches of {_ROWS}"):
            pass
    return time.perf_counter() - started


def _send(url: str, key: str, batch: Iterable[tuple[Order, str]]) -> None:
    body = json.dumps({"conversions": [row_of(order, session_id) for order, session_id in batch]}).encode()
    headers = {"Authorization": f"Bearer {key}", "Content-Type": "application/json"}
    with urllib.request.urlopen(urllib.request.Request(url, body, headers), timeout=120) as reply:  # noqa: S310
        results = json.load(reply)["results"]
    refused = [row for row in results if row["status"] != "recorded"]
    if refused:
        raise RuntimeError(f"{len(refused)} rows were refused, the first is {refused[0]}")


def _when(order: Order) -> tuple[Any, int]:
    return order.on, order.number


def _period(order: Order) -> str:
    return order.period


def _pounds(minor: int) -> str:
    return f"{major_text(minor, 'GBP'):>12}"


if __name__ == "__main__":
    sys.exit(main())
