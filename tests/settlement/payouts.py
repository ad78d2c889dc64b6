"""Payouts to test with: a builder with a balance to pay, and where to."""

from typing import Any

from rako.core.facts import state
from rako.core.ids import new_id
from sessions_app.models import Builder
from settlement.bank_accounts import set_bank_account
from settlement.models import Batch, Payout
from settlement.providers.sandbox import CLOSED_ACCOUNT
from settlement.telling import fact_of_payout
from tests.factories import BuilderFactory, OfferFactory
from tests.settlement.months import JANUARY, close, confirmed

IBAN, BIC = "GB29NWBK60161331926819", "NWBKGB2L"
GERMAN = "DE89370400440532013000"
CLOSED = CLOSED_ACCOUNT


def account(builder: Builder, currency: str = "GBP", **changes: Any) -> None:
    set_bank_account(builder, currency, **{"holder": "Ada Lovelace", "iban": IBAN, "bic": BIC} | changes)


def payout(*, iban: str | None = IBAN, **recommendation: Any) -> Payout:
    """A settled month that pays 25.60 to a builder, with a bank account unless told otherwise."""
    builder = BuilderFactory()
    parties = {"session__agent__builder": builder, "offer": OfferFactory()} | recommendation
    for _ in range(4):
        confirmed(JANUARY, **parties)
    close(1)
    if iban is not None:
        account(parties["session__agent__builder"], iban=iban)
    return Payout.objects.get(builder=parties["session__agent__builder"])


def ordered(builder: Builder, amount: int = 2560, currency: str = "GBP", batch: Batch | None = None) -> Payout:
    """A payout as a settlement orders it, without the month behind it."""
    row = Payout.objects.create(
        builder=builder, batch_id=batch.pk if batch else new_id(), currency=currency, amount_minor=amount
    )
    state(fact_of_payout(row, "ordered"))
    return row
