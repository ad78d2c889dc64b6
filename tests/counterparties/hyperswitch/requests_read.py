"""What a request must look like: known fields, right types, allowed ranges. Everything else is refused.

A body that does not parse into its shape is 400 (`unreadable`): unknown field, wrong type, a currency that does not
exist or is not in capitals. A readable body with a value out of range is 422. Not established: that the limits of
metadata are enforced rather than only documented, and the code for an identifier that is not exactly 30 characters
long.
"""

import json
import operator
from collections.abc import Callable, Mapping
from datetime import UTC, datetime
from urllib.parse import parse_qsl, urlsplit

from tests.counterparties.hyperswitch import errors
from tests.counterparties.hyperswitch.world import Json

CURRENCY_CODES = """
AED AFN ALL AMD ANG AOA ARS AUD AWG AZN BAM BBD BDT BGN BHD BIF BMD BND BOB BRL BSD BTN BWP BYN BZD CAD CDF
CHF CLF CLP CNY COP CRC CUC CUP CVE CZK DJF DKK DOP DZD EGP ERN ETB EUR FJD FKP GBP GEL GHS GIP GMD GNF GTQ
GYD HKD HNL HRK HTG HUF IDR ILS INR IQD IRR ISK JMD JOD JPY KES KGS KHR KMF KPW KRW KWD KYD KZT LAK LBP LKR
LRD LSL LYD MAD MDL MGA MKD MMK MNT MOP MRU MUR MVR MWK MXN MYR MZN NAD NGN NIO NOK NPR NZD OMR PAB PEN PGK
PHP PKR PLN PYG QAR RON RSD RUB RWF SAR SBD SCR SDG SEK SGD SHP SLE SLL SOS SRD SSP STN SVC SYP SZL THB TJS
TMT TND TOP TRY TTD TWD TZS UAH UGX USD UYU UZS VES VND VUV WST XAF XCD XOF XPF YER ZAR ZMW ZWL
"""
CURRENCIES = frozenset(CURRENCY_CODES.split())
PAYMENT_FIELDS: dict[str, type] = {
    **dict.fromkeys(["amount", "session_expiry"], int),
    **dict.fromkeys(["payment_link", "confirm", "off_session"], bool),
    **dict.fromkeys(["metadata", "recurring_details", "customer_acceptance", "split_payments"], dict),
    **dict.fromkeys(["customer", "billing", "shipping", "payment_link_config", "browser_info"], dict),
    **dict.fromkeys(["order_details", "allowed_payment_method_types"], list),
    **dict.fromkeys(["payment_id", "currency", "customer_id", "return_url", "profile_id", "description"], str),
    **dict.fromkeys(["merchant_order_reference_id", "capture_method", "setup_future_usage", "email", "name"], str),
    **dict.fromkeys(["authentication_type", "statement_descriptor_name", "statement_descriptor_suffix"], str),
}
REFUND_FIELDS: dict[str, type] = {
    **dict.fromkeys(["payment_id", "refund_id", "reason", "refund_type", "merchant_id"], str),
    "amount": int,
    "metadata": dict,
}
REFUND_LIST_FIELDS: dict[str, type] = {
    **dict.fromkeys(["payment_id", "refund_id", "profile_id", "start_time", "end_time"], str),
    **dict.fromkeys(["limit", "offset"], int),
    **dict.fromkeys(["currency", "refund_status"], list),
}
WORDS = {
    "currency": CURRENCIES,
    "capture_method": frozenset({"automatic", "manual"}),
    "refund_type": frozenset({"instant", "scheduled"}),
    "setup_future_usage": frozenset({"off_session", "on_session"}),
    "authentication_type": frozenset({"three_ds", "no_three_ds"}),
}
LONGEST = {"customer_id": 64, "merchant_order_reference_id": 255, "reason": 255, "return_url": 2048}
LARGEST = 2**63 - 1
Bounds = list[tuple[Callable[[datetime, datetime], bool], datetime]]
COMPARISONS: dict[str, Callable[[datetime, datetime], bool]] = {
    "": operator.eq,
    ".lt": operator.lt,
    ".gt": operator.gt,
    ".lte": operator.le,
    ".gte": operator.ge,
}


def read_body(raw: bytes, content_type: str, fields: Mapping[str, type]) -> Json:
    """The body's fields, null ones left out. Raises `unreadable`."""
    if content_type.split(";")[0].strip() != "application/json":
        raise errors.unreadable("The content type must be application/json")
    try:
        body = json.loads(raw)
    except ValueError as error:
        raise errors.unreadable("The body is not JSON") from error
    if not isinstance(body, dict):
        raise errors.unreadable("The body is not an object")
    for name, value in body.items():
        _check_field(name, value, fields)
    return {name: value for name, value in body.items() if value is not None}


def _check_field(name: str, value: object, fields: Mapping[str, type]) -> None:
    if name not in fields:
        raise errors.unreadable(f"unknown field {name}")
    # A bool is an int to Python, not to JSON.
    if value is not None and (not isinstance(value, fields[name]) or isinstance(value, bool) != (fields[name] is bool)):
        raise errors.unreadable(f"{name} has the wrong type")
    if isinstance(value, int) and abs(value) > LARGEST:
        raise errors.unreadable(f"{name} is too large a number")
    if isinstance(value, str) and value not in WORDS.get(name, {value}):
        raise errors.unreadable(f"{name} has an unknown value")
    if isinstance(value, str) and len(value) > LONGEST.get(name, len(value)):
        raise errors.bad_format(name, f"at most {LONGEST[name]} characters")


def check_id(name: str, value: str | None) -> None:
    if value is not None and len(value) != 30:
        raise errors.bad_format(name, "exactly 30 characters")


def check_amount(value: int) -> None:
    if value <= 0:
        raise errors.bad_format("amount", "a positive integer of minor units")


def check_metadata(metadata: Json | None) -> None:
    """At most 50 keys, names of at most 40 characters, values of at most 500 (what is not text: as JSON)."""
    if metadata is None:
        return
    if len(metadata) > 50:
        raise errors.invalid("metadata has more than 50 keys")
    for name, value in metadata.items():
        text = value if isinstance(value, str) else json.dumps(value)
        if len(name) > 40 or len(text) > 500:
            raise errors.invalid(f"metadata is too long at {name[:40]}")


def check_return_url(value: str) -> None:
    parts = urlsplit(value)
    if parts.scheme not in {"http", "https"} or not parts.netloc:
        raise errors.unreadable("return_url is not a URL")


def read_query(query: str, known: set[str]) -> dict[str, str]:
    """The parameters; an unknown one is refused, so that a misspelt filter does not silently list everything."""
    pairs = parse_qsl(query, keep_blank_values=True)
    for name, _ in pairs:
        if name not in known:
            raise errors.unreadable(f"unknown parameter {name}")
    return dict(pairs)


def flag(params: dict[str, str], name: str) -> bool:
    text = params.get(name, "false")
    if text not in {"true", "false"}:
        raise errors.unreadable(f"{name} is neither true nor false")
    return text == "true"


def whole_number(text: str, name: str) -> int:
    if not text.isascii() or not text.isdigit():
        raise errors.unreadable(f"{name} is not a whole number")
    return int(text)


def check_limit(limit: int) -> int:
    if not 1 <= limit <= 100:
        raise errors.invalid("limit must lie between 1 and 100")
    return limit


def moment(text: str, name: str) -> datetime:
    """A time with its zone; a naive one is refused."""
    try:
        parsed = datetime.fromisoformat(text)
    except ValueError as error:
        raise errors.unreadable(f"{name} is not a time") from error
    if parsed.tzinfo is None:
        raise errors.unreadable(f"{name} has no zone")
    return parsed.astimezone(UTC)


def time_filters(name: str) -> set[str]:
    return {name + suffix for suffix in COMPARISONS}


def time_bounds(params: dict[str, str], name: str) -> Bounds:
    """What `name`, `name.lt`, `.gt`, `.lte` and `.gte` ask for."""
    return [
        (compare, moment(params[name + suffix], name))
        for suffix, compare in COMPARISONS.items()
        if name + suffix in params
    ]


def within(created: datetime, bounds: Bounds) -> bool:
    return all(compare(created, bound) for compare, bound in bounds)
