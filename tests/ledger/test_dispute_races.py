"""Disputes while others move the sale: whoever comes first, one consistent story is left, and money adds up."""

import pytest
from django.utils import timezone

from ledger.dispute_claims import about_conversion
from ledger.dispute_decisions import accept, decide
from ledger.disputes import open_dispute, withdraw
from ledger.lifecycle import Kind as Happened
from ledger.lifecycle import Told, tell
from ledger.models import Conversion, Dispute, Side
from ledger.models.conversion import Path
from ledger.reports import Report, report_conversion
from ledger.validation import close_validation_periods
from ledger.verification.told import told_by
from tests.ledger.disputing import Decision, Kind, balances, disputed, findings, reviewed, sold
from tests.ledger.paths import Market
from tests.threads import race

MERCHANT, BUILDER = Side.MERCHANT, Side.BUILDER
ORDER = "ORDER-1"
# What those who come too late are told.
TOO_LATE = {"CannotDispute", "CannotMove", "DisputeExists", "DisputeMoved", "OrderAttributed", "SessionConverted"}
pytestmark = pytest.mark.django_db(transaction=True)


class Crowd:
    """An order of a hotel for 100.00 at 10 %, by influence and due for validation, and all that may happen to it."""

    def __init__(self):
        self.market = Market(vertical="hotels", price_minor=10000, terms={"type": "percentage", "rate": "10"})
        self.report(self.market.ours, Path.INFLUENCE, {"survey": "S-17"})
        self.sale = Conversion.objects.get()

    def report(self, recommendation, path, evidence=None):
        names = {"attribution_path": path, "evidence": evidence or {}, "recommendation_id": recommendation.pk}
        today = timezone.now().date()
        said = Report(recommendation.session_id, ORDER, 100, service_on=today, **names)
        return report_conversion(self.market.merchant, said)

    def dispute(self, side, kind, value=None):
        return open_dispute(about_conversion(self.sale, side, kind, value))

    def happens(self, kind, amount=None):
        return tell(self.market.merchant.pk, Told(kind, ORDER, "r1", timezone.now(), amount))

    def others(self):
        """What does not ask about disputes: refund, validation, and supersession from this session and another."""
        return [
            lambda: self.happens(Happened.REFUNDED, 10000),
            lambda: list(close_validation_periods(timezone.now())),
            lambda: self.report(self.market.ours, Path.TRACKED_LINK),
            lambda: self.report(self.market.theirs, Path.TRACKED_LINK),
        ]


def too_late(ended):
    return {type(each).__name__ for each in ended if isinstance(each, Exception)}


def assert_sound():
    assert (sum(balances().values()), findings()) == (0, [])
    (live,) = Conversion.objects.filter(is_superseded=False)
    # Held by what is open, and by nothing else.
    assert live.is_held is Dispute.objects.exclude(state__in=Dispute.ENDED).exists()


@pytest.mark.parametrize("number", range(4))
def test_a_dispute_is_opened_about_a_sale_that_allows_it_whatever_happens_to_it(number):
    crowd = Crowd()
    acts = [
        lambda: crowd.dispute(MERCHANT, Kind.MERCHANT_DISPUTE),
        lambda: crowd.dispute(BUILDER, Kind.WRONG_AMOUNT, 150),
        lambda: crowd.dispute(MERCHANT, Kind.WRONG_AMOUNT, 50),
        lambda: crowd.happens(Happened.CANCELLED),
        *crowd.others(),
    ]

    ended = race(lambda n: acts[(n + number) % 8]())

    assert too_late(ended) <= TOO_LATE
    opened = [each for each in told_by([crowd.sale.pk])[crowd.sale.pk] if each.kind == "conversion.dispute_opened"]
    assert [each for each in opened if each.facts["status_before"] in ("rejected", "clawed_back")] == []
    assert_sound()


@pytest.mark.parametrize("decision", [Decision.UPHELD, Decision.PARTLY, Decision.REJECTED])
@pytest.mark.parametrize("kind", [Kind.WRONG_AMOUNT, Kind.MERCHANT_DISPUTE])
def test_a_dispute_is_decided_once_whatever_happens_to_its_sale(kind, decision):
    crowd = Crowd()
    dispute = reviewed(crowd.dispute(MERCHANT, kind, 50 if kind == Kind.WRONG_AMOUNT else None))
    acts = [
        lambda: decide(dispute, decision, "as the documents show", 8000 if decision == Decision.PARTLY else None),
        lambda: accept(dispute, BUILDER),
        lambda: withdraw(dispute, MERCHANT),
        lambda: decide(dispute, Decision.REJECTED, "somebody else was on it, too"),
        *crowd.others(),
    ]

    ended = race(lambda n: acts[n]())

    assert too_late(ended) <= TOO_LATE
    assert sum(isinstance(each, Dispute) for each in ended) == 1
    assert_sound()


def test_a_reversal_is_taken_back_or_confirmed_whatever_else_happens_to_the_sale():
    crowd = Crowd()
    crowd.happens(Happened.REFUNDED, 10000)
    crowd.sale.refresh_from_db()
    dispute = reviewed(crowd.dispute(BUILDER, Kind.CLAWBACK))
    acts = [
        lambda: decide(dispute, Decision.UPHELD, "it was another booking"),
        lambda: accept(dispute, MERCHANT),
        lambda: crowd.happens(Happened.REFUND_FAILED),
        lambda: crowd.happens(Happened.FRAUD_FOUND),
        *crowd.others(),
    ]

    ended = race(lambda n: acts[n]())

    assert too_late(ended) <= {*TOO_LATE, "ForStaff"}
    assert_sound()


def test_of_many_who_open_at_once_one_does():
    sale = sold()
    kinds = [(MERCHANT, Kind.MERCHANT_DISPUTE, None), (BUILDER, Kind.WRONG_AMOUNT, 150)]

    ended = race(lambda n: disputed(sale, *kinds[n % 2]))

    assert sorted(type(each).__name__ for each in ended) == ["Dispute"] + ["DisputeExists"] * 7
    assert findings() == []


def test_a_dispute_ends_once_whoever_ends_it():
    sale = sold()
    dispute = disputed(sale, MERCHANT, Kind.MERCHANT_DISPUTE)
    ends = [
        lambda: accept(dispute, BUILDER),
        lambda: withdraw(dispute, MERCHANT),
        lambda: decide(dispute, Decision.PARTLY, "half", 5000),
        lambda: open_dispute(about_conversion(sale, BUILDER, Kind.WRONG_AMOUNT, 150)),
    ]

    ended = race(lambda n: ends[n % 4]())

    assert sum(isinstance(each, Dispute) and each.kind == Kind.MERCHANT_DISPUTE for each in ended) == 1
    assert {type(each).__name__ for each in ended} <= {"Dispute", "DisputeMoved", "DisputeExists", "CannotDispute"}
    assert findings() == []
