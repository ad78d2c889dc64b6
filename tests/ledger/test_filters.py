"""Filters of GET /v1/conversions: what they find, what they refuse, and that each reads an index."""

from datetime import timedelta

import pytest
from django.db import connection
from django.utils import timezone

from ledger.filters import narrowed
from ledger.lifecycle import Kind, Told, tell
from ledger.models import Conversion
from rako.core.ids import new_id
from rako.core.wire import instant
from tests.factories import OfferFactory, RecommendationFactory
from tests.ledger.test_batches import row_for
from tests.ledger.test_validation import sold


@pytest.fixture
def offer(db):
    return OfferFactory()


@pytest.fixture
def found(as_merchant, offer):
    """The order references that the merchant finds."""
    client = as_merchant(offer.merchant)

    def get(**query):
        reply = client.get("/v1/conversions", **query)
        assert reply.status_code == 200, reply.content
        return [row["orderReference"] for row in reply.json()["conversions"]]

    return get


@pytest.fixture
def three(offer, as_merchant):
    """A payment's sale, one that was cancelled, and a reported one."""
    _, cancelled = sold(2, offer)
    told = Told(Kind.CANCELLED, cancelled.order_reference, "c", timezone.now())
    tell(offer.merchant_id, told, conversion=cancelled)
    reported = row_for(RecommendationFactory(offer=offer), "order-2")
    assert as_merchant(offer.merchant).post("/v1/conversions", reported).status_code == 200
    return list(Conversion.objects.order_by("id"))


def test_each_filter_finds_what_it_says(three, found):
    assert found() == ["order-2", "order-1", "order-0"]
    assert found(status="pending") == ["order-2", "order-0"]
    assert found(status="clawed_back") == ["order-1"]
    assert found(verificationLevel="merchant_reported") == ["order-2"]
    assert found(attributionPath="influence") == []
    assert found(orderReference="order-1") == ["order-1"]
    assert found(sessionId=three[0].session_id) == ["order-0"]
    assert found(sessionId="nobody") == []
    assert found(status="pending", verificationLevel="orchestrated") == ["order-0"]


def test_from_is_the_first_moment_and_to_the_first_after(three, found):
    moments = [row.recorded_at.isoformat() for row in three]

    assert found(**{"from": moments[1]}) == ["order-2", "order-1"]
    assert found(to=moments[1]) == ["order-0"]
    assert found(**{"from": moments[1], "to": moments[2]}) == ["order-1"]
    assert found(to=instant(timezone.now() - timedelta(days=1))) == []
    assert found(**{"from": timezone.now().date().isoformat()}) == ["order-2", "order-1", "order-0"]
    assert found(to="1901-01-01", **{"from": "0001-01-01"}) == []


def test_pages_keep_to_the_filter(three, as_merchant, offer):
    client = as_merchant(offer.merchant)

    first = client.get("/v1/conversions", status="pending", limit=1).json()
    second = client.get("/v1/conversions", status="pending", limit=1, cursor=first["nextCursor"]).json()

    assert [page["conversions"][0]["orderReference"] for page in (first, second)] == ["order-2", "order-0"]
    assert "nextCursor" not in second


def test_an_agent_filters_its_own_but_not_by_orders(three, as_agent):
    assert as_agent.get("/v1/conversions", status="pending").json()["conversions"] == []
    reply = as_agent.get("/v1/conversions", orderReference="order-1")
    assert (reply.status_code, reply.json()) == (400, {"error": "orderReference is a filter for merchants"})


@pytest.mark.parametrize(
    ("query", "error"),
    [
        (
            {"status": "matched"},
            "status must be one of pending, disputed, resolved, rejected, clawed_back, validated, settlement_pending, "
            "settled",
        ),
        (
            {"attributionPath": "magic"},
            "attributionPath must be one of aap_flow, tracked_link, extension, influence",
        ),
        ({"from": "yesterday"}, "from must be a date or an ISO 8601 time with an offset"),
        ({"to": "2026-01-01T00:00:00"}, "to must be a date or an ISO 8601 time with an offset"),
        ({"orderReference": "x" * 201}, "orderReference must have at most 200 characters"),
    ],
)
def test_nonsense_is_refused_with_a_sentence(as_merchant, offer, query, error):
    reply = as_merchant(offer.merchant).get("/v1/conversions", **query)

    assert (reply.status_code, reply.json()) == (400, {"error": error})


@pytest.mark.parametrize(
    ("query", "index"),
    [
        ({"status": "disputed"}, "conversion_merchant_status"),
        ({"verificationLevel": "payment_observed"}, "conversion_merchant_level"),
        ({"attributionPath": "influence"}, "conversion_merchant_path"),
        ({"orderReference": "order-1"}, "conversion_of_order"),
        ({"from": "2020-01-01", "to": "2020-01-02"}, "pkey|conversion_"),
    ],
)
def test_each_filter_reads_an_index(db, query, index):
    rows = narrowed(Conversion.objects.filter(merchant=new_id()), query, is_merchant=True)
    # Of an order there are so few that sorting them costs nothing.
    rows = rows.order_by(*(() if "orderReference" in query else ("-id",)))

    with connection.cursor() as cursor:
        cursor.execute("SET LOCAL enable_seqscan = off; SET LOCAL enable_sort = off; SET LOCAL enable_bitmapscan = off")
        # As good as any other, while there are hardly any rows.
        cursor.execute("DROP INDEX conversion_of_merchant")
    plan = rows[:50].explain()

    assert any(name in plan for name in index.split("|")), plan
    assert "Seq Scan" not in plan
