"""What the suite is told of a server: a TOML file, and an address and keys that the environment may give instead."""

import tomllib
from collections.abc import Mapping
from dataclasses import dataclass, field, fields
from pathlib import Path
from typing import Any


class BadConfig(Exception):
    """The configuration cannot be used; the text says why."""


@dataclass(frozen=True, slots=True)
class Chosen:
    """A recommendation in a certain state, of the agent whose key is given."""

    session_id: str
    recommendation_id: str
    offer_id: str


@dataclass(frozen=True, slots=True)
class Merchant:
    """Another merchant's key, and a part of its provider's name by which its offers are found."""

    key: str
    provider: str = ""


@dataclass(frozen=True, slots=True)
class Webhook:
    """How the merchant's payment processor signs and sends: `<header>: t=<unix>,v1=<hex HMAC-SHA256 of t.body>`."""

    path: str
    secret: str
    account: str
    header: str
    is_currency_lower: bool = False


@dataclass(frozen=True, slots=True)
class Subject:
    """The server under test, what it was given to be tested with, and which optional features it is without."""

    base_url: str
    agent_key: str
    merchant_key: str
    provider: str = ""
    other_agent_key: str = ""
    other_merchants: tuple[Merchant, ...] = ()
    limited_key: str = ""
    unconnected_provider: str = ""
    link_host: str = ""
    server_log: str = ""
    payment_method: str = ""
    declined_method: str = ""
    network_fee_percent: int = 20
    without: tuple[str, ...] = ()
    payment_form: Mapping[str, str] = field(default_factory=dict)
    expired: Chosen | None = None
    withdrawn: Chosen | None = None
    webhook: Webhook | None = None

    def lacks(self, need: str) -> str:
        """Why a rule that needs this cannot be tested; empty if it can."""
        if need in self.without:
            return f"the server is said to be without {need}"
        if need in {part.name for part in fields(self)} and not getattr(self, need):
            return f"the configuration has no {need}"
        return ""


def load(path: Path | None, given: Mapping[str, str]) -> Subject:
    """The subject from a file, if there is one, and from what was given beside it, which wins. Raises BadConfig."""
    found: dict[str, Any] = {}
    if path is not None:
        try:
            found = tomllib.loads(path.read_text())
        except (OSError, ValueError) as error:
            raise BadConfig(f"{path}: {error}") from None
    found |= {name: value for name, value in given.items() if value}
    if missing := [name for name in ("base_url", "agent_key", "merchant_key") if not found.get(name)]:
        raise BadConfig(f"{', '.join(missing)} must be given")
    found["base_url"] = str(found["base_url"]).rstrip("/")
    for name, kind in (("expired", Chosen), ("withdrawn", Chosen), ("webhook", Webhook)):
        if name in found:
            found[name] = _read(kind, found[name], f"[{name}]")
    found["without"] = tuple(found.get("without", ()))
    others = found.get("other_merchants", ())
    found["other_merchants"] = tuple(_read(Merchant, other, "[[other_merchants]]") for other in others)
    subject: Subject = _read(Subject, found, "the configuration")
    return subject


def _read(kind: type[Any], values: dict[str, Any], where: str) -> Any:
    try:
        return kind(**values)
    except TypeError as error:
        raise BadConfig(f"{where}: {str(error).partition(') ')[2] or error}") from None
