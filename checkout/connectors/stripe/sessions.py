"""Hosted pages: Stripe's Checkout Sessions, made of an attempt and nothing else, so that a repeat is the same call."""

from collections.abc import Mapping
from datetime import datetime, timedelta

from stripe.params.checkout import SessionCreateParams, SessionCreateParamsLineItemPriceData

from checkout.connectors.base import (
    CheckoutLink,
    CheckoutRequest,
    KeyReuseMismatch,
    PaymentState,
    PspRejected,
)
from checkout.connectors.metadata import fitted
from checkout.connectors.stripe import attempts, reading
from checkout.connectors.stripe.amounts import to_stripe
from checkout.connectors.stripe.client import Calls
from checkout.connectors.stripe.reading import Thing
from checkout.connectors.stripe.snapshots import money as money_of
from checkout.connectors.stripe.snapshots import session_state
from rako.core.money import Money

# Stripe takes 30 minutes to 24 hours; the margin is for our clock, and for a repeat.
SHORTEST = timedelta(minutes=35)
LONGEST = timedelta(hours=24) - timedelta(minutes=5)


def create(calls: Calls, request: CheckoutRequest) -> CheckoutLink:
    """The page of an attempt. One that was made of other words, say before the offer was renamed, is found again.

    Raises KeyReuseMismatch if that one is for other money, or no longer open.
    """
    session = open_session(calls, session_params(request), "co", request.money)
    return _link(session, request.expires_at)


def session_params(request: CheckoutRequest) -> SessionCreateParams:
    """What Stripe is asked for: a function of the request alone. Raises NotPayable."""
    params = page_params(
        request.attempt_id,
        request.money,
        item_name=request.item_name,
        success_url=request.success_url,
        cancel_url=request.cancel_url,
        metadata=marked(request.attempt_id, request.metadata),
    )
    params["expires_at"] = int(_closing(request).timestamp())
    return params


def page_params(
    attempt_id: str, money: Money, *, item_name: str, success_url: str, cancel_url: str, metadata: dict[str, str]
) -> SessionCreateParams:
    """A page for one thing at one price, which Stripe keeps open for a day. Raises NotPayable."""
    price: SessionCreateParamsLineItemPriceData = {
        "currency": money.currency.lower(),
        "unit_amount": to_stripe(money),
        "product_data": {"name": item_name},
    }
    return {
        "mode": "payment",
        "line_items": [{"price_data": price, "quantity": 1}],
        "success_url": success_url,
        "cancel_url": cancel_url,
        "client_reference_id": attempt_id,
        "metadata": metadata,
        # Stripe copies nothing from a session to its payment.
        "payment_intent_data": {"metadata": metadata, "description": item_name},
        "customer_creation": "if_required",
        "adaptive_pricing": {"enabled": False},
    }


def marked(attempt_id: str, metadata: Mapping[str, str]) -> dict[str, str]:
    """Metadata in the room that Stripe gives it, with the pointer by which the attempt is found again."""
    return fitted({reading.POINTER: attempt_id, **metadata})


def open_session(calls: Calls, params: SessionCreateParams, deed: str, money: Money) -> Thing:
    """The open session of an attempt, made now or before. Raises KeyReuseMismatch."""
    attempt_id = params["client_reference_id"]
    key = key_of(calls, deed, attempt_id)
    try:
        return calls.ask(
            lambda client: client.v1.checkout.sessions.create(params=params, options={"idempotency_key": key})
        )
    except KeyReuseMismatch:
        for session in attempts.sessions_of(calls, attempt_id, attempts.made_at(attempt_id)):
            if session_state(session) == PaymentState.OPEN and money_of(session, "amount_total") == money:
                return session
        raise


def expire(calls: Calls, session_id: str) -> PaymentState:
    """Close a page, or say why it cannot be closed: it was paid, or is closed already. Raises PspRejected."""
    try:
        return session_state(calls.ask(lambda client: client.v1.checkout.sessions.expire(session_id)))
    except PspRejected:
        state = session_state(attempts.retrieve_session(calls, session_id))
        if state == PaymentState.OPEN:
            raise
        return state


def key_of(calls: Calls, deed: str, attempt_id: str) -> str:
    """The idempotency key of a deed for an attempt."""
    return f"rako:{'live' if calls.is_live else 'test'}:{deed}:{attempt_id}"


def page_of(session: Thing) -> str:
    """The address of a page that was just opened. Raises Nonsense."""
    return reading.text(session, "url", longest=reading.MAX_URL)


def _link(session: Thing, wanted: datetime) -> CheckoutLink:
    closes_at = min(wanted, reading.moment(session, "expires_at"))
    return CheckoutLink(psp_id=reading.text(session, "id"), url=page_of(session), expires_at=closes_at)


def _closing(request: CheckoutRequest) -> datetime:
    """When the page closes by itself: as asked, or as near as Stripe lets it. Rako closes it when its time is over."""
    made_at = attempts.made_at(request.attempt_id)
    return min(max(request.expires_at, made_at + SHORTEST), made_at + LONGEST)
