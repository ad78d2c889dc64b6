"""Batches of reports: a result per row, no row spoils another, and the same facts as one at a time."""

import json
import random
import re
from collections import Counter
from datetime import timedelta

import pytest
from django.db import connection
from django.test.utils import CaptureQueriesContext
from django.utils import timezone

from checkout.start import start_checkout
from ledger import batches
from ledger.conversions import record_conversion
from ledger.lifecycle import Kind, Told, tell
from ledger.models import Conversion, Entry, Event, Evidence, Opening
from tests.conftest import Api
from tests.factories import MerchantKeyFactory, OfferFactory, RecommendationFactory
from tests.ledger.conftest import make_proof
from tests.ledger.sound import unsound
from tests.ledger.test_reports import yesterdays_recommendation
from tests.threads import race


@pytest.fixture
def offer(db):
    return OfferFactory()


@pytest.fixture
def post(as_merchant, offer):
    """Sends rows as the offer's merchant."""
    client = as_merchant(offer.merchant)
    return lambda *rows: client.post("/v1/conversions", {"conversions": list(rows)})


def row_for(recommendation, order="", **changes):
    order = order or f"ORDER-{recommendation.pk}"
    return {"sessionId": recommendation.session_id, "orderReference": order, "transactionValue": 10} | changes


def rows_for(offer, count):
    return [row_for(RecommendationFactory(offer=offer), f"ORDER-{number}") for number in range(count)]


def statuses(reply):
    return [row["status"] for row in reply.json()["results"]]


def test_each_row_gets_the_reply_of_a_single_report(post, offer):
    reply = post(*rows_for(offer, 3)).json()

    assert (reply["count"], reply["recorded"], reply["refused"]) == (3, 3, 0)
    assert [row["index"] for row in reply["results"]] == [0, 1, 2]
    first = reply["results"][0]
    assert first.pop("receipt").startswith("rako.sh/ledger/receipt\n")
    assert first == {
        "index": 0,
        "status": "recorded",
        "conversionStatus": "pending",
        "conversionId": Conversion.objects.get(order_reference="ORDER-0").pk,
        "sessionId": Conversion.objects.get(order_reference="ORDER-0").session_id,
        "orderReference": "ORDER-0",
        "transactionValue": 10,
        "commission": {"amount": 8, "networkFee": 1.6, "builderPayout": 6.4, "type": "cpa"},
        "validationPeriodDays": 30,
    }


def test_a_batch_again_is_known_and_says_the_same(post, offer):
    rows = rows_for(offer, 3)

    first, again = post(*rows).json()["results"], post(*rows).json()["results"]

    assert [row.pop("status") for row in again] == ["known"] * 3
    assert [row.pop("status") for row in first] == ["recorded"] * 3
    assert first == again
    assert (Conversion.objects.count(), Evidence.objects.count()) == (3, 3)


@pytest.mark.parametrize(
    ("change", "error", "code"),
    [
        ({"transactionValue": -1}, "transactionValue must not be negative", "invalid_field"),
        ({"transactionValue": 1.001}, "transactionValue has more than 2 decimal places", "invalid_field"),
        ({"transactionValue": "10"}, "transactionValue must be a number", "invalid_field"),
        ({"transactionValue": 1e300}, "transactionValue is too large", "invalid_field"),
        ({"transactionValue": None}, "sessionId, orderReference and transactionValue are required", "missing_fields"),
        ({"currency": "EUR"}, "currency must be GBP, the offer's", "invalid_field"),
        ({"occurredAt": "2099-01-01T00:00:00Z"}, "occurredAt lies in the future", "invalid_field"),
        ({"occurredAt": "2020-01-01T00:00:00Z"}, "occurredAt lies before the recommendation", "invalid_field"),
        ({"orderReference": "aap:1"}, "orderReference must not start with aap:", "invalid_field"),
        ({"orderReference": "x" * 201}, "orderReference must have at most 200 characters", "invalid_field"),
        ({"sessionId": "nobody"}, "Session not found", "session_not_found"),
        ({"recommendationId": "nobody"}, "Recommendation not found", "recommendation_not_found"),
    ],
)
def test_a_bad_row_is_refused_with_a_sentence_and_spoils_no_other(post, offer, change, error, code):
    good, bad, last = rows_for(offer, 3)

    reply = post(good, bad | change, last)

    assert statuses(reply) == ["recorded", "refused", "recorded"]
    refused = reply.json()["results"][1]
    assert (refused["error"], refused["code"]) == (error, code)
    assert (Conversion.objects.count(), reply.json()["refused"]) == (2, 1)


@pytest.mark.parametrize("row", [None, 5, "x", [], [{}]])
def test_a_row_that_is_no_object_is_refused(post, offer, row):
    reply = post(row, *rows_for(offer, 1))

    assert statuses(reply) == ["refused", "recorded"]
    assert reply.json()["results"][0]["error"] == "must be an object"


@pytest.mark.parametrize("rows", [[], {}, "x", 5, [{}] * 1001])
def test_what_is_no_batch_is_refused_as_a_whole(as_merchant, offer, rows):
    reply = as_merchant(offer.merchant).post("/v1/conversions", {"conversions": rows})

    assert (reply.status_code, reply.json()) == (400, {"error": "conversions must be a list of 1 to 1,000 reports"})


def test_a_sale_after_the_window_is_refused(post, offer):
    reply = post(row_for(yesterdays_recommendation(offer)))

    assert reply.json()["results"][0]["code"] == "session_expired"


def test_a_sale_of_nothing_is_a_sale(post, offer):
    assert statuses(post(rows_for(offer, 1)[0] | {"transactionValue": 0.00})) == ["recorded"]


def test_another_merchants_session_does_not_exist(as_merchant, offer):
    rows, stranger = rows_for(offer, 2), OfferFactory().merchant

    reply = as_merchant(stranger).post("/v1/conversions", {"conversions": rows})

    assert [row["code"] for row in reply.json()["results"]] == ["session_not_found"] * 2


def test_an_agent_cannot_send_a_batch(as_agent, offer):
    assert as_agent.post("/v1/conversions", {"conversions": rows_for(offer, 1)}).status_code == 403


def test_equal_rows_are_like_two_requests(post, offer):
    (row,) = rows_for(offer, 1)

    assert statuses(post(row, row, row | {"transactionValue": 11})) == ["recorded", "known", "refused"]


def test_a_second_order_of_a_session_is_refused_whichever_row_it_is(post, offer):
    (row,) = rows_for(offer, 1)

    reply = post(row | {"transactionValue": -1}, row | {"orderReference": "A"}, row | {"orderReference": "B"})

    assert statuses(reply) == ["refused", "recorded", "refused"]
    assert reply.json()["results"][2]["code"] == "session_converted"


def test_a_row_is_attached_where_a_payment_came_first(post, offer):
    paid, other = RecommendationFactory(offer=offer), RecommendationFactory(offer=offer)
    record_conversion(paid, make_proof())

    reply = post(row_for(paid), row_for(other))

    assert statuses(reply) == ["attached", "recorded"]
    assert Conversion.objects.get(recommendation=paid).verification_level == "orchestrated"


def test_what_happened_to_an_order_before_it_was_reported_is_carried_out(post, offer):
    rows = rows_for(offer, 2)
    tell(offer.merchant_id, Told(Kind.REFUNDED, "ORDER-1", "r1", timezone.now() + timedelta(hours=1), 1000))

    reply = post(*rows)

    assert [row["conversionStatus"] for row in reply.json()["results"]] == ["pending", "clawed_back"]
    assert Event.objects.filter(conversion=None).count() == 0


def test_a_row_cannot_take_the_sale_from_a_payment_under_way(post, offer):
    session = RecommendationFactory(offer=offer).session
    paying = RecommendationFactory(session=session, offer=OfferFactory(merchant=offer.merchant))
    start_checkout(paying.agent, session_id=session.pk, recommendation_id=paying.pk)
    rival = session.recommendations.get(offer=offer)

    reply = post(row_for(rival, recommendationId=rival.pk))

    assert reply.json()["results"][0]["code"] == "in_progress"


CHANGING = re.compile(
    r"[0-7][0-9A-HJKMNP-TV-Z]{25}|\b[0-9a-f]{32,64}\b|\d{4}-\d\d-\d\d[T ][0-9:.]+(Z|\+00:00)|datetime\([^)]*\)"
)


def left_behind(merchant_id):
    """All that a merchant's sales left in the ledger, but for ids, hashes and times."""
    entries = Entry.objects.filter(merchant_id=merchant_id, kind="conversion.recorded").order_by("id")
    evidence = Evidence.objects.filter(merchant=merchant_id).order_by("reference")
    conversions = Conversion.objects.filter(merchant=merchant_id).order_by("order_reference")
    found = [f"{bytes(entry.body)!r} {entry.idempotency_key} {entry.stream_seq}" for entry in entries]
    found += [
        f"{row.party} {bytes(row.content)!r}"
        for row in Opening.objects.filter(entry__in=entries).order_by("entry", "party")
    ]
    for row in (*evidence, *conversions, *(conversion.session for conversion in conversions)):
        found.append(repr({name: str(value) for name, value in vars(row).items() if name != "_state"}))
    return [CHANGING.sub("…", line) for line in found]


def test_a_batch_leaves_the_same_facts_as_one_report_after_the_other(as_merchant):
    ones, many = OfferFactory(), OfferFactory()
    extra = {"transactionValue": 12.34, "currency": "GBP", "paymentReference": "pi", "serviceDate": "2026-11-30"}
    extra["serviceDate"] = (timezone.now() + timedelta(days=9)).date().isoformat()

    for row in rows_for(ones, 3):
        assert as_merchant(ones.merchant).post("/v1/conversions", row | extra).status_code == 200
    batch = [row | extra for row in rows_for(many, 3)]
    assert as_merchant(many.merchant).post("/v1/conversions", {"conversions": batch}).json()["recorded"] == 3

    assert left_behind(ones.merchant_id) == left_behind(many.merchant_id)
    assert len(left_behind(many.merchant_id)) == 3 * (1 + 2 + 3)


def test_a_batch_costs_few_queries_whatever_its_size(post, offer):
    counts = []
    for size in (2, 20):
        rows = [row_for(RecommendationFactory(offer=offer)) for _ in range(size)]
        with CaptureQueriesContext(connection) as captured:
            assert post(*rows).json()["recorded"] == size
        counts.append(len(captured))

    assert counts[0] == counts[1] <= 16


def test_a_batch_that_is_unlike_what_was_read_is_recorded_row_by_row(post, offer, monkeypatch):
    rows = rows_for(offer, 3)
    record_conversion(RecommendationFactory(offer=offer), make_proof(order_reference="ORDER-1"))
    monkeypatch.setattr(batches, "_met_before", lambda *_: (set(), set()))

    assert statuses(post(*rows)) == ["recorded", "refused", "recorded"]


def test_a_batch_of_a_megabyte_is_taken_and_a_larger_one_is_not(as_merchant, offer):
    client, padding = as_merchant(offer.merchant), {"paymentReference": "x" * 190, "recommendationId": "y" * 600}

    bodies = [{"conversions": [padding] * count} for count in (1000, 1300)]
    replies = [client.post("/v1/conversions", body) for body in bodies]

    assert [len(json.dumps(body)) > 1_048_576 for body in bodies] == [False, True]
    assert [reply.status_code for reply in replies] == [200, 413]
    assert client.post("/v1/codes/issue", {"offerId": "x" * 262_144}).status_code == 413


def test_a_ledger_with_batches_is_sound(post, offer):
    row, other, *rows = rows_for(offer, 5)
    assert post(row, other | {"currency": "EUR"}, row, *rows).json()["recorded"] == 4

    assert unsound() == []


@pytest.mark.django_db(transaction=True)
def test_batches_reports_and_refunds_at_once_record_each_sale_once():
    offer = OfferFactory()
    client = Api(MerchantKeyFactory(merchant=offer.merchant).secret)
    rows = rows_for(offer, 24)
    refunded = timezone.now() + timedelta(hours=1)

    def act(number):
        shuffled = random.Random(number).sample(rows, len(rows))  # noqa: S311
        if number % 4 == 0:
            return [client.post("/v1/conversions", row).status_code for row in shuffled[:8]]
        if number % 4 == 1:
            return [
                tell(
                    offer.merchant_id, Told(Kind.REFUNDED, row["orderReference"], row["orderReference"], refunded, 1000)
                )
                for row in rows[:8]
            ]
        return client.post("/v1/conversions", {"conversions": shuffled}).json()["refused"]

    outcomes = race(act)

    assert [outcome for outcome in outcomes if isinstance(outcome, Exception)] == []
    assert [outcome for outcome in outcomes if isinstance(outcome, int)] == [0] * 4
    assert Conversion.objects.count() == Entry.objects.filter(kind="conversion.recorded").count() == 24
    assert Counter(Conversion.objects.values_list("status", flat=True)) == {"clawed_back": 8, "pending_validation": 16}
    assert unsound() == []
