"""A connection that stands: its key replaced, its health checked, and ended."""

import json

import pytest

from checkout.connections import add_webhook_secret, check, disconnect, disconnect_and_leave, replace_key
from checkout.connections import errors as refusals
from checkout.start import start_checkout
from checkout.verification import connection_findings
from ledger.models import Entry
from merchants.models import Connection
from rako.core.errors import RakoError
from tests.checkout.onboarding import NEWER, SECRET, at_stripe, connect_shop, connected, key_of, platform
from tests.factories import MerchantFactory, OfferFactory, RecommendationFactory

__all__ = ["at_stripe", "platform"]


@pytest.fixture
def merchant(db):
    return MerchantFactory(connected=False)


@pytest.fixture
def link(merchant, at_stripe):
    return connect_shop(merchant, at_stripe)


def fresh(link):
    return Connection.objects.get(pk=link.pk)


def revoke(link, shop):
    shop.psp.revoke_key(fresh(link).credentials["api_key"])


def test_a_key_is_replaced_by_another_of_the_same_account(link, at_stripe):
    key = key_of(at_stripe)

    replace_key(link, {"api_key": key})

    assert fresh(link).credentials == {"api_key": key}


def test_a_key_of_another_account_does_not_replace_it(link, at_stripe):
    before, other = fresh(link).credentials, at_stripe.psp.open_account()

    with pytest.raises(refusals.AccountMismatch):
        replace_key(link, {"api_key": key_of(at_stripe, account=other)})
    assert fresh(link).credentials == before


def test_a_key_that_lacks_rights_does_not_replace_it(link, at_stripe):
    with pytest.raises(refusals.MissingRights):
        replace_key(link, {"api_key": key_of(at_stripe, missing=["rak_event_read"])})


def test_a_good_key_mends_a_degraded_connection(link, at_stripe):
    Connection.objects.update(status="degraded")

    replace_key(link, {"api_key": key_of(at_stripe)})

    assert fresh(link).status == "active"


def test_a_new_key_does_not_make_a_pending_connection_sell(merchant, at_stripe):
    link = connect_shop(merchant, at_stripe, webhook_secret="")

    replace_key(link, {"api_key": key_of(at_stripe)})

    assert fresh(link).status == "pending"


def test_a_revoked_key_degrades_the_connection_and_a_good_one_is_found_again(link, at_stripe):
    recommendation = RecommendationFactory(offer=OfferFactory(merchant=link.merchant))
    revoke(link, at_stripe)
    sale = {"session_id": recommendation.session_id, "recommendation_id": recommendation.pk}
    with pytest.raises(RakoError):
        start_checkout(recommendation.agent, **sale)
    after_sale = fresh(link).status
    Connection.objects.update(credentials={"api_key": key_of(at_stripe)})

    assert (after_sale, check(link).status, fresh(link).status) == ("degraded", "active", "active")


def test_a_check_degrades_a_connection_whose_key_is_refused(link, at_stripe):
    revoke(link, at_stripe)

    with pytest.raises(refusals.CredentialsRefused):
        check(link)
    assert fresh(link).status == "degraded"


def test_a_check_says_what_is_missing_and_leaves_a_degraded_connection_so(link, at_stripe):
    Connection.objects.update(status="degraded")
    at_stripe.psp.take_permissions(fresh(link).credentials["api_key"], ["rak_checkout_session_write"])

    with pytest.raises(refusals.MissingRights, match="Checkout Sessions: Write"):
        check(link)
    assert fresh(link).status == "degraded"


def test_a_check_leaves_a_pending_connection_pending(merchant, at_stripe):
    assert check(connect_shop(merchant, at_stripe, webhook_secret="")).status == "pending"


def test_a_disconnected_connection_is_not_changed(link, at_stripe):
    disconnect(link)

    for act in (
        lambda: add_webhook_secret(link, NEWER),
        lambda: replace_key(link, {"api_key": key_of(at_stripe)}),
        lambda: check(link),
    ):
        with pytest.raises(refusals.Disconnected):
            act()
    assert (fresh(link).status, fresh(link).webhook_secrets) == ("disconnected", [SECRET])


def test_the_sandbox_has_neither_key_nor_secret_to_give(db):
    link = MerchantFactory().connections.get()

    with pytest.raises(refusals.NoSecretToGive):
        add_webhook_secret(link, NEWER)
    with pytest.raises(refusals.NoKeyToReplace):
        replace_key(link, {})
    assert check(link).status == "active"


def test_leaving_a_connected_account_takes_the_platform_out_of_it(merchant, platform):
    link = connected(merchant, platform)

    assert disconnect_and_leave(link)
    with pytest.raises(refusals.Disconnected):
        check(link)
    assert fresh(link).status == "disconnected"
    assert platform.psp.events(platform.account)[-1]["type"] == "account.application.deauthorized"


def test_a_stripe_that_does_not_answer_keeps_nobody_connected(merchant, platform, settings):
    link = connected(merchant, platform)
    settings.RAKO_STRIPE_CONNECT_BASE = "http://127.0.0.1:9"

    assert not disconnect_and_leave(link)
    assert fresh(link).status == "disconnected"


def test_a_merchant_who_left_at_stripe_is_found_out_by_a_check(merchant, platform):
    link = connected(merchant, platform)
    platform.psp.disconnect(platform.account)

    with pytest.raises(refusals.CredentialsRefused):
        check(link)
    assert fresh(link).status == "degraded"


def told_of(link):
    """What the ledger tells of a connection: kind and reason, oldest first."""
    entries = Entry.objects.filter(stream_id=link.pk, merchant_id=link.merchant_id).order_by("stream_seq")
    return [(entry.kind, json.loads(bytes(entry.body))["facts"]["reason"]) for entry in entries]


def test_the_ledger_tells_what_becomes_of_a_connection(link, at_stripe):
    revoke(link, at_stripe)
    for _ in range(2):
        with pytest.raises(refusals.CredentialsRefused):
            check(link)
    replace_key(link, {"api_key": key_of(at_stripe)})
    for _ in range(2):
        disconnect(link)

    assert told_of(link) == [
        ("connection.degraded", "credentials_refused"),
        ("connection.restored", "credentials_accepted"),
        ("connection.disconnected", "asked"),
    ]
    assert list(connection_findings()) == []


def test_what_was_never_active_ends_without_a_word(link):
    Connection.objects.update(status="pending")

    for _ in range(2):
        disconnect(link)

    assert (fresh(link).status, link.status, told_of(link)) == ("disconnected", "disconnected", [])
    assert list(connection_findings()) == []


def test_a_connection_that_is_not_as_it_was_told_is_found(link):
    disconnect(link)
    Connection.objects.update(status="active", disconnected_at=None)

    assert [finding.subject for finding in connection_findings()] == [f"connection {link.pk}"]
