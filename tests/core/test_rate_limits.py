"""So many requests a minute for each key, told in the headers of every reply, and counted once for all processes."""

import time

import pytest
from django.db import IntegrityError, connection, transaction
from django.test.utils import CaptureQueriesContext

from rako.core.rate_limits import LIMITS, NO_LIMIT, RateWindow
from sessions_app.models import AgentKey
from tests.conftest import Api
from tests.factories import AgentKeyFactory, MerchantKeyFactory

pytestmark = pytest.mark.django_db
HEADERS = ("X-RateLimit-Limit", "X-RateLimit-Remaining", "X-RateLimit-Reset")


def limited(limit=3):
    return AgentKeyFactory(rate_limit=limit)


def call(key, path="/v1/conversions"):
    return Api(key.secret).get(path)


def shown(reply):
    return tuple(int(reply[name]) for name in HEADERS)


def window(key, **changes):
    """The key's window, with what is changed of it."""
    RateWindow.objects.filter(pk=key.pk).update(**changes)
    return RateWindow.objects.get(pk=key.pk)


@pytest.mark.parametrize("tier", ["standard", "growth"])
def test_tiers_have_their_limits(tier):
    limit, left, resets_at = shown(call(AgentKeyFactory(tier=tier)))

    assert (limit, left) == (LIMITS[tier], LIMITS[tier] - 1)
    assert 58 <= resets_at - time.time() <= 61


def test_the_limits_are_the_protocols():
    assert LIMITS == {"standard": 60, "growth": 300}


def test_beyond_the_limit_is_429_until_the_reset():
    key = limited(3)

    replies = [call(key) for _ in range(4)]

    assert [reply.status_code for reply in replies] == [200, 200, 200, 429]
    assert [shown(reply)[1] for reply in replies] == [2, 1, 0, 0]
    assert len({shown(reply)[2] for reply in replies}) == 1
    assert (replies[3].json(), replies[3]["X-Error-Code"]) == ({"error": "Rate limit exceeded"}, "rate_limited")
    assert abs(int(replies[3]["Retry-After"]) - (shown(replies[3])[2] - time.time())) <= 1.5


def test_at_the_reset_all_of_the_limit_is_there_again():
    key = limited(2)
    for _ in range(3):
        call(key)
    over = window(key, ends_at=int(time.time()))

    limit, left, resets_at = shown(call(key))

    assert (limit, left) == (2, 1)
    assert resets_at >= over.ends_at + 60


def test_a_second_before_the_reset_nothing_is_there():
    key = limited(1)
    call(key)
    window(key, ends_at=int(time.time()) + 2)

    reply = call(key)

    assert (reply.status_code, int(reply["Retry-After"]) in (1, 2)) == (429, True)


def test_a_clock_that_was_set_back_locks_nobody_out():
    key = limited(1)
    call(key)
    window(key, ends_at=int(time.time()) + 3600, used=10)

    assert call(key).status_code == 200


@pytest.mark.parametrize(("used", "minutes"), [(10, 0), (19, 0), (20, 1), (45, 3), (99, 8)])
def test_who_keeps_calling_is_asked_to_wait_longer(used, minutes):
    key = limited(10)
    call(key)
    window(key, used=used)

    reply = call(key)

    assert reply.status_code == 429
    assert 57 <= int(reply["Retry-After"]) - 60 * minutes <= 60


def test_who_kept_calling_is_served_at_the_reset_all_the_same():
    key = limited(10)
    call(key)
    window(key, used=99, ends_at=int(time.time()))

    assert call(key).status_code == 200


def test_refusals_far_beyond_the_limit_write_nothing():
    key = limited(2)
    call(key)
    window(key, used=20)
    before = version(key)

    replies = [call(key) for _ in range(3)]

    assert {reply.status_code for reply in replies} == {429}
    assert version(key) == before


def version(key):
    """PostgreSQL's number of the window's version: another one after any write."""
    with connection.cursor() as cursor:
        cursor.execute("SELECT ctid, xmin, xmax, used FROM rako_ratewindow WHERE key_id = %s", [key.pk])
        return cursor.fetchall()


def test_a_key_without_a_limit_says_so_and_writes_nothing():
    key = AgentKeyFactory()

    limit, left, resets_at = shown(call(key))

    assert (limit, left) == (NO_LIMIT, NO_LIMIT - 1)
    assert resets_at > time.time()
    assert not RateWindow.objects.exists()


def test_finding_and_charging_a_key_is_one_statement():
    key = limited()

    with CaptureQueriesContext(connection) as queries:
        AgentKey.admit(key.secret)

    assert len(queries) == 1


def test_looking_for_a_key_charges_nothing():
    AgentKey.find(limited().secret)

    assert not RateWindow.objects.exists()


@pytest.mark.parametrize(
    ("method", "path", "status"),
    [
        ("GET", "/v1/conversions/x", 404),
        ("GET", "/v1/conversions?limit=x", 400),
        ("POST", "/v1/conversions", 403),
        ("PUT", "/v1/conversions", 405),
        ("POST", "/v1/recommend", 400),
        ("GET", "/v1/earnings", 200),
        ("GET", "/v1/invoices", 403),
    ],
)
def test_every_reply_to_a_keyed_request_says_where_the_key_stands(method, path, status):
    key = limited(5)

    reply = Api(key.secret).send(method, path, b"{}")

    assert (reply.status_code, shown(reply)[:2]) == (status, (5, 4))


def test_a_fault_of_ours_says_it_too(monkeypatch):
    def fail(*_):
        raise ZeroDivisionError

    monkeypatch.setattr("settlement.payout_views.EarningsView.get", fail)

    reply = call(limited(5), "/v1/earnings")

    assert (reply.status_code, shown(reply)[:2]) == (500, (5, 4))


@pytest.mark.parametrize("secret", [None, "aap_nobody"])
def test_without_a_good_key_there_is_no_limit_to_tell_of(secret):
    reply = Api(secret).get("/v1/conversions")

    assert (reply.status_code, [name for name in HEADERS if name in reply]) == (401, [])
    assert not RateWindow.objects.exists()


def test_public_endpoints_ignore_keys_and_their_limits():
    key = limited(1)
    call(key)

    replies = [Api(key.secret).post("/v1/codes/verify", {"code": "x"}) for _ in range(3)]

    assert {reply.status_code for reply in replies} == {200}
    assert "X-RateLimit-Limit" not in replies[0]


def test_a_key_has_a_limit_of_its_own():
    first, second = limited(1), limited(1)

    assert [call(key).status_code for key in (first, first, second)] == [200, 429, 200]


def test_a_key_of_the_wrong_kind_is_charged_too():
    key = MerchantKeyFactory(rate_limit=1)

    assert [call(key, "/v1/offers").status_code for _ in range(2)] == [403, 429]


def test_a_revoked_key_is_not_known_any_more_even_beyond_its_limit():
    key = limited(1)
    call(key), call(key)

    key.revoke()

    assert call(key).status_code == 401


def test_a_higher_limit_counts_at_once():
    key = limited(1)
    call(key), call(key)

    AgentKey.objects.filter(pk=key.pk).update(rate_limit=4)

    assert (call(key).status_code, shown(call(key))[:2]) == (200, (4, 0))


@pytest.mark.parametrize(
    "values", [{"tier": "gold"}, {"tier": "standard", "rate_limit": 5}, {"tier": "enterprise", "rate_limit": 0}]
)
def test_only_enterprise_keys_have_a_number_of_their_own(values):
    key = AgentKeyFactory()

    with pytest.raises(IntegrityError, match="agentkey_"), transaction.atomic():
        AgentKey.objects.filter(pk=key.pk).update(**values)


def test_windows_are_counted_without_a_log():
    with connection.cursor() as cursor:
        cursor.execute("SELECT relpersistence FROM pg_class WHERE relname = 'rako_ratewindow'")
        assert cursor.fetchone() == ("u",)
