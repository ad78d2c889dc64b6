import hashlib
from datetime import date, timedelta

import orjson
import pytest
from django.db import IntegrityError, connection, transaction

from ledger.conversions import OrderAttributed, SessionConverted, record_conversion
from ledger.models import Conversion, Entry, Evidence
from ledger.models.conversion import Level
from merchants.models import Merchant
from rako.core.money import Money
from tests.factories import OfferFactory, RecommendationFactory, SessionFactory
from tests.ledger.conftest import make_proof
from tests.threads import race

REPORT = {"source": Evidence.Source.MERCHANT_REPORT, "level": Level.MERCHANT_REPORTED, "reference": "ORDER-9"}


def test_a_proof_makes_a_conversion_with_its_commission(recommendation, proof):
    conversion = record_conversion(recommendation, proof()).conversion

    split = (conversion.commission_minor, conversion.network_fee_minor, conversion.builder_payout_minor)
    assert split == (800, 160, 640)
    assert conversion.status == "pending_validation"


def test_the_entry_tells_all_of_it(recommendation, proof):
    conversion = record_conversion(recommendation, proof()).conversion

    body = orjson.loads(bytes(Entry.objects.get().body))
    assert body["facts"]["commission"] == {
        "type": "cpa",
        "gross_minor": 800,
        "path_multiplier": "1.00",
        "amount_minor": 800,
        "fee_rate": "0.2000",
        "fee_minor": 160,
        "payout_minor": 640,
    }
    assert (body["facts"]["conversion_id"], body["evidence"]) == (conversion.pk, "ab" * 32)
    assert body["postings"] == [
        ["merchant_accrued", "GBP", 800],
        ["builder_pending", "GBP", -640],
        ["fee_pending", "GBP", -160],
    ]


def test_what_concerns_one_party_is_sealed(recommendation, proof):
    conversion = record_conversion(recommendation, proof()).conversion

    entry = Entry.objects.get()
    openings = {row.party: bytes(row.content) for row in entry.openings.all()}
    body = orjson.loads(bytes(entry.body))
    assert body["sealed"] == {party: hashlib.sha256(content).hexdigest() for party, content in openings.items()}
    assert orjson.loads(openings["merchant"]).items() >= {"order_reference": "order-1", "reference": "pi_1"}.items()
    assert orjson.loads(openings["agent"])["builder_id"] == conversion.builder_id
    assert not any(secret in bytes(entry.body).decode() for secret in ("order-1", "pi_1", conversion.builder_id))


def test_the_commission_is_the_codes_whatever_the_offer_says_later(recommendation, proof):
    recommendation.offer.terms.create(type="cpa", amount_minor=5000)

    assert record_conversion(recommendation, proof()).conversion.commission_minor == 800


def test_an_agreed_fee_is_the_merchants(recommendation, proof):
    recommendation.offer.merchant.network_fee_rate = "0.1000"
    recommendation.offer.merchant.save()
    recommendation.offer.merchant.refresh_from_db()

    assert record_conversion(recommendation, proof()).conversion.network_fee_minor == 80


def test_the_session_is_converted(recommendation, proof):
    record_conversion(recommendation, proof())

    recommendation.session.refresh_from_db()
    assert recommendation.session.status == "converted"


def test_a_sim_is_validated_thirty_days_after_the_sale(recommendation, proof):
    evidence = proof()

    conversion = record_conversion(recommendation, evidence).conversion

    assert conversion.validation_ends_at == evidence.occurred_at + timedelta(days=30)


@pytest.mark.parametrize(("service_on", "ends"), [(date(2027, 3, 1), "2027-03-08"), (None, None)])
def test_a_flight_is_validated_after_departure(db, proof, service_on, ends):
    offer = OfferFactory(
        vertical="flights", terms={"type": "percentage", "rate": 5}, provider="Skylark", name="LHR-JFK"
    )

    conversion = record_conversion(RecommendationFactory(offer=offer), proof(service_on=service_on)).conversion

    assert (conversion.validation_ends_at and f"{conversion.validation_ends_at:%Y-%m-%d}") == ends


def test_the_same_proof_again_changes_nothing(recommendation, proof):
    first = record_conversion(recommendation, proof())

    again = record_conversion(recommendation, proof())

    assert (again.conversion, again.made, again.attached) == (first.conversion, False, False)
    assert (Entry.objects.count(), Evidence.objects.count()) == (1, 1)


def test_the_other_partys_proof_is_attached(recommendation, proof):
    record_conversion(recommendation, proof())

    recorded = record_conversion(recommendation, proof(**REPORT))

    assert recorded.attached
    assert list(Entry.objects.values_list("kind", "stream_seq")) == [
        ("conversion.recorded", 1),
        ("evidence.attached", 2),
    ]


def test_a_payment_outranks_the_report_that_came_first(recommendation, proof):
    record_conversion(recommendation, proof(**REPORT))

    record_conversion(recommendation, proof(order_reference="other"))

    assert Conversion.objects.get().verification_level == "orchestrated"


@pytest.fixture
def flight(db):
    """A recommended flight for 10.00 that pays 5 %."""
    return RecommendationFactory(offer=OfferFactory(vertical="flights", terms={"type": "percentage", "rate": 5}))


@pytest.mark.parametrize("first_is_report", [True, False])
def test_a_proof_of_another_amount_is_a_contradiction_and_certifies_nothing(flight, proof, first_is_report):
    payment, report = proof(), proof(**REPORT, money=Money(1, "GBP"), sha256="cd" * 32)
    first, second = (report, payment) if first_is_report else (payment, report)
    before = record_conversion(flight, first).conversion

    record_conversion(flight, second)

    after = Conversion.objects.get()
    kept = (after.commission_minor, after.verification_level)
    assert kept == (before.commission_minor, before.verification_level)
    assert Entry.objects.latest("id").kind == "evidence.contradicts"


def test_a_second_payment_of_the_session_is_refused(recommendation, proof):
    record_conversion(recommendation, proof())

    with pytest.raises(SessionConverted):
        record_conversion(recommendation, proof(reference="pi_2", order_reference="order-2"))


def test_a_payment_credited_elsewhere_is_refused(recommendation, proof):
    record_conversion(recommendation, proof())
    other = RecommendationFactory(offer=recommendation.offer)

    with pytest.raises(OrderAttributed):
        record_conversion(other, proof())


def test_an_order_credited_elsewhere_is_refused(recommendation, proof):
    record_conversion(recommendation, proof())
    other = RecommendationFactory(offer=recommendation.offer)

    with pytest.raises(OrderAttributed):
        record_conversion(other, proof(reference="pi_2"))


def test_entries_of_a_stream_are_chained(recommendation, proof):
    record_conversion(recommendation, proof())
    record_conversion(recommendation, proof(**REPORT))

    first, second = Entry.objects.order_by("stream_seq")
    assert orjson.loads(bytes(second.body))["prev"] == bytes(first.leaf_hash).hex()


def test_recording_costs_a_fixed_number_of_queries(recommendation, proof, django_assert_max_num_queries):
    with django_assert_max_num_queries(6):
        record_conversion(recommendation, proof())


@pytest.mark.django_db(transaction=True)
def test_eight_equal_proofs_at_once_make_one_conversion():
    recommendation, evidence = RecommendationFactory(), make_proof()

    recorded = race(lambda _: record_conversion(recommendation, evidence))

    assert sorted(result.made for result in recorded) == [False] * 7 + [True]
    assert (Conversion.objects.count(), Evidence.objects.count(), Entry.objects.count()) == (1, 1, 1)


@pytest.mark.django_db(transaction=True)
def test_eight_payments_of_one_session_at_once_pay_one_commission():
    recommendation = RecommendationFactory()

    outcomes = race(
        lambda n: record_conversion(recommendation, make_proof(reference=f"pi_{n}", order_reference=f"order-{n}"))
    )

    refused = [outcome for outcome in outcomes if isinstance(outcome, SessionConverted)]
    assert (Conversion.objects.count(), len(refused)) == (1, 7)


@pytest.mark.django_db(transaction=True)
def test_payment_and_report_at_once_are_one_conversion_with_two_proofs():
    recommendation = RecommendationFactory()
    proofs = [make_proof(), make_proof(**REPORT, sha256="cd" * 32, order_reference="ORDER-9")]

    outcomes = race(lambda n: record_conversion(recommendation, proofs[n]), times=2)

    assert sorted((outcome.made, outcome.attached) for outcome in outcomes) == [(False, True), (True, False)]
    assert (Conversion.objects.count(), Evidence.objects.count()) == (1, 2)


@pytest.mark.django_db(transaction=True)
def test_one_payment_claimed_for_eight_sessions_at_once_is_credited_once():
    offer = OfferFactory()
    claims = [RecommendationFactory(offer=offer, session=SessionFactory()) for _ in range(8)]

    outcomes = race(lambda n: record_conversion(claims[n], make_proof(order_reference=f"order-{n}")))

    assert (Conversion.objects.count(), sum(isinstance(o, OrderAttributed) for o in outcomes)) == (1, 7)


@pytest.mark.parametrize(
    "change",
    [
        "commission_minor = commission_minor + 1",
        "builder_payout_minor = 0",
        "merchant_id = merchant_id",
        "transaction_value_minor = 1",
        "order_reference = 'x'",
        "recorded_at = now()",
    ],
)
def test_postgres_refuses_to_change_the_facts_of_a_conversion(recommendation, proof, change):
    record_conversion(recommendation, proof())

    with pytest.raises(IntegrityError, match="its rows are facts"), transaction.atomic(), connection.cursor() as cursor:
        cursor.execute(f"UPDATE ledger_conversion SET {change}")


@pytest.mark.parametrize("table", ["ledger_conversion", "ledger_entry", "ledger_evidence"])
def test_postgres_refuses_to_delete_from_the_ledger(recommendation, proof, table):
    record_conversion(recommendation, proof())

    with pytest.raises(IntegrityError, match="its rows are facts"), transaction.atomic(), connection.cursor() as cursor:
        cursor.execute(f"DELETE FROM {table}")


@pytest.mark.parametrize(
    "columns",
    [
        {"network_fee_minor": "-1", "builder_payout_minor": "801"},
        {"network_fee_minor": "161"},
        {"transaction_value_minor": "-1"},
        {"currency": "'XXX'"},
        {"status": "'paid'"},
    ],
)
def test_postgres_refuses_an_impossible_conversion(recommendation, proof, columns):
    """Raw SQL copies a good row into another session, with one thing wrong."""
    record_conversion(recommendation, proof())
    session = SessionFactory()
    names = [field.column for field in Conversion._meta.fields]
    fresh = {"id": "'01ARZ3NDEKTSV4RRFFQ69G5FAV'", "session_id": f"'{session.pk}'", "order_reference": "'o2'"}
    values = [(fresh | columns).get(name, name) for name in names]

    with pytest.raises(IntegrityError, match="conversion_"), transaction.atomic(), connection.cursor() as cursor:
        cursor.execute(
            f"INSERT INTO ledger_conversion ({', '.join(names)}) SELECT {', '.join(values)} FROM ledger_conversion"
        )


def test_a_suspended_merchants_sale_is_still_recorded(recommendation, proof):
    Merchant.objects.update(status="suspended")

    assert record_conversion(recommendation, proof(money=Money(1000, "GBP"))).made
