"""Connections in the admin: made by a key, given new secrets, checked, ended."""

import pytest
from django.contrib.admin.models import LogEntry
from django.urls import reverse

from merchants.models import Connection
from tests import staff
from tests.checkout.onboarding import NEWER, SECRET, at_stripe, connect_shop, connected, hyperswitch, key_of, platform
from tests.factories import MerchantFactory

__all__ = ["at_stripe", "hyperswitch", "platform"]


@pytest.fixture
def boss(db):
    return staff.superuser()


@pytest.fixture
def merchant(db):
    return MerchantFactory(connected=False)


@pytest.fixture
def link(merchant, at_stripe):
    return connect_shop(merchant, at_stripe)


def add(client, to, **typed):
    fields = {"merchant": to.pk, "kind": "stripe"} | typed
    return client.post(staff.page(Connection, "add"), fields, follow=True)


def give(client, page, link, **typed):
    return client.post(reverse(f"admin:merchants_connection_{page}", args=[link.pk]), typed, follow=True)


def acts_on(link):
    return list(LogEntry.objects.filter(object_id=link.pk).order_by("pk").values_list("change_message", flat=True))


def test_staff_connect_a_merchant_by_its_key(boss, merchant, at_stripe):
    add(boss, merchant, api_key=key_of(at_stripe), webhook_secret=SECRET)

    link = merchant.connections.get()
    assert (link.status, link.account_id, link.webhook_secrets) == ("active", at_stripe.account, [SECRET])
    assert acts_on(link) == [f"Connected to stripe: {at_stripe.account}"]


def test_a_connection_without_a_secret_says_what_to_do(boss, merchant, at_stripe):
    add(boss, merchant, api_key=key_of(at_stripe))
    link = merchant.connections.get()

    page = staff.shown(boss, link)

    assert link.status == "pending"
    assert "Sells nothing yet" in page
    assert f"/v1/webhooks/stripe/{link.pk}" in page
    assert reverse("admin:merchants_connection_secret", args=[link.pk]) in page


def test_hyperswitch_is_connected_likewise(boss, merchant, hyperswitch):
    shop = hyperswitch.add_merchant()
    typed = {"api_key": shop.api_key, "profile_id": shop.profile_id, "account_id": shop.merchant_id}

    add(boss, merchant, kind="hyperswitch", **typed)

    assert merchant.connections.get().account_id == shop.merchant_id


def test_a_refusal_is_told_and_the_form_keeps_all_but_the_secrets(boss, merchant, at_stripe):
    reply = add(boss, merchant, api_key="sk_test_typed_by_mistake", webhook_secret=SECRET, account_id="acct_1")

    text = reply.content.decode()
    assert staff.said(reply) == [
        "This is a secret key, which opens the whole account. Make a restricted key (rk_…) for Rako."
    ]
    assert 'value="acct_1"' in text
    assert "typed_by_mistake" not in text
    assert SECRET not in text
    assert not Connection.objects.exists()


def test_fields_of_another_processor_are_not_passed_over(boss, merchant, at_stripe):
    reply = add(boss, merchant, api_key=key_of(at_stripe), profile_id="pro_1")

    assert staff.said(reply) == ["Stripe takes no profile id."]


@pytest.mark.parametrize("missing", [{"merchant": ""}, {"kind": "paypal"}, {"api_key": "x" * 301}])
def test_a_form_that_is_not_filled_in_is_shown_again_without_its_secrets(boss, merchant, missing):
    reply = add(boss, merchant, **{"api_key": "rk_test_0123456789", "webhook_secret": SECRET} | missing)

    assert reply.context["errors"]
    assert "rk_test_0123456789" not in reply.content.decode()
    assert SECRET not in reply.content.decode()


def test_live_deployments_connect_too(boss, merchant, at_stripe, settings):
    settings.RAKO_MODE = "live"

    add(boss, merchant, api_key=key_of(at_stripe, live=True), webhook_secret=SECRET)

    assert merchant.connections.get().is_live


def test_a_webhook_secret_is_rotated(boss, link):
    give(boss, "secret", link, webhook_secret=NEWER)
    two = staff.shown(boss, link)
    staff.act(boss, "drop_old_secret", link)

    assert "two: drop the old one" in two
    assert Connection.objects.get().webhook_secrets == [NEWER]
    assert acts_on(link) == ["Added a webhook secret", "Dropped the old webhook secret"]


def test_the_first_webhook_secret_lets_it_sell(boss, merchant, at_stripe):
    link = connect_shop(merchant, at_stripe, webhook_secret="")

    give(boss, "secret", link, webhook_secret=SECRET)

    assert Connection.objects.get().status == "active"


def test_a_key_is_replaced_by_one_of_the_same_account_alone(boss, link, at_stripe):
    key, other = key_of(at_stripe), key_of(at_stripe, account=at_stripe.psp.open_account())

    refused = give(boss, "key", link, api_key=other)
    give(boss, "key", link, api_key=key)

    assert staff.said(refused) == ["The key opens another account."]
    assert Connection.objects.get().credentials == {"api_key": key}
    assert acts_on(link) == ["Replaced the API key"]


def test_a_degraded_connection_says_what_to_do_and_a_check_mends_it(boss, link):
    Connection.objects.update(status="degraded")
    page = staff.shown(boss, link)

    reply = staff.act(boss, "check_now", link)

    assert "the processor refused the key" in page
    assert staff.said(reply) == [f"{link}: good; the connection is active."]
    assert acts_on(link) == ["Checked: good; the connection is active"]
    assert Connection.objects.get().status == "active"


def test_a_check_names_what_is_missing(boss, link, at_stripe):
    at_stripe.psp.take_permissions(link.credentials["api_key"], ["rak_dispute_read"])

    reply = staff.act(boss, "check_now", link)

    assert staff.said(reply) == [f"{link}: The key lacks these rights: Disputes: Read."]


def test_credentials_under_a_lost_key_do_not_break_the_page(boss, link, settings):
    settings.RAKO_CREDENTIAL_KEYS = ["b3RoZXItY3JlZGVudGlhbC1rZXktb2YtMzItYnl0ZXM="]

    assert "not readable" in staff.shown(boss, link)
    assert "is not configured" in staff.said(staff.act(boss, "check_now", link))[0]


def test_disconnecting_leaves_a_connected_account(boss, merchant, platform):
    link = connected(merchant, platform)

    staff.act(boss, "disconnect_now", link, reason="Contract ended")

    assert platform.psp.events(platform.account)[-1]["type"] == "account.application.deauthorized"
    assert acts_on(link) == ["Disconnected: Contract ended"]


def test_a_stripe_that_cannot_be_told_is_mentioned(boss, merchant, platform, settings):
    settings.RAKO_STRIPE_CONNECT_BASE = "http://127.0.0.1:9"

    reply = staff.act(boss, "disconnect_now", connected(merchant, platform), reason="Contract ended")

    assert "Stripe could not be told" in staff.said(reply)[-1]
    assert Connection.objects.get().status == "disconnected"


@pytest.mark.parametrize("page", ["secret", "key"])
def test_view_only_staff_give_no_secrets(link, page):
    auditor = staff.viewer()

    reply = give(auditor, page, link, webhook_secret=NEWER, api_key=NEWER)

    assert reply.status_code == 403
    assert "API key…" not in staff.shown(auditor, link)
    assert Connection.objects.get().webhook_secrets == [SECRET]


@pytest.mark.parametrize("page", ["secret", "key"])
def test_a_disconnected_connection_offers_no_new_secrets(boss, link, page):
    Connection.objects.update(status="disconnected")

    reply = give(boss, page, link, webhook_secret=NEWER, api_key="rk_test_0123456789")

    assert staff.said(reply) == ["The connection is disconnected: connect the merchant anew."]
    assert "Webhook secret…" not in staff.shown(boss, link)
