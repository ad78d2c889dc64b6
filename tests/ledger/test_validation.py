"""The end of validation: by the hundred as one by one, as of the moment it ended, and safe beside anything else."""

import json
from datetime import timedelta
from io import StringIO

import pytest
from django.core.management import CommandError, call_command
from django.utils import timezone

from ledger import tasks, validation
from ledger.conversions import record_conversion
from ledger.lifecycle import CannotMove, Kind, Told, tell
from ledger.models import Conversion, Entry, Event, Posting
from tests.factories import OfferFactory, RecommendationFactory
from tests.ledger.conftest import make_proof
from tests.ledger.sound import unsound
from tests.ledger.test_batches import left_behind
from tests.ledger.test_lifecycle import CONFIRMED, balances
from tests.threads import race

DAY = timedelta(days=1)
LATER = timezone.now() + 31 * DAY
DUE = validation.due


def sold(count=1, offer=None, **changes):
    """Sales of a SIM, whose validation ends thirty days after them."""
    offer, made = offer or OfferFactory(), []
    for number in range(count):
        proof = make_proof(reference=f"pi_{number}", order_reference=f"order-{number}", **changes)
        made.append(record_conversion(RecommendationFactory(offer=offer), proof).conversion)
    return made


def happens(conversion, kind, reference="r1", after=timedelta(0), **changes):
    told = Told(kind, conversion.order_reference, reference, timezone.now() + after, **changes)
    return tell(conversion.merchant_id, told, conversion=conversion)


def close(as_of=LATER):
    steps = list(validation.close_validation_periods(as_of))
    return sum(step.validated for step in steps), [pk for step in steps for pk in step.left]


def statuses():
    return sorted(Conversion.objects.values_list("status", flat=True))


def test_what_is_due_is_owed_as_of_the_moment_its_validation_ended(db):
    (conversion,) = sold()

    assert close() == (1, [])

    conversion.refresh_from_db()
    entry = Entry.objects.latest("id")
    assert (conversion.status, balances(), conversion.session.status) == ("validated", CONFIRMED, "validated")
    assert (entry.kind, entry.occurred_at) == ("conversion.validated", conversion.validation_ends_at)
    assert unsound() == []


def test_what_is_not_due_waits(db):
    (conversion,) = sold()

    assert close(conversion.validation_ends_at - timedelta(microseconds=1)) == (0, [])
    assert close(conversion.validation_ends_at) == (1, [])
    assert close() == (0, [])


@pytest.mark.parametrize(
    ("happened", "status", "is_held"),
    [
        ([], "validated", False),
        ([Kind.DISPUTE_OPENED], "disputed", True),
        ([Kind.DISPUTE_OPENED, Kind.DISPUTE_WON], "validated", False),
        ([Kind.DISPUTE_OPENED, Kind.DISPUTE_LOST], "clawed_back", False),
        ([Kind.CANCELLED], "clawed_back", False),
        ([Kind.FRAUD_FOUND], "rejected", False),
        ([Kind.HELD], "validated", True),
    ],
)
def test_disputes_wait_and_what_was_taken_back_stays_so(db, happened, status, is_held):
    (conversion,) = sold()
    for kind in happened:
        happens(conversion, kind)

    close()

    assert list(Conversion.objects.values_list("status", "is_held")) == [(status, is_held)]
    assert unsound() == []


def test_a_sale_whose_validation_has_not_begun_waits(db):
    offer = OfferFactory(vertical="flights", terms={"type": "percentage", "rate": 5})
    sold(offer=offer)

    assert (close(), statuses()) == ((0, []), ["matched"])


def test_what_is_left_after_a_part_refund_is_owed(db):
    offer = OfferFactory(vertical="hotels", terms={"type": "percentage", "rate": 10})
    (conversion,) = sold(offer=offer, service_on=(timezone.now() + 3 * DAY).date())
    happens(conversion, Kind.REFUNDED, amount_minor=400)

    close()

    assert balances() == {"merchant_receivable": 60, "builder_payable": -48, "fee_revenue": -12}
    assert unsound() == []


def test_many_at_once_leave_the_same_facts_as_one_by_one(db):
    ones, many = OfferFactory(), OfferFactory()
    for conversion in sold(3, ones):
        event = Told(Kind.VALIDATED, conversion.order_reference, conversion.pk, conversion.validation_ends_at)
        tell(ones.merchant_id, event, conversion=conversion)
    sold(3, many)
    close()

    assert left_behind(ones.merchant_id) == left_behind(many.merchant_id)
    kept = [
        [(line.account, line.amount_minor) for line in Posting.objects.filter(entry__merchant_id=offer.merchant_id)]
        for offer in (ones, many)
    ]
    assert sorted(kept[0]) == sorted(kept[1])


def test_more_than_a_chunk_is_closed(db, monkeypatch):
    monkeypatch.setattr(validation, "CHUNK", 2)
    sold(5)

    assert (close(), statuses()) == ((5, []), ["validated"] * 5)


def test_one_that_cannot_be_validated_holds_up_no_other(db, monkeypatch):
    odd, *_ = sold(3)
    stranger = OfferFactory()
    Event.objects.create(  # as nothing of ours would tell it: under the reference by which the odd one's end is told
        conversion=record_conversion(RecommendationFactory(offer=stranger), make_proof()).conversion,
        merchant=odd.merchant,
        kind=Kind.VALIDATED,
        sale_reference="other",
        reference=odd.pk,
        occurred_at=timezone.now(),
    )
    monkeypatch.setattr(validation, "due", lambda as_of: DUE(as_of).filter(merchant=odd.merchant))

    assert close() == (2, [odd.pk])
    assert statuses() == ["pending_validation", "pending_validation", "validated", "validated"]


def test_a_chunk_that_fails_is_validated_one_by_one(db, monkeypatch):
    sold(3)

    def fail(*_):
        raise CannotMove()

    monkeypatch.setattr(validation, "_validate", fail)

    assert (close(), statuses()) == ((3, []), ["validated"] * 3)
    assert unsound() == []


@pytest.mark.django_db(transaction=True)
def test_refunds_and_two_runs_at_once_leave_each_sale_in_one_of_two_states():
    conversions = sold(12)

    def act(number):
        if number % 2:
            return close()
        return [happens(row, Kind.REFUNDED, row.pk, amount_minor=1000).status for row in conversions[number::2][:3]]

    outcomes = race(act)

    assert [outcome for outcome in outcomes if isinstance(outcome, Exception)] == []
    # A refund in time counts whenever it is told.
    assert set(statuses()) == {"clawed_back", "validated"}
    assert Event.objects.filter(kind="validated").count() <= 12
    assert unsound() == []


def test_the_worker_closes_what_is_due(db):
    sold(1, occurred_at=timezone.now() - 40 * DAY)

    tasks.close_validation_periods(timestamp=0)

    assert statuses() == ["validated"]


def run(*arguments):
    out = StringIO()
    call_command("close_validation_periods", *arguments, stdout=out)
    return out.getvalue().strip()


def test_the_command_tells_what_it_did(db):
    sold(2)

    as_of = LATER.date().isoformat()
    assert run("--as-of", as_of, "--dry-run") == "2 due, 0 validated, 0 left"
    assert json.loads(run("--as-of", as_of, "--json")) == {"due": 2, "validated": 2, "left": []}
    assert run("--as-of", as_of) == "0 due, 0 validated, 0 left"


def test_time_passes_by_itself_in_live_mode(db, settings):
    settings.RAKO_MODE = "live"

    with pytest.raises(CommandError) as refusal:
        run("--as-of", "2099-01-01")

    assert refusal.value.returncode == 2
