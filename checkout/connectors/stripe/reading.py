"""Stripe's JSON, read strictly: a wrong shape is Nonsense and nothing else.

Whoever reads an answer makes PspFault of it, whoever reads a delivery MalformedEvent.
"""

from collections.abc import Mapping
from datetime import UTC, datetime

from checkout.connectors.base import PspFault
from checkout.connectors.metadata import joined
from rako.core.money import MAX_MINOR

Thing = Mapping[str, object]

MODE = "aap_checkout_mode"  # in the metadata of a charge of a stored method: what fails there is final
AUTONOMOUS = "autonomous"
POINTER = "aap_checkout_id"
_MAX_TEXT = 255
MAX_URL = 2000  # what a checkout keeps
_YEAR_2100 = 4_102_444_800


class Nonsense(PspFault):
    """Something that Stripe would never say, by the name of the field."""

    def __init__(self, field: str) -> None:
        super().__init__()
        self.field = field


def text(source: Thing, key: str, *, longest: int = _MAX_TEXT) -> str:
    value = source.get(key)
    if not isinstance(value, str) or not 0 < len(value) <= longest or "\0" in value:
        raise Nonsense(key)
    return value


def optional_text(source: Thing, key: str) -> str:
    """A text, "" for null or absent."""
    return "" if source.get(key) is None else text(source, key)


def url(source: Thing, key: str) -> str:
    """An address, "" for null or absent."""
    return "" if source.get(key) is None else text(source, key, longest=MAX_URL)


def flag(source: Thing, key: str) -> bool:
    value = source.get(key)
    if not isinstance(value, bool):
        raise Nonsense(key)
    return value


def whole(source: Thing, key: str, largest: int = MAX_MINOR) -> int:
    value = source.get(key)
    if isinstance(value, bool) or not isinstance(value, int) or not 0 <= value <= largest:
        raise Nonsense(key)
    return value


def moment(source: Thing, key: str) -> datetime:
    return datetime.fromtimestamp(whole(source, key, _YEAR_2100), UTC)


def thing(source: Thing, key: str) -> Thing:
    value = source.get(key)
    if not isinstance(value, dict):
        raise Nonsense(key)
    return value


def things(source: Thing, key: str) -> list[Thing]:
    value = source.get(key)
    if not isinstance(value, list) or not all(isinstance(one, dict) for one in value):
        raise Nonsense(key)
    return value


def reference(source: Thing, key: str) -> str:
    """The id of what a field refers to, expanded or not; "" for nothing."""
    value = source.get(key)
    return text(value, "id") if isinstance(value, dict) else optional_text(source, key)


def expanded(source: Thing, key: str) -> Thing | None:
    """What a field refers to, None unless it is expanded."""
    value = source.get(key)
    return value if isinstance(value, dict) else None


def metadata(source: Thing) -> dict[str, str]:
    """Our metadata as it was given to us, put together again; anybody's who sells on that account, likewise."""
    found = {} if source.get("metadata") is None else thing(source, "metadata")
    texts = {name: value for name, value in found.items() if isinstance(value, str)}
    if len(texts) != len(found):
        raise Nonsense("metadata")
    texts.pop(MODE, None)
    return joined(texts)


def is_ours(source: Thing) -> bool:
    """Whether an object claims to be of a sale of ours."""
    found = source.get("metadata")
    return isinstance(found, dict) and any(str(name).startswith("aap_") for name in found)


def is_autonomous(source: Thing) -> bool:
    """Whether a payment is a charge of ours without the buyer."""
    found = source.get("metadata")
    return isinstance(found, dict) and found.get(MODE) == AUTONOMOUS
