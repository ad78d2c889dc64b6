"""Credentials are nowhere but in the ciphertext: not in pages, replies, logs, the admin's log or the tables."""

import logging

import pytest
from django.contrib import admin
from django.urls import reverse

from merchants.models import Connection
from tests import staff
from tests.checkout.onboarding import (
    NEWER,
    PLATFORM_SECRET,
    SECRET,
    at_stripe,
    everything_stored,
    hyperswitch,
    key_of,
    platform,
)
from tests.factories import MerchantFactory

__all__ = ["at_stripe", "hyperswitch", "platform"]
APPS = ("merchants", "checkout", "admin", "procrastinate")


class Told:
    """Everything that is answered to staff and merchants."""

    def __init__(self, client, api):
        self.client, self.api = client, api
        self.texts = []

    def post(self, address, **typed):
        return self._note(self.client.post(address, typed, follow=True))

    def get(self, address, **query):
        return self._note(self.client.get(address, query, follow=True))

    def ask(self, path, body=None):
        return self._note(self.api.get(path) if body is None else self.api.post(path, body))

    def _note(self, reply):
        self.texts += [reply.content.decode(), str(dict(reply.headers)), str(getattr(reply, "redirect_chain", ""))]
        self.texts.append(str(self.client.cookies))
        return reply

    def every_page(self):
        """All lists and rows of the apps that could know of a connection."""
        for model in admin.site._registry:
            if model._meta.app_label in APPS:
                self.get(staff.page(model, "changelist"))
                for row in model._default_manager.all()[:20]:
                    self.get(staff.page(model, "change", row.pk))


@pytest.fixture
def told(db, as_merchant, caplog):
    caplog.set_level(logging.DEBUG)
    return Told(staff.superuser(), as_merchant(MerchantFactory(connected=False, name="By itself")))


def assert_nowhere(told, caplog, *secrets):
    told.every_page()
    places = {"pages": "\n".join(told.texts), "log": caplog.text, "database": everything_stored()}

    found = [(place, secret[:14]) for place, text in places.items() for secret in secrets if secret in text]

    assert found == []
    assert told.texts


def page(name, link):
    return reverse(f"admin:merchants_connection_{name}", args=[link.pk])


def test_staff_connect_fail_and_rotate_at_stripe(told, at_stripe, caplog):
    merchant, add = MerchantFactory(connected=False), staff.page(Connection, "add")
    good, better, bad = key_of(at_stripe), key_of(at_stripe), "sk_test_0123456789abcdef"
    lacking, revoked = key_of(at_stripe, missing=["rak_event_read"]), key_of(at_stripe)
    foreign = key_of(at_stripe, account=at_stripe.psp.open_account())
    at_stripe.psp.revoke_key(revoked)
    for key in (bad, lacking, revoked, good, good):
        told.post(add, merchant=merchant.pk, kind="stripe", api_key=key, webhook_secret=SECRET)
    link = Connection.objects.get()
    for key in (bad, lacking, revoked, foreign, better):
        told.post(page("key", link), api_key=key)
    for secret in (NEWER, NEWER + " "):
        told.post(page("secret", link), webhook_secret=secret)
    staff.act(told.client, "check_now", link)

    assert Connection.objects.get().credentials == {"api_key": better}
    assert_nowhere(told, caplog, good, better, bad, lacking, revoked, foreign, SECRET, NEWER)


def test_merchants_connect_fail_and_rotate(told, at_stripe, caplog):
    good, lacking = key_of(at_stripe), key_of(at_stripe, missing=["rak_event_read"])
    for key in ("sk_test_0123456789abcdef", lacking, good, good):
        told.ask("/v1/connections", {"kind": "stripe", "credentials": {"apiKey": key}, "webhookSecret": SECRET})
    address = f"/v1/connections/{Connection.objects.get().pk}"
    for secret in (NEWER, "whsec", SECRET + " x"):
        told.ask(f"{address}/webhook-secret", {"webhookSecret": secret})
    for path in ("/v1/connections", address):
        told.ask(path)
    told.ask(f"{address}/disconnect", {})

    assert_nowhere(told, caplog, good, lacking, "sk_test_0123456789abcdef", SECRET, NEWER)


def test_hyperswitch(told, hyperswitch, caplog):
    merchant, shop = MerchantFactory(connected=False), hyperswitch.add_merchant()
    secret = shop.payment_response_hash_key
    typed = {"kind": "hyperswitch", "profile_id": shop.profile_id, "account_id": shop.merchant_id}
    for key in ("snd_of_nobody_0123456789", shop.api_key, shop.api_key):
        told.post(staff.page(Connection, "add"), merchant=merchant.pk, api_key=key, webhook_secret=secret, **typed)

    assert Connection.objects.get().status == "active"
    assert_nowhere(told, caplog, shop.api_key, secret, "snd_of_nobody_0123456789")


def test_oauth(told, platform, settings, caplog):
    merchant, account = MerchantFactory(connected=False), platform.psp.open_account(connected=False)
    begun = told.client.post(page("oauth", merchant))
    state = begun.url.partition("state=")[2].partition("&")[0]
    code = platform.psp.authorize(account)
    for _ in range(2):
        told.get("/admin/merchants/connection/stripe/return/", state=state, code=code)
    tokens = [key.secret for key in platform.psp._access.keys.values() if key.account == account]

    assert Connection.objects.get().account_id == account
    # The state and the code are in the query of the address that Stripe sent the browser to, and nowhere else.
    told.texts = [text for text in told.texts if not text.startswith("[")]
    secrets = (settings.RAKO_STRIPE_PLATFORM_KEY, PLATFORM_SECRET, state, code, *tokens)
    assert_nowhere(told, caplog, *secrets)


def test_a_fault_of_ours_shows_none_either(told, at_stripe, caplog, monkeypatch):
    """Django's log of a fault has the traceback; what was typed is in no exception's text."""
    key = key_of(at_stripe)
    monkeypatch.setattr("checkout.connections.connecting.keep", lambda candidate: candidate.nothing_of_the_sort)
    told.client.raise_request_exception = False
    add = staff.page(Connection, "add")
    merchant = MerchantFactory(connected=False)

    reply = told.post(add, merchant=merchant.pk, kind="stripe", api_key=key, webhook_secret=SECRET)

    assert reply.status_code == 500
    assert "nothing_of_the_sort" in caplog.text
    assert_nowhere(told, caplog, key, SECRET)
