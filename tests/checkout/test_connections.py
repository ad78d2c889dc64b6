"""Connecting a merchant by credentials of its own, new secrets, checks, and letting go."""

import pytest
from django.db import IntegrityError, transaction

from checkout.connections import (
    add_webhook_secret,
    connect,
    disconnect,
    drop_old_webhook_secret,
)
from checkout.connections import errors as refusals
from checkout.start import check_sellable
from merchants.models import Connection
from rako.core.errors import RakoError
from tests.checkout import onboarding
from tests.checkout.onboarding import NEWER, NEWEST, SECRET, at_stripe, connect_shop, hyperswitch, key_of
from tests.factories import MerchantFactory, OfferFactory, RecommendationFactory
from tests.threads import race

__all__ = ["at_stripe", "hyperswitch"]


@pytest.fixture
def merchant(db):
    return MerchantFactory(connected=False)


@pytest.fixture
def link(merchant, at_stripe):
    return connect_shop(merchant, at_stripe)


def sold(merchant):
    """Through what an offer of the merchant's would be sold."""
    return check_sellable(RecommendationFactory(offer=OfferFactory(merchant=merchant)))


def fresh(link):
    return Connection.objects.get(pk=link.pk)


def test_a_good_key_and_secret_sell_at_once(merchant, at_stripe):
    link = connect_shop(merchant, at_stripe)

    assert (link.account_id, link.status, link.mode, link.is_live) == (at_stripe.account, "active", "key", False)
    assert sold(merchant) == link


def test_without_a_webhook_secret_nothing_is_sold_yet(merchant, at_stripe):
    link = connect_shop(merchant, at_stripe, webhook_secret="")

    assert link.status == "pending"
    with pytest.raises(RakoError, match="no connected payment processor"):
        sold(merchant)


def test_the_webhook_secret_lets_a_pending_connection_sell(merchant, at_stripe):
    link = connect_shop(merchant, at_stripe, webhook_secret="")

    add_webhook_secret(link, SECRET)

    assert fresh(link).webhook_secrets == [SECRET]
    assert sold(merchant) == link


REFUSED_KEYS = [
    ("sk_test_{account}_0123456789", "secret key"),
    ("pk_test_{account}_0123456789", "publishable key"),
    ("rk_live_{account}_0123456789", "live mode"),
    ("whsec_0123456789", "not one of Stripe's restricted keys"),
    ("rk_test_{account}_0123456789", "does not accept these credentials"),
    ("rk_test_with a space", "no spaces"),
    ("rk_test_é", "printable"),
    ("x" * 301, "300"),
    ("", "API key is missing"),
]


@pytest.mark.parametrize(("key", "said"), REFUSED_KEYS, ids=lambda value: value[:12])
def test_a_key_that_is_not_a_good_restricted_one_of_this_mode_is_refused(merchant, at_stripe, key, said):
    with pytest.raises(RakoError, match=said) as refusal:
        connect_shop(merchant, at_stripe, credentials={"api_key": key.format(account=at_stripe.account)})

    assert refusal.value.status == 400
    assert not Connection.objects.exists()


def test_a_live_deployment_takes_no_test_key(merchant, at_stripe, settings):
    settings.RAKO_MODE = "live"

    with pytest.raises(RakoError, match="test mode"):
        connect_shop(merchant, at_stripe)


def test_a_live_deployment_takes_a_live_key(merchant, at_stripe, settings):
    settings.RAKO_MODE = "live"

    assert connect_shop(merchant, at_stripe, key=key_of(at_stripe, live=True)).is_live


def test_missing_rights_are_named(merchant, at_stripe):
    key = key_of(at_stripe, missing=["rak_dispute_read", "rak_checkout_session_write"])

    with pytest.raises(refusals.MissingRights, match="Checkout Sessions: Write, Disputes: Read"):
        connect_shop(merchant, at_stripe, key=key)
    assert not Connection.objects.exists()


def test_a_key_of_another_account_than_was_named_is_refused(merchant, at_stripe):
    with pytest.raises(refusals.AccountMismatch):
        connect_shop(merchant, at_stripe, account_id="acct_somebody_elses")


def test_an_account_belongs_to_one_merchant(link, at_stripe):
    with pytest.raises(refusals.AccountTaken):
        connect_shop(MerchantFactory(connected=False), at_stripe)
    assert Connection.objects.count() == 1


@pytest.mark.parametrize("status", ["pending", "active", "degraded"])
def test_a_merchant_has_one_connection_that_stands(link, merchant, at_stripe, status):
    Connection.objects.update(status=status)

    with pytest.raises(refusals.AlreadyConnected):
        connect_shop(merchant, at_stripe)
    with pytest.raises(IntegrityError, match="one_standing"), transaction.atomic():
        Connection.objects.create(merchant=merchant, kind="x", account_id="x", credentials={}, webhook_secrets=[])


def test_a_disconnected_merchant_is_connected_anew(link, merchant, at_stripe):
    disconnect(link)

    assert connect_shop(merchant, at_stripe).pk != link.pk


@pytest.mark.parametrize(
    ("kind", "code"), [("paypal", "unknown_kind"), ("", "unknown_kind"), ("x" * 20, "unknown_kind")]
)
def test_an_unknown_processor_is_refused(merchant, kind, code):
    with pytest.raises(RakoError) as refusal:
        connect(merchant, kind=kind, credentials={})

    assert refusal.value.code == code


def test_a_processor_that_cannot_be_reached_leaves_nothing(merchant, at_stripe, settings):
    key = key_of(at_stripe)
    settings.RAKO_STRIPE_API_BASE = onboarding.NOBODY

    with pytest.raises(refusals.ProbeFailed, match="nothing was changed"):
        connect_shop(merchant, at_stripe, key=key)
    assert not Connection.objects.exists()


@pytest.mark.django_db(transaction=True)
def test_of_eight_at_the_same_time_one_connects(at_stripe):
    merchant, key = MerchantFactory(connected=False), key_of(at_stripe)

    results = race(lambda _: connect_shop(merchant, at_stripe, key=key))

    refused = [result for result in results if isinstance(result, refusals.AlreadyConnected | refusals.AccountTaken)]
    assert (len(refused), Connection.objects.count()) == (7, 1)


def hyperswitch_credentials(shop, **changes):
    given = {"api_key": shop.api_key, "profile_id": shop.profile_id}
    more = {"account_id": shop.merchant_id, "webhook_secret": shop.payment_response_hash_key}
    return {"kind": "hyperswitch", "credentials": given} | more | changes


def test_hyperswitch_is_connected_by_key_profile_and_merchant(merchant, hyperswitch):
    shop = hyperswitch.add_merchant()

    link = connect(merchant, **hyperswitch_credentials(shop))

    assert (link.account_id, link.status) == (shop.merchant_id, "active")


@pytest.mark.parametrize(
    ("changes", "said"),
    [
        ({"account_id": ""}, "Account is missing"),
        ({"credentials": {"api_key": "snd_x"}}, "Profile is missing"),
        ({"credentials": {"api_key": "prod_0123456789", "profile_id": "pro_1"}}, "other mode"),
        ({"credentials": {"api_key": "snd_0123456789", "profile_id": "pro_1"}}, "does not accept"),
        ({"webhook_secret": "short"}, "16 to 300"),
    ],
)
def test_hyperswitch_refuses_what_is_wrong(merchant, hyperswitch, changes, said):
    with pytest.raises(RakoError, match=said):
        connect(merchant, **hyperswitch_credentials(hyperswitch.add_merchant()) | changes)
    assert not Connection.objects.exists()


def test_secrets_are_rotated_newest_first_and_two_at_most(link):
    add_webhook_secret(link, NEWER)
    add_webhook_secret(link, NEWEST)

    assert fresh(link).webhook_secrets == [NEWEST, NEWER]


def test_the_same_secret_again_changes_nothing(link):
    add_webhook_secret(link, NEWER)
    add_webhook_secret(link, SECRET)

    assert fresh(link).webhook_secrets == [NEWER, SECRET]


def test_the_old_secret_is_dropped(link):
    add_webhook_secret(link, NEWER)

    assert [drop_old_webhook_secret(link), drop_old_webhook_secret(link)] == [True, False]
    assert fresh(link).webhook_secrets == [NEWER]


@pytest.mark.parametrize("secret", ["", "whsec_", "secret_0123456789abcdef", "whsec_ 0123456789abcdef"])
def test_what_is_no_signing_secret_is_refused(link, secret):
    with pytest.raises(refusals.BadCredentials):
        add_webhook_secret(link, secret)
    assert fresh(link).webhook_secrets == [SECRET]


@pytest.mark.django_db(transaction=True)
def test_secrets_that_come_at_the_same_time_lose_none_of_the_newest(at_stripe):
    link = connect_shop(MerchantFactory(connected=False), at_stripe)

    race(lambda number: add_webhook_secret(link, f"whsec_of_thread_number_{number}"))

    kept = fresh(link).webhook_secrets
    assert (len(set(kept)), SECRET in kept) == (2, False)
