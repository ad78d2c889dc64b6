"""What the PSP accepts from its callers, whoever they are. Refusals are the contract's errors; the reason is logged."""

import hashlib
import logging
from collections.abc import Mapping
from typing import Any
from urllib.parse import urlsplit

import orjson

from checkout.connectors.base import CheckoutRequest, ConnectorError, NotPayable, PspRejected, StoredCharge
from rako.core.money import EXPONENTS, MAX_MINOR, Money

log = logging.getLogger("rako.sandbox")

MAX_METADATA_KEYS, MAX_METADATA_KEY, MAX_METADATA_VALUE = 50, 40, 500


def refusal(reason: str, error: type[ConnectorError] = PspRejected) -> ConnectorError:
    """The error to raise. The reason stays here: an agent's answer has the protocol's own sentence."""
    log.warning("sandbox PSP refused a request: %s", reason)
    return error()


def digest(content: Mapping[str, Any]) -> str:
    """A fingerprint of a request, for telling a retry from another request under the same key."""
    return hashlib.sha256(orjson.dumps(content, option=orjson.OPT_SORT_KEYS)).hexdigest()


def check_sale(request: CheckoutRequest | StoredCharge) -> None:
    """Raise NotPayable for money out of bounds, PspRejected for texts or metadata that are."""
    _check_money(request.money)
    _check_text(request.attempt_id, "attempt_id", 255)
    _check_text(request.merchant_name, "merchant_name", 1000)
    _check_text(request.item_name, "item_name", 1000)
    if len(request.metadata) > MAX_METADATA_KEYS:
        raise refusal("too many metadata keys")
    for key, value in request.metadata.items():
        _check_text(key, "metadata key", MAX_METADATA_KEY)
        _check_text(value, f"metadata.{key}", MAX_METADATA_VALUE, minimum=0)


def is_storable(text: str) -> bool:
    """Whether PostgreSQL's text could hold this: no NUL, no half of a surrogate pair."""
    return "\x00" not in text and not any("\ud800" <= sign <= "\udfff" for sign in text)


def check_address(url: str, name: str) -> None:
    """Raise PspRejected unless the URL is one a browser may be sent to."""
    _check_text(url, name, 5000)
    try:
        parts = urlsplit(url)
    except ValueError:
        raise refusal(f"{name} is not an address") from None
    if parts.scheme not in {"http", "https"} or not parts.hostname or any(sign.isspace() for sign in url):
        raise refusal(f"{name} is not an http(s) address")


def _check_money(money: Money) -> None:
    if money.currency not in EXPONENTS:
        raise refusal("unknown currency", NotPayable)
    if not 0 < money.amount_minor <= MAX_MINOR:
        raise refusal("amount out of bounds", NotPayable)


def _check_text(text: object, name: str, maximum: int, *, minimum: int = 1) -> None:
    if not isinstance(text, str) or not minimum <= len(text) <= maximum:
        raise refusal(f"{name} must be a text of {minimum} to {maximum} characters")
    if not is_storable(text):
        raise refusal(f"{name} has characters that cannot be kept")
