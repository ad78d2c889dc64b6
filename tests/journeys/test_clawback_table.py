"""The clawback table of the protocol (section 4), through the API and the payment processor, with all balances."""

from dataclasses import replace

import pytest
from django.utils import timezone

from checkout.connectors.sandbox import disputes, refunds
from ledger.lifecycle import Kind, Told, tell
from ledger.models import Conversion
from ledger.validation import close_validation_periods
from merchants.models import Merchant
from merchants.verticals import VERTICALS
from tests.checkout.psp import checkout_of
from tests.checkout.reconciliation.story import balances, sold
from tests.checkout.test_afterwards import told
from tests.factories import OfferFactory, RecommendationFactory
from tests.ledger.sound import unsound

ACCRUED = {"merchant_accrued": 800, "builder_pending": -640, "fee_pending": -160}
OWED = {"merchant_receivable": 800, "builder_payable": -640, "fee_revenue": -160}
NOTHING: dict[str, int] = {}


@pytest.fixture(params=["during validation", "after validation"])
def period(request, monkeypatch):
    """When it happens: the SIM's validation lasts thirty days, or is over with the sale."""
    if request.param == "after validation":
        monkeypatch.setitem(VERTICALS, "sim", replace(VERTICALS["sim"], validation_days=0))
    return request.param


@pytest.fixture
def sale(db, period):
    """A SIM for 10.00 with a CPA of 8.00, paid at the processor, and validated if its time is over."""
    checkout = checkout_of(RecommendationFactory())
    sold(checkout)
    assert sum(step.validated for step in close_validation_periods(timezone.now())) == (period == "after validation")
    return checkout


def cancelled(sale, as_merchant):
    conversion = Conversion.objects.get()
    return as_merchant(sale.merchant).post(f"/v1/conversions/{conversion.pk}/cancel", {"reason": "changed their mind"})


def refunded(sale, as_merchant):
    told(sale, refunds.refund, 1000)


def charged_back(sale, as_merchant):
    told(sale, lambda payment: disputes.lose(disputes.open_dispute(payment).pk))


def fraud(sale, as_merchant):
    conversion = Conversion.objects.get()
    tell(sale.merchant_id, Told(Kind.FRAUD_FOUND, conversion.order_reference, "f1", timezone.now()))


def disputed(sale, as_merchant):
    told(sale, disputes.open_dispute)


TABLE = [
    # event             during validation               after validation
    (cancelled,         ("clawed_back", NOTHING),       ("validated", OWED)),
    (refunded,          ("clawed_back", NOTHING),       ("validated", OWED)),
    (charged_back,      ("clawed_back", NOTHING),       ("clawed_back", NOTHING)),
    (fraud,             ("rejected", NOTHING),          ("clawed_back", NOTHING)),
    (disputed,          ("disputed", ACCRUED),          ("disputed", OWED)),
]  # fmt: skip


@pytest.mark.parametrize(("event", "during", "after"), TABLE, ids=lambda value: getattr(value, "__name__", ""))
def test_the_clawback_table(sale, period, as_merchant, event, during, after):
    event(sale, as_merchant)

    assert (Conversion.objects.get().status, balances()) == (after if period == "after validation" else during)
    assert unsound() == []


def test_a_cancellation_says_who_bears_it_and_again_the_same(sale, period, as_merchant):
    first, again = cancelled(sale, as_merchant).json(), cancelled(sale, as_merchant).json()

    assert first == again
    assert first["receipt"].startswith("rako.sh/ledger/receipt\n")
    assert (first["status"], first["outcome"], first["reason"]) == (
        *(("clawed_back", "clawed_back") if period == "during validation" else ("validated", "merchant_absorbs")),
        "changed their mind",
    )


@pytest.mark.parametrize("reason", [None, "", "x" * 301, 5])
def test_a_cancellation_needs_a_reason(sale, as_merchant, reason):
    path = f"/v1/conversions/{Conversion.objects.get().pk}/cancel"

    assert as_merchant(sale.merchant).post(path, {"reason": reason}).status_code == 400
    assert Conversion.objects.get().status != "clawed_back"


CPA = {"type": "cpa", "amount_minor": 800}
PERCENTAGE = {"type": "percentage", "rate": "5.00"}
HYBRID = {"type": "hybrid", "amount_minor": 1500, "rate": "3.00"}
# A third of 100.01 is refunded, half up at each step; then the rest.
PARTIAL = [
    # vertical, terms, does the CPA go with it, what is left: owed = payout + fee
    ("sim", CPA, False, (800, 640, 160)),
    ("sim", CPA, True, (533, 426, 107)),
    ("flights", PERCENTAGE, False, (333, 266, 67)),
    ("flights", PERCENTAGE, True, (333, 266, 67)),
    ("insurance", HYBRID, False, (1700, 1360, 340)),
    ("insurance", HYBRID, True, (1200, 960, 240)),
]


@pytest.mark.parametrize(("vertical", "terms", "reverses", "left"), PARTIAL)
def test_a_part_refund_takes_its_share_of_the_cpa_only_where_so_agreed(db, vertical, terms, reverses, left):
    offer = OfferFactory(vertical=vertical, price_minor=10001, terms=terms)
    Merchant.objects.filter(pk=offer.merchant_id).update(refunds_reverse_cpa=reverses)
    checkout = checkout_of(RecommendationFactory(offer=offer))
    sold(checkout)
    # What is agreed later does not count.
    Merchant.objects.filter(pk=offer.merchant_id).update(refunds_reverse_cpa=not reverses)

    told(checkout, refunds.refund, 3334)

    amount, payout, fee = left
    assert balances() == {"merchant_accrued": amount, "builder_pending": -payout, "fee_pending": -fee}
    told(checkout, refunds.refund, 6667)
    assert (Conversion.objects.get().status, balances()) == ("clawed_back", {})
    assert unsound() == []
