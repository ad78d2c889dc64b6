"""What the API shows of sales: what is left of each by now, and where its settlement stands."""

import importlib
from datetime import timedelta

import pytest
from django.db import connection

from ledger.models import Conversion
from settlement.models import Payout
from settlement.payouts import record_answer, send_payouts
from settlement.providers.base import Answer
from tests.conftest import Api
from tests.factories import AgentFactory, AgentKeyFactory, BuilderFactory, OfferFactory
from tests.ledger.sound import unsound
from tests.settlement.months import FLIGHT, JANUARY, MARCH, Kind, close, confirmed, happened, sold
from tests.settlement.payouts import account

pytestmark = pytest.mark.django_db
DIFFERENCES = ("corrected_value_minor", "refunded_minor", "reversed_commission_minor", "reversed_payout_minor")


@pytest.fixture
def agent():
    return AgentFactory(builder=BuilderFactory())


@pytest.fixture
def parties(agent):
    offer = OfferFactory(**FLIGHT)
    return {"session__agent": agent, "offer": offer}


@pytest.fixture
def shown(agent):
    """The builder's conversions, by id."""
    client = Api(AgentKeyFactory(agent=agent).secret)

    def get(**query):
        reply = client.get("/v1/conversions", **query)
        assert reply.status_code == 200, reply.content
        return {row["conversionId"]: row for row in reply.json()["conversions"]}

    return get


def amounts(row):
    return row["transactionValue"], row["refundedValue"], row["commission"]["amount"], row["reversed"]["amount"]


def test_a_sale_shows_what_is_left_of_it(parties, shown):
    sale = sold(JANUARY, 10_000, **parties)
    assert amounts(shown()[sale.pk]) == (100, 0, 10, 0)

    happened(sale, Kind.CORRECTED, JANUARY, amount=8_000)
    assert amounts(shown()[sale.pk]) == (80, 0, 8, 2)

    happened(sale, Kind.REFUNDED, JANUARY + timedelta(days=1), amount=3_000)
    row = shown()[sale.pk]
    assert amounts(row) == (80, 30, 5, 5)
    assert row["commission"] == {"amount": 5, "networkFee": 1, "builderPayout": 4, "type": "percentage"}
    assert row["reversed"] == {"amount": 5, "networkFee": 1, "builderPayout": 4}

    happened(sale, Kind.CANCELLED, JANUARY + timedelta(days=2))
    assert amounts(shown()[sale.pk]) == (80, 30, 0, 10)


def test_a_correction_upwards_adds_to_the_commission(parties, shown):
    sale = sold(JANUARY, 10_000, **parties)

    happened(sale, Kind.CORRECTED, JANUARY, amount=15_000)

    assert amounts(shown()[sale.pk]) == (150, 0, 15, -5)
    assert unsound() == []


def test_a_refund_after_validation_takes_nothing_back(parties, shown):
    sale = confirmed(JANUARY, 10_000, **parties)

    happened(sale, Kind.REFUNDED, MARCH, amount=10_000)

    assert amounts(shown()[sale.pk]) == (100, 0, 10, 0)


def test_each_status_finds_the_sales_that_show_it(agent, parties, shown):
    account(agent.builder)
    paid = confirmed(JANUARY, 100_000, **parties)
    close(1)
    send_payouts()
    record_answer(Answer(Payout.objects.get().pk, True))
    in_a_batch = confirmed(JANUARY, 10_000, **parties)
    close(2)
    validated, pending = confirmed(MARCH, 10_000, **parties), sold(MARCH, 10_000, **parties)

    found = {"settled": paid, "settlement_pending": in_a_batch, "validated": validated, "pending": pending}
    for status, sale in found.items():
        assert {pk: row["status"] for pk, row in shown(status=status).items()} == {sale.pk: status}


def test_the_migration_fills_in_what_is_left(parties):
    sales = [sold(JANUARY, 10_000, **parties) for _ in range(4)]
    happened(sales[0], Kind.CORRECTED, JANUARY, amount=8_000)
    happened(sales[0], Kind.REFUNDED, JANUARY + timedelta(days=1), amount=3_000)
    happened(sales[1], Kind.REFUNDED, JANUARY, "failed", amount=10_000)
    happened(sales[1], Kind.REFUND_FAILED, JANUARY, "failed")
    happened(sales[2], Kind.CANCELLED, JANUARY)
    before = list(Conversion.objects.order_by("pk").values_list(*DIFFERENCES))
    Conversion.objects.update(
        corrected_value_minor=None, refunded_minor=0, reversed_commission_minor=0, reversed_fee_minor=0,
        reversed_payout_minor=0,
    )  # fmt: skip
    assert any("reversed_commission_minor" in str(finding) for finding in unsound())

    with connection.cursor() as cursor:
        cursor.execute(importlib.import_module("ledger.migrations.0014_what_is_left").FILL)

    assert list(Conversion.objects.order_by("pk").values_list(*DIFFERENCES)) == before
    assert unsound() == []
