"""Shorthand for the tests of Stripe's counterparty: what a shop sells, and how it asks to be paid."""

import time
from typing import Any

import stripe

from tests.counterparties.fixtures import Shop

METADATA = {"checkout": "chk_1"}


def session_params(**changes: Any) -> Any:
    """The parameters of a session for one thing at 49.90 EUR."""
    price = {"currency": "eur", "unit_amount": 4990, "product_data": {"name": "A thing"}}
    return {
        "mode": "payment",
        "line_items": [{"price_data": price, "quantity": 1}],
        "success_url": "https://shop.example/thanks?session={CHECKOUT_SESSION_ID}",
        "cancel_url": "https://shop.example/cart",
        "expires_at": int(time.time()) + 3600,
        "metadata": METADATA,
        "payment_intent_data": {"metadata": METADATA},
        **changes,
    }


def open_session(shop: Shop, **changes: Any) -> stripe.checkout.Session:
    return shop.client().v1.checkout.sessions.create(params=session_params(**changes))


def charge(shop: Shop, method: str = "pm_card_visa", key: str | None = None, **changes: Any) -> stripe.PaymentIntent:
    """A payment of 49.90 EUR without the buyer, by one of Stripe's test methods."""
    params: Any = {"amount": 4990, "currency": "eur", "payment_method": method, "confirm": True, "off_session": True}
    options: Any = {"idempotency_key": key} if key else {}
    params |= changes
    return shop.client().v1.payment_intents.create(params=params, options=options)


def told(shop: Shop) -> list[str]:
    """The names of the account's events, oldest first."""
    return [event["type"] for event in shop.psp.events(shop.account)]
