"""Five sales from the report to the money, with every balance after every step (docs/money.md tells them)."""

import itertools
from datetime import UTC, datetime, timedelta

import pytest
from django.utils import timezone

from ledger.lifecycle import Kind, Told, tell
from ledger.models import Conversion
from ledger.validation import close_validation_periods
from settlement.closing import settle
from settlement.models import Batch
from settlement.periods import Period
from settlement.recomputing import differences
from tests.conftest import Api
from tests.factories import AgentKeyFactory, MerchantKeyFactory, OfferFactory, RecommendationFactory, SessionFactory
from tests.ledger.sound import unsound
from tests.settlement.months import balances, invoices, statement

pytestmark = pytest.mark.django_db
FLIGHT = {"vertical": "flights", "price_minor": 44900, "terms": {"type": "percentage", "rate": "5"}}
_orders = itertools.count(1)


def january(day, hour=12):
    return datetime(2026, 1, day, hour, tzinfo=UTC)


class Market:
    """An agent that recommends one offer, and its merchant; what they say goes through the API."""

    def __init__(self, **offer):
        self.offer = OfferFactory(**offer)
        key = AgentKeyFactory()
        self._agent = key.agent
        self.agent, self.merchant = Api(key.secret), Api(MerchantKeyFactory(merchant=self.offer.merchant).secret)

    def sell(self, value, at, **fields):
        """The id of a sale that the merchant reports."""
        session = SessionFactory(agent=self._agent, created_at=at - timedelta(hours=1))
        asked = RecommendationFactory(session=session, offer=self.offer, created_at=session.created_at)
        order = {"orderReference": f"order-{next(_orders)}", "occurredAt": at.isoformat()}
        told = {"sessionId": asked.session_id, "transactionValue": value} | order | fields
        return self.say("/v1/conversions", told)["conversionId"]

    def say(self, path, body, *, by="merchant"):
        reply = getattr(self, by).post(path, body)
        assert reply.status_code == 200, reply.content
        return reply.json()

    def reach(self, sale, milestone, at):
        body = {"milestone": milestone, "occurredAt": at.isoformat(), "reference": milestone}
        return self.say(f"/v1/conversions/{sale}/milestones", body)

    def shown(self, sale, *, to="agent"):
        reply = getattr(self, to).get(f"/v1/conversions/{sale}").json()
        return reply["status"], reply["settlementStatus"]


def accrued(commission, fee):
    return {"merchant_accrued": commission, "builder_pending": fee - commission, "fee_pending": -fee}


def owed(commission, fee):
    return {"merchant_receivable": commission, "builder_payable": fee - commission, "fee_revenue": -fee}


def validate(as_of):
    list(close_validation_periods(as_of))


def close(month):
    return settle(Period(f"2026-{month:02d}"))


@pytest.fixture(autouse=True)
def _all_is_sound():
    yield
    assert unsound() == []
    assert [found for batch in Batch.objects.all() for found in differences(batch)] == []


def test_a_sim_is_sold():
    market = Market(merchant__vat_rate="0.2")
    sale = market.sell(10, january(10))
    assert (market.shown(sale), balances()) == (("pending", "pending"), accrued(800, 160))

    validate(january(31))
    assert balances() == accrued(800, 160)
    validate(datetime(2026, 2, 10, tzinfo=UTC))
    assert (market.shown(sale), balances()) == (("validated", "confirmed"), owed(800, 160))

    batch = close(2)
    assert (invoices(batch), statement(batch)) == ([("INV-00000001", 800)], (0, 640, 0, 0, 640))
    assert market.shown(sale) == ("settlement_pending", "invoiced")
    assert balances() == owed(800, 160) | {"merchant_receivable": 960, "vat_payable": -160}


def test_broadband_is_paid_for_once_it_is_active():
    market = Market(vertical="broadband", price_minor=3000, terms={"type": "cpa", "amount_minor": 4000})
    sale = market.sell(30, january(10))
    market.reach(sale, "install_scheduled", january(12))
    validate(datetime(2026, 6, 1, tzinfo=UTC))
    assert (market.shown(sale), balances()) == (("pending", "pending"), accrued(4000, 800))

    market.reach(sale, "service_activated", january(20))
    validate(datetime(2026, 2, 19, tzinfo=UTC))
    assert balances() == accrued(4000, 800)
    validate(datetime(2026, 2, 21, tzinfo=UTC))
    assert (market.shown(sale), balances()) == (("validated", "confirmed"), owed(4000, 800))

    assert statement(close(2)) == (0, 3200, 0, 3200, 0)
    assert balances() == {"merchant_receivable": 4000, "fee_revenue": -800, "bank_clearing": -3200}


def test_insurance_is_cancelled_while_the_customer_may():
    terms = {"type": "hybrid", "amount_minor": 1500, "rate": "3"}
    market = Market(vertical="insurance", price_minor=48732, terms=terms)
    now = timezone.now()
    sale = market.sell(487.32, now)
    assert balances() == accrued(2962, 592)

    market.reach(sale, "policy_started", now)
    assert (market.shown(sale), balances()) == (("pending", "pending"), accrued(2962, 592))

    told = market.say(f"/v1/conversions/{sale}/cancel", {"reason": "found it cheaper"})
    assert (told["outcome"], market.shown(sale), balances()) == ("clawed_back", ("clawed_back", "reversed"), {})

    validate(now + timedelta(days=60))
    assert balances() == {}


def test_flights_are_refunded_in_part_after_the_payout():
    market = Market(**FLIGHT)
    first, second = (market.sell(449, january(5), serviceDate="2026-01-10") for _ in range(2))
    assert balances() == accrued(4490, 898)
    validate(january(31))
    assert statement(close(1)) == (0, 3592, 0, 3592, 0)
    paid = {"merchant_receivable": 4490, "fee_revenue": -898, "bank_clearing": -3592}
    assert balances() == paid

    refund(second, 5000, datetime(2026, 2, 1, tzinfo=UTC))  # the merchant absorbs what comes after validation
    assert balances() == paid

    refund(first, 10000, january(12))  # in time, but told after the payout
    assert balances() == paid | {"merchant_receivable": 3990, "builder_payable": 400, "fee_revenue": -798}

    batch = close(2)
    assert (invoices(batch), statement(batch)) == ([("CRN-00000001", 500)], (0, 0, -400, 0, -400))
    assert balances() == paid | {"merchant_receivable": 3990, "builder_clawback_due": 400, "fee_revenue": -798}


def refund(sale, amount, at):
    row = Conversion.objects.get(pk=sale)
    assert tell(row.merchant_id, Told(Kind.REFUNDED, row.order_reference, f"re-{amount}", at, amount))


def test_a_dispute_is_conceded_and_the_right_amount_settled():
    market = Market(**FLIGHT)
    now = timezone.now()
    departure = (now + timedelta(days=3)).date()
    sale = market.sell(200, now, serviceDate=departure.isoformat())
    assert balances() == accrued(1000, 200)

    claim = {"kind": "wrong_amount", "claimedValue": 449}
    dispute = market.say(f"/v1/conversions/{sale}/disputes", claim, by="agent")["disputeId"]
    assert (market.shown(sale), balances()) == (("disputed", "disputed"), accrued(1000, 200))
    validate(now + timedelta(days=30))
    assert balances() == accrued(1000, 200)

    market.say(f"/v1/disputes/{dispute}/accept", {})
    assert (market.shown(sale)[0], balances()) == ("resolved", accrued(2245, 449))

    validate(now + timedelta(days=30))
    assert (market.shown(sale), balances()) == (("validated", "confirmed"), owed(2245, 449))

    over = departure + timedelta(days=7)
    assert statement(settle(Period(f"{over:%Y-%m}"))) == (0, 1796, 0, 0, 1796)
    assert (market.shown(sale), balances()) == (("settlement_pending", "invoiced"), owed(2245, 449))
