"""What a document is for: its lines summed up by offer and attribution path."""

from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any

from django.db.models import Count, Min, Q, QuerySet, Sum

from ledger.models import Conversion
from rako.core.aap_code import InvalidCode, decode
from settlement.models import Line

# The largest sums by name; the rest is one row. A document is to be read.
MOST_ROWS = 200


@dataclass(frozen=True, slots=True)
class OfferSum:
    """What the sales of one offer by one path come to; without an offer, those of all further offers."""

    offer_id: str
    offer: str
    path: str
    quantity: int
    late: int
    amount_minor: int


def offer_sums(lines: QuerySet[Line], amount: str) -> list[OfferSum]:
    """The sums of a column of lines, the largest first."""
    groups = (
        lines.values("conversion__offer_id", "conversion__attribution_path")
        .annotate(quantity=Count("*"), late=Count("conversion_id", filter=Q(is_late=True)), sum=Sum(amount))
        .annotate(first=Min("conversion_id"))
        .order_by("-quantity", "conversion__offer_id", "conversion__attribution_path")
    )
    found: list[Any] = sorted(groups, key=lambda group: -abs(group["sum"]))
    shown, rest = found[:MOST_ROWS], found[MOST_ROWS:]
    names = _names(group["first"] for group in shown)
    rows = [
        OfferSum(
            group["conversion__offer_id"],
            names.get(group["first"]) or group["conversion__offer_id"],
            group["conversion__attribution_path"],
            group["quantity"],
            group["late"],
            int(group["sum"]),
        )
        for group in shown
    ]
    return [*rows, _further(rest)] if rest else rows


def _further(groups: list[Any]) -> OfferSum:
    quantity, late, amount = (sum(int(group[name]) for group in groups) for name in ("quantity", "late", "sum"))
    return OfferSum("", f"{len(groups)} further offers", "", quantity, late, amount)


def _names(conversions: Iterable[str]) -> dict[str, str]:
    """Offers as the signed codes of sales name them: the registry's names may change, a document's must not."""
    rows = Conversion.objects.filter(pk__in=list(conversions)).values_list("pk", "recommendation__aap_code")
    return {pk: _name(code) for pk, code in rows}


def _name(code: str) -> str:
    try:
        payload = decode(code).payload
    except InvalidCode:
        return ""
    provider, product = str(payload["pro"]), str(payload["prd"])
    return product if product.startswith(provider) else f"{provider} {product}"
