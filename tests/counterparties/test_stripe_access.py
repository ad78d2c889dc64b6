"""Who may do what at Stripe's counterparty: keys, permissions, accounts and Connect."""

import pytest
import stripe
from stripe.oauth_error import InvalidClientError, InvalidGrantError

from tests.counterparties.sales import charge, open_session


def on_behalf(shop, account=None):
    return {"stripe_account": account or shop.account}


def test_an_account_sees_only_its_own(shop):
    ours = charge(shop)
    other = shop.client(shop.psp.issue_key(shop.psp.open_account()))

    with pytest.raises(stripe.InvalidRequestError) as refused:
        other.v1.payment_intents.retrieve(ours.id)

    assert (refused.value.http_status, refused.value.code) == (404, "resource_missing")
    assert other.v1.events.list().data == []


def test_a_session_is_unknown_to_another_account(shop):
    session = open_session(shop)
    other = shop.client(shop.psp.issue_key(shop.psp.open_account()))

    with pytest.raises(stripe.InvalidRequestError, match="No such checkout"):
        other.v1.checkout.sessions.retrieve(session.id)


def test_the_platform_acts_for_a_connected_account(shop):
    session = open_session(shop)
    platform = shop.client(shop.psp.issue_key())

    seen = platform.v1.checkout.sessions.retrieve(session.id, options=on_behalf(shop))

    assert seen.id == session.id
    with pytest.raises(stripe.InvalidRequestError):
        platform.v1.checkout.sessions.retrieve(session.id)


@pytest.mark.parametrize("key", ["sk_test_unknown", "revoked"])
def test_a_key_that_is_unknown_or_revoked_is_refused(shop, key):
    if key == "revoked":
        key = shop.psp.issue_key(shop.account)
        shop.psp.revoke_key(key)

    with pytest.raises(stripe.AuthenticationError) as refused:
        shop.client(key).v1.accounts.retrieve_current()

    assert refused.value.http_status == 401
    assert key not in str(refused.value)


def test_a_restricted_key_names_the_permission_it_lacks(shop):
    key = shop.psp.issue_key(shop.account, missing=["rak_charge_write"])
    client = shop.client(key)
    intent = charge(shop)

    with pytest.raises(stripe.PermissionError, match="Having the 'rak_charge_write' permission") as refused:
        client.v1.refunds.create(params={"payment_intent": intent.id})

    assert key.startswith("rk_test_")
    assert (refused.value.http_status, refused.value.error.type) == (403, "invalid_request_error")
    assert client.v1.refunds.list().data == []


def test_a_closed_account_leaves_nothing_behind(shop):
    account = shop.psp.open_account()
    client = shop.client(shop.psp.issue_key(account))
    client.v1.customers.create()

    shop.psp.close_account(account)

    with pytest.raises(stripe.AuthenticationError):
        client.v1.customers.list()
    assert shop.psp.events(account) == []


def test_permissions_can_be_taken_later(shop):
    key = shop.psp.issue_key(shop.account, restricted=True)
    client = shop.client(key)
    client.v1.accounts.retrieve_current()

    shop.psp.take_permissions(key, ["rak_accounts_kyc_basic_read"])

    with pytest.raises(stripe.PermissionError):
        client.v1.accounts.retrieve_current()


def test_an_account_describes_itself(shop):
    account = shop.client().v1.accounts.retrieve_current()

    assert (account.id, account.charges_enabled, account.type) == (shop.account, True, "standard")


def test_oauth_connects_an_account_once(shop):
    merchant = shop.psp.open_account(connected=False)
    platform = shop.client(shop.psp.issue_key())
    code = shop.psp.authorize(merchant)
    with pytest.raises(stripe.PermissionError):
        platform.v1.events.list(options=on_behalf(shop, merchant))

    token = platform.oauth.token(params={"grant_type": "authorization_code", "code": code})

    assert (token.stripe_user_id, token.livemode, token.scope) == (merchant, False, "read_write")
    assert platform.v1.accounts.retrieve(merchant).id == merchant
    with pytest.raises(InvalidGrantError, match="already been used"):
        platform.oauth.token(params={"grant_type": "authorization_code", "code": code})
    with pytest.raises(stripe.AuthenticationError):
        shop.client(token.access_token).v1.events.list()


def test_oauth_refuses_a_code_that_was_never_given(shop):
    with pytest.raises(InvalidGrantError, match="does not exist"):
        shop.client(shop.psp.issue_key()).oauth.token(params={"grant_type": "authorization_code", "code": "ac_x"})


def test_a_deauthorized_account_is_out_of_reach_and_says_so(shop):
    platform = shop.client(shop.psp.issue_key())

    left = platform.oauth.deauthorize(params={"stripe_user_id": shop.account})

    assert left.stripe_user_id == shop.account
    with pytest.raises(stripe.PermissionError) as refused:
        platform.v1.events.list(options=on_behalf(shop))
    assert refused.value.error.code == "account_invalid"
    assert shop.psp.events(shop.account)[-1]["type"] == "account.application.deauthorized"
    with pytest.raises(InvalidClientError, match="not connected"):
        platform.oauth.deauthorize(params={"stripe_user_id": shop.account})


def test_a_merchant_can_throw_the_platform_out(shop):
    shop.psp.disconnect(shop.account)

    with pytest.raises(stripe.PermissionError):
        shop.client(shop.psp.issue_key()).v1.events.list(options=on_behalf(shop))
