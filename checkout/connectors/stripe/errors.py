"""What Stripe's library raises, as the connector contract has it. Nothing of a request or an answer is logged."""

import logging
import re
import ssl

import requests
import stripe
from stripe.oauth_error import InvalidClientError, OAuthError
from urllib3.exceptions import ConnectTimeoutError, MaxRetryError, NewConnectionError, SSLError

from checkout.connectors.base import (
    ConnectionRevoked,
    ConnectorError,
    KeyReuseMismatch,
    NotPayable,
    PspBusy,
    PspFault,
    PspRateLimited,
    PspRejected,
    PspTimeout,
    PspUnavailable,
)

log = logging.getLogger("rako.stripe")

_IN_FLIGHT = ("lock_timeout", "idempotency_key_in_use")
# Why an account does not take a payment that is well-formed.
_NOT_PAYABLE = frozenset(
    {
        "amount_too_large",
        "amount_too_small",
        "charge_exceeds_source_limit",
        "charge_exceeds_transaction_limit",
        "country_unsupported",
        "currency_not_supported",
        "incorrect_currency",
        "invalid_currency",
        "payment_intent_incompatible_payment_method",
        "payment_method_currency_mismatch",
        "payment_method_invalid_parameter",
        "payment_method_not_available",
        "payment_method_unactivated",
        "payment_method_unexpected_state",
        "testmode_charges_only",
    }
)
_OF_THE_METHOD = ("payment_method", "customer")
_NO_CONNECTION = (requests.ConnectTimeout, requests.exceptions.ProxyError, requests.exceptions.InvalidHeader)
_NEVER_SENT = (NewConnectionError, ConnectTimeoutError, ssl.SSLCertVerificationError)
_CODE = re.compile(r"[a-z0-9_]{1,64}\Z")
_ACCOUNT = re.compile(r"on account '(acct_[A-Za-z0-9]{1,59})'")
_REQUEST = re.compile(r"req_[A-Za-z0-9]{1,64}\Z")


class CardRefused(NotPayable):
    """The bank, or Stripe for it, refused a charge. `intent` is the failed payment's id, "" if there is none."""

    def __init__(self, reason: str, intent: str) -> None:
        super().__init__()
        self.reason = reason
        self.intent = intent


class Forbidden(ConnectionRevoked):
    """The key lacks a right. `account` is whose key it is, as Stripe says in passing, "" if it does not."""

    def __init__(self, account: str) -> None:
        super().__init__()
        self.account = account


class Missing(PspRejected):
    """The account has no such object."""


def translated(error: stripe.StripeError, *, was_unclear: bool = False) -> ConnectorError:
    """The contract's word for an error of the library.

    `was_unclear`: an earlier try of the same call ended without an answer. Then one that says that nothing was done
    speaks for itself alone.
    """
    meant = _translated(error)
    speaks_for_all = isinstance(meant, CardRefused | KeyReuseMismatch | NotPayable | PspRejected)
    if was_unclear and not meant.outcome_unknown and not speaks_for_all:
        return PspTimeout()
    return meant


def is_unclear(error: stripe.APIConnectionError) -> bool:
    """Whether a request that got no answer may have arrived."""
    return isinstance(_unanswered(error), PspTimeout)


def _translated(error: stripe.StripeError) -> ConnectorError:
    match error:
        case stripe.APIConnectionError():
            return _unanswered(error)
        case OAuthError():
            return _of_oauth(error)
        case stripe.CardError():
            return _declined(error)
        case stripe.RateLimitError():
            return PspBusy(retry_after=2) if _code(error) in _IN_FLIGHT else PspRateLimited(retry_after=30)
        case stripe.IdempotencyError():
            return KeyReuseMismatch()
        case stripe.AuthenticationError() | stripe.PermissionError():
            return _not_allowed(error)
        case stripe.InvalidRequestError():
            return _refused(error)
    if error.http_status == 409:
        return PspBusy(retry_after=2)
    _note("failed", error)
    return PspFault()


def _unanswered(error: stripe.APIConnectionError) -> ConnectorError:
    """PspUnavailable only if the request cannot have been sent."""
    cause: BaseException | None = error.__cause__
    inner = cause.args[0] if isinstance(cause, requests.ConnectionError) and cause.args else None
    if isinstance(inner, MaxRetryError):
        inner = inner.reason
    if isinstance(inner, SSLError) and inner.args:  # one of many, most of which may come after the request was sent
        inner = inner.args[0]
    was_never_sent = isinstance(cause, _NO_CONNECTION) or isinstance(inner, _NEVER_SENT)
    return PspUnavailable() if was_never_sent else PspTimeout()


def _declined(error: stripe.CardError) -> CardRefused:
    told = error.error
    code, why = _code(error), getattr(told, "decline_code", None)
    intent = getattr(getattr(told, "payment_intent", None), "id", None)
    return CardRefused(decline_reason(code, why), intent if isinstance(intent, str) else "")


def decline_reason(*codes: object) -> str:
    """The coarse reason for Stripe's codes: a lost or stolen card is nobody's business."""
    for known in ("authentication_required", "insufficient_funds", "expired_card"):
        if known in codes:
            return known
    return "generic"


def _not_allowed(error: stripe.AuthenticationError | stripe.PermissionError) -> ConnectionRevoked:
    _note("does not let us", error)
    if isinstance(error, stripe.AuthenticationError) or _code(error) == "account_invalid":
        return ConnectionRevoked()
    named = _ACCOUNT.search(error.user_message or "")
    return Forbidden(named[1] if named else "")


def _refused(error: stripe.InvalidRequestError) -> ConnectorError:
    code, param = _code(error), str(error.param or "")
    is_missing = code == "resource_missing"
    # Stripe has no code for a currency that it does not know.
    is_currency = re.search(r"(^|\[)currency\]?\Z", param) or (error.user_message or "").startswith("Invalid currency")
    if code in _NOT_PAYABLE or (is_missing and param in _OF_THE_METHOD) or is_currency:
        return NotPayable()
    if is_missing:
        return Missing()
    _note("refused", error)
    return PspRejected()


def _of_oauth(error: OAuthError) -> ConnectorError:
    _note("refused the authorization", error)
    return ConnectionRevoked() if isinstance(error, InvalidClientError) else PspRejected()


def _code(error: stripe.StripeError) -> str:
    """Stripe's word, which the library keeps at different places."""
    told = error.code or getattr(error.error, "code", None) or ""
    return told if isinstance(told, str) and _CODE.match(told) else ""


def _note(what: str, error: stripe.StripeError) -> None:
    request = str(error.request_id or "")
    shown = request if _REQUEST.match(request) else "unknown"
    log.warning("Stripe %s: HTTP %s, code %s, request %s", what, error.http_status, _code(error) or "none", shown)
