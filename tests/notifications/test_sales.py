"""Settlement tells each side how many of its sales it has come to, and the API lists exactly these."""

import json

import pytest
from django.db import connection
from django.test.utils import CaptureQueriesContext

from notifications.models import Message
from settlement.models import Payout
from settlement.payouts import record_answer, retry, send_payouts
from settlement.providers.base import Answer
from tests.conftest import Api
from tests.factories import AgentFactory, AgentKeyFactory, BuilderFactory, OfferFactory
from tests.notifications.conftest import endpoint_of, follow, types_of
from tests.settlement.months import FEBRUARY, JANUARY, Kind, close, confirmed, happened
from tests.settlement.payouts import account

PENDING, SETTLED = TYPES = ("conversions.settlement_pending", "conversions.settled")
URL = "https://hooks.example/"


@pytest.fixture
def agent(db):
    return AgentFactory(builder=BuilderFactory())


@pytest.fixture
def offer(db):
    return OfferFactory()


@pytest.fixture
def to_merchant(offer):
    return endpoint_of(offer.merchant, URL, event_types=TYPES)


@pytest.fixture
def to_builder(agent):
    return endpoint_of(agent.builder, URL, event_types=TYPES)


@pytest.fixture
def sales(agent, offer):
    return [confirmed(JANUARY, session__agent=agent, offer=offer) for _ in range(4)]


@pytest.fixture
def listed(agent):
    """The ids of the builder's conversions, and their statuses."""
    client = Api(AgentKeyFactory(agent=agent).secret)

    def get(**query):
        return {
            row["conversionId"]: row["status"] for row in client.get("/v1/conversions", **query).json()["conversions"]
        }

    return get


def answered(is_paid, reason=""):
    """The bank says what became of the only payout."""
    payout = Payout.objects.get()
    record_answer(Answer(payout.pk, is_paid, reason), file_id=payout.file_id)


def told(endpoint):
    follow()
    rows = Message.objects.filter(endpoint=endpoint).order_by("pk")
    return [(row.event_type, json.loads(row.payload)["data"]) for row in rows]


def test_each_side_is_told_once_how_many_sales_a_batch_has(to_merchant, to_builder, sales, offer, listed):
    confirmed(JANUARY, offer=offer)  # of another builder
    batch = close(1)

    [(name, data)] = told(to_builder)

    assert (name, data["batchId"], data["sales"]) == (PENDING, batch.pk, [{"currency": "GBP", "count": 4}])
    assert told(to_merchant)[0][1]["sales"] == [{"currency": "GBP", "count": 5}]
    assert listed(batchId=batch.pk) == {sale.pk: "settlement_pending" for sale in sales}


def test_nobody_is_told_of_a_batch_without_sales_of_theirs(to_merchant, to_builder):
    confirmed(JANUARY)
    close(1)

    assert (told(to_merchant), told(to_builder)) == ([], [])


def test_each_side_is_told_when_the_payout_was_paid(to_merchant, to_builder, sales, agent, listed):
    close(1)
    account(agent.builder)
    send_payouts()
    answered(is_paid=True)

    _, (name, data) = told(to_builder)

    payout = Payout.objects.get()
    assert (name, data["payoutId"], data["sales"]) == (SETTLED, payout.pk, [{"currency": "GBP", "count": 4}])
    assert told(to_merchant)[1][1]["sales"] == data["sales"]
    assert listed(payoutId=payout.pk) == {sale.pk: "settled" for sale in sales}


def test_what_the_bank_sends_back_is_pending_again_and_what_it_refuses_never_was_settled(to_merchant, sales, agent):
    close(1)
    account(agent.builder)
    send_payouts()
    answered(False, "No such account")
    retry(Payout.objects.get())
    send_payouts()
    answered(True)
    answered(False, "Sent back")

    names = [name for name, _ in told(to_merchant)]

    assert names == [PENDING, SETTLED, PENDING]


def test_a_sale_of_two_batches_that_one_payout_pays_is_one(to_builder, agent, offer):
    parties = {"session__agent": agent, "offer": offer}
    sales = [confirmed(JANUARY, **parties) for _ in range(2)]
    january = close(1)
    happened(sales[0], Kind.DISPUTE_LOST, FEBRUARY)
    sales += [confirmed(FEBRUARY, **parties) for _ in range(4)]
    february = close(2)
    account(agent.builder)
    send_payouts()
    answered(is_paid=True)

    (_, first), (_, second), (name, data) = told(to_builder)

    assert (first["batchId"], first["sales"][0]["count"]) == (january.pk, 2)
    assert (second["batchId"], second["sales"][0]["count"]) == (february.pk, 5)
    assert (name, data["sales"][0]["count"]) == (SETTLED, 6)


def test_what_no_batch_and_no_payout_has_is_not_listed(listed, sales):
    assert listed(batchId=sales[0].pk) == listed(payoutId="nonsense") == {}


def test_a_thousand_payouts_take_no_more_statements_than_one(agent, offer, to_merchant):
    counts = []
    for month, builders in ((1, 1), (2, 4)):
        for _ in range(builders):
            builder = BuilderFactory()
            account(builder)
            for _ in range(4):
                confirmed(JANUARY.replace(month=month), session__agent__builder=builder, offer=offer)
        close(month)
        send_payouts()
        for payout in Payout.objects.filter(state="submitted"):
            record_answer(Answer(payout.pk, True), file_id=payout.file_id)
        with CaptureQueriesContext(
            connection,
        ) as captured:
            follow()
        counts.append(len(captured))

    assert counts[1] <= counts[0] + 1  # the sequencer may tick once more
    assert types_of(to_merchant).count(SETTLED) == 5
