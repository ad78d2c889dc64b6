"""Connect: a merchant lets the platform act for their account, or takes that back (OAuth for standard accounts)."""

from typing import NamedTuple

from django.conf import settings

from checkout.connectors.base import ConnectionRevoked
from checkout.connectors.stripe import reading
from checkout.connectors.stripe.client import Calls, make_client, make_http_client


class Granted(NamedTuple):
    """Whose account may be used, in which mode, to do what. The token that comes with it is not kept."""

    account_id: str
    is_live: bool
    scope: str


def is_configured() -> bool:
    """Whether this deployment is a platform of Stripe's."""
    return bool(settings.RAKO_STRIPE_CLIENT_ID and settings.RAKO_STRIPE_PLATFORM_KEY)


def authorize_url(state: str, redirect_uri: str) -> str:
    """Where to send the merchant; `state` comes back with the answer. Raises ConnectionRevoked if not configured."""
    client = make_client(_platform_key(), None, make_http_client((1.0, 1.0)), 0)
    return client.oauth.authorize_url(
        params={"scope": "read_write", "state": state, "redirect_uri": redirect_uri, "response_type": "code"}
    )


def complete(code: str) -> Granted:
    """Exchange the code of the answer. Raises PspRejected for one that is not, or no longer, good.

    Tried once only: Stripe takes back what it granted for a code that it is shown twice.
    """
    calls = Calls(_platform_key())
    token = calls.ask(
        lambda client: client.oauth.token(params={"grant_type": "authorization_code", "code": code}), retries=0
    )
    return Granted(
        reading.text(token, "stripe_user_id"), reading.flag(token, "livemode"), reading.optional_text(token, "scope")
    )


def deauthorize(account_id: str) -> None:
    """Leave an account. Raises ConnectionRevoked if the platform is not, or no longer, connected to it."""
    calls = Calls(_platform_key())
    calls.ask(lambda client: client.oauth.deauthorize(params={"stripe_user_id": account_id}), retries=0)


def _platform_key() -> str:
    if not is_configured():
        raise ConnectionRevoked("Stripe Connect is not set up here")
    return str(settings.RAKO_STRIPE_PLATFORM_KEY)
