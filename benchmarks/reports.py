"""`python -m benchmarks.reports`: batches of reports over HTTP, into a ledger of 10,000 sales and of 100,000, and how
fast their validation is closed."""

import json
import os
import statistics
import time
from datetime import timedelta
from typing import Any

import django

os.environ["DJANGO_SETTINGS_MODULE"] = "benchmarks.settings"
django.setup()  # its settings name the database's folder

from django.db import connection  # noqa: E402
from django.utils import timezone  # noqa: E402

from benchmarks import load  # noqa: E402
from benchmarks.database import prepare  # noqa: E402
from benchmarks.sales import Parties  # noqa: E402
from ledger.batches import LARGEST  # noqa: E402
from ledger.models import Conversion  # noqa: E402
from ledger.validation import close_validation_periods  # noqa: E402
from merchants.catalogue import find_offer  # noqa: E402
from merchants.codes import code_for  # noqa: E402
from merchants.models import Merchant  # noqa: E402
from rako.core.api_keys import digest  # noqa: E402
from rako.demo_keys import DEMO_MERCHANT_KEY  # noqa: E402
from rako.serving import Server, serving  # noqa: E402
from sessions_app.models import Recommendation, Session  # noqa: E402

SIZES = (10_000, int(os.environ.get("RAKO_BENCHMARK_SALES", "100000")))
BATCHES, AT_ONCE, ROUNDS = 2, 2, 3
SETTINGS: Any = {"DJANGO_SETTINGS_MODULE": "benchmarks.settings"}


def main() -> None:
    """Grow the ledger by batches, and look at the last of them at each size."""
    prepare()
    with serving(web_only="/health", **SETTINGS) as server:
        send(server, 2)  # plans, caches
        rates = []
        for size in SIZES:
            while (missing := size - Conversion.objects.count() - ROUNDS * BATCHES * LARGEST) > 0:
                send(server, min(50, -(-missing // LARGEST)))
            _vacuum()
            rates.append(statistics.median(send(server, BATCHES) for _ in range(ROUNDS)))
            print(
                f"batches of {LARGEST:,}, {AT_ONCE} at a time, at {size:,} sales: {rates[-1]:,.0f} rows/s", flush=True
            )
        print(f"large against small: {rates[-1] / rates[0]:.2f} (goal >= 0.9)")
    close()


def send(server: Server, count: int) -> float:
    """Rows a second of so many batches."""
    requests = [_batch() for _ in range(count)]
    done = load.drive(server.base_url, requests, repeat=False, connections=AT_ONCE, seconds=600)
    if done["failed"] or done["requests"] != count:
        print(f"  !! {done}")
    return float(done["rps"] * LARGEST)


def close() -> None:
    """How fast all of these are validated, by one process."""
    started = time.perf_counter()
    count = sum(step.validated for step in close_validation_periods(timezone.now() + timedelta(days=400)))
    print(f"validations closed: {count / (time.perf_counter() - started):,.0f}/s of {count:,}")


def _batch() -> dict[str, Any]:
    """A request with sales of new sessions. What led to these is not what is measured: it has no entries."""
    parties, now = _parties(), timezone.now()
    offer = find_offer(parties.offer_id)
    assert offer is not None, "the demo has it"  # noqa: S101
    owned = {"agent": parties.agent, "created_at": now}
    sessions = [Session(**owned, expires_at=now + timedelta(days=1)) for _ in range(LARGEST)]
    Session.objects.bulk_create(sessions)
    Recommendation.objects.bulk_create(
        Recommendation(**owned, session=row, offer_id=offer.id, aap_code=code_for(offer), fallback_url="-")
        for row in sessions
    )
    rows = [{"sessionId": row.pk, "orderReference": f"order-{row.pk}", "transactionValue": 12.5} for row in sessions]
    headers = {"Authorization": f"Bearer {DEMO_MERCHANT_KEY}"}
    return {"method": "POST", "path": "/v1/conversions", "headers": headers, "body": json.dumps({"conversions": rows})}


def _parties() -> Parties:
    """The demo's agent, and the merchant whose key is published."""
    merchant = Merchant.objects.get(keys__digest=digest(DEMO_MERCHANT_KEY))
    offer = merchant.offers.filter(vertical="sim", status="active").order_by("id")[0]
    return Parties(Parties.of_the_demo().agent, merchant.pk, offer.pk)


def _vacuum() -> None:
    with connection.cursor() as cursor:
        cursor.execute("VACUUM ANALYZE")


if __name__ == "__main__":
    main()
