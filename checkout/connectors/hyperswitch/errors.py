"""Hyperswitch's refusals in the contract's words.

| reply | error |
|---|---|
| 401, 403; IR_01, IR_17, IR_18, IR_22 | ConnectionRevoked |
| 429 for a locked object | PspBusy |
| 429 otherwise | PspRateLimited |
| IR_00, IR_19, IR_20: this flow, method or currency is not offered | NotPayable |
| 5xx, redirects, CE_…, whatever is not its JSON | PspFault: it may have taken effect |
| HE_01: the payment id exists | Duplicate, for the caller to look at that payment |
| 404 HE_02, HE_04 | Missing, for the caller to say of what |
| every other refusal (IR_04 to IR_07, IR_14, IR_16 …) | Refused, a PspRejected |
"""

import re
from collections.abc import Iterator
from contextlib import contextmanager

import orjson

from checkout.connectors.base import (
    ConnectionRevoked,
    ConnectorError,
    NotPayable,
    PspBusy,
    PspFault,
    PspRateLimited,
    PspRejected,
    PspTimeout,
)

_CODE = re.compile(r"[A-Z]{2}_[0-9]{2,3}\Z", re.ASCII)
_REVOKED = frozenset({"IR_01", "IR_17", "IR_18", "IR_22"})
_NOT_OFFERED = frozenset({"IR_00", "IR_19", "IR_20"})
_MISSING = frozenset({"HE_02", "HE_04"})


class Forbidden(ConnectionRevoked):
    """The key is known and lacks a right."""


class Dropped(PspTimeout):
    """The connection ended without an answer: a kept connection that went stale, or a fault after the work."""


class Refused(PspRejected):
    """The request was read and refused: nothing was done."""


class Duplicate(Refused):
    """A payment with this id exists."""


class Missing(Refused):
    """What the request names is not there."""


def read_reply(status: int, raw: bytes) -> object:
    """The JSON of a success. Raises the error that the reply means."""
    try:
        value = orjson.loads(raw)
    except orjson.JSONDecodeError:
        value = None
    if 200 <= status < 300 and value is not None:
        return value
    raise _refusal(status, *_told(value))


def code_of(raw: bytes) -> str:
    """An error's code for the log, which gets nothing else of a reply."""
    try:
        return _told(orjson.loads(raw))[0]
    except orjson.JSONDecodeError:
        return ""


@contextmanager
def in_effect() -> Iterator[None]:
    """From here on something exists at the PSP: no failure may say that nothing was done."""
    try:
        yield
    except ConnectorError as error:
        if error.outcome_unknown:
            raise
        raise PspFault() from error


def _told(value: object) -> tuple[str, str]:
    """An error's code and its family with its message. The family has two names, and the wrapping may be missing."""
    if not isinstance(value, dict):
        return "", ""
    error = value["error"] if isinstance(value.get("error"), dict) else value
    code = error.get("code")
    words = [error.get("type"), error.get("error_type"), error.get("message")]
    told = " ".join(word for word in words if isinstance(word, str)).lower()
    return code if isinstance(code, str) and _CODE.match(code) else "", told


def _refusal(status: int, code: str, told: str) -> ConnectorError:
    if status in (401, 403) or code in _REVOKED:
        return Forbidden() if status == 403 else ConnectionRevoked()
    if status == 429:
        is_locked = "lock" in told or "restricted" in told
        return PspBusy(retry_after=2) if is_locked else PspRateLimited(retry_after=5)
    if code in _NOT_OFFERED:
        return NotPayable()
    # A refusal without a code is not Hyperswitch's own, and one of the processor behind it may come after the charge.
    if not 400 <= status < 500 or not code or code.startswith("CE_"):
        return PspFault()
    if code == "HE_01":
        return Duplicate()
    return Missing() if status == 404 and code in _MISSING else Refused()
