"""Milestones: stored once each, in whatever order; the payable one starts the validation."""

from datetime import datetime, timedelta

import pytest
from django.db import IntegrityError, connection, transaction
from django.utils import timezone

from ledger.conversions import record_conversion
from ledger.models import Conversion, Entry, Event, Milestone
from merchants.verticals import VERTICALS
from rako.core.wire import instant
from tests.conftest import Api
from tests.factories import MerchantKeyFactory, OfferFactory, RecommendationFactory
from tests.ledger.conftest import make_proof
from tests.ledger.sound import unsound
from tests.ledger.told import as_owner
from tests.threads import race

NOW = timezone.now()
DAY = timedelta(days=1)


def sold(vertical="broadband", **changes):
    proof = make_proof(reference=f"pi_{vertical}", order_reference=f"order-{vertical}", occurred_at=NOW, **changes)
    terms = {"type": "cpa", "amount_minor": 1500}
    if vertical in {"flights", "hotels"}:
        terms = {"type": "percentage", "rate": 5}
    return record_conversion(
        RecommendationFactory(offer=OfferFactory(vertical=vertical, terms=terms)), proof
    ).conversion


@pytest.fixture
def report(as_merchant):
    """Reports a milestone as the sale's merchant."""

    def post(conversion, milestone="service_activated", at=NOW, reference="visit-1"):
        body = {"milestone": milestone, "occurredAt": instant(at), "reference": reference}
        return as_merchant(conversion.merchant).post(f"/v1/conversions/{conversion.pk}/milestones", body)

    return post


def ends_of(conversion):
    conversion.refresh_from_db()
    return conversion.validation_ends_at and instant(conversion.validation_ends_at)


@pytest.mark.parametrize(
    ("vertical", "milestone", "days"),
    [("broadband", "service_activated", 31), ("energy", "service_activated", 42), ("insurance", "policy_started", 14)],
)
def test_the_payable_milestone_starts_the_validation(db, report, vertical, milestone, days):
    conversion = sold(vertical)
    assert (conversion.status, ends_of(conversion)) == ("matched", None)

    reply = report(conversion, milestone).json()

    assert (reply["status"], reply["validationEndsAt"]) == ("pending", instant(NOW + timedelta(days=days)))
    assert (Conversion.objects.get().status, ends_of(conversion)) == ("pending_validation", reply["validationEndsAt"])
    kinds = list(Entry.objects.filter(stream_id=conversion.pk).values_list("kind", flat=True))
    assert kinds == ["conversion.recorded", "milestone.reported", "conversion.validation_started"]
    assert unsound() == []


@pytest.mark.parametrize(
    ("vertical", "milestone"),
    [
        (vertical, name)
        for vertical, rules in VERTICALS.items()
        for name in rules.milestones
        if name != rules.payable_milestone
    ],
)
def test_any_other_milestone_is_only_kept(db, report, vertical, milestone):
    conversion = sold(vertical)

    assert report(conversion, milestone).status_code == 200

    assert (Milestone.objects.count(), Event.objects.count(), ends_of(conversion)) == (1, 0, None)
    assert unsound() == []


@pytest.mark.parametrize(
    ("vertical", "milestone", "error"),
    [
        ("sim", "service_activated", "A sale of sim has no milestones"),
        ("flights", "approved", "A sale of flights has no milestones"),
        (
            "broadband", "policy_started",
            "milestone must be one of approved, install_scheduled, service_activated, first_bill_paid for broadband",
        ),
        (
            "insurance", "install_scheduled",
            "milestone must be one of approved, policy_started, first_bill_paid for insurance",
        ),
        ("energy", "married", "milestone must be one of approved, install_scheduled, service_activated, "
                              "first_bill_paid for energy"),
    ],
)  # fmt: skip
def test_a_milestone_that_the_vertical_does_not_know_is_refused(db, report, vertical, milestone, error):
    reply = report(sold(vertical), milestone)

    assert (reply.status_code, reply.json(), Milestone.objects.count()) == (400, {"error": error}, 0)


@pytest.mark.parametrize(
    ("vertical", "milestone", "at", "error"),
    [
        ("broadband", "service_activated", NOW + timedelta(hours=1), "occurredAt lies in the future"),
        ("broadband", "service_activated", NOW + timedelta(minutes=1), None),
        ("insurance", "policy_started", NOW + 300 * DAY, None),
        ("insurance", "policy_started", NOW + 370 * DAY, "occurredAt lies more than a year ahead"),
        ("insurance", "approved", NOW + 2 * DAY, "occurredAt lies in the future"),
        ("insurance", "policy_started", NOW - timedelta(hours=20), None),
        ("insurance", "policy_started", NOW - 2 * DAY, "occurredAt lies before the sale"),
    ],
)
def test_a_milestone_lies_between_the_sale_and_now_but_policies_may_start_later(
    db, report, vertical, milestone, at, error
):
    reply = report(sold(vertical), milestone, at)

    assert (reply.status_code, reply.json().get("error")) == (400 if error else 200, error)


def test_the_same_milestone_again_is_the_same_reply(db, report):
    conversion = sold()

    assert report(conversion).json() == report(conversion).json()
    assert (Milestone.objects.count(), Event.objects.count()) == (1, 1)


def test_another_time_under_the_same_reference_is_a_conflict(db, report):
    conversion = sold()
    report(conversion)

    reply = report(conversion, at=NOW - timedelta(hours=1))

    assert (reply.status_code, reply.headers["X-Error-Code"]) == (409, "milestone_conflict")
    assert Milestone.objects.count() == 1


def test_of_several_activations_the_earliest_counts_in_whatever_order(db, report):
    conversion = sold()
    times = [NOW - timedelta(hours=hours) for hours in (1, 5, 3)]

    for number, at in enumerate(times):
        assert report(conversion, at=at, reference=f"visit-{number}").status_code == 200

    assert ends_of(conversion) == instant(times[1] + 31 * DAY)
    assert unsound() == []


def test_milestones_out_of_order_are_fine(db, report):
    conversion = sold()

    replies = [report(conversion, name) for name in ("first_bill_paid", "service_activated", "install_scheduled")]

    assert [reply.status_code for reply in replies] == [200] * 3
    assert unsound() == []


def test_a_conversion_shows_its_milestones(db, report, as_merchant):
    conversion = sold()
    report(conversion, "approved", reference="a-1")

    shown = as_merchant(conversion.merchant).get(f"/v1/conversions/{conversion.pk}").json()["milestones"]

    assert [(row["milestone"], row["occurredAt"], row["reference"]) for row in shown] == [
        ("approved", instant(NOW), "a-1")
    ]


def test_another_merchant_or_an_agent_reports_nothing(db, as_agent, as_merchant):
    conversion = sold()
    path = f"/v1/conversions/{conversion.pk}/milestones"
    body = {"milestone": "approved", "occurredAt": instant(NOW), "reference": "x"}

    replies = [as_merchant(OfferFactory().merchant).post(path, body), as_agent.post(path, body)]

    assert [reply.status_code for reply in replies] == [404, 403]


@pytest.mark.parametrize(
    "attack",
    [
        "UPDATE ledger_milestone SET occurred_at = now()",
        "DELETE FROM ledger_milestone",
        "INSERT INTO ledger_milestone SELECT '01ARZ3NDEKTSV4RRFFQ69G5FAV', 'married', reference, occurred_at, "
        "received_at, sha256, conversion_id FROM ledger_milestone",
        "INSERT INTO ledger_milestone SELECT '01ARZ3NDEKTSV4RRFFQ69G5FAV', name, reference, occurred_at, "
        "received_at, sha256, conversion_id FROM ledger_milestone",
        "UPDATE ledger_conversion SET refunds_reverse_cpa = true",
    ],
)
def test_postgres_keeps_milestones_and_terms_as_they_were_told(db, report, attack):
    report(sold())

    with pytest.raises(IntegrityError), transaction.atomic(), connection.cursor() as cursor:
        cursor.execute(attack)


@pytest.mark.parametrize(
    "tampering",
    [
        "UPDATE ledger_milestone SET occurred_at = occurred_at - interval '1 day'",
        "UPDATE ledger_milestone SET reference = 'another'",
        "UPDATE ledger_milestone SET name = 'approved'",
        "UPDATE ledger_milestone SET sha256 = repeat('0', 64)",
        "DELETE FROM ledger_milestone",
    ],
)
def test_verification_finds_a_milestone_that_was_tampered_with(db, report, tampering):
    report(sold())

    as_owner(tampering, guards=("ledger_milestone.ledger_milestone_no_change",))

    assert {finding.check for finding in unsound()} == {"V8"}


@pytest.mark.django_db(transaction=True)
def test_eight_equal_milestones_at_once_are_one():
    conversion = sold()
    client = Api(MerchantKeyFactory(merchant=conversion.merchant).secret)
    body = {"milestone": "service_activated", "occurredAt": instant(NOW), "reference": "visit-1"}

    replies = race(lambda _: client.post(f"/v1/conversions/{conversion.pk}/milestones", body).json())

    assert len({str(reply) for reply in replies}) == Milestone.objects.count() == Event.objects.count() == 1


def flight(as_merchant):
    """A flight's recommendation, and what reports its sale."""
    offer = OfferFactory(vertical="flights", terms={"type": "percentage", "rate": 5})
    recommendation, client = RecommendationFactory(offer=offer), as_merchant(offer.merchant)
    body = {"sessionId": recommendation.session_id, "orderReference": "F1", "transactionValue": 10}
    return recommendation, lambda **changes: client.post("/v1/conversions", body | changes)


DEPARTURE = (NOW + 30 * DAY).date()


def ends_after(departure):
    return instant(datetime.combine(departure, datetime.min.time(), NOW.tzinfo) + 7 * DAY)


def test_a_repeated_report_may_add_the_service_date(db, as_merchant):
    _, report = flight(as_merchant)
    assert report().json()["status"] == "pending"

    replies = [report(serviceDate=DEPARTURE.isoformat()) for _ in range(2)]

    assert [reply.status_code for reply in replies] == [200, 200]
    assert (Event.objects.count(), ends_of(Conversion.objects.get())) == (1, ends_after(DEPARTURE))
    assert report().status_code == 200
    assert unsound() == []


def test_a_service_date_once_told_is_not_another_one(db, as_merchant):
    _, report = flight(as_merchant)
    report()
    report(serviceDate=DEPARTURE.isoformat())

    replies = [
        report(serviceDate=(DEPARTURE + DAY).isoformat()),
        report(serviceDate=DEPARTURE.isoformat(), transactionValue=11),
    ]

    assert [reply.status_code for reply in replies] == [409, 409]
    assert ends_of(Conversion.objects.get()) == ends_after(DEPARTURE)


def test_a_report_after_the_payment_tells_the_service_date(db, as_merchant):
    recommendation, report = flight(as_merchant)
    record_conversion(recommendation, make_proof(occurred_at=NOW))

    assert report(serviceDate=DEPARTURE.isoformat()).status_code == 200

    assert ends_of(Conversion.objects.get()) == ends_after(DEPARTURE)
    assert unsound() == []


def test_a_sim_has_no_service_date_to_add(recommendation, as_merchant):
    client = as_merchant(recommendation.offer.merchant)
    body = {"sessionId": recommendation.session_id, "orderReference": "S1", "transactionValue": 10}
    client.post("/v1/conversions", body)

    assert client.post("/v1/conversions", body | {"serviceDate": DEPARTURE.isoformat()}).status_code == 409
