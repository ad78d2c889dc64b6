"""Which keys are taken, what they may do, and connecting by OAuth."""

from urllib.parse import parse_qs, urlsplit

import pytest
from pytest_django import Settings

from checkout.connectors.base import ConnectionHealth, ConnectionRevoked, PspRejected
from checkout.connectors.stripe import oauth
from checkout.connectors.stripe.health import KeyRefused, check_key
from tests.checkout.stripe.conftest import Connect, Wire
from tests.counterparties.fixtures import Shop


@pytest.mark.parametrize(
    ("key", "is_live", "said"),
    [
        ("sk_live_51H", True, "secret key"),
        ("sk_test_51H", False, "secret key"),
        ("pk_test_51H", False, "publishable"),
        ("rk_test_51H", True, "test mode"),
        ("rk_live_51H", False, "live mode"),
        ("rk_test_", False, "restricted keys"),
        ("rk_test_a b", False, "restricted keys"),
        ("rk_test_é", False, "restricted keys"),
        ("rk_test_a\n", False, "restricted keys"),
        ("", False, "restricted keys"),
        ("whsec_51H", False, "restricted keys"),
    ],
)
def test_a_key_of_another_kind_or_mode_is_refused_with_a_sentence(key: str, is_live: bool, said: str) -> None:
    with pytest.raises(KeyRefused, match=said) as refused:
        check_key(key, is_live)

    assert isinstance(refused.value, PspRejected)
    assert isinstance(refused.value, ValueError)
    assert "51H" not in str(refused.value)


@pytest.mark.parametrize(("key", "is_live"), [("rk_live_51Habc_d", True), ("rk_test_51Habc", False)])
def test_a_restricted_key_of_the_mode_is_taken(key: str, is_live: bool) -> None:
    check_key(key, is_live)


def test_a_good_key_lacks_nothing_and_nothing_is_changed(connect: Connect, shop: Shop, wire: Wire) -> None:
    health = connect().verify_connection()

    assert health == ConnectionHealth(shop.account, is_live=False, missing=())
    assert shop.psp.events(shop.account) == []


@pytest.mark.parametrize(
    ("right", "missing"),
    [
        ("rak_checkout_session_write", "Checkout Sessions: Write"),
        ("rak_payment_intent_write", "PaymentIntents: Write"),
        ("rak_charge_read", "Charges and Refunds: Read"),
        ("rak_dispute_read", "Disputes: Read"),
        ("rak_event_read", "Events: Read"),
        ("rak_payment_method_read", "PaymentMethods: Read"),
    ],
)
def test_a_right_that_is_missing_is_named(connect: Connect, shop: Shop, right: str, missing: str) -> None:
    key = shop.psp.issue_key(shop.account, missing=[right])

    assert connect(key=key).verify_connection().missing == (missing,)


def test_the_account_is_told_even_to_a_key_that_may_not_ask_for_it(connect: Connect, shop: Shop) -> None:
    key = shop.psp.issue_key(shop.account, missing=["rak_accounts_kyc_basic_read"])

    assert connect(key=key).verify_connection() == ConnectionHealth(shop.account, is_live=False)


def test_a_revoked_key_is_no_good(connect: Connect, shop: Shop) -> None:
    key = shop.psp.issue_key(shop.account, restricted=True)
    shop.psp.revoke_key(key)

    with pytest.raises(ConnectionRevoked):
        connect(key=key).verify_connection()


def test_a_secret_key_never_leaves(connect: Connect, shop: Shop, wire: Wire) -> None:
    with pytest.raises(KeyRefused):
        connect(key=shop.key).verify_connection()

    assert wire.calls == []


def test_a_live_key_opens_the_live_mode(connect: Connect, shop: Shop) -> None:
    key = shop.psp.issue_key(shop.account, live=True, restricted=True)

    assert connect(key=key, is_live=True).verify_connection() == ConnectionHealth(shop.account, is_live=True)


def test_a_connected_account_is_well_until_it_leaves(connect: Connect, shop: Shop) -> None:
    connector = connect(mode="connect")
    before = connector.verify_connection()

    oauth.deauthorize(shop.account)

    assert before == ConnectionHealth(shop.account, is_live=False)
    with pytest.raises(ConnectionRevoked):
        connector.verify_connection()
    with pytest.raises(ConnectionRevoked):
        oauth.deauthorize(shop.account)


def test_the_merchant_is_sent_to_stripe_with_our_state(connect: Connect, shop: Shop) -> None:
    connect(mode="connect")

    address = urlsplit(oauth.authorize_url("a state", "https://rako.example/back"))

    assert f"{address.scheme}://{address.netloc}" == shop.psp.url
    assert parse_qs(address.query) == {
        "client_id": [shop.psp.client_id],
        "response_type": ["code"],
        "scope": ["read_write"],
        "state": ["a state"],
        "redirect_uri": ["https://rako.example/back"],
    }


def test_a_code_is_good_once(connect: Connect, shop: Shop) -> None:
    connect(mode="connect")
    merchant = shop.psp.open_account(connected=False)
    code = shop.psp.authorize(merchant)

    granted = oauth.complete(code)

    assert granted == (merchant, False, "read_write")
    for bad in (code, "ac_never_given"):
        with pytest.raises(PspRejected):
            oauth.complete(bad)


def test_without_a_platform_nobody_connects(settings: Settings) -> None:
    settings.RAKO_STRIPE_CLIENT_ID = ""

    assert not oauth.is_configured()
    for call in (lambda: oauth.complete("ac_1"), lambda: oauth.authorize_url("s", "u"), lambda: oauth.deauthorize("a")):
        with pytest.raises(ConnectionRevoked):
            call()
