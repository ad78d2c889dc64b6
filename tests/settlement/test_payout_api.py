"""Earnings, payouts and the status of settled sales as each side sees them."""

import pytest
from django.db import connection
from django.test.utils import CaptureQueriesContext

from rako.core.money import Money
from settlement.models import Batch, Invoice, Payout, Statement
from settlement.payouts import record_answer, send_payouts
from settlement.providers.base import Answer
from settlement.receivables import record_payment
from tests.factories import OfferFactory
from tests.settlement.months import FEBRUARY, JANUARY, Kind, close, confirmed, happened, sold
from tests.settlement.payouts import account, ordered

pytestmark = pytest.mark.django_db


@pytest.fixture
def parties(agent):
    return {"session__agent": agent, "offer": OfferFactory()}


@pytest.fixture
def settled(parties):
    """Two months: 6.40 is carried forward, then 25.60 are paid out with it."""
    sales = [confirmed(at, **parties) for at in (JANUARY, FEBRUARY, FEBRUARY, FEBRUARY)]
    close(1)
    close(2)
    return sales


def pay_out(agent):
    account(agent.builder)
    send_payouts()
    payout = Payout.objects.get()
    record_answer(Answer(payout.pk, True), file_id=payout.file_id)


def pay_invoices(merchant):
    total = sum(Invoice.objects.values_list("total_minor", flat=True))
    record_payment(merchant, Money(total, "GBP"), reference="all", received_on=JANUARY.date())


def test_a_payout_tells_which_statements_it_pays(as_agent, agent, settled):
    pay_out(agent)

    (shown,) = as_agent.get("/v1/payouts").json()["payouts"]

    assert (shown["status"], shown["amount"], shown["currency"], shown["period"]) == ("paid", 25.6, "GBP", "2026-02")
    assert [(row["number"], row["earned"], row["paid"], row["closing"]) for row in shown["statements"]] == [
        ("STM-00000001", 6.4, 0, 6.4),
        ("STM-00000002", 19.2, 25.6, 0),
    ]
    assert shown["lines"] == {"count": 4, "earned": 25.6, "reversed": 0}
    assert [bool(shown[name]) for name in ("createdAt", "submittedAt", "paidAt", "failure")] == [True] * 3 + [False]
    assert as_agent.get(f"/v1/payouts/{shown['id']}").json() == shown


def test_payouts_are_paged_with_as_many_queries_for_two_as_for_one(as_agent, agent, settled):
    ordered(agent.builder, currency="EUR", batch=Batch.objects.first())

    def page(**query):
        with CaptureQueriesContext(connection) as captured:
            return as_agent.get("/v1/payouts", **query).json(), len(captured)

    first, queries = page(limit=1)
    both, queries_of_both = page()
    rest, _ = page(cursor=first["nextCursor"])

    assert first["payouts"] + rest["payouts"] == both["payouts"]
    assert queries == queries_of_both


def test_a_merchant_has_no_payouts(as_merchant, parties, settled):
    reply = as_merchant(parties["offer"].merchant).get("/v1/payouts")

    assert (reply.status_code, reply.json()) == (403, {"error": "This endpoint needs an agent key"})


def test_earnings_of_both_sides(as_agent, as_merchant, parties, settled):
    sold(FEBRUARY, **parties)

    earned = as_agent.get("/v1/earnings").json()
    owed = as_merchant(parties["offer"].merchant).get("/v1/earnings").json()

    assert earned == {
        "earnings": [
            {"currency": "GBP", "pending": 6.4, "held": 0, "confirmed": 0, "carriedForward": 0, "payable": 25.6}
            | {"failed": 0, "paidOut": 0, "owed": 0, "nextPayout": {"amount": 0, "minimum": 25}}
        ]
    }
    assert owed == {
        "earnings": [
            {"currency": "GBP", "accrued": 8, "held": 0, "confirmed": 0, "invoiced": 32, "overdue": 0, "credit": 0}
            | {"paid": 0}
        ]
    }


def test_nobody_else_sees_them(as_merchant, settled):
    assert as_merchant(OfferFactory().merchant).get("/v1/earnings").json() == {"earnings": []}


def shown(api, sale):
    reply = api.get(f"/v1/conversions/{sale.pk}").json()
    return reply["status"], reply["settlementStatus"], reply["settlementPeriod"], reply["paidAt"] is not None


def test_a_sale_is_settled_once_it_is_paid_out(as_agent, agent, parties):
    sale = sold(JANUARY, **parties)
    seen = [shown(as_agent, sale)]
    for other in (sale, *(sold(JANUARY, **parties) for _ in range(3))):
        happened(other, Kind.VALIDATED, FEBRUARY.replace(day=20))
    seen.append(shown(as_agent, sale))
    close(2)
    seen.append(shown(as_agent, sale))
    pay_out(agent)
    seen.append(shown(as_agent, sale))

    assert seen == [
        ("pending", "pending", None, False),
        ("validated", "confirmed", None, False),
        ("settlement_pending", "invoiced", "2026-02", False),
        ("settled", "paid", "2026-02", True),
    ]
    assert as_agent.get(f"/v1/sessions/{sale.session_id}").json()["session"]["status"] == "settled"


def test_each_side_sees_its_own_document(as_agent, as_merchant, parties, settled):
    mine = as_agent.get(f"/v1/conversions/{settled[0].pk}").json()
    theirs = as_merchant(parties["offer"].merchant).get(f"/v1/conversions/{settled[0].pk}").json()

    assert (mine["statementNumber"], theirs["invoiceNumber"]) == ("STM-00000001", "INV-00000001")
    assert ("invoiceNumber" in mine, "statementNumber" in theirs) == (False, False)


def test_for_a_merchant_a_sale_is_paid_with_its_invoice(as_agent, as_merchant, parties, settled):
    merchant = parties["offer"].merchant
    api = as_merchant(merchant)
    before = shown(api, settled[0])
    pay_invoices(merchant)

    assert (before[1], shown(api, settled[0])[1:]) == ("invoiced", ("paid", "2026-01", True))
    assert shown(as_agent, settled[0])[:2] == ("settlement_pending", "invoiced")


@pytest.mark.parametrize(
    ("kind", "said"), [(Kind.DISPUTE_LOST, "reversed"), (Kind.DISPUTE_OPENED, "disputed"), (Kind.HELD, "disputed")]
)
def test_what_is_reversed_or_disputed_says_so(as_agent, settled, kind, said):
    happened(settled[0], kind, FEBRUARY)

    assert shown(as_agent, settled[0])[1] == said


@pytest.mark.parametrize("side", ["agent", "merchant"])
def test_a_page_of_settled_sales_costs_no_more_queries_than_one(as_agent, as_merchant, parties, settled, side):
    api = as_agent if side == "agent" else as_merchant(parties["offer"].merchant)

    def queries(limit):
        with CaptureQueriesContext(connection) as captured:
            reply = api.get("/v1/conversions", limit=limit)
        assert reply.json()["count"] == limit
        return len(captured)

    queries(1)
    assert queries(1) == queries(4)


def test_statements_payouts_and_earnings_say_the_same(as_agent, agent, settled):
    pay_out(agent)

    (earned,) = as_agent.get("/v1/earnings").json()["earnings"]
    payouts = as_agent.get("/v1/payouts").json()["payouts"]

    assert earned["paidOut"] == sum(row["amount"] for row in payouts) == 25.6
    assert sum(Statement.objects.values_list("paid_minor", flat=True)) == 2560
