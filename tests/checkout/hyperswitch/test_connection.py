"""Whose key it is, which mode it has, and what it may do."""

import pytest

from checkout.connectors.base import ConnectionHealth, ConnectionRevoked, PspFault
from tests.checkout.hyperswitch import factories
from tests.counterparties.hyperswitch import HyperswitchCounterparty

FORBIDDEN = {"error": {"type": "invalid_request", "code": "IR_22"}}


def test_a_working_key_tells_its_account(psp, shop, connector):
    assert connector.verify_connection() == ConnectionHealth(shop.merchant_id, False, [])
    assert [method for method, _ in psp.calls()] == ["GET", "POST", "GET"]
    connector.create_checkout(factories.checkout_request())

    other = factories.connector_of(shop, account_id="merchant_other")
    assert other.verify_connection().account_id == shop.merchant_id


def test_a_live_key_is_live(settings):
    with HyperswitchCounterparty(mode="production") as psp:
        settings.RAKO_HYPERSWITCH_API_BASE = psp.base_url
        shop = psp.add_merchant()

        assert factories.connector_of(shop, is_live=True).verify_connection().is_live
        with pytest.raises(ConnectionRevoked):
            factories.connector_of(shop, is_live=False).verify_connection()


def test_a_revoked_key_opens_nothing(psp, shop, connector):
    psp.revoke_key(shop.api_key)

    for call in (
        connector.verify_connection,
        lambda: connector.create_checkout(factories.checkout_request()),
        lambda: connector.charge_stored_method(factories.stored_charge()),
        lambda: connector.expire_checkout("pay_1"),
        lambda: connector.get_payment("pay_1"),
    ):
        with pytest.raises(ConnectionRevoked):
            call()


@pytest.mark.parametrize(
    "credentials",
    [
        {},
        {"api_key": "", "profile_id": "pro_1"},
        {"api_key": "prod_0123456789", "profile_id": "pro_1"},
        {"api_key": "sk_0123456789", "profile_id": "pro_1"},
        {"api_key": "snd_0123456789\r\nX: 1", "profile_id": "pro_1"},
        {"api_key": "snd_é123456789", "profile_id": "pro_1"},
        {"api_key": 5, "profile_id": "pro_1"},
        {"api_key": "snd_0123456789"},
        {"api_key": "snd_0123456789", "profile_id": None},
    ],
)
def test_credentials_that_are_none_are_never_sent(psp, shop, credentials):
    connector = factories.connector_of(shop, credentials=credentials)

    with pytest.raises(ConnectionRevoked):
        connector.create_checkout(factories.checkout_request())
    assert psp.calls() == []


def test_missing_rights_are_named(scripted, stranger):
    scripted.replies = [(200, {"data": []}, {}), (403, FORBIDDEN, {}), (404, {"error": {"code": "HE_02"}}, {})]

    assert stranger.verify_connection() == ConnectionHealth("merchant_1", False, ["refunds"])


def test_a_key_without_any_right_names_them_all(scripted, stranger):
    scripted.says(FORBIDDEN, 403)

    assert stranger.verify_connection().missing == ["payments", "refunds", "disputes"]


def test_garbage_is_no_health(scripted, stranger):
    scripted.says([])

    with pytest.raises(PspFault):
        stranger.verify_connection()


def test_secrets_are_in_no_representation(connector, shop):
    told = repr(factories.connection_of(shop)) + repr(connector)

    assert shop.api_key not in told
    assert shop.payment_response_hash_key not in told
