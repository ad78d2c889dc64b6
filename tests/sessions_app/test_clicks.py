from http.cookies import SimpleCookie
from urllib.parse import parse_qsl, urlsplit

import pytest
from django.db import connection
from django.test import Client

from merchants.models import Merchant
from sessions_app.clicks import SLOT_SECONDS, landing_url
from sessions_app.models import Click
from tests.factories import MerchantFactory, OfferFactory, RecommendationFactory
from tests.threads import race

BROWSER = "Mozilla/5.0 (X11; Linux x86_64; rv:140.0) Gecko/20100101 Firefox/140.0"
OURS = [("utm_source", "aap"), ("utm_medium", "agent_referral")]


def follow(recommendation_id, *, agent=BROWSER, address="203.0.113.9"):
    return Client(raise_request_exception=False).get(
        f"/r/{recommendation_id}", headers={"User-Agent": agent}, REMOTE_ADDR=address
    )


def leading_to(url, hosts=("shop.example",)):
    merchant = MerchantFactory(connected=False, hosts=list(hosts))
    return RecommendationFactory(offer=OfferFactory(merchant=merchant, url=url))


@pytest.fixture
def link(db):
    return leading_to("https://shop.example/plans/30gb?colour=blue#top")


def test_a_link_leads_to_the_merchants_page_with_three_parameters(link):
    reply = follow(link.pk)

    parts = urlsplit(reply["Location"])
    assert (reply.status_code, reply["Cache-Control"]) == (302, "no-store")
    assert (parts.scheme, parts.netloc, parts.path, parts.fragment) == ("https", "shop.example", "/plans/30gb", "top")
    assert parse_qsl(parts.query) == [("colour", "blue"), *OURS, ("aap_ref", link.pk)]


@pytest.mark.django_db
@pytest.mark.parametrize(
    "query", ["a=1&a=2", "empty=", "q=a%26b%3Dc", "flag", "name=%E9t%E9", "path=/x/y", "q=a%20b", ""]
)
def test_the_offers_own_query_is_kept_as_it_is(query):
    link = leading_to(f"https://shop.example/p?{query}")

    found = urlsplit(landing_url(link)).query

    assert found == "&".join(filter(None, [query, f"utm_source=aap&utm_medium=agent_referral&aap_ref={link.pk}"]))


@pytest.mark.django_db
def test_the_merchants_own_tracking_does_not_displace_ours():
    link = leading_to("https://shop.example/p?utm_source=own&aap_ref=forged&x=1")

    assert parse_qsl(urlsplit(landing_url(link)).query) == [("x", "1"), *OURS, ("aap_ref", link.pk)]


def test_the_cookie_lasts_thirty_days_and_is_closed_to_scripts(link):
    cookie = follow(link.pk).cookies["aap_ref"]

    assert (cookie.value, cookie["max-age"], cookie["httponly"], cookie["samesite"]) == (
        link.pk,
        2_592_000,
        True,
        "Lax",
    )


@pytest.mark.parametrize("is_https", [True, False])
def test_the_cookie_is_secure_where_the_service_is(link, settings, is_https):
    settings.SESSION_COOKIE_SECURE = is_https

    cookies = SimpleCookie(follow(link.pk).cookies["aap_ref"].OutputString())

    assert bool(cookies["aap_ref"]["secure"]) is is_https


def test_the_same_visitor_counts_once(link):
    for _ in range(3):
        assert follow(link.pk).status_code == 302

    # Two if the ten minutes ended in between.
    assert Click.objects.count() == len(set(Click.objects.values_list("slot", flat=True)))


@pytest.mark.parametrize("other", [{"address": "203.0.113.10"}, {"agent": "Mozilla/5.0 (iPhone)"}])
def test_another_visitor_counts_too(link, other):
    follow(link.pk)
    follow(link.pk, **other)

    assert Click.objects.values("visitor").distinct().count() == 2


def test_a_slot_is_ten_minutes(link):
    follow(link.pk)

    click = Click.objects.get()
    assert (SLOT_SECONDS, click.slot) == (600, int(click.clicked_at.timestamp()) // 600)


def test_eight_visits_at_once_count_once(transactional_db):
    link = leading_to("https://shop.example/p")

    replies = race(lambda _: follow(link.pk).status_code)

    assert replies == [302] * 8
    assert Click.objects.count() == len(set(Click.objects.values_list("slot", flat=True)))


@pytest.mark.parametrize(
    ("agent", "is_bot"),
    [
        (BROWSER, False), ("", True), ("Googlebot/2.1", True), ("curl/8.5", True), ("python-requests/2.32", True),
        ("HeadlessChrome/130", True), ("Slackbot-LinkExpanding 1.0", True), ("facebookexternalhit preview", True),
    ],
)  # fmt: skip
def test_bots_are_flagged_and_served(link, agent, is_bot):
    reply = follow(link.pk, agent=agent)

    assert (reply.status_code, Click.objects.get().is_bot) == (302, is_bot)


def test_a_click_holds_no_personal_data(link):
    follow(link.pk)
    with connection.cursor() as cursor:
        cursor.execute("SELECT row::text FROM sessions_app_click AS row")
        stored = cursor.fetchone()[0]

    assert not any(part in stored for part in ("203.0.113", "Mozilla", "Firefox", "Linux"))


def test_a_visitor_cannot_be_recognised_without_the_secret(link, settings):
    follow(link.pk)
    settings.SECRET_KEY = "another secret key of the same service, fifty characters"
    follow(link.pk)

    assert Click.objects.values("visitor").distinct().count() == 2


@pytest.mark.django_db
@pytest.mark.parametrize("recommendation_id", ["nonsense", "01JZZZZZZZZZZZZZZZZZZZZZZZ", "x" * 300, "..%2f..%2f"])
def test_an_unknown_link_is_not_found(recommendation_id):
    reply = follow(recommendation_id)

    assert (reply.status_code, reply.json()) == (404, {"error": "Not found"})
    assert "aap_ref" not in reply.cookies


def test_a_host_struck_off_later_is_led_to_no_more(link):
    Merchant.objects.update(hosts=["other.example"])

    reply = follow(link.pk)

    assert (reply.status_code, Click.objects.count()) == (404, 0)


@pytest.mark.django_db
@pytest.mark.parametrize(
    "url",
    [
        "https://evil.example/", "https://shop.example@evil.example/", "//evil.example/", "javascript:alert(1)",
        "https://shop.example\\@evil.example/", "https://shop.example:8443/", "/\\evil.example", "data:text/html,x",
        "https://shop.example.evil.example/", "https://evil.example?shop.example", "\thttps://evil.example",
    ],
)  # fmt: skip
def test_a_link_leads_nowhere_but_to_the_merchant(url):
    reply = follow(leading_to(url).pk)

    assert (reply.status_code, reply.has_header("Location")) == (404, False)


def test_parameters_of_the_link_are_not_passed_on(link):
    reply = Client().get(f"/r/{link.pk}?next=https://evil.example&url=//evil.example")

    assert "evil" not in reply["Location"]
