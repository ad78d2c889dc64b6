"""What an endpoint missed while it was disabled is queued when its owner asks for it: all of it, and nothing twice."""

import json
import threading
import time
from datetime import timedelta

import pytest
from django.utils import timezone

from ledger.models import Entry
from ledger.reports import Report, report_conversion
from ledger.sequencer import Sequencer
from notifications import replaying
from notifications.dispatching import follow_log
from notifications.endpoints import Because, change_endpoint, disable, enable
from notifications.making import messages_between
from notifications.models import Endpoint, Message
from notifications.replaying import replay
from rako.core.errors import BadRequest
from rako.core.wire import instant
from tests.factories import OfferFactory, RecommendationFactory
from tests.notifications.conftest import endpoint_of, follow, types_of
from tests.threads import race

URL = "https://hooks.example/"
SOLD = 25


@pytest.fixture
def offer(db):
    return OfferFactory()


@pytest.fixture
def endpoint(offer):
    return endpoint_of(offer.merchant, URL, event_types=["conversion.recorded"])


def sell(offer):
    recommendation = RecommendationFactory(offer=offer)
    report = Report(recommendation.session_id, f"order-{recommendation.pk}", 10)
    return report_conversion(offer.merchant, report).conversion.pk


def reenable(endpoint, since="disabled"):
    return change_endpoint(endpoint, {"state": "enabled", "since": since})


def catch_up(batch=5000):
    while replay(batch):
        pass


def told_of(endpoint):
    """The sales that an endpoint's messages are about, oldest first."""
    rows = Message.objects.filter(endpoint=endpoint).order_by("pk")
    return [json.loads(row.payload)["data"]["conversionId"] for row in rows]


def test_what_was_missed_is_queued_and_nothing_twice(endpoint, offer):
    before = sell(offer)
    follow()
    disable(endpoint, Because.FAILING)
    missed = [sell(offer) for _ in range(3)]
    follow()
    reenable(endpoint)
    after = sell(offer)
    follow()

    catch_up(batch=2)
    catch_up()

    assert sorted(told_of(endpoint)) == sorted([before, *missed, after])
    endpoint.refresh_from_db()
    assert (endpoint.missed_index, endpoint.missed_since) == (None, None)


def test_what_was_not_followed_yet_when_it_was_disabled_is_not_lost(endpoint, offer):
    waiting = sell(offer)
    disable(endpoint, Because.GONE)
    follow()

    reenable(endpoint)
    catch_up()

    assert told_of(endpoint) == [waiting]


def test_without_since_nothing_is_queued(endpoint, offer):
    disable(endpoint, Because.FAILING)
    sell(offer)
    follow()

    enable(endpoint)
    catch_up()

    assert told_of(endpoint) == []


def test_disabled_in_the_middle_it_goes_on_where_it_was(endpoint, offer):
    disable(endpoint, Because.FAILING)
    missed = [sell(offer) for _ in range(4)]
    follow()
    reenable(endpoint)
    replay(batch=Entry.objects.count() // 2)
    disable(endpoint, Because.GONE)
    catch_up()
    assert 0 < len(told_of(endpoint)) < 4

    reenable(endpoint)
    catch_up()

    assert sorted(told_of(endpoint)) == sorted(missed)


def test_since_a_moment_it_is_what_was_recorded_from_then_on(endpoint, offer):
    disable(endpoint, Because.OWNER)
    sell(offer)
    time.sleep(0.002)  # entries are stamped in whole milliseconds
    moment = timezone.now()
    late = sell(offer)
    follow()
    enable(endpoint)

    reenable(endpoint, moment)
    catch_up()

    assert told_of(endpoint) == [late]


def test_asked_again_while_it_catches_up_nothing_that_was_promised_is_dropped(endpoint, offer):
    disable(endpoint, Because.FAILING)
    missed = sell(offer)
    follow()
    reenable(endpoint)

    reenable(endpoint, timezone.now())
    catch_up()

    assert told_of(endpoint) == [missed]


def test_of_two_moments_asked_for_while_it_catches_up_the_earlier_counts(endpoint, offer):
    earlier = timezone.now()
    disable(endpoint, Because.FAILING)
    missed = sell(offer)
    follow()

    for moment in (earlier, timezone.now()):
        reenable(endpoint, moment)
    catch_up()

    assert told_of(endpoint) == [missed]


@pytest.fixture
def two(offer):
    """Two endpoints that have as much to catch up with."""
    found = [endpoint_of(offer.merchant, URL, event_types=["conversion.recorded"]) for _ in range(2)]
    for each in found:
        disable(each, Because.FAILING)
    for _ in range(SOLD):
        sell(offer)
    follow()
    return [reenable(each) for each in found]


def test_endpoints_that_catch_up_take_turns(two):
    before = [each.missed_index for each in two]

    for _ in range(SOLD - 1):  # the lot falls on both
        replay(batch=1)

    for each in two:
        each.refresh_from_db()
    assert all(each.missed_index > index for each, index in zip(two, before, strict=True))


@pytest.mark.parametrize("broken", [0, 1])
def test_what_cannot_be_made_for_one_holds_up_no_other(two, broken, monkeypatch, caplog):
    def messages(start, end, endpoints, **more):
        if endpoints[0].pk == two[broken].pk:
            raise ValueError("no such entry")
        return messages_between(start, end, endpoints, **more)

    monkeypatch.setattr(replaying, "messages_between", messages)

    catch_up()

    told = [types_of(each).count("conversion.recorded") for each in (two[broken], two[1 - broken])]
    assert told == [0, SOLD]
    assert f"endpoint {two[broken].pk} is not told" in caplog.text


def test_nobody_else_is_told_again(endpoint, offer):
    other = endpoint_of(offer.merchant, URL, event_types=["conversion.recorded"])
    disable(endpoint, Because.FAILING)
    sell(offer)
    follow()
    Message.objects.filter(endpoint=other).delete()

    reenable(endpoint)
    catch_up()

    assert (types_of(endpoint), types_of(other)) == (["conversion.recorded"], [])


def test_what_is_older_than_messages_are_kept_is_not_queued(endpoint, offer, monkeypatch):
    disable(endpoint, Because.FAILING)
    sell(offer)
    follow()
    reenable(endpoint)
    monkeypatch.setattr(Message, "KEPT", timedelta(0))

    catch_up()

    assert told_of(endpoint) == []


def test_an_old_row_that_does_not_know_where_the_log_was_goes_by_the_time(endpoint, offer):
    disable(endpoint, Because.FAILING)
    Endpoint.objects.update(missed_index=None)
    missed = sell(offer)
    follow()

    reenable(endpoint)
    catch_up()

    assert told_of(endpoint) == [missed]


@pytest.mark.parametrize("since", [timedelta(days=-31), timedelta(hours=1)])
def test_a_moment_that_nothing_is_kept_of_is_refused(endpoint, since):
    with pytest.raises(BadRequest, match="last 30 days"):
        reenable(endpoint, timezone.now() + since)


@pytest.mark.django_db(transaction=True)
def test_while_others_follow_the_log_nothing_is_lost_or_told_twice():
    """Sales, followers, replays and a switch that is turned all the time."""
    offer = OfferFactory()
    endpoint = endpoint_of(offer.merchant, URL, event_types=["conversion.recorded"])
    recommendations = [RecommendationFactory(offer=offer) for _ in range(24)]
    sold, over = [], threading.Event()

    def work(number):
        if number < 3:
            for each in recommendations[number::3]:
                made = report_conversion(offer.merchant, Report(each.session_id, f"order-{each.pk}", 10))
                sold.append(made.conversion.pk)
            return
        while len(sold) < len(recommendations) and not over.wait(0.005):
            if number < 5:
                Sequencer().tick()
                follow_log(batch=7)
            elif number < 7:
                replay(batch=5)
            else:
                disable(endpoint, Because.FAILING)
                over.wait(0.02)
                reenable(endpoint)

    results = race(work)
    change_endpoint(endpoint, {"state": "enabled", "since": "disabled"} if disabled() else {})
    follow()
    catch_up()

    assert results == [None] * 8
    assert sorted(told_of(endpoint)) == sorted(sold)


def disabled():
    return Endpoint.objects.filter(state="disabled").exists()


def patch(api, endpoint, **body):
    return api.send("PATCH", f"/v1/webhook-endpoints/{endpoint.pk}", json.dumps(body).encode())


def test_an_owner_asks_for_it_and_sees_that_it_is_under_way(endpoint, offer, as_merchant):
    api = as_merchant(offer.merchant)
    disable(endpoint, Because.FAILING)
    sell(offer)
    follow()

    shown = [patch(api, endpoint, status="enabled", since="disabled").json()]
    catch_up()
    shown.append(api.get(f"/v1/webhook-endpoints/{endpoint.pk}").json())

    assert [(row["status"], row["isCatchingUp"]) for row in shown] == [("enabled", True), ("enabled", False)]
    assert types_of(endpoint) == ["conversion.recorded"]


@pytest.mark.parametrize(
    ("body", "code"),
    [
        ({"since": "disabled"}, "invalid_field"),
        ({"status": "disabled", "since": "disabled"}, "invalid_field"),
        ({"status": "enabled", "since": "yesterday"}, "invalid_field"),
        ({"status": "enabled", "since": "2026-01-01T00:00:00"}, "invalid_field"),
        ({"status": "enabled", "since": 1}, "invalid_field"),
        ({"status": "enabled", "since": "2020-01-01T00:00:00Z"}, "invalid_since"),
        ({"status": "enabled", "since": "disabled"}, "invalid_since"),
    ],
)
def test_a_since_that_means_nothing_is_refused(endpoint, offer, as_merchant, body, code):
    reply = patch(as_merchant(offer.merchant), endpoint, **body)

    assert (reply.status_code, reply.headers["X-Error-Code"]) == (400, code)
    assert reply.json()["error"].startswith("since ")


def test_a_moment_may_be_given_in_any_offset(endpoint, offer, as_merchant):
    moment = instant(timezone.now() - timedelta(hours=1))

    assert patch(as_merchant(offer.merchant), endpoint, status="enabled", since=moment).json()["isCatchingUp"]
