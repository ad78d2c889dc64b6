"""`python -m benchmarks.payments`: checkouts at a slow processor beside searches, webhooks, and reconciliation."""

import json
import os
import statistics
import subprocess
import sys
import tempfile
import time
from concurrent.futures import ThreadPoolExecutor
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any

import django

os.environ["DJANGO_SETTINGS_MODULE"] = "benchmarks.settings"
django.setup()  # its settings name the database's folder

from django.utils import timezone  # noqa: E402

from benchmarks import load, scenarios  # noqa: E402
from benchmarks.database import prepare  # noqa: E402
from benchmarks.sales import Parties, conversion_of  # noqa: E402
from benchmarks.slow_psp import ACCOUNT, KEY, link, slow_psp  # noqa: E402
from checkout.models import Checkout, PspObject  # noqa: E402
from ledger.models import Conversion, Evidence  # noqa: E402
from merchants.models import Connection, Merchant  # noqa: E402
from rako.core.ids import new_id  # noqa: E402
from rako.serving import serving  # noqa: E402
from sessions_app.models import Recommendation, Session  # noqa: E402

SECONDS = float(os.environ.get("RAKO_BENCHMARK_SECONDS", "6"))
PAYMENTS = int(os.environ.get("RAKO_BENCHMARK_PAYMENTS", "10000"))
DELAY_MS = 300
# They come at this pace, whether those before them are done or not, and find room for so many.
_ARRIVING = 110
_SEARCHING = 40
_BUYERS = 48
SETTINGS: Any = {"DJANGO_SETTINGS_MODULE": "benchmarks.settings"}


def main() -> None:
    """Each part on a database of its own rows; the web server has two processes, and there is no worker."""
    prepare()
    webhooks()
    checkouts()
    reconciliation()


def tell(what: str, figures: str, goal: str = "") -> None:
    print(f"{what:<48}{figures}{f'   (goal {goal})' if goal else ''}", flush=True)


def webhooks() -> None:
    """Verify, store, judge, record: paid events of the sandbox, each of another checkout."""
    requests = scenarios.SCENARIOS[3].make(100 + int(400 * SECONDS))
    rounds: dict[int, list[dict[str, Any]]] = {8: [], 32: []}
    with serving(web_only="/health", **SETTINGS) as server:
        load.drive(server.base_url, requests[:100], repeat=False, connections=8, seconds=5)
        for part, connections in enumerate([*rounds] * 3):
            share = requests[100 + part :: 6]
            rounds[connections].append(
                load.drive(server.base_url, share, repeat=False, connections=connections, seconds=60)
            )
    for connections, done in rounds.items():
        tell(f"webhook to conversion, {connections} connections", _figures(done), ">= 300/s")


def checkouts() -> None:
    """Buyers handed over to a processor that takes its time, while others search."""
    merchant = Merchant.objects.get(offers__pk=scenarios._offer())
    Connection.objects.filter(merchant=merchant).update(status="disconnected", disconnected_at=timezone.now())
    Connection.objects.create(
        merchant=merchant,
        kind="hyperswitch",
        account_id=ACCOUNT,
        credentials={"api_key": KEY, "profile_id": "pro_benchmark"},
        webhook_secrets=["benchmark"],
    )
    search = scenarios.SCENARIOS[0].make(1)
    rounds: dict[str, list[dict[str, Any]]] = {"checkouts": [], "searches": [], "alone": []}
    with slow_psp(DELAY_MS) as address:
        environment = SETTINGS | {"RAKO_HYPERSWITCH_API_BASE": address}
        with serving(web_only="/health", **environment) as server:
            requests = scenarios.SCENARIOS[2].make(int(4 * _ARRIVING * SECONDS))

            def searching() -> dict[str, Any]:
                return load.drive(server.base_url, search, repeat=True, connections=2, seconds=SECONDS, rate=_SEARCHING)

            load.drive(server.base_url, requests[:100], repeat=False, connections=_BUYERS, seconds=5)
            for part in range(3):
                rounds["alone"].append(searching())
                with ThreadPoolExecutor() as pool:
                    meanwhile = pool.submit(searching)
                    share = requests[100 + part :: 3]
                    done = load.drive(
                        server.base_url, share, repeat=False, connections=_BUYERS, seconds=SECONDS, rate=_ARRIVING
                    )
                    rounds["checkouts"].append(done)
                    rounds["searches"].append(meanwhile.result())
    what = f"checkouts, {_ARRIVING} buyers a second, the processor takes {DELAY_MS} ms"
    tell(what, _figures(rounds["checkouts"]), ">= 100/s")
    busy, idle = (statistics.median(row["p99_ms"] for row in rounds[name]) for name in ("searches", "alone"))
    figures = f"{_figures(rounds['searches'])}; alone {_figures(rounds['alone'])}; p99 ratio {busy / idle:.2f}"
    tell("  searches meanwhile", figures, "<= 2")


def reconciliation() -> None:
    """A month of payments at a local processor, all of them recorded."""
    connection = Connection.objects.get(kind="hyperswitch")
    with tempfile.TemporaryDirectory() as folder:
        file = Path(folder, "payments.json")
        file.write_text(json.dumps(_sales(connection)))
        with slow_psp(0, file) as address:
            command = [sys.executable, "manage.py", "reconcile_payments", "--connection", connection.pk]
            command += ["--since", f"{timezone.now() - timedelta(days=31):%F}", "--json"]
            environment = os.environ | {"RAKO_HYPERSWITCH_API_BASE": address}
            started = time.perf_counter()
            done = subprocess.run(command, env=environment, capture_output=True, text=True, check=False)  # noqa: S603
            seconds = time.perf_counter() - started
    if done.returncode not in {0, 3}:
        raise RuntimeError(done.stderr[-2000:])
    told = json.loads(done.stdout.splitlines()[-1])
    tell(f"reconciling {told['read']:,} payments", f"{seconds:.1f} s, {told['open']} findings", "< 60 s")


def _sales(connection: Connection) -> list[dict[str, Any]]:
    """Recorded sales in bulk, without entries, and the processor's payments to them."""
    parties, now = Parties.of_the_demo(), timezone.now()
    shown: list[dict[str, Any]] = []
    for number in range(PAYMENTS):
        at = now - timedelta(days=30) + timedelta(days=29) * number / PAYMENTS
        shown.append(
            link({"payment_id": f"pay_{new_id()}", "amount": 2500, "currency": "GBP", "metadata": {}}, created=at)
        )
    owned = {"agent": parties.agent, "expires_at": now}
    sessions = [Session(**owned, created_at=one["created"]) for one in shown]
    recommendations = [
        Recommendation(agent=parties.agent, session=session, offer_id=parties.offer_id, aap_code="-", fallback_url="-")
        for session in sessions
    ]
    Session.objects.bulk_create(sessions, batch_size=1000)
    Recommendation.objects.bulk_create(recommendations, batch_size=1000)
    rows = [_row(connection, parties, one, made) for one, made in zip(shown, recommendations, strict=True)]
    Checkout.objects.bulk_create([row for row, _, _ in rows], batch_size=1000)
    Conversion.objects.bulk_create([row for _, row, _ in rows], batch_size=1000)
    Evidence.objects.bulk_create([row for _, _, row in rows], batch_size=1000)
    noted = [PspObject(connection=connection, psp_id=row.psp_id, checkout=row) for row, _, _ in rows]
    PspObject.objects.bulk_create(noted, batch_size=1000)
    return [one | {"created": _iso(one["created"]), "status": "succeeded", "amount_received": 2500} for one in shown]


def _row(
    connection: Connection, parties: Parties, shown: dict[str, Any], recommendation: Recommendation
) -> tuple[Checkout, Conversion, Evidence]:
    at, reference = shown["created"], shown["payment_id"]
    owned = {"session": recommendation.session, "recommendation": recommendation, "merchant": connection.merchant}
    checkout = Checkout(
        **owned,
        connection=connection,
        state="succeeded",
        amount_minor=2500,
        currency="GBP",
        psp_id=reference,
        created_at=at,
        expires_at=at + timedelta(days=1),
    )
    sold = conversion_of(recommendation, parties, id=new_id(), order_reference=f"aap:{checkout.pk}")
    sold.merchant = connection.merchant
    evidence = Evidence(
        conversion=sold,
        merchant=connection.merchant,
        source="psp_event",
        level="orchestrated",
        reference=reference,
        transaction_value_minor=2500,
        currency="GBP",
        occurred_at=at,
        received_at=at,
        sha256="0" * 64,
        details={"connection_id": connection.pk},
    )
    return checkout, sold, evidence


def _iso(moment: datetime) -> str:
    return f"{moment:%Y-%m-%dT%H:%M:%S}.{moment.microsecond // 1000:03d}Z"


def _figures(rounds: list[dict[str, Any]]) -> str:
    rate, p50, p99 = (statistics.median(row[name] for row in rounds) for name in ("rps", "p50_ms", "p99_ms"))
    failed = sum(row["failed"] for row in rounds)
    return f"{rate:.0f}/s, p50 {p50:.0f} ms, p99 {p99:.0f} ms" + (f", {failed} failed" if failed else "")


if __name__ == "__main__":
    main()
