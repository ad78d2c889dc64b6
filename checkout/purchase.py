"""Autonomous purchases: an off-session charge on the merchant's own PSP (protocol, section 1, POST /v1/purchase).

At most one charge of a recommendation is ever alive: PostgreSQL holds one live checkout per session, and the PSP one
payment per transaction id. The answer is a confirmation; only the authenticated payment event makes a conversion.
"""

from typing import Any

from django.conf import settings
from django.db import transaction

from checkout.authorizations import AuthorizationUsed, NotAuthorized, parse_mandate
from checkout.calls import calling
from checkout.connectors.base import (
    ChargeResult,
    ChargeStatus,
    ConnectionRevoked,
    ConnectorError,
    KeyReuseMismatch,
    NotPayable,
    PspRateLimited,
    PspTimeout,
    PspUnavailable,
    StoredCharge,
)
from checkout.matching import note_psp_objects
from checkout.models import Checkout
from checkout.start import (
    NotConnected,
    PaymentInProgress,
    check_sellable,
    claim,
    item_name,
    mark_session,
    metadata_of,
    note_failure,
    price_of,
    recommended,
    start_checkout,
)
from checkout.states import move
from merchants.models import Connection
from rako.core.errors import RakoError, Refusal
from rako.core.money import Money
from sessions_app.models import Agent, Recommendation
from sessions_app.recommend import SessionExpired

State = Checkout.State


class PaymentDeclined(RakoError):
    status, code, message = 402, "payment_declined", "Payment declined"


# What a charge may be refused for, beside what any sale may.
PURCHASE_REFUSALS: tuple[Refusal, ...] = (
    PaymentDeclined,
    *(PaymentDeclined(code=code) for code in ("insufficient_funds", "expired_card", "authentication_required")),
    NotAuthorized,
    AuthorizationUsed,
    NotPayable,
    KeyReuseMismatch,
    PspUnavailable(),
    PspRateLimited(),
    ConnectionRevoked,
    PspTimeout(),
)


def purchase(
    agent: Agent,
    *,
    recommendation_id: str,
    payment_method: str | None,
    authorization: dict[str, Any] | None,
    session_id: str | None = None,
) -> Checkout:
    """Buy a recommended offer, of the session if one is given. Without a payment method this is exactly a checkout.

    Raises what `start_checkout` raises, and NotAuthorized, AuthorizationUsed, PaymentDeclined, and the ConnectorError
    of a charge that gave no result: if its outcome is unknown, the worker asks again under the same key.
    """
    recommendation = recommended(agent, recommendation_id, session_id)
    if not payment_method:
        return start_checkout(agent, session_id=recommendation.session_id, recommendation_id=recommendation.pk)
    if recommendation.session.is_expired:
        raise SessionExpired()
    connection = check_sellable(recommendation)
    if connection is None:  # the direct backend has nobody to charge through
        raise NotConnected()
    return _charge_once(recommendation, connection, payment_method, authorization)


def _charge_once(
    recommendation: Recommendation, connection: Connection, payment_method: str, authorization: dict[str, Any] | None
) -> Checkout:
    mandate = parse_mandate(authorization) if authorization is not None else None
    if mandate is not None:
        mandate.check_covers(recommendation, price_of(recommendation))
    elif recommendation.offer.merchant.requires_authorization or settings.RAKO_REQUIRE_AUTHORIZATION:
        raise NotAuthorized("An autonomous purchase needs the buyer's authorization here")
    checkout, is_new = claim(
        recommendation, connection, mode=Checkout.Mode.AUTONOMOUS, mandate=mandate, payment_method=payment_method
    )
    return charge(checkout) if is_new else _as_it_stands(checkout)


def charge(checkout: Checkout) -> Checkout:
    """Have the PSP charge, or say what came of the same request before: never a second charge.

    Raises PaymentDeclined, or a ConnectorError: after one whose outcome is unknown the checkout is so, too.
    """
    assert checkout.connection is not None, "the direct backend has nobody to charge through"
    try:
        with calling(checkout.connection) as psp:
            result = psp.charge_stored_method(_charge_request(checkout))
    except ConnectorError as error:
        note_failure(checkout, error)
        if error.outcome_unknown:
            move(checkout, State.UNKNOWN, origin=State.CREATING, failure=error.code)
        raise
    return record_charge(checkout, result)


def _as_it_stands(checkout: Checkout) -> Checkout:
    """The answer to a repeated request: what the one charge has come to, if that can be told."""
    if checkout.state in (State.OPEN, State.PROCESSING, State.SUCCEEDED):
        return checkout
    if checkout.state == State.UNKNOWN:
        raise PspTimeout()
    raise PaymentInProgress()


def _charge_request(checkout: Checkout) -> StoredCharge:
    return StoredCharge(
        attempt_id=checkout.pk,
        money=Money(checkout.amount_minor, checkout.currency),
        merchant_name=checkout.merchant.name,
        item_name=item_name(checkout.recommendation),
        payment_method=checkout.payment_method,
        metadata=metadata_of(checkout),
    )


_STATES = {
    ChargeStatus.SUCCEEDED: State.SUCCEEDED,
    ChargeStatus.PROCESSING: State.PROCESSING,
    ChargeStatus.REQUIRES_ACTION: State.OPEN,
    ChargeStatus.DECLINED: State.FAILED,
}


def record_charge(checkout: Checkout, result: ChargeResult) -> Checkout:
    """Note what the PSP said of a charge. Raises PaymentDeclined. The payment event may have been faster: it wins."""
    found: dict[str, Any] = {
        "psp_id": result.psp_id,
        "confirmation": result.confirmation,
        "url": result.next_action_url,
        "failure": result.decline_reason[:200],
    }
    to = _STATES[result.status]
    with transaction.atomic():
        # The checkout's row first, its objects after, as whoever processes an event does: no deadlock.
        origins = (State.CREATING, State.UNKNOWN)
        won = any(move(checkout, to, origin=origin, **found) for origin in origins)
        mark_session(checkout)
        note_psp_objects(checkout, [result.psp_id])
    if not won:
        checkout.refresh_from_db(fields=["state", *found])
    if result.status == ChargeStatus.DECLINED:
        # Only what may be told: see DECLINE_REASONS.
        raise PaymentDeclined(code=None if result.decline_reason in ("", "generic") else result.decline_reason)
    return checkout
