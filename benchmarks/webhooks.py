"""`python -m benchmarks.webhooks`: entries turned into messages, and messages delivered to a local receiver."""

import os
import threading
import time

import django

os.environ["DJANGO_SETTINGS_MODULE"] = "benchmarks.settings"
django.setup()  # its settings name the database's folder

from django.db import transaction  # noqa: E402
from django.utils import timezone  # noqa: E402

from benchmarks.database import prepare  # noqa: E402
from benchmarks.local_receiver import local_receiver  # noqa: E402
from ledger.sequencer import Sequencer  # noqa: E402
from merchants.models import Merchant  # noqa: E402
from notifications.courier import Courier  # noqa: E402
from notifications.dispatching import follow_log  # noqa: E402
from notifications.endpoints import create_endpoint  # noqa: E402
from notifications.models import Message  # noqa: E402
from rako.core.facts import Fact, state_all  # noqa: E402
from rako.core.ids import new_id  # noqa: E402

ENTRIES, ENDPOINTS = 5000, 20


def main() -> None:
    """Each merchant has an endpoint and the same number of entries."""
    prepare()
    with local_receiver() as url:
        merchants = [Merchant.objects.create(name=f"Benchmark {number}").pk for number in range(ENDPOINTS)]
        for merchant in merchants:
            create_endpoint({"merchant_id": merchant}, url=url)
        with transaction.atomic():
            state_all([_paid(merchants[number % ENDPOINTS]) for number in range(ENTRIES)])
        Sequencer().tick()
        print(f"entries turned into messages: {dispatch():,.0f}/s")
        print(f"messages delivered to {ENDPOINTS} endpoints: {deliver():,.0f}/s")


def dispatch() -> float:
    """Entries a second."""
    started = time.perf_counter()
    while follow_log():
        pass
    return ENTRIES / (time.perf_counter() - started)


def deliver() -> float:
    """Messages a second, by one worker."""
    courier = Courier()
    thread, started = threading.Thread(target=courier.run), time.perf_counter()
    thread.start()
    while Message.objects.filter(state=Message.State.PENDING).exists():
        time.sleep(0.1)
    seconds = time.perf_counter() - started
    courier.stop()
    thread.join()
    return ENTRIES / seconds


def _paid(merchant_id: str) -> Fact:
    return Fact(
        stream_id=new_id(),
        kind="invoice.paid",
        facts={"number": "INV-1", "currency": "GBP", "total_minor": 2560},
        occurred_at=timezone.now(),
        idempotency_key=new_id(),
        merchant_id=merchant_id,
    )


if __name__ == "__main__":
    main()
