"""Who follows links: people, programs, and too many of either. All are led on; what they are is in the log."""

import orjson
import pytest
from django.test import Client

from ledger.models import Entry
from sessions_app import clicks
from sessions_app.models import Click
from tests.factories import OfferFactory, RecommendationFactory
from tests.sessions_app.test_clicks import BROWSER, follow

IPHONE = "Mozilla/5.0 (iPhone; CPU iPhone OS 18_1 like Mac OS X) AppleWebKit/605.1.15 (KHTML, like Gecko) "
PEOPLE = [
    "Mozilla/5.0 (Windows NT 10.0; Win64; x64) AppleWebKit/537.36 (KHTML, like Gecko) Chrome/131.0.0.0 Safari/537.36",
    "Mozilla/5.0 (Windows NT 10.0; Win64; x64) AppleWebKit/537.36 (KHTML, like Gecko) Chrome/131.0.0.0 Safari/537.36 "
    "Edg/131.0.0.0",
    "Mozilla/5.0 (Macintosh; Intel Mac OS X 10_15_7) AppleWebKit/605.1.15 (KHTML, like Gecko) Version/18.1 "
    "Safari/605.1.15",
    IPHONE + "Version/18.1 Mobile/15E148 Safari/604.1",
    IPHONE + "Mobile/15E148 Instagram 359.0.0.27.84",
    IPHONE + "Mobile/22B83 [FBAN/FBIOS;FBAV/489.0.0.35.106;FBBV/663285430;FBDV/iPhone14,5]",
    "Mozilla/5.0 (Linux; Android 14; SM-S918B) AppleWebKit/537.36 (KHTML, like Gecko) SamsungBrowser/27.0 "
    "Chrome/125.0.0.0 Mobile Safari/537.36",
    "Mozilla/5.0 (Linux; Android 11; CUBOT NOTE 20) AppleWebKit/537.36 (KHTML, like Gecko) Chrome/96.0.4664.45 "
    "Mobile Safari/537.36",
    "Mozilla/5.0 (compatible; MSIE 10.0; Windows NT 6.2; Trident/6.0)",
    "Opera/9.80 (Android; Opera Mini/36.2.2254/119.132; U; en) Presto/2.12.423 Version/12.16",
]
PROGRAMS = [
    "",
    "Mozilla/5.0 (compatible; Googlebot/2.1; +http://www.google.com/bot.html)",
    "Mozilla/5.0 (Linux; Android 6.0.1; Nexus 5X Build/MMB29P) AppleWebKit/537.36 (KHTML, like Gecko) "
    "Chrome/131.0.6778.69 Mobile Safari/537.36 (compatible; Google-InspectionTool/1.0;)",
    "Mozilla/5.0 (compatible; bingbot/2.0; +http://www.bing.com/bingbot.htm)",
    "Mozilla/5.0 AppleWebKit/537.36 (KHTML, like Gecko; compatible; GPTBot/1.2; +https://openai.com/gptbot)",
    "Mozilla/5.0 AppleWebKit/537.36 (KHTML, like Gecko); compatible; ChatGPT-User/1.0; +https://openai.com/bot",
    "Mozilla/5.0 (compatible; Yahoo! Slurp; http://help.yahoo.com/help/us/ysearch/slurp)",
    "Mozilla/5.0 (Linux; Android 5.0) AppleWebKit/537.36 (KHTML, like Gecko) Mobile Safari/537.36 (compatible; "
    "Bytespider; spider-feedback@bytedance.com)",
    "Mozilla/5.0 (X11; Linux x86_64) AppleWebKit/537.36 (KHTML, like Gecko) HeadlessChrome/131.0.0.0 Safari/537.36",
    "Mozilla/5.0 (Windows NT 6.1; WOW64) SkypeUriPreview Preview/0.5 skype-url-preview@microsoft.com",
    "facebookexternalhit/1.1 (+http://www.facebook.com/externalhit_uatext.php)",
    "Slackbot-LinkExpanding 1.0 (+https://api.slack.com/robots)",
    "TelegramBot (like TwitterBot)",
    "WhatsApp/2.24.20.89 A",
    "Twitterbot/1.0",
    "Go-http-client/1.1",
    "okhttp/4.12.0",
    "axios/1.7.7",
    "node",
    "curl/8.5.0",
    "python-requests/2.32.3",
    "PostmanRuntime/7.42.0",
    "Dalvik/2.1.0 (Linux; U; Android 14; Pixel 8 Build/UQ1A.240205.002)",
]


@pytest.fixture
def link(db):
    return RecommendationFactory()


@pytest.fixture
def small_limits(monkeypatch):
    monkeypatch.setattr(clicks, "VISITOR_LIMIT", 3)
    monkeypatch.setattr(clicks, "LINK_LIMIT", 5)
    # The ten minutes must not end while clicks are counted.
    monkeypatch.setattr(clicks.time, "time", lambda: 1_800_000_000.0)


def floods():
    return list(Click.objects.order_by("id").values_list("is_flood", flat=True))


@pytest.mark.parametrize("agent", PEOPLE)
def test_people_are_no_bots(link, agent):
    follow(link.pk, agent=agent)

    assert not Click.objects.get().is_bot


@pytest.mark.parametrize("agent", PROGRAMS)
def test_programs_are_led_on_and_flagged(link, agent):
    assert (follow(link.pk, agent=agent).status_code, Click.objects.get().is_bot) == (302, True)


def test_a_visitor_on_too_many_links_is_a_flood(db, small_limits):
    offer = OfferFactory()
    links = [RecommendationFactory(offer=offer) for _ in range(5)]

    statuses = [follow(link.pk).status_code for link in links]

    assert (statuses, floods()) == ([302] * 5, [False] * 3 + [True] * 2)


def test_too_many_visitors_on_a_link_are_a_flood(link, small_limits):
    for number in range(7):
        follow(link.pk, address=f"203.0.113.{number}")

    assert floods() == [False] * 5 + [True] * 2


def test_a_flood_is_logged_once_a_slot_and_its_entries_say_so(link, small_limits):
    for number in [*range(6), 5, 5]:
        follow(link.pk, address=f"203.0.113.{number}")

    facts = [orjson.loads(bytes(entry.body))["facts"] for entry in Entry.objects.order_by("id")]
    assert floods() == [fact["is_flood"] for fact in facts] == [False] * 5 + [True]


def test_a_flood_ends_with_its_hour(link, small_limits, monkeypatch):
    for number in range(6):
        follow(link.pk, address=f"203.0.113.{number}")
    monkeypatch.setattr(clicks.time, "time", lambda: 1_800_000_000.0 + 3600)

    follow(link.pk)

    assert floods() == [False] * 5 + [True, False]


def test_other_links_are_not_part_of_a_flood(link, small_limits):
    for number in range(7):
        follow(link.pk, address=f"203.0.113.{number}")

    follow(RecommendationFactory(offer=link.offer).pk, address="203.0.113.99")

    assert floods()[-1] is False


def test_a_redirect_costs_three_queries_in_a_flood_as_well(link, small_limits, django_assert_num_queries):
    for number in range(6):
        with django_assert_num_queries(3):  # the link, its last hour, the click with its entry
            follow(link.pk, address=f"203.0.113.{number}")


@pytest.mark.parametrize(
    "headers",
    [
        {"Sec-Purpose": "prefetch"},
        {"Sec-Purpose": "prefetch;prerender"},
        {"Purpose": "prefetch"},
        {"X-Moz": "prefetch"},
    ],
)
def test_a_prefetch_is_no_visit_and_does_not_hide_the_one_that_follows(link, headers):
    reply = Client().get(f"/r/{link.pk}", headers={"User-Agent": BROWSER} | headers, REMOTE_ADDR="203.0.113.9")
    before = Click.objects.count()
    follow(link.pk)

    assert (reply.status_code, before, Click.objects.count()) == (302, 0, 1)


def test_head_leads_where_get_does_and_is_no_visit(link):
    looked, went = Client().head(f"/r/{link.pk}"), follow(link.pk)

    assert (looked.status_code, looked.content, looked["Location"]) == (302, b"", went["Location"])
    assert Click.objects.count() == 1


def test_no_cookie_but_ours_comes_and_none_goes_on(link):
    client = Client()
    client.cookies["sessionid"] = "secret-of-the-session"

    reply = client.get(f"/r/{link.pk}", headers={"User-Agent": BROWSER})

    assert set(reply.cookies) == {"aap_ref"}
    assert "secret" not in reply["Location"]
    assert "secret" not in reply.content.decode()


@pytest.mark.parametrize("method", ["POST", "PUT", "DELETE", "OPTIONS"])
def test_a_link_is_only_followed(link, method):
    reply = Client().generic(method, f"/r/{link.pk}")

    assert (reply.status_code, Click.objects.count()) == (405, 0)
