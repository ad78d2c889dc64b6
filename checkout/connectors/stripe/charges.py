"""Charging a stored payment method without the buyer, and the page for the buyer whose bank wants to see them."""

import re

from django.conf import settings
from stripe.params import PaymentIntentCreateParams

from checkout.connectors.base import (
    ChargeResult,
    ChargeStatus,
    ConnectorError,
    KeyReuseMismatch,
    NotPayable,
    PaymentState,
    PspFault,
    PspRejected,
    PspTimeout,
    PspUnavailable,
    StoredCharge,
)
from checkout.connectors.stripe import attempts, reading, snapshots
from checkout.connectors.stripe.amounts import to_stripe
from checkout.connectors.stripe.client import Calls
from checkout.connectors.stripe.errors import CardRefused, Missing, decline_reason
from checkout.connectors.stripe.reading import AUTONOMOUS, MODE, Thing
from checkout.connectors.stripe.sessions import key_of, marked, open_session, page_of, page_params

STEP_UP = "authentication_required"
# Why we cancel a charge that a page takes the place of: its event then says nothing about the attempt.
REPLACED = "abandoned"
_METHOD = re.compile(r"(?:(?P<customer>cus_[A-Za-z0-9_]{1,200})/)?(?P<method>(?:pm|card|src|ba)_[A-Za-z0-9_]{1,200})\Z")
_RUNNING = {"succeeded": ChargeStatus.SUCCEEDED, "processing": ChargeStatus.PROCESSING}


def charge(calls: Calls, request: StoredCharge) -> ChargeResult:
    """Charge once for the attempt, however often it is asked; see the connector for what comes of it."""
    params = _charge_params(calls, request)
    key = key_of(calls, "pu", request.attempt_id)
    try:
        intent = calls.ask(
            lambda client: client.v1.payment_intents.create(params=params, options={"idempotency_key": key})
        )
    except CardRefused as refusal:
        if not refusal.intent:
            raise
        return _refused(calls, request, refusal.intent, refusal.reason)
    except KeyReuseMismatch:
        # Say, the offer was renamed since: what was charged for the attempt still answers for it.
        intent = _charged_before(calls, request)
    return _result(calls, request, intent)


def cancel(calls: Calls, intent_id: str) -> PaymentState:
    """Give up a payment, or say why it cannot be: it was made, or is under way. Raises PspRejected."""
    try:
        calls.ask(lambda client: client.v1.payment_intents.cancel(intent_id))
    except PspRejected:
        found = attempts.retrieve_intent(calls, intent_id)
        if found.get("status") == "canceled":
            return PaymentState.EXPIRED
        state = snapshots.of_intent(found).state
        if state not in (PaymentState.PENDING, PaymentState.SUCCEEDED):
            raise
        return state
    return PaymentState.EXPIRED


def done_url(attempt_id: str, page: str) -> str:
    """Where a buyer comes back to: `done` or `cancelled`."""
    return f"{settings.RAKO_BASE_URL}/checkout/{attempt_id}/{page}"


def _charge_params(calls: Calls, request: StoredCharge) -> PaymentIntentCreateParams:
    customer, method = _stored(calls, request.payment_method)
    return {
        "amount": to_stripe(request.money),
        "currency": request.money.currency.lower(),
        "customer": customer,
        "payment_method": method,
        "confirm": True,
        "off_session": True,
        # Nobody is there to be redirected; unless told so, Stripe wants an address to send them to.
        "automatic_payment_methods": {"enabled": True, "allow_redirects": "never"},
        "description": request.item_name,
        "metadata": {**marked(request.attempt_id, request.metadata), MODE: AUTONOMOUS},
        "expand": ["latest_charge"],
    }


def _stored(calls: Calls, given: str) -> tuple[str, str]:
    """The customer and the method. Raises NotPayable for one that the account does not hold for anybody."""
    match = _METHOD.match(given)
    if match is None:
        raise NotPayable()
    if match["customer"]:
        return match["customer"], match["method"]
    try:
        # Once only: the time is for the charge.
        found = calls.ask(lambda client: client.v1.payment_methods.retrieve(match["method"]), retries=0)
    except Missing:
        raise NotPayable() from None
    except (PspTimeout, PspFault):
        raise PspUnavailable() from None  # nothing was charged yet
    customer = reading.reference(found, "customer")
    if not customer:
        raise NotPayable()
    return customer, match["method"]


def _charged_before(calls: Calls, request: StoredCharge) -> Thing:
    """The charge of the attempt, if it is of this money and method. Raises KeyReuseMismatch."""
    method = request.payment_method.rpartition("/")[2]
    for intent in attempts.intents_of(calls, request.attempt_id, attempts.made_at(request.attempt_id)):
        error = reading.expanded(intent, "last_payment_error") or {}
        methods = {reading.reference(intent, "payment_method"), reading.reference(error, "payment_method")}
        if reading.is_autonomous(intent) and method in methods and snapshots.money(intent, "amount") == request.money:
            return intent
    raise KeyReuseMismatch()


def _result(calls: Calls, request: StoredCharge, intent: Thing) -> ChargeResult:
    intent_id, status = reading.text(intent, "id"), reading.text(intent, "status")
    if status in _RUNNING:
        return ChargeResult(_RUNNING[status], intent_id, intent_id)
    if status == "requires_action" or intent.get("cancellation_reason") == REPLACED:
        return _refused(calls, request, intent_id, STEP_UP)
    if status in ("canceled", "requires_payment_method", "requires_confirmation"):
        error = reading.expanded(intent, "last_payment_error") or {}
        return _refused(calls, request, intent_id, decline_reason(error.get("code"), error.get("decline_code")))
    return ChargeResult(ChargeStatus.PROCESSING, intent_id, intent_id)


def _refused(calls: Calls, request: StoredCharge, intent_id: str, reason: str) -> ChargeResult:
    declined = ChargeResult(ChargeStatus.DECLINED, intent_id, intent_id, decline_reason=reason)
    if reason != STEP_UP:
        return declined
    try:
        return _step_up(calls, request, intent_id)
    except ConnectorError:
        return declined  # the charge has failed for certain; a page would have been a courtesy


def _step_up(calls: Calls, request: StoredCharge, intent_id: str) -> ChargeResult:
    """A page for the same attempt, once the charge that it takes the place of can no longer be made."""
    key = key_of(calls, "ca", request.attempt_id)
    calls.ask(
        lambda client: client.v1.payment_intents.cancel(
            intent_id, params={"cancellation_reason": REPLACED}, options={"idempotency_key": key}
        ),
        retries=0,
    )
    params = page_params(
        request.attempt_id,
        request.money,
        item_name=request.item_name,
        success_url=done_url(request.attempt_id, "done"),
        cancel_url=done_url(request.attempt_id, "cancelled"),
        metadata=marked(request.attempt_id, request.metadata),
    )
    page = open_session(calls, params, "su", request.money)
    page_id = reading.text(page, "id")
    return ChargeResult(ChargeStatus.REQUIRES_ACTION, page_id, page_id, next_action_url=page_of(page))
