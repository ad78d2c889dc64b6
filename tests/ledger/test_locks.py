"""Sessions are held in one order by whoever records, claims, batches and validates: nobody waits in a circle."""

import pytest
from django.db import DatabaseError
from django.utils import timezone

from ledger.batches import report_batch
from ledger.lifecycle import Kind, Told, tell
from ledger.models import Conversion
from ledger.models.conversion import Path
from ledger.reports import Report, report_conversion
from ledger.validation import close_validation_periods
from tests.ledger.paths import Market, balances
from tests.ledger.sound import unsound
from tests.threads import race

ROUNDS = 25
pytestmark = pytest.mark.django_db(transaction=True)


def of(recommendation, path, order, **more):
    """A merchant's report of an order by a path."""
    evidence = {
        Path.EXTENSION: {"activatedAt": recommendation.created_at.isoformat()},
        Path.INFLUENCE: {"survey": "S-17"},
    }
    proof = evidence.get(path, {})
    names = {"attribution_path": path, "evidence": proof, "recommendation_id": recommendation.pk}
    return Report(recommendation.session_id, order, 10, **names | more)


def conflicts(rounds):
    """The kinds of exceptions among the results of many rounds, but for those that contradict nothing."""
    ended = [each for results in rounds for each in results]
    assert [each for each in ended if isinstance(each, DatabaseError)] == []
    return {type(each).__name__ for each in ended if isinstance(each, Exception)}


def claimed_from_all_sides(market, low, high, order):
    """What becomes of it when an order of one session is claimed by another, batched, reported again and refunded."""
    report_conversion(market.merchant, of(low, Path.INFLUENCE, order))
    others = [of(each, Path.EXTENSION, f"{order}-{each.pk}") for each in (low, high)]
    acts = [
        lambda: report_conversion(market.merchant, of(high, Path.TRACKED_LINK, order)),
        lambda: report_batch(market.merchant, others),
        lambda: report_conversion(market.merchant, of(low, Path.EXTENSION, order)),
        lambda: tell(market.merchant.pk, Told(Kind.REFUNDED, order, order, timezone.now(), 300)),
    ]
    return race(lambda n: acts[n](), len(acts))


def claimed_and_validated(market, low, high, order):
    """The same when its validation ends while another session claims it."""
    today = timezone.now().date()
    report_conversion(market.merchant, of(low, Path.INFLUENCE, order, service_on=today))
    acts = [
        lambda: report_conversion(market.merchant, of(high, Path.TRACKED_LINK, order)),
        lambda: list(close_validation_periods(timezone.now())),
    ]
    return race(lambda n: acts[n](), len(acts))


def rounds_of(clash, market):
    """The results of many rounds, each with two sessions of its own, in either order."""
    for number in range(ROUNDS):
        pair = sorted((market.recommend(), market.recommend()), key=lambda each: each.session_id)
        yield clash(market, *(pair if number % 2 else reversed(pair)), f"ORDER-{number}")


def test_whoever_claims_others_orders_and_whoever_batches_never_wait_in_a_circle():
    assert conflicts(rounds_of(claimed_from_all_sides, Market())) <= {"OrderAttributed", "SessionConverted"}
    assert (sum(balances().values()), unsound()) == (0, [])


def test_whoever_claims_an_order_and_whoever_validates_it_never_wait_in_a_circle():
    market = Market(vertical="hotels", terms={"type": "percentage", "rate": "5"})

    assert conflicts(rounds_of(claimed_and_validated, market)) == set()
    assert Conversion.objects.filter(is_superseded=True).count() == ROUNDS
    assert (sum(balances().values()), unsound()) == (0, [])
