"""Handing a buyer over to the merchant's own payment page (protocol, section 1, POST /v1/checkout).

The row is committed before the PSP is called and finished after; no transaction is open during the call, and the
transaction id is the PSP's idempotency key. Whatever dies in between, `recovery` finishes or voids.
"""

import logging
from typing import Any

from django.conf import settings
from django.db import IntegrityError, transaction

from checkout.authorizations import AuthorizationUsed, Mandate, digest, use_mandate
from checkout.calls import calling
from checkout.connections import degrade
from checkout.connectors.base import CheckoutLink, CheckoutRequest, ConnectionRevoked, ConnectorError, PaymentState
from checkout.matching import note_psp_objects
from checkout.models import Checkout
from checkout.sales import find_recommendation, has_succeeded, selling_connection, standing_checkouts
from checkout.states import move, start
from ledger.conversions import SessionConverted
from merchants.codes import OfferUnavailable
from merchants.models import Connection
from merchants.requirements import check_details
from rako.core import aap_code
from rako.core.errors import Conflict, RakoError, Refusal, Unavailable
from rako.core.money import Money, from_wire
from rako.core.postgres import Statement, send, violated
from rako.core.wire import instant
from sessions_app.clicks import landing_url
from sessions_app.models import Agent, Recommendation
from sessions_app.recommend import RecommendationNotFound, SessionExpired, open_session

log = logging.getLogger("rako.checkout")

State = Checkout.State


class NotConnected(Unavailable):
    code, message = "not_connected", "Merchant has no connected payment processor"


class CheckoutFailed(RakoError):
    status, code, message = 502, "psp_error", "Could not create checkout"


class PaymentInProgress(Conflict):
    code, message = "in_progress", "A payment for this session is in progress"

    def __init__(self) -> None:
        super().__init__(retry_after=2)


# What any sale may be refused for, beside malformed fields and an unknown session.
CHECKOUT_REFUSALS: tuple[Refusal, ...] = (
    RecommendationNotFound,
    SessionExpired,
    OfferUnavailable,
    SessionConverted,
    NotConnected,
    PaymentInProgress(),
    CheckoutFailed,
    CheckoutFailed(code="psp_rejected"),
)


def start_checkout(
    agent: Agent, *, session_id: str, recommendation_id: str, user_details: dict[str, Any] | None = None
) -> Checkout:
    """A live payment page for a recommendation: a new one, or the one it has.

    Raises the protocol's errors in its order: SessionNotFound, SessionExpired, RecommendationNotFound,
    OfferUnavailable, SessionConverted, NotConnected, CheckoutFailed; and PaymentInProgress.
    """
    recommendation = recommended(agent, recommendation_id, session_id)
    connection = check_sellable(recommendation)
    check_details(recommendation.offer, user_details or {})
    checkout, _ = claim(recommendation, connection, mode=Checkout.Mode.CHECKOUT)
    if checkout.state == State.SUCCEEDED:
        raise SessionConverted()
    if checkout.state == State.CREATING:  # ours, or one that a crash left: the PSP gives the same page for it
        checkout = open_page(checkout)
    if checkout.state != State.OPEN:
        raise PaymentInProgress()
    return checkout


def recommended(agent: Agent, recommendation_id: str, session_id: str | None = None) -> Recommendation:
    """An agent's recommendation, of the session if one is given, with all that a checkout needs of it.

    Raises SessionNotFound, SessionExpired or RecommendationNotFound, in that order.
    """
    found = find_recommendation(recommendation_id)
    if found is not None and found.agent_id != agent.pk:
        found = None
    if session_id is not None and (found is None or found.session_id != session_id or found.session.is_expired):
        open_session(agent, session_id)  # if it is not the session that is amiss, it is the recommendation
        found = None
    if found is None:
        raise RecommendationNotFound()
    return found


def check_sellable(recommendation: Recommendation) -> Connection | None:
    """The connection to sell through, None with the direct backend.

    Raises OfferUnavailable, SessionConverted or NotConnected.
    """
    if not recommendation.offer.is_available:
        raise OfferUnavailable()
    if recommendation.session.is_converted:
        raise SessionConverted()
    if settings.RAKO_CHECKOUT_BACKEND == "direct":
        if not recommendation.offer.merchant.serves(recommendation.offer.url):
            raise OfferUnavailable()
        return None
    connection = selling_connection(recommendation.offer.merchant_id)
    if connection is None:
        raise NotConnected()
    return connection


def claim(
    recommendation: Recommendation,
    connection: Connection | None,
    *,
    mode: Checkout.Mode,
    mandate: Mandate | None = None,
    payment_method: str | None = None,
) -> tuple[Checkout, bool]:
    """The session's one live checkout, and whether it was made now (`creating`, for the caller to finish).

    Another recommendation's open page is closed first; a mandate is spent in the same transaction.
    Raises PaymentInProgress, SessionConverted or AuthorizationUsed.
    """
    rival = _live_checkout(recommendation.session_id)
    if rival is not None:
        if rival.recommendation_id == recommendation.pk and rival.mode == mode:
            return rival, False
        if rival.state == State.SUCCEEDED:
            raise SessionConverted()
        close_page(rival)
    try:
        with transaction.atomic():
            checkout = _insert(recommendation, connection, mode, mandate, payment_method)
            if connection is None:
                mark_session(checkout)
            # Looked for once our row holds the session's one place: nobody can succeed behind our back any more.
            if not has_succeeded(recommendation.session_id):
                return checkout, True
            transaction.set_rollback(True)
    except IntegrityError as error:
        if violated(error) == "authorization_single_use":
            raise AuthorizationUsed() from None
        if violated(error) != "checkout_one_live_per_session":
            raise
    # Somebody else was faster: theirs is the session's checkout.
    rival = _live_checkout(recommendation.session_id)
    if rival is not None and rival.recommendation_id == recommendation.pk and rival.mode == mode:
        return rival, False
    if rival is not None and rival.state == State.SUCCEEDED:
        raise SessionConverted()
    raise PaymentInProgress()


def _live_checkout(session_id: str) -> Checkout | None:
    # A success, if there is one, decides. What belongs to the row is loaded when it is asked for: mostly there is none.
    return max(standing_checkouts(session_id), key=lambda row: row.state == State.SUCCEEDED, default=None)


def _insert(
    recommendation: Recommendation,
    connection: Connection | None,
    mode: Checkout.Mode,
    mandate: Mandate | None,
    payment_method: str | None,
) -> Checkout:
    money = price_of(recommendation)
    direct = connection is None
    checkout = Checkout(
        session=recommendation.session,
        recommendation=recommendation,
        merchant=recommendation.offer.merchant,
        connection=connection,
        mode=mode,
        backend=Checkout.Backend.DIRECT if direct else Checkout.Backend.ORCHESTRATED,
        state=State.OPEN if direct else State.CREATING,
        url=landing_url(recommendation) if direct else "",
        amount_minor=money.amount_minor,
        currency=money.currency,
        payment_method=payment_method,
        expires_at=recommendation.session.expires_at,
    )
    agent_id = recommendation.agent_id
    start(checkout, authorization=None if mandate is None else digest(mandate, agent_id=agent_id))
    if mandate is not None:
        use_mandate(mandate, checkout, agent_id=agent_id)
    return checkout


def price_of(recommendation: Recommendation) -> Money:
    """The signed price, not the offer's present one: the gate holds the payment against the code."""
    content = aap_code.decode(recommendation.aap_code).payload
    return Money(from_wire(content["prc"], content["cur"]), content["cur"])


def open_page(checkout: Checkout) -> Checkout:
    """Have the PSP make the page of a `creating` checkout; the same attempt again gives the same page.

    Raises CheckoutFailed. A refusal leaves the checkout `failed`; an unknown outcome leaves it for `recovery`.
    """
    assert checkout.connection is not None, "direct checkouts are born open"
    try:
        with calling(checkout.connection) as psp:
            link = psp.create_checkout(checkout_request(checkout))
    except ConnectorError as error:
        note_failure(checkout, error)
        raise CheckoutFailed(code=error.code) from error
    return record_link(checkout, link)


def item_name(recommendation: Recommendation) -> str:
    """What the buyer reads on the PSP's page."""
    offer = recommendation.offer
    return offer.name if offer.name.startswith(offer.provider) else f"{offer.provider} {offer.name}"


def checkout_request(checkout: Checkout) -> CheckoutRequest:
    """What the connector is asked for."""
    pages = f"{settings.RAKO_BASE_URL}/checkout/{checkout.pk}"
    return CheckoutRequest(
        attempt_id=checkout.pk,
        money=Money(checkout.amount_minor, checkout.currency),
        merchant_name=checkout.merchant.name,
        item_name=item_name(checkout.recommendation),
        success_url=f"{pages}/done",
        cancel_url=f"{pages}/cancelled",
        expires_at=checkout.expires_at,
        metadata=metadata_of(checkout),
    )


def metadata_of(checkout: Checkout) -> dict[str, str]:
    """What every payment object carries (protocol, section 3). A pointer for the gate, never evidence."""
    recommendation = checkout.recommendation
    return {
        "aap_code": recommendation.aap_code,
        "aap_recommendation_id": recommendation.pk,
        "aap_session_id": recommendation.session_id,
        "aap_offer_id": recommendation.offer_id,
        "aap_merchant_id": checkout.merchant_id,
        "aap_checkout_id": checkout.pk,
        "aap_protocol_version": "v1",
        "aap_attribution_path": "aap_flow",
        "aap_created_at": instant(checkout.created_at),
    }


def record_link(checkout: Checkout, link: CheckoutLink) -> Checkout:
    """Note the PSP's page. Whoever else finished or ended the checkout meanwhile wins."""
    found: dict[str, Any] = {"psp_id": link.psp_id, "url": link.url, "expires_at": link.expires_at}
    with transaction.atomic():
        won = move(checkout, State.OPEN, origin=State.CREATING, **found)
        if won:
            mark_session(checkout)
        note_psp_objects(checkout, [link.psp_id])
    if not won:
        checkout.refresh_from_db(fields=["state", *found])
    return checkout


_AT_CHECKOUT = "UPDATE sessions_app_session SET status = 'checkout' WHERE id = %s AND status IN ('created', 'active')"


def mark_session(checkout: Checkout) -> None:
    """The session is at its checkout, unless it is further already."""
    send(Statement(_AT_CHECKOUT, [checkout.session_id]))


def note_failure(checkout: Checkout, error: ConnectorError) -> None:
    """Record a call that gave no result: refused ones end the checkout, unknown ones keep it for `recovery`."""
    if not error.outcome_unknown:
        # Not one whose outcome is unknown: that this call did nothing tells nothing of the one before it.
        move(checkout, State.FAILED, origin=State.CREATING, failure=error.code)
    if isinstance(error, ConnectionRevoked) and checkout.connection is not None and degrade(checkout.connection):
        log.error("connection %s is degraded: its PSP refuses the credentials", checkout.connection_id)


def close_page(checkout: Checkout) -> None:
    """Close another recommendation's open page at the PSP.

    Raises PaymentInProgress while a payment or another call is under way, SessionConverted if the buyer has just
    paid, CheckoutFailed (and leaves the page open) if the PSP does not answer.
    """
    if not move(checkout, State.EXPIRING, origin=State.OPEN):
        raise PaymentInProgress()
    if checkout.connection is None:
        move(checkout, State.EXPIRED)
        return
    try:
        with calling(checkout.connection) as psp:
            state = psp.expire_checkout(checkout.psp_id)
    except ConnectorError as error:
        move(checkout, State.OPEN)
        raise CheckoutFailed(code=error.code) from error
    if state in (PaymentState.PENDING, PaymentState.SUCCEEDED):
        move(checkout, State.PROCESSING)
        raise SessionConverted() if state == PaymentState.SUCCEEDED else PaymentInProgress()
    move(checkout, State.EXPIRED)
