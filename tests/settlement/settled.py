"""Two settled months with everything that documents and exports have to tell, and what judges journals."""

import os
import shutil
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
from django.db import transaction

from merchants.models import Merchant
from sessions_app.models import Builder
from settlement.models import Batch, Invoice, Statement
from tests.factories import BuilderFactory, MerchantFactory, OfferFactory
from tests.settlement.months import FEBRUARY, JANUARY, Kind, close, confirmed, happened

LONDON = {
    "legal_name": "Σίγμα Telecoms Ltd",
    "billing_address": "10 Long Road\nLondon N1 1AA",
    "billing_country": "GB",
    "vat_number": "GB987654321",
    "vat_rate": "0.2000",
}
PARIS = {"billing_address": "1 rue Longue\nParis", "billing_country": "FR", "vat_number": "FR12345678901"}


@dataclass(frozen=True)
class Settled:
    """January pays `paid` out and invoices both merchants; in February London gets a charge and a credit."""

    london: Merchant
    paris: Merchant
    paid: Builder
    waits: Builder
    january: Batch
    february: Batch

    def invoice(self, number: str) -> Invoice:
        return Invoice.objects.select_related("batch").get(number=number)

    def statement(self, builder: Builder, batch: Batch) -> Statement:
        return Statement.objects.get(builder=builder, batch=batch)


@contextmanager
def for_a_module(blocker: Any) -> Iterator[Settled]:
    """The months for all tests of a module: each test takes back what it does, the module's end the months."""
    with blocker.unblock(), transaction.atomic():
        yield settled_months()
        transaction.set_rollback(True)


def settled_months() -> Settled:
    london, paris = MerchantFactory(**LONDON), MerchantFactory(**PARIS)
    paid, waits = BuilderFactory(name="Łódź Agents"), BuilderFactory()
    here: dict[str, Any] = {"session__agent__builder": paid, "offer": OfferFactory(merchant=london)}
    there: dict[str, Any] = {"session__agent__builder": waits, "offer": OfferFactory(merchant=paris)}
    sales = [confirmed(JANUARY, **here) for _ in range(5)]
    happened(sales[4], Kind.DISPUTE_OPENED, JANUARY, "d1")
    for _ in range(2):
        confirmed(JANUARY, **there)
    january = close(1)
    happened(sales[0], Kind.DISPUTE_LOST, FEBRUARY)
    happened(sales[1], Kind.DISPUTE_LOST, FEBRUARY)
    confirmed(JANUARY, **here)  # told late
    confirmed(FEBRUARY, **there)
    return Settled(london, paris, paid, waits, january, close(2))


def hledger(journal: Path, balances: dict[str, str]) -> None:
    """Holds a journal against `hledger check --strict`, and its accounts against these balances."""
    legs = "".join(f"    {account}  0 GBP = {amount} GBP\n" for account, amount in balances.items())
    asserted = journal.with_suffix(".asserted.journal")
    asserted.write_text(f"{journal.read_text()}\n2999-01-01 balances\n{legs}")
    _run(_required("hledger"), "-f", str(asserted), "check", "--strict")


def beancount(journal: Path, balances: dict[str, str]) -> None:
    """Holds a journal against bean-check, and its accounts against these balances."""
    lines = "".join(f"2999-01-01 balance {account} {amount} GBP\n" for account, amount in balances.items())
    asserted = journal.with_suffix(".asserted.beancount")
    asserted.write_text(f"{journal.read_text()}\n{lines}")
    _run(str(Path(sys.executable).with_name("bean-check")), "--no-cache", str(asserted))


def _required(program: str) -> str:
    path = shutil.which(program)
    if path is None:
        say = pytest.fail if os.environ.get("RAKO_TEST_REQUIRE") == "all" else pytest.skip
        say(f"{program} IS NOT INSTALLED: it did not judge the exported journals (install the package `{program}`)")
    return str(path)


def _run(*command: str) -> None:
    done = subprocess.run(command, capture_output=True, text=True, timeout=60, check=False)
    assert done.returncode == 0, done.stdout + done.stderr
