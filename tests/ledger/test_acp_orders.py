"""ACP's order events count as what the merchant reports: a sale, its refunds, its cancellation."""

import hashlib
import json
from datetime import timedelta

import pytest
from django.utils import timezone

from ledger.models import Conversion, Event, Evidence
from ledger.verification.evidence import evidence_differences
from ledger.verification.told import told_by
from tests.factories import MerchantFactory, OfferFactory, RecommendationFactory
from tests.ledger.disputing import PERCENT
from tests.ledger.ordering import DETAILS, Shop, refund, token_of
from tests.threads import race


@pytest.fixture
def recommendation(db):
    """Of an offer with 10 % commission."""
    return RecommendationFactory(offer=OfferFactory(vertical="flights", terms=PERCENT))


@pytest.fixture
def shop(recommendation):
    return Shop(recommendation.offer.merchant)


@pytest.fixture
def order(shop, recommendation):
    return shop.order(token_of(recommendation))


def test_an_order_with_a_token_is_a_merchants_evidence(shop, order, recommendation):
    reply = shop.tell(order, "order_create")

    conversion = Conversion.objects.get()
    assert reply.json() == {"received": True, "status": "conversion_recorded", "conversionId": conversion.pk}
    assert (conversion.recommendation, conversion.order_reference) == (recommendation, "ord_1")
    assert (conversion.transaction_value_minor, conversion.verification_level) == (1000, "merchant_reported")


def test_the_hash_of_the_events_bytes_is_in_the_evidence(shop, order):
    body = json.dumps({"type": "order_create", "data": order}).encode()

    conversion = Conversion.objects.get(pk=shop.send(body).json()["conversionId"])

    assert Evidence.objects.get().details["event_sha256"] == hashlib.sha256(body).hexdigest()
    assert list(evidence_differences(conversion, told_by([conversion.pk])[conversion.pk])) == []


def test_a_shop_may_repeat_the_agents_claim_instead(shop, recommendation):
    claim = {"provider": "rako.sh", "token": token_of(recommendation)}
    body = json.dumps({"type": "order_create", "data": shop.order(affiliate_attribution=claim)}).encode()

    assert shop.send(body).json()["status"] == "conversion_recorded"


def test_an_order_may_say_all_that_acp_knows_and_no_name_or_address_is_kept(shop, order):
    reply = shop.tell(order | DETAILS, "order_create").json()

    conversion = Conversion.objects.get()
    kept = json.dumps(Evidence.objects.get().details)
    assert (reply["status"], conversion.transaction_value_minor) == ("conversion_recorded", 1000)
    assert not any(text in kept for text in ("Ada", "Street", "shop.example", "Ring twice", "SIM"))


def test_a_whole_number_may_be_written_with_a_point(shop, order):
    total = {"type": "total", "display_text": "Total", "amount": 1000.0}

    shop.tell(order | {"totals": [total], "adjustments": [refund(400.0)]}, "order_create")

    conversion = Conversion.objects.get()
    assert (conversion.transaction_value_minor, conversion.refunded_minor) == (1000, 400)


def test_later_events_of_the_order_change_nothing(shop, order):
    shop.tell(order, "order_create")

    replies = [shop.tell(order | {"status": status}).json() for status in ("shipped", "completed")]

    assert [reply["status"] for reply in replies] == ["duplicate", "duplicate"]
    assert (Conversion.objects.count(), Evidence.objects.count(), Event.objects.count()) == (1, 1, 0)


@pytest.mark.django_db(transaction=True)
def test_eight_events_at_once_make_one_sale_and_one_refund():
    recommendation = RecommendationFactory()
    shop = Shop(recommendation.offer.merchant)
    order = shop.order(token_of(recommendation), adjustments=[refund()])

    replies = race(lambda number: shop.tell(order | {"order_number": str(number)}))

    assert {reply.json()["status"] for reply in replies} <= {"clawback_recorded", "duplicate"}
    assert (Conversion.objects.count(), Event.objects.count()) == (1, 1)


def test_a_token_that_has_a_sale_makes_no_second(shop, order):
    shop.tell(order, "order_create")

    reply = shop.tell(order | {"id": "ord_2"}, "order_create").json()

    assert (reply["status"], reply["code"]) == ("rejected", "session_converted")


def test_another_merchants_token_is_rejected(order):
    reply = Shop(MerchantFactory()).tell(order, "order_create").json()

    assert reply == {
        "received": True,
        "status": "rejected",
        "code": "attribution_token_invalid",
        "reason": "Invalid attribution token",
    }


@pytest.mark.parametrize(
    "changes",
    [{"client_reference_id": "po-17"}, {"status": "manual_review"}, {"status": "canceled"}, {"totals": []}],
    ids=["no token", "under review", "cancelled", "no total"],
)
def test_what_is_no_sale_of_ours_is_ignored(shop, order, changes):
    reply = shop.tell(order | changes, "order_create").json()

    assert (reply["status"], Conversion.objects.count()) == ("ignored", 0)


def test_a_sale_may_be_told_by_an_update(shop, order):
    shop.tell(order | {"status": "manual_review"}, "order_create")

    assert shop.tell(order).json()["status"] == "conversion_recorded"


def test_another_total_is_rejected(shop, order):
    shop.tell(order, "order_create")

    reply = shop.tell(order | {"totals": [{"type": "total", "display_text": "Total", "amount": 1100}]}).json()

    assert (reply["status"], reply["code"]) == ("rejected", "report_conflict")


def test_a_refund_takes_back_its_share(shop, order):
    shop.tell(order, "order_create")

    replies = [shop.tell(order | {"adjustments": [refund(400)]}).json()["status"] for _ in range(2)]

    conversion = Conversion.objects.get()
    assert replies == ["clawback_recorded", "duplicate"]
    assert (conversion.refunded_minor, conversion.commission_minor, conversion.reversed_commission_minor) == (
        400,
        100,
        40,
    )


def test_each_refund_counts_once_and_failed_ones_not_at_all(shop, order):
    first, second = refund(400), refund(100, id="adj_2")
    shop.tell(order | {"adjustments": [first]})
    shop.tell(order | {"adjustments": [first, second]})

    shop.tell(order | {"adjustments": [first | {"status": "failed"}, second]})

    assert Conversion.objects.get().refunded_minor == 100


@pytest.mark.parametrize(
    "adjustment",
    [
        *(
            refund(type=kind)
            for kind in ("credit", "return", "exchange", "price_adjustment", "cancellation", "dispute")
        ),
        refund(status="pending"),
        refund(status="failed"),
        refund(None),
        refund(0),
    ],
    ids=lambda adjustment: f"{adjustment['status']} {adjustment['type']} {adjustment.get('amount')}",
)
def test_what_is_no_money_given_back_for_certain_is_not_told(shop, order, adjustment):
    reply = shop.tell(order | {"adjustments": [adjustment]}).json()

    assert (reply["status"], Event.objects.count()) == ("conversion_recorded", 0)


def test_a_refund_in_another_currency_is_rejected(shop, order):
    shop.tell(order, "order_create")

    reply = shop.tell(order | {"adjustments": [refund(currency="usd")]}).json()

    assert (reply["status"], Event.objects.count()) == ("rejected", 0)


def test_the_refunds_of_the_version_before_are_told_as_they_grow(shop, order):
    def tell(*amounts):
        refunds = [{"type": "original_payment", "amount": amount} for amount in amounts]
        data = order | {"refunds": [*refunds, {"type": "store_credit", "amount": 50}]}
        return shop.send(json.dumps({"type": "order_update", "data": data}).encode()).json()["status"]

    statuses = [tell(), tell(100), tell(100), tell(100, 200), tell(100)]

    assert statuses == ["conversion_recorded", "clawback_recorded", "duplicate", "clawback_recorded", "duplicate"]
    assert Conversion.objects.get().refunded_minor == 300


def test_a_cancelled_order_is_cancelled_once(shop, order):
    shop.tell(order, "order_create")

    replies = [shop.tell(order | {"status": "canceled"}).json()["status"] for _ in range(2)]

    assert replies == ["clawback_recorded", "duplicate"]
    assert Conversion.objects.get().status == "clawed_back"


def test_refunds_of_an_order_reported_otherwise_are_told_too(shop, as_merchant, recommendation):
    body = {"sessionId": recommendation.session_id, "orderReference": "ord_1", "transactionValue": 10}
    as_merchant(recommendation.offer.merchant).post("/v1/conversions", body)

    reply = shop.tell(shop.order(adjustments=[refund(400)])).json()

    assert (reply["status"], Conversion.objects.get().refunded_minor) == ("clawback_recorded", 400)


def test_where_a_payment_proved_the_sale_its_processor_tells_of_refunds(shop, order):
    shop.tell(order, "order_create")
    Conversion.objects.update(verification_level="orchestrated")

    reply = shop.tell(order | {"adjustments": [refund(400)]}).json()

    assert (reply["status"], Event.objects.count()) == ("duplicate", 0)


def test_an_order_that_was_cancelled_before_its_sale_was_told_earns_nothing(shop, order):
    early = [shop.tell(order | {"status": "canceled"}).json()["status"] for _ in range(2)]

    shop.tell(order, "order_create")

    assert early == ["ignored", "ignored"]
    assert (Conversion.objects.get().status, Event.objects.count()) == ("clawed_back", 1)


def test_a_cancellation_counts_whatever_total_it_names(shop, order):
    shop.tell(order, "order_create")

    total = {"type": "total", "display_text": "Total", "amount": 0}
    reply = shop.tell(order | {"status": "canceled", "totals": [total]}).json()

    assert (reply["status"], Conversion.objects.get().status) == ("clawback_recorded", "clawed_back")


@pytest.fixture
def report(as_merchant, recommendation):
    """Reports the order by the API, with changes to the body."""
    told = {"sessionId": recommendation.session_id, "orderReference": "ord_1", "transactionValue": 10}

    def post(**changes):
        body = {name: value for name, value in (told | changes).items() if value is not None}
        return as_merchant(recommendation.offer.merchant).post("/v1/conversions", body)

    return post


@pytest.mark.parametrize("named", ["by its session", "by its recommendation", "by a token"])
def test_a_shop_may_report_what_its_events_told_before(shop, order, report, recommendation, named):
    shop.tell(order, "order_create")

    reply = report(
        **{
            "by its session": {},
            "by its recommendation": {"recommendationId": recommendation.pk},
            "by a token": {"attributionToken": token_of(recommendation), "sessionId": None},
        }[named]
    )

    assert (reply.status_code, reply.json().get("conversionId")) == (200, Conversion.objects.get().pk)
    assert (Evidence.objects.count(), Event.objects.count()) == (1, 0)


def test_a_report_may_add_when_the_flight_is(shop, order, report):
    shop.tell(order, "order_create")
    tomorrow = (timezone.now() + timedelta(days=1)).date()

    reply = report(serviceDate=tomorrow.isoformat())

    ends_at = Conversion.objects.get().validation_ends_at
    assert (reply.status_code, ends_at is not None and ends_at.date() > tomorrow) == (200, True)


def test_a_later_recommendation_does_not_make_it_another_report(shop, order, report, recommendation):
    shop.tell(order, "order_create")
    RecommendationFactory(session=recommendation.session, offer=OfferFactory(merchant=recommendation.offer.merchant))

    assert report().json()["conversionId"] == Conversion.objects.get().pk


@pytest.mark.parametrize(
    "changes",
    [{"transactionValue": 11}, {"occurredAt": "2026-11-20T10:00:00Z"}, {"paymentReference": "pay_1"}],
    ids=lambda changes: next(iter(changes)),
)
def test_a_report_that_says_something_else_than_the_event_is_refused(shop, order, report, changes):
    shop.tell(order, "order_create")

    reply = report(**changes)

    assert (reply.status_code, reply.headers["X-Error-Code"]) == (409, "report_conflict")
    assert reply.json() == {"error": "This orderReference was already reported with other content"}


def test_another_recommendation_of_the_session_is_something_else(shop, order, report, recommendation):
    offer = OfferFactory(merchant=recommendation.offer.merchant)
    other = RecommendationFactory(session=recommendation.session, offer=offer)
    shop.tell(order, "order_create")

    reply = report(recommendationId=other.pk)

    assert (reply.status_code, reply.headers["X-Error-Code"]) == (409, "report_conflict")


def test_an_event_of_an_order_that_was_reported_by_its_session_is_the_same(shop, order, report):
    conversion_id = report().json()["conversionId"]

    assert shop.tell(order, "order_create").json() | {"received": True} == {
        "received": True,
        "status": "duplicate",
        "conversionId": conversion_id,
    }
