"""What merchants report of tracked links, and what the parties are told of a link."""

from datetime import timedelta

import pytest
from django.utils import timezone

from ledger.models import Conversion, Entry
from rako.core.ids import new_id
from rako.core.wire import instant
from sessions_app.models import Click
from tests.conftest import Api
from tests.factories import AgentFactory, AgentKeyFactory, MerchantFactory, RecommendationFactory, SessionFactory
from tests.ledger.paths import Market

DAY = timedelta(days=1)


@pytest.fixture
def market(db):
    return Market()


@pytest.fixture
def old(market):
    """A recommendation of forty days ago; nobody has followed its link."""
    made_at = timezone.now() - 40 * DAY
    return RecommendationFactory(offer=market.offer, session=SessionFactory(created_at=made_at), created_at=made_at)


def click(recommendation, ago, number=0, **changes):
    fields = {"visitor": f"{number:032}", "is_bot": False, "slot": number, "clicked_at": timezone.now() - ago}
    return Click.objects.create(recommendation=recommendation, **fields | changes)


def agent_of(recommendation):
    return Api(AgentKeyFactory(agent=recommendation.agent).secret)


def test_a_link_is_converted_at_three_quarters(market):
    reply = market.report(market.ours, "tracked_link").json()

    sale = Conversion.objects.get()
    assert reply.pop("receipt").startswith("rako.sh/ledger/receipt\n")
    assert reply == {
        "conversionId": sale.pk,
        "sessionId": market.ours.session_id,
        "orderReference": "ORDER-1",
        "transactionValue": 10,
        "commission": {"amount": 6, "networkFee": 1.2, "builderPayout": 4.8, "type": "cpa"},
        "status": "pending",
        "validationPeriodDays": 30,
    }
    assert (sale.attribution_path, sale.verification_level) == ("tracked_link", "merchant_reported")


def test_the_same_order_again_gives_the_same_reply(market):
    first, again = (market.report(market.ours, "tracked_link") for _ in range(2))

    assert (first.status_code, first.json()) == (again.status_code, again.json())


@pytest.mark.parametrize("change", [{"transactionValue": 11}, {"occurredAt": "2099-01-01T00:00:00Z"}])
def test_the_same_order_with_other_content_is_refused(market, change):
    market.report(market.ours, "tracked_link")

    reply = market.report(market.ours, "tracked_link", **change)

    assert (reply.status_code, reply.headers["X-Error-Code"]) == (409, "report_conflict")


def test_another_links_order_is_refused(market):
    market.report(market.ours, "tracked_link")

    reply = market.report(market.theirs, "tracked_link")

    assert (reply.status_code, Conversion.objects.count()) == (409, 1)


def test_a_second_order_of_a_link_is_refused(market):
    market.report(market.ours, "tracked_link")

    reply = market.report(market.ours, "tracked_link", "ORDER-2")

    assert (reply.status_code, reply.json()) == (409, {"error": "Session already converted"})


def test_nobody_but_the_merchant_reports(market):
    body = {"orderReference": "ORDER-1", "transactionValue": 10}

    replies = [client.post(f"/r/{market.ours.pk}/convert", body) for client in (agent_of(market.ours), Api(None))]

    assert [reply.status_code for reply in replies] == [403, 401]
    assert replies[0].json() == {"error": "This endpoint needs a merchant key"}


def test_another_merchants_link_does_not_exist(market, as_merchant):
    body = {"orderReference": "ORDER-1", "transactionValue": 10}
    stranger = as_merchant(MerchantFactory())

    replies = [stranger.post(f"/r/{pk}/convert", body) for pk in (market.ours.pk, new_id(), "nonsense", "x" * 300)]

    assert {(reply.status_code, reply.content) for reply in replies} == {(404, b'{"error":"Recommendation not found"}')}


@pytest.mark.parametrize(
    ("change", "error"),
    [
        ({"transactionValue": None}, "orderReference and transactionValue are required"),
        ({"orderReference": ""}, "orderReference and transactionValue are required"),
        ({"transactionValue": -1}, "transactionValue must not be negative"),
        ({"transactionValue": "10"}, "transactionValue must be a number"),
        ({"currency": "EUR"}, "currency must be GBP, the offer's"),
        ({"occurredAt": "2099-01-01T00:00:00Z"}, "occurredAt lies in the future"),
        ({"occurredAt": "2020-01-01T00:00:00Z"}, "occurredAt lies before the recommendation"),
        ({"serviceDate": "2026-02-30"}, "serviceDate must be an ISO 8601 date"),
        ({"orderReference": "x" * 201}, "orderReference must have at most 200 characters"),
        ({"orderReference": "aap:1"}, "orderReference must not start with aap:"),
    ],
)
def test_a_bad_value_gets_a_clear_error_and_stores_nothing(market, change, error):
    reply = market.report(market.ours, "tracked_link", **change)

    assert (reply.status_code, reply.json(), Conversion.objects.count()) == (400, {"error": error}, 0)


@pytest.mark.parametrize("method", ["GET", "PUT", "DELETE", "OPTIONS"])
def test_other_methods_are_refused(market, method):
    assert market.client.send(method, f"/r/{market.ours.pk}/convert").status_code == 405


# --- The window: thirty days from a click of a person


@pytest.mark.parametrize(
    ("clicked", "is_bot", "sold", "status"),
    [
        (29 * DAY, False, 0 * DAY, 200),
        (31 * DAY, False, 0 * DAY, 409),
        (31 * DAY, False, 2 * DAY, 200),
        (1 * DAY, False, 2 * DAY, 409),  # only after the sale
        (1 * DAY, True, 0 * DAY, 409),
    ],
)
def test_a_link_counts_for_thirty_days_from_a_click(market, old, clicked, is_bot, sold, status):
    click(old, clicked, is_bot=is_bot)

    reply = market.report(old, "tracked_link", occurredAt=instant(timezone.now() - sold))

    assert reply.status_code == status


def test_a_link_that_nobody_followed_sold_nothing(market, old):
    reply = market.report(old, "tracked_link")

    assert (reply.status_code, reply.headers["X-Error-Code"]) == (409, "outside_window")
    assert reply.json() == {"error": "Nobody followed the link within 30 days before the sale"}


def test_the_latest_click_counts(market, old):
    click(old, 35 * DAY, 1)
    click(old, 5 * DAY, 2)

    assert market.report(old, "tracked_link").status_code == 200


def test_a_flood_does_not_take_a_links_sales_away(market, old):
    click(old, 1 * DAY, is_flood=True)

    assert market.report(old, "tracked_link").status_code == 200


def test_a_sale_by_link_long_ago_does_not_open_the_session_again(market, old):
    click(old, 1 * DAY)
    market.report(old, "tracked_link")

    reply = market.report(old, "aap_flow")

    assert (reply.status_code, reply.json()) == (410, {"error": "Session expired"})


# --- What came of a link


def test_stats_count_people_and_show_bots_and_floods_apart(market, old):
    times = [click(old, number * DAY, number, visitor=f"{number % 2}" * 32).clicked_at for number in (1, 2, 3)]
    click(old, 9 * DAY, 4, is_bot=True)
    click(old, 9 * DAY, 5, is_flood=True)
    market.report(old, "tracked_link")

    shown = agent_of(old).get(f"/r/{old.pk}/stats").json()

    assert shown == {
        "recommendationId": old.pk,
        "clicks": 3,
        "uniqueClicks": 2,
        "botClicks": 1,
        "floodClicks": 1,
        "conversions": 1,
        "firstClickAt": instant(min(times)),
        "lastClickAt": instant(max(times)),
    }


def test_a_link_that_nobody_followed_has_no_times(market, old):
    shown = market.client.get(f"/r/{old.pk}/stats").json()

    assert (shown["clicks"], shown["firstClickAt"], shown["lastClickAt"]) == (0, None, None)


def test_a_superseded_conversion_is_not_counted(market):
    market.report(market.ours, "influence")
    market.report(market.theirs, "tracked_link")

    shown = [market.client.get(f"/r/{link.pk}/stats").json()["conversions"] for link in (market.ours, market.theirs)]

    assert shown == [0, 1]


def test_the_builders_other_agents_see_it_and_strangers_do_not(market, as_merchant, as_agent, as_stranger):
    sibling = Api(AgentKeyFactory(agent=AgentFactory(builder=market.ours.agent.builder)).secret)
    clients = [agent_of(market.ours), sibling, market.client, as_agent, as_merchant(MerchantFactory()), as_stranger]

    statuses = [client.get(f"/r/{market.ours.pk}/stats").status_code for client in clients]

    assert statuses == [200, 200, 200, 404, 404, 401]


def test_stats_cost_the_same_for_one_click_and_for_many(market, django_assert_num_queries):
    for number in range(50):
        click(market.ours, timedelta(), number + 1)

    with django_assert_num_queries(4):  # key, recommendation, clicks, conversions
        market.client.get(f"/r/{market.ours.pk}/stats")


# --- Extension and influence


@pytest.mark.parametrize("path", ["extension", "influence"])
def test_a_path_is_off_until_the_merchant_agrees(market, path):
    setattr(market.merchant, f"accepts_{path}", False)
    market.merchant.save(update_fields=[f"accepts_{path}"])

    reply = market.report(market.ours, path)

    assert (reply.status_code, reply.headers["X-Error-Code"]) == (403, "path_not_accepted")
    assert reply.json() == {"error": f"The merchant has not agreed to pay for sales by {path}"}
    assert not Conversion.objects.exists()


@pytest.mark.parametrize(("activated", "status"), [(29 * DAY, 200), (31 * DAY, 409)])
def test_an_extension_counts_for_thirty_days_from_its_activation(market, old, activated, status):
    evidence = {"activatedAt": instant(timezone.now() - activated)}

    assert market.report(old, "extension", evidence=evidence).status_code == status


@pytest.mark.parametrize(("later", "status"), [(timedelta(hours=23), 200), (timedelta(hours=25), 409)])
def test_influence_counts_for_a_day_from_the_recommendation(market, old, later, status):
    reply = market.report(old, "influence", occurredAt=instant(old.created_at + later))

    assert reply.status_code == status


@pytest.mark.parametrize(
    ("path", "evidence", "error"),
    [
        ("extension", None, "evidence.activatedAt is required for extension"),
        ("extension", {"survey": "S-1"}, "evidence.activatedAt is required for extension"),
        ("extension", {"activatedAt": "yesterday"}, "evidence.activatedAt must be an ISO 8601 time with an offset"),
        ("extension", {"activatedAt": "2099-01-01T00:00:00Z"}, "evidence.activatedAt lies after the sale"),
        ("extension", {"activatedAt": 5}, "evidence must be an object of texts"),
        ("influence", None, "evidence is required for influence"),
        ("influence", {}, "evidence is required for influence"),
        ("influence", {"survey": ""}, "evidence is required for influence"),
        ("influence", {"survey": ["S-1"]}, "evidence must be an object of texts"),
        ("influence", ["S-1"], "evidence must be an object"),
        ("influence", {"survey": "S" * 3000}, "evidence must have at most 2048 bytes"),
        ("tracked", None, "attributionPath must be aap_flow, extension or influence"),
        ("tracked_link", None, "attributionPath must be aap_flow, extension or influence"),
    ],
)
def test_bad_evidence_gets_a_clear_error_and_stores_nothing(market, path, evidence, error):
    body = {
        "sessionId": market.ours.session_id,
        "orderReference": "ORDER-1",
        "transactionValue": 10,
        "attributionPath": path,
        "evidence": evidence,
    }

    reply = market.client.post("/v1/conversions", body)

    assert (reply.status_code, reply.json(), Conversion.objects.count()) == (400, {"error": error}, 0)


def test_the_evidence_is_kept_and_its_words_are_in_no_entry(market):
    market.report(market.ours, "influence", evidence={"survey": "Ada Lovelace said so"})

    sale = Conversion.objects.get()
    shown = market.client.get(f"/v1/conversions/{sale.pk}/evidence").json()["evidence"]
    assert sale.evidence.get().details["evidence"] == {"survey": "Ada Lovelace said so"}
    assert not any(b"Lovelace" in bytes(entry.body) for entry in Entry.objects.all())
    assert [row["attributionPath"] for row in shown] == ["influence"]
