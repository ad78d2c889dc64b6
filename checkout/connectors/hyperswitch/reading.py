"""Fields of Hyperswitch's bodies, read strictly: what is not what it should be is Unreadable and nothing else.

Replies turn that into PspFault (`snapshots`), deliveries into MalformedEvent (`outcomes`).
"""

from collections.abc import Mapping
from datetime import UTC, datetime

from checkout.connectors.hyperswitch import amounts
from checkout.connectors.metadata import joined
from rako.core.money import MAX_MINOR, Money

Body = Mapping[str, object]

LONGEST_TEXT = 255
_LONGEST_DIGITS = 13  # MAX_MINOR has as many
_YEARS = range(2000, 2100)


class Unreadable(ValueError):
    """A body is not of the documented shape."""


def body(value: object) -> Body:
    """A JSON object."""
    if not isinstance(value, dict):
        raise Unreadable("not an object")
    return value


def bodies(value: object) -> list[Body]:
    """A JSON array of objects; null is an empty one."""
    if value is None:
        return []
    if not isinstance(value, list):
        raise Unreadable("not a list")
    return [body(item) for item in value]


def text(source: Body, key: str) -> str:
    """A text that is there, that fits a column, and that PostgreSQL can keep."""
    value = source.get(key)
    if not isinstance(value, str) or not 0 < len(value) <= LONGEST_TEXT or "\x00" in value:
        raise Unreadable(key)
    return value


def optional_text(source: Body, key: str) -> str:
    """A text, "" for one that is null, empty or not there."""
    return "" if source.get(key) in (None, "") else text(source, key)


def whole(source: Body, key: str) -> int:
    """A number of minor units as Hyperswitch counts them; disputes write theirs as text."""
    value = source.get(key)
    if isinstance(value, str) and value.isascii() and value.isdigit() and len(value) <= _LONGEST_DIGITS:
        value = int(value)
    if isinstance(value, bool) or not isinstance(value, int) or not 0 <= value <= MAX_MINOR:
        raise Unreadable(key)
    return value


def money(source: Body, key: str) -> Money:
    """An amount in the body's currency, in our minor units."""
    try:
        return amounts.from_psp(whole(source, key), text(source, "currency").upper())
    except amounts.Inexact as error:
        raise Unreadable(key) from error


def moment(source: Body, key: str) -> datetime:
    """A time; without a zone it is UTC."""
    try:
        read = datetime.fromisoformat(text(source, key))
        aware = read.replace(tzinfo=UTC) if read.tzinfo is None else read.astimezone(UTC)
    except (ValueError, OverflowError) as error:
        raise Unreadable(key) from error
    if aware.year not in _YEARS:
        raise Unreadable(key)
    return aware


def optional_moment(source: Body, key: str) -> datetime | None:
    """A time, None for one that is null or not there."""
    return None if source.get(key) is None else moment(source, key)


def metadata(source: Body) -> dict[str, str]:
    """The texts of a payment's metadata, put together again; whatever else merchants keep there is left out."""
    kept = body({} if source.get("metadata") is None else source["metadata"]).items()
    return joined({name: value for name, value in kept if isinstance(value, str) and "\x00" not in name + value})
