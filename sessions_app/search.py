"""Offer search: parse, look up, open a session (protocol, section 1, GET /v1/offers)."""

import base64
import binascii
import hashlib
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import timedelta
from typing import Any

import orjson
from django.utils import timezone

from merchants.catalogue import ListedOffer, list_offers
from merchants.models import Provider
from merchants.verticals import VERTICALS
from rako.core import money
from rako.core.errors import BadRequest
from rako.core.facts import Appended, Fact, state
from rako.core.ids import is_id
from sessions_app.models import Agent, Session

WINDOW = timedelta(hours=24)
DEFAULT_LIMIT = 20
MAX_LIMIT = 100
_LONGEST_TEXT = 100
_MANY_PROVIDERS = 200


@dataclass(frozen=True, slots=True)
class OfferQuery:
    """A search as asked. Prices in minor units; `after` is the (price, id) the page starts behind."""

    vertical: str | None = None
    provider: str | None = None
    min_price: int | None = None
    max_price: int | None = None
    data_gb_min: int | None = None
    contract_months: int | None = None
    limit: int = DEFAULT_LIMIT
    after: tuple[int, str] | None = None

    def as_asked(self) -> dict[str, Any]:
        """What to keep with the session: the parts that were asked for."""
        parts = ("vertical", "provider", "min_price", "max_price", "data_gb_min", "contract_months")
        return {name: value for name in parts if (value := getattr(self, name)) is not None}


@dataclass(frozen=True, slots=True)
class Page:
    """Offers, and the cursor of the next page if there is one."""

    offers: list[ListedOffer]
    next_cursor: str | None


def parse_query(params: Mapping[str, str]) -> OfferQuery:
    """The search in a query string; empty values count as absent. Raises BadRequest for a number that is none."""
    given = {name: value for name, value in params.items() if value != ""}
    data_gb_min = given.get("data_gb_min", given.get("min_data_gb"))
    return OfferQuery(
        vertical=_text(given, "vertical"),
        provider=_text(given, "provider"),
        min_price=_price(given, "min_price"),
        max_price=_price(given, "max_price"),
        data_gb_min=_whole("data_gb_min", data_gb_min, 0, 1_000_000),
        contract_months=_whole("contract_months", given.get("contract_months"), 0, 1_000),
        limit=_whole("limit", given.get("limit"), 1, MAX_LIMIT) or DEFAULT_LIMIT,
        after=_read_cursor(given["cursor"]) if "cursor" in given else None,
    )


def search_offers(query: OfferQuery) -> Page:
    """One page of available offers by price and id; commission plays no part in the order.

    One SELECT (two with `provider`) that reads little more than `limit` rows off an index.
    """
    if not _can_match(query):
        return Page([], None)
    wanted = _conditions(query)
    providers = None if query.provider is None else _providers_with(query.provider)
    if providers is not None and len(providers) > _MANY_PROVIDERS:
        # A part that very many names have is found soon on the way through the offers.
        wanted["position(upper(%s) in upper(offer.provider)) > 0"] = (query.provider,)
        providers = None
    values = [value for values in wanted.values() for value in values]
    found = list_offers(list(wanted), values, query.limit + 1, providers=providers)
    page = found[: query.limit]
    return Page(page, _write_cursor(page[-1]) if len(found) > query.limit else None)


def create_session(agent: Agent, query: OfferQuery) -> tuple[Session, Appended]:
    """A new session with the 24-hour window, and the entry that tells of the search: one statement.

    An entry for each search rather than one for a batch of them: it costs a sixth of the searches a second (see
    docs/benchmarks.md), and gives a receipt at once, with no moment in which a search is known but not in the ledger.
    """
    now = timezone.now()
    session = Session(agent=agent, query=query.as_asked(), created_at=now, expires_at=now + WINDOW)
    fact = Fact(
        stream_id=session.pk,
        kind="search.recorded",
        # Nobody but the agent may read this entry: nothing in it needs sealing. What was asked may be in anybody's
        # words: of these the ledger holds no more than the hash.
        facts={"session_id": session.pk, "agent_id": agent.pk, "query_sha256": _digest(session.query)},
        occurred_at=now,
        idempotency_key=f"search:{session.pk}",
        agent_id=agent.pk,
    )
    return session, state(fact, along_with=session)


def _digest(query: dict[str, Any]) -> str:
    return hashlib.sha256(orjson.dumps(query, option=orjson.OPT_SORT_KEYS)).hexdigest()


def _can_match(query: OfferQuery) -> bool:
    """Whether such offers can exist at all: a known vertical, one that has the criteria that are asked for."""
    if query.vertical is None:
        return True
    criteria = VERTICALS[query.vertical].criteria if query.vertical in VERTICALS else {}
    asked = {"data_gb": query.data_gb_min, "contract_months": query.contract_months}
    return bool(criteria) and all(name in criteria for name, value in asked.items() if value is not None)


def _conditions(query: OfferQuery) -> dict[str, tuple[Any, ...]]:
    """SQL conditions with their values, for the parts that were asked for."""
    wanted: dict[str, tuple[Any, ...]] = {}
    if query.vertical is not None:
        wanted["offer.vertical = %s"] = (query.vertical,)
    if query.min_price is not None:
        wanted["offer.price_minor >= %s"] = (query.min_price,)
    if query.max_price is not None:
        wanted["offer.price_minor <= %s"] = (query.max_price,)
    if query.data_gb_min is not None:
        # Only SIMs have data, and said so the index of their vertical serves.
        wanted["offer.data_gb >= %s AND offer.vertical = 'sim'"] = (query.data_gb_min,)
    if query.contract_months is not None:
        wanted["offer.contract_months = %s"] = (query.contract_months,)
    if query.after is not None:
        wanted["(offer.price_minor, offer.id) > (%s, %s)"] = query.after
    return wanted


def _providers_with(part: str) -> list[str]:
    """The provider names that have the part, in any case; one more than `_MANY_PROVIDERS` at most."""
    return list(Provider.objects.filter(name__icontains=part).values_list("name", flat=True)[: _MANY_PROVIDERS + 1])


def _text(given: Mapping[str, str], name: str) -> str | None:
    value = given.get(name)
    if value is not None and len(value) > _LONGEST_TEXT:
        raise BadRequest(f"{name} must have at most {_LONGEST_TEXT} characters", code="invalid_field")
    return value


def _price(given: Mapping[str, str], name: str) -> int | None:
    if name not in given:
        return None
    try:
        # All supported currencies have two places; prices are compared in the offers' own currency.
        return money.from_text(given[name].strip(), "GBP")
    except ValueError as error:
        raise BadRequest(f"{name} {error}", code="invalid_field") from None


def _whole(name: str, text: str | None, minimum: int, maximum: int) -> int | None:
    if text is None:
        return None
    if not (text.isascii() and text.isdigit() and len(text) <= 9 and minimum <= int(text) <= maximum):
        raise BadRequest(f"{name} must be a whole number from {minimum} to {maximum}", code="invalid_field")
    return int(text)


def _write_cursor(offer: ListedOffer) -> str:
    return base64.urlsafe_b64encode(f"{offer.price_minor}.{offer.id}".encode()).decode().rstrip("=")


def _read_cursor(cursor: str) -> tuple[int, str]:
    try:
        price, _, offer_id = base64.urlsafe_b64decode(cursor + "=" * (-len(cursor) % 4)).decode("ascii").partition(".")
        if price.isdigit() and len(price) <= 13 and is_id(offer_id):
            return int(price), offer_id
    except (binascii.Error, ValueError):
        pass
    raise BadRequest("cursor is not one of ours", code="invalid_field")
