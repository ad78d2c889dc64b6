"""Reads what came from outside, strictly: a wrong shape is MalformedEvent and nothing else."""

from collections.abc import Mapping

from checkout.connectors.base import MalformedEvent
from rako.core.money import EXPONENTS, MAX_MINOR, Money

Payload = Mapping[str, object]

MAX_TEXT = 255


def subject(payload: Payload) -> Payload:
    data = payload.get("data")
    subject = data.get("object") if isinstance(data, dict) else None
    if not isinstance(subject, dict):
        raise MalformedEvent()
    return subject


def text(source: Payload, key: str) -> str:
    value = source.get(key)
    if not isinstance(value, str) or not 0 < len(value) <= MAX_TEXT:
        raise MalformedEvent()
    return value


def optional_text(source: Payload, key: str) -> str:
    return "" if source.get(key) is None else text(source, key)


def one_of(source: Payload, key: str, *choices: str) -> str:
    value = text(source, key)
    if value not in choices:
        raise MalformedEvent()
    return value


def flag(source: Payload, key: str) -> bool:
    value = source.get(key)
    if not isinstance(value, bool):
        raise MalformedEvent()
    return value


def whole(source: Payload, key: str, maximum: int = MAX_MINOR) -> int:
    value = source.get(key)
    if isinstance(value, bool) or not isinstance(value, int) or not 0 <= value <= maximum:
        raise MalformedEvent()
    return value


def money(subject: Payload, key: str) -> Money:
    amount = whole(subject, key)
    if amount == 0:
        raise MalformedEvent()
    return Money(amount, one_of(subject, "currency", *EXPONENTS))


def metadata(subject: Payload) -> dict[str, str]:
    metadata = subject.get("metadata")
    if not isinstance(metadata, dict) or not all(isinstance(value, str) for value in metadata.values()):
        raise MalformedEvent()
    return dict(metadata)
