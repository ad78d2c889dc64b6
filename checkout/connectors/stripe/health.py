"""Whether a merchant's key is the kind of key that Rako takes, and what it lets us do."""

from collections.abc import Callable

import stripe

from checkout.connectors.base import ConnectionHealth, PspRejected
from checkout.connectors.stripe import reading
from checkout.connectors.stripe.client import Calls
from checkout.connectors.stripe.errors import Forbidden

# Nothing has these ids: whoever may write is told so, and nobody changes anything.
NO_SESSION, NO_INTENT = "cs_test_rako_asks_for_the_right", "pi_rako_asks_for_the_right"

Probe = Callable[[stripe.StripeClient], stripe.StripeObject]
# What a key needs, in the words of Stripe's dashboard, where writing includes reading.
RIGHTS: list[tuple[str, Probe]] = [
    ("Checkout Sessions: Write", lambda client: client.v1.checkout.sessions.expire(NO_SESSION)),
    ("PaymentIntents: Write", lambda client: client.v1.payment_intents.cancel(NO_INTENT)),
    ("Charges and Refunds: Read", lambda client: client.v1.charges.list(params={"limit": 1})),
    ("Charges and Refunds: Read", lambda client: client.v1.refunds.list(params={"limit": 1})),
    ("Disputes: Read", lambda client: client.v1.disputes.list(params={"limit": 1})),
    ("Events: Read", lambda client: client.v1.events.list(params={"limit": 1})),
    ("PaymentMethods: Read", lambda client: client.v1.payment_methods.list(params={"limit": 1})),
]


class KeyRefused(PspRejected, ValueError):
    """A key that Rako does not take; the message is for whoever typed it, and never shows the key."""

    status, code, message = 400, "key_refused", "This key cannot be used"


def check_key(key: str, is_live: bool) -> None:
    """Refuse, with a KeyRefused, all keys but a restricted one of the mode."""
    if key.startswith(("sk_", "sk-")):
        raise KeyRefused("This is a secret key, which opens the whole account. Make a restricted key (rk_…) for Rako.")
    if key.startswith("pk_"):
        raise KeyRefused("This is a publishable key. Make a restricted key (rk_…) for Rako.")
    if not (key.isascii() and key.startswith(("rk_live_", "rk_test_")) and key[8:].replace("_", "").isalnum()):
        raise KeyRefused("This is not one of Stripe's restricted keys, which begin with rk_live_ or rk_test_.")
    if key.startswith("rk_live_") != is_live:
        wanted, given = ("live", "test") if is_live else ("test", "live")
        raise KeyRefused(f"This is a key of the {given} mode; the connection is for the {wanted} mode.")


def of_key(calls: Calls) -> ConnectionHealth:
    """Whose a restricted key is, and which rights it lacks. Raises ConnectionRevoked for one that is no longer good."""
    missing = [right for right, probe in RIGHTS if not _may(calls, probe)]
    return ConnectionHealth(_account(calls), calls.is_live, tuple(dict.fromkeys(missing)))


def of_connected(calls: Calls) -> ConnectionHealth:
    """Whether the merchant still lets the platform in, which then may do everything. Raises ConnectionRevoked."""
    account = calls.ask(lambda client: client.v1.accounts.retrieve_current())
    return ConnectionHealth(reading.text(account, "id"), calls.is_live)


def _account(calls: Calls) -> str:
    """The key's account, "" if it cannot be told: some restricted keys may not ask for it, but the refusal says it."""
    try:
        return reading.text(calls.ask(lambda client: client.v1.accounts.retrieve_current()), "id")
    except Forbidden as refusal:
        return refusal.account


def _may(calls: Calls, probe: Probe) -> bool:
    try:
        calls.ask(probe)
    except Forbidden:
        return False
    except PspRejected:
        return True  # there is no such thing, but the question was allowed
    return True
