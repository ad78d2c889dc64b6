"""Three stories of §4, each with every balance after every step: a wrong amount, a missing sale, a hold confirmed."""

from datetime import timedelta

import pytest
from django.utils import timezone

from ledger.fraud_signals import check_signals
from ledger.models import Conversion, Dispute, FraudHold
from tests import staff
from tests.conftest import Api
from tests.factories import AgentKeyFactory, MerchantKeyFactory, OfferFactory, RecommendationFactory, SessionFactory
from tests.ledger.disputing import balances, findings, reviewed

TEN_PERCENT = {"type": "percentage", "rate": "10"}


@pytest.fixture
def boss(db):
    return staff.superuser()


class Market:
    """A builder's agent that recommended a flight for 100.00 GBP at 10 %, and its merchant."""

    def __init__(self, **emails):
        builder, merchant = emails.get("builder", ""), emails.get("merchant", "")
        key = AgentKeyFactory(agent__builder__email=builder)
        offer = OfferFactory(vertical="flights", price_minor=10000, terms=TEN_PERCENT, merchant__contact_email=merchant)
        self.agent, self.merchant = Api(key.secret), Api(MerchantKeyFactory(merchant=offer.merchant).secret)
        begun = timezone.now() - timedelta(hours=2)
        session = SessionFactory(agent=key.agent, created_at=begun)
        self.asked = RecommendationFactory(session=session, offer=offer, created_at=begun)

    def report(self, value, order="ORD-1"):
        departure = (timezone.now() + timedelta(days=10)).date().isoformat()
        body = {"sessionId": self.asked.session_id, "orderReference": order, "transactionValue": value}
        return answer(self.merchant.post("/v1/conversions", body | {"serviceDate": departure}))["conversionId"]


def answer(reply):
    assert reply.status_code == 200, reply.content
    return reply.json()


def owed(commission, fee):
    accounts = {"merchant_accrued": commission, "builder_pending": fee - commission, "fee_pending": -fee}
    return {account: amount for account, amount in accounts.items() if amount}


def test_a_sale_disputed_as_a_wrong_amount_is_decided_by_staff(boss):
    market = Market()
    sale = market.report(100)
    assert balances() == owed(1000, 200)

    body = {"kind": "wrong_amount", "claimedValue": 150, "message": "Two seats, not one."}
    dispute = answer(market.agent.post(f"/v1/conversions/{sale}/disputes", body))
    seen = answer(market.merchant.get(f"/v1/conversions/{sale}"))
    assert (dispute["state"], seen["status"], seen["isHeld"]) == ("awaiting_merchant", "disputed", True)
    assert balances() == owed(1000, 200)

    path = f"/v1/disputes/{dispute['disputeId']}"
    told = answer(market.merchant.post(f"{path}/evidence", {"description": "Our booking", "text": "one seat: 100.00"}))
    assert (told["state"], balances()) == ("awaiting_builder", owed(1000, 200))
    told = answer(market.agent.post(f"{path}/messages", {"text": "The second seat was bought an hour later."}))
    assert (told["state"], balances()) == ("under_review", owed(1000, 200))

    given = {"decision": "partly", "value": "120.00", "reason": "the second seat was a child's"}
    boss.post(f"/admin/ledger/dispute/{dispute['disputeId']}/decide/", given)

    seen, decided = answer(market.agent.get(f"/v1/conversions/{sale}")), answer(market.agent.get(path))
    assert (seen["status"], seen["isHeld"]) == ("resolved", False)
    assert decided["decision"] == {"outcome": "partly", "value": 120, "decidedBy": "staff", "reason": given["reason"]}
    assert balances() == owed(1200, 240)
    assert findings() == []


def test_a_sale_that_nobody_reported_is_claimed_and_recorded(boss):
    market = Market()
    claim = {
        "sessionId": market.asked.session_id,
        "recommendationId": market.asked.pk,
        "claimedValue": 100,
        "occurredAt": (timezone.now() - timedelta(hours=1)).isoformat(),
        "orderReference": "ORD-7",
        "message": "The buyer showed us the confirmation.",
    }
    dispute = answer(market.agent.post("/v1/disputes", claim))
    assert (dispute["state"], dispute["conversionId"], balances()) == ("awaiting_merchant", None, {})

    # The merchant says nothing for a week.
    assert reviewed(Dispute.objects.get()).state == "under_review"
    boss.post(f"/admin/ledger/dispute/{dispute['disputeId']}/decide/", {"decision": "upheld", "reason": "it is booked"})

    told = answer(market.merchant.get(f"/v1/disputes/{dispute['disputeId']}"))
    sale = answer(market.merchant.get(f"/v1/conversions/{told['conversionId']}"))
    assert (told["decision"]["outcome"], sale["verificationLevel"], sale["orderReference"]) == (
        "upheld",
        "reconciled",
        "ORD-7",
    )
    assert (sale["commission"]["amount"], balances()) == (10, owed(1000, 200))
    # The merchant's own report, late, is a second proof of the same sale.
    report = {"sessionId": claim["sessionId"], "orderReference": "ORD-7", "transactionValue": 100}
    assert answer(market.merchant.post("/v1/conversions", report))["conversionId"] == told["conversionId"]
    evidence = answer(market.agent.get(f"/v1/conversions/{told['conversionId']}/evidence"))["evidence"]
    assert [each["source"] for each in evidence] == ["decision", "merchant_report"]
    assert (balances(), findings()) == (owed(1000, 200), [])


def test_a_builder_that_sells_to_itself_is_held_and_found_out(boss):
    market = Market(builder="me@shop.example", merchant="shop@shop.example")
    sale = market.report(100)
    assert balances() == owed(1000, 200)

    check_signals()

    seen = answer(market.agent.get(f"/v1/conversions/{sale}"))
    assert (seen["status"], seen["isHeld"], seen["heldBy"]) == ("pending", True, ["shared_owner"])
    assert balances() == owed(1000, 200)

    staff.act(boss, "confirm_now", FraudHold.objects.get(), reason="one household")

    seen = answer(market.merchant.get(f"/v1/conversions/{sale}"))
    assert (seen["status"], seen["isHeld"], seen["heldBy"], balances()) == ("rejected", False, [], {})
    assert Conversion.objects.get().builder.fraud_found_at is not None

    # The builder contests it; the merchant, being the same house, has no say; staff keep to it.
    dispute = answer(market.agent.post(f"/v1/conversions/{sale}/disputes", {"kind": "refused_conversion"}))
    path = f"/v1/disputes/{dispute['disputeId']}"
    assert market.merchant.post(f"{path}/accept").status_code == 409
    reviewed(Dispute.objects.get())
    boss.post(f"/admin/ledger/dispute/{dispute['disputeId']}/decide/", {"decision": "rejected", "reason": "as found"})
    assert answer(market.agent.get(f"/v1/conversions/{sale}"))["status"] == "rejected"
    assert (check_signals(), balances(), findings()) == ([], {}, [])
