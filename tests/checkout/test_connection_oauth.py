"""Connecting by Stripe Connect: from the merchant's admin page to Stripe and back."""

from datetime import timedelta
from urllib.parse import parse_qs, urlsplit

import pytest
from django.contrib.auth.models import User
from django.test import Client
from django.urls import reverse
from django.utils import timezone

from ledger.models import Entry
from merchants.models import Connection, OAuthState
from tests import staff
from tests.checkout.onboarding import at_stripe, connect_shop, connected, platform
from tests.factories import MerchantFactory
from tests.threads import race

__all__ = ["at_stripe", "platform"]
RETURN = "/admin/merchants/connection/stripe/return/"


@pytest.fixture
def boss(db):
    return staff.superuser()


@pytest.fixture
def merchant(db):
    return MerchantFactory(connected=False)


@pytest.fixture
def account(platform):
    """A shop that has not let the platform in yet."""
    return platform.psp.open_account(connected=False)


def begin(client, merchant):
    """Set off for Stripe; the query of the address there."""
    reply = client.post(reverse("admin:merchants_connection_oauth", args=[merchant.pk]))
    return {name: values[0] for name, values in parse_qs(urlsplit(reply.url).query).items()}


def come_back(client, **params):
    return client.get(RETURN, params, follow=True)


def connect(client, merchant, platform, account):
    state = begin(client, merchant)["state"]
    return come_back(client, state=state, code=platform.psp.authorize(account), scope="read_write")


def refused(reply, *words):
    """The reply says so, and there is no connection."""
    return all(word in staff.said(reply)[-1] for word in ("Not connected", *words)) and not Connection.objects.exists()


def test_a_merchants_page_leads_to_stripe(boss, merchant, platform):
    page = reverse("admin:merchants_connection_oauth", args=[merchant.pk])

    sent = begin(boss, merchant)

    assert page in staff.shown(boss, merchant)
    assert "Continue to Stripe" in boss.get(page).content.decode()
    assert sent["client_id"] == platform.psp.client_id
    assert (sent["scope"], sent["response_type"]) == ("read_write", "code")
    assert sent["redirect_uri"].endswith(RETURN)
    assert len(sent["state"]) >= 43


def test_the_way_there_and_back_connects(boss, merchant, platform, account):
    reply = connect(boss, merchant, platform, account)

    link = merchant.connections.get()
    assert (link.mode, link.status, link.account_id, link.credentials) == (
        "connect", "active", account, {"mode": "connect"},
    )  # fmt: skip
    assert staff.said(reply) == [f"{merchant} is connected with Stripe: {account}."]
    assert reply.redirect_chain[-1][0] == staff.page(Connection, "change", link.pk)


def test_the_merchant_may_say_no(boss, merchant, platform):
    state = begin(boss, merchant)["state"]

    assert refused(come_back(boss, state=state, error="access_denied"), "said no")
    assert refused(come_back(boss, state=state, error="access_denied"), "used before")


def test_a_state_is_good_once(boss, merchant, platform, account):
    state = begin(boss, merchant)["state"]
    come_back(boss, state=state, error="access_denied")

    reply = come_back(boss, state=state, code=platform.psp.authorize(account))

    assert refused(reply, "used before")


def test_a_state_is_good_for_ten_minutes(boss, merchant, platform, account):
    state = begin(boss, merchant)["state"]
    OAuthState.objects.update(created_at=timezone.now() - timedelta(minutes=10, seconds=1))

    assert refused(come_back(boss, state=state, code=platform.psp.authorize(account)), "ten minutes")


def test_a_state_belongs_to_the_session_that_began(boss, merchant, platform, account):
    state = begin(boss, merchant)["state"]
    other = Client()
    other.force_login(User.objects.get(username="boss"))

    assert refused(come_back(other, state=state, code=platform.psp.authorize(account)), "another session")


@pytest.mark.parametrize("state", [None, "", "x", "x" * 10_000, "\ud800", "é"])
def test_without_a_state_of_ours_nobody_is_connected(boss, platform, account, state):
    params = {"code": platform.psp.authorize(account)} | (
        {} if state is None else {"state": state.encode("utf-8", "surrogatepass")}
    )

    assert refused(come_back(boss, **params))


@pytest.mark.parametrize("code", [None, "", "ac_nobody_gave", "x" * 501, "é"])
def test_a_code_that_stripe_does_not_take_connects_nobody(boss, merchant, platform, code):
    state = begin(boss, merchant)["state"]

    assert refused(come_back(boss, state=state, **({} if code is None else {"code": code})), "code")


def test_a_code_is_good_once(boss, merchant, platform, account):
    code = platform.psp.authorize(account)
    come_back(boss, state=begin(boss, merchant)["state"], code=code)
    other = MerchantFactory(connected=False)

    reply = come_back(boss, state=begin(boss, other)["state"], code=code)

    assert "used before" in staff.said(reply)[-1]
    assert not other.connections.exists()


def test_a_platform_of_the_other_mode_connects_nobody(boss, merchant, platform, account, settings):
    settings.RAKO_STRIPE_PLATFORM_KEY = platform.psp.issue_key(live=True)

    assert refused(connect(boss, merchant, platform, account), "other mode")


def test_the_account_of_another_merchant_stays_with_it(boss, merchant, platform):
    theirs = connected(MerchantFactory(connected=False), platform)

    reply = connect(boss, merchant, platform, platform.account)

    assert "connected to another merchant" in staff.said(reply)[-1]
    assert Connection.objects.get() == theirs
    assert platform.account in platform.psp._access.connected


def test_what_was_granted_for_nothing_is_given_back(boss, merchant, platform, account):
    state = begin(boss, merchant)["state"]
    connect_shop(merchant, platform)

    reply = come_back(boss, state=state, code=platform.psp.authorize(account))

    assert "has a live connection" in staff.said(reply)[-1]
    assert platform.psp.events(account)[-1]["type"] == "account.application.deauthorized"


def test_a_stripe_that_does_not_answer_connects_nobody(boss, merchant, platform, account, settings):
    state = begin(boss, merchant)["state"]
    settings.RAKO_STRIPE_CONNECT_BASE = "http://127.0.0.1:9"

    assert refused(come_back(boss, state=state, code=platform.psp.authorize(account)), "did not answer")


def test_the_same_account_takes_up_its_old_connection(boss, merchant, platform, account):
    connect(boss, merchant, platform, account)
    link = merchant.connections.get()
    staff.act(boss, "disconnect_now", link, reason="By mistake")

    connect(boss, merchant, platform, account)

    again = merchant.connections.get()
    assert (again.pk, again.status, again.disconnected_at) == (link.pk, "active", None)
    told = Entry.objects.filter(stream_id=link.pk).order_by("stream_seq").values_list("kind", flat=True)
    assert list(told) == ["connection.disconnected", "connection.restored"]


def test_a_connected_merchant_does_not_set_off(boss, merchant, platform):
    connect_shop(merchant, platform)

    reply = boss.post(reverse("admin:merchants_connection_oauth", args=[merchant.pk]), follow=True)

    assert "has a live connection" in staff.said(reply)[-1]
    assert not OAuthState.objects.exists()


def test_a_deployment_that_is_no_platform_says_so(boss, merchant):
    page = reverse("admin:merchants_connection_oauth", args=[merchant.pk])

    assert "RAKO_STRIPE_CLIENT_ID" in boss.get(page).content.decode()
    assert "is not set up here" in staff.said(boss.post(page, follow=True))[-1]


def test_view_only_staff_connect_nobody(merchant, platform):
    auditor = staff.viewer()

    assert auditor.get(reverse("admin:merchants_connection_oauth", args=[merchant.pk])).status_code == 403
    assert auditor.get(RETURN).status_code == 403
    assert "/login/" in Client().get(RETURN).url


@pytest.mark.django_db(transaction=True)
def test_of_eight_returns_with_one_state_one_is_followed(platform):
    boss, merchant = staff.superuser(), MerchantFactory(connected=False)
    account = platform.psp.open_account(connected=False)
    state, code = begin(boss, merchant)["state"], platform.psp.authorize(account)

    def come(_):
        client = Client()
        client.cookies = boss.cookies
        return client.get(RETURN, {"state": state, "code": code}).url

    assert race(come).count(reverse("admin:merchants_connection_changelist")) == 7
    assert merchant.connections.get().account_id == account
