"""The log is the outbox: what is committed is told once to whom it concerns, and nothing else is."""

import json
from datetime import timedelta

import pytest
from django.db import connection, transaction

from ledger.models import Conversion, Entry
from ledger.reports import Report, report_conversion
from ledger.sequencer import Sequencer
from notifications.dispatching import follow_log
from notifications.models import Endpoint, Message, Position
from notifications.payloads import Told, payload
from tests.factories import MerchantFactory, OfferFactory, RecommendationFactory
from tests.ledger.log import append_many
from tests.notifications.conftest import endpoint_of, follow, types_of
from tests.threads import race

URL = "https://hooks.example/"


def report(recommendation, order="order-1"):
    return report_conversion(recommendation.offer.merchant, Report(recommendation.session_id, order, 10)).conversion


@pytest.fixture
def sale(db):
    """A recommendation whose merchant and builder each have an endpoint."""
    recommendation = RecommendationFactory()
    recommendation.to_merchant = endpoint_of(recommendation.offer.merchant, URL)
    recommendation.to_builder = endpoint_of(recommendation.agent.builder, URL)
    return recommendation


def test_a_sale_is_told_to_its_merchant_and_its_builder(sale):
    report(sale)

    follow()

    assert types_of(sale.to_merchant) == types_of(sale.to_builder) == ["conversion.recorded"]


def test_nobody_elses_endpoint_is_told(sale):
    other_merchant, other_builder = MerchantFactory(), RecommendationFactory().agent.builder
    others = [endpoint_of(other_merchant, URL), endpoint_of(other_builder, URL)]
    report(sale)

    follow()

    assert [types_of(other) for other in others] == [[], []]


def test_each_side_reads_its_own_sealed_part_and_no_other(sale):
    conversion = report(sale, "order-7")
    follow()

    told = {
        endpoint: Message.objects.get(endpoint=endpoint).payload for endpoint in (sale.to_merchant, sale.to_builder)
    }

    to_merchant, to_builder = (json.loads(text)["data"] for text in told.values())
    assert to_merchant["orderReference"] == "order-7"
    assert "order-7" not in told[sale.to_builder]
    assert to_builder["agentId"] == sale.agent_id
    assert "agentId" not in to_merchant
    assert to_merchant["conversionId"] == to_builder["conversionId"] == conversion.pk


def test_a_change_that_is_rolled_back_is_never_told(sale):
    with transaction.atomic():
        report(sale)
        transaction.set_rollback(True)

    follow()

    assert Message.objects.count() == 0


def test_what_happened_before_there_was_an_endpoint_is_not_told(sale):
    report(sale)
    late = endpoint_of(sale.offer.merchant, URL)
    Endpoint.objects.filter(pk=late.pk).update(created_at=Entry.objects.latest("pk").recorded_at + timedelta(seconds=1))

    follow()

    assert types_of(late) == []
    assert types_of(sale.to_merchant) == ["conversion.recorded"]


def test_a_filter_lets_only_its_types_through(sale):
    chosen = endpoint_of(sale.offer.merchant, URL, event_types=["conversion.validated"])
    report(sale)

    follow()

    assert types_of(chosen) == []


def test_a_disabled_endpoint_is_queued_nothing(sale):
    Endpoint.objects.update(state="disabled", disabled_because="owner", disabled_at=sale.created_at)
    report(sale)

    follow()

    assert Message.objects.count() == 0


def test_without_endpoints_the_log_is_passed_in_one_step(db):
    append_many(300)
    report(RecommendationFactory())
    Sequencer().tick()

    passed = follow_log(batch=10)

    assert passed == Entry.objects.count() > 300
    assert Position.objects.get().next_index == passed


def test_it_goes_on_where_it_was(sale):
    append_many(25)
    report(sale)
    Sequencer().tick()

    steps = []
    while step := follow_log(batch=10):
        steps.append(step)

    assert len(steps) > 2
    assert types_of(sale.to_merchant) == ["conversion.recorded"]
    assert follow_log() == 0


def test_messages_are_lost_with_the_step_that_made_them_and_made_again(sale):
    report(sale)
    Sequencer().tick()
    with transaction.atomic():
        follow_log()
        transaction.set_rollback(True)

    assert Message.objects.count() == 0
    follow_log()
    assert Message.objects.count() == 2


@pytest.mark.django_db(transaction=True)
def test_eight_that_follow_the_log_at_once_make_each_message_once():
    offer = OfferFactory()
    endpoint = endpoint_of(offer.merchant, URL)
    sales = [report(RecommendationFactory(offer=offer), f"order-{number}") for number in range(20)]
    Sequencer().tick()

    def work(number):
        while not Position.objects.filter(next_index=Entry.objects.count()).exists():
            follow_log(batch=3)

    results = race(work)

    assert results == [None] * 8
    assert types_of(endpoint) == ["conversion.recorded"] * len(sales)


def test_an_entry_is_told_an_endpoint_once_whoever_inserts_it(sale):
    report(sale)
    follow()

    with pytest.raises(Exception, match="message_one_per_entry"), transaction.atomic(), connection.cursor() as cursor:
        cursor.execute(
            "INSERT INTO notifications_message (id, endpoint_id, entry_id, event_type, payload, state, attempts_made, "
            "due_at, created_at) SELECT reverse(id), endpoint_id, entry_id, event_type, payload, state, 0, due_at, "
            "created_at FROM notifications_message"
        )


def test_a_payload_can_be_made_again_from_its_entry(sale):
    """Whatever became of the sale since."""
    conversion = report(sale)
    follow()
    Conversion.objects.filter(pk=conversion.pk).update(status="validated")
    sent = Message.objects.get(endpoint=sale.to_merchant)

    entry = Entry.objects.get(entry_id=sent.entry_id)
    opening = json.loads(bytes(entry.openings.get(party="merchant").content))
    told = Told(entry.entry_id, json.loads(bytes(entry.body)), opening, entry.agent_id, conversion.currency)

    assert payload(told, is_merchant=True) == sent.payload
