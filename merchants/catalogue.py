"""Looks up offers with the commission terms in force now: the one query behind every search, in SQL to be read as such.

Written by hand because it is the hottest of the product: the same through the ORM costs more to compile than to run.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from decimal import Decimal
from typing import Any

import orjson
from django.db import connection

_OFFERS = """
SELECT offer.id, offer.merchant_id, offer.vertical, offer.provider, offer.name, offer.price_minor, offer.currency,
       offer.intro_price_minor, offer.intro_months, offer.criteria::text,
       offer.status = 'active' AND merchant.status = 'active' AS is_available,
       terms.type, terms.amount_minor, terms.rate
FROM merchants_offer offer
JOIN merchants_merchant merchant ON merchant.id = offer.merchant_id
LEFT JOIN LATERAL (
    SELECT type, amount_minor, rate FROM merchants_commissionterms
    WHERE offer_id = offer.id AND effective_from <= statement_timestamp()
    ORDER BY effective_from DESC LIMIT 1
) terms ON true
"""
_SEARCH = (
    _OFFERS
    + """
WHERE offer.status = 'active' AND merchant.status = 'active' AND terms.type IS NOT NULL {conditions}
ORDER BY offer.price_minor, offer.id LIMIT %s
"""
)
_PLAIN = (
    "id", "merchant_id", "vertical", "provider", "name", "price_minor", "currency", "intro_price_minor", "intro_months",
)  # fmt: skip

# Each provider's cheapest come off its own index, in order, and are merged: no plan reads all that a provider has.
_OF_PROVIDERS = """
SELECT found.* FROM unnest(%s::text[]) AS wanted(name) CROSS JOIN LATERAL ({search}) AS found
ORDER BY found.price_minor, found.id LIMIT %s
"""


@dataclass(frozen=True, slots=True)
class Terms:
    """Commission terms: `amount_minor` for CPA and the base of a hybrid, `rate` (percent) for the others."""

    type: str
    amount_minor: int | None
    rate: Decimal | None


@dataclass(frozen=True, slots=True)
class ListedOffer:
    """An offer as it is listed now; prices in minor units, `terms` None before any are in force."""

    id: str
    merchant_id: str
    vertical: str
    provider: str
    name: str
    price_minor: int
    currency: str
    intro_price_minor: int | None
    intro_months: int | None
    criteria: dict[str, Any]
    is_available: bool
    terms: Terms | None


def list_offers(
    conditions: Sequence[str], values: Sequence[Any], limit: int, *, providers: Sequence[str] | None = None
) -> list[ListedOffer]:
    """Available offers by price, then id, of some providers if told.

    `conditions` are SQL on `offer` with placeholders for `values`, never a caller's text.
    """
    where = "".join(f" AND {condition}" for condition in conditions)
    query, parameters = _SEARCH.format(conditions=where), [*values, limit]
    if providers is not None:
        query = _OF_PROVIDERS.format(search=_SEARCH.format(conditions=f" AND offer.provider = wanted.name{where}"))
        parameters = [list(providers), *parameters, limit]
    with connection.cursor() as cursor:
        cursor.execute(query, parameters)
        return [_listed(row) for row in cursor.fetchall()]


def find_offer(offer_id: str) -> ListedOffer | None:
    """One offer, available or not; None if there is none of that id."""
    with connection.cursor() as cursor:
        cursor.execute(_OFFERS + "WHERE offer.id = %s", [offer_id])
        row = cursor.fetchone()
    return None if row is None else _listed(row)


def _listed(row: tuple[Any, ...]) -> ListedOffer:
    *_, criteria, is_available, type_, amount_minor, rate = row
    terms = None if type_ is None else Terms(type_, amount_minor, rate)
    rest: dict[str, Any] = {"criteria": orjson.loads(criteria), "is_available": is_available, "terms": terms}
    return ListedOffer(**dict(zip(_PLAIN, row, strict=False)), **rest)
