"""Importing offers from CSV: one row, one offer, one result; a bad row spoils no other, repeating changes nothing."""

import re
from collections.abc import Iterator
from decimal import Decimal
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

from django.core.exceptions import ValidationError
from django.db import DatabaseError
from django.utils import timezone

from merchants.models import CommissionTerms, Merchant, Offer
from merchants.models.merchant import check_host
from merchants.models.offer import check_terms
from merchants.verticals import VERTICALS, parse_criterion
from rako.core.csv_rows import Row, RowResult, read_rows
from rako.core.errors import BadRequest
from rako.core.money import from_text
from rako.core.row_commands import trying

REQUIRED = (
    "merchant",
    "merchant_url",
    "vertical",
    "provider",
    "name",
    "price",
    "commission_type",
    "commission_value",
    "url",
)
OPTIONAL = ("currency", "intro_price", "intro_months", "commission_min", "status")
CRITERIA = "criteria."
_RATE = re.compile(r"[0-9]{1,3}(\.[0-9]{1,3})?\Z", re.ASCII)


def read_offers(path: Path) -> list[Row]:
    """The rows of a file. Raises BadFile."""
    criteria = {CRITERIA + key for vertical in VERTICALS.values() for key in vertical.criteria}
    return read_rows(path, REQUIRED, {*OPTIONAL, *criteria})


def import_rows(rows: list[Row], *, is_dry_run: bool = False) -> Iterator[RowResult]:
    """Import rows one by one, each in a transaction of its own: `created`, `updated`, `unchanged` or `refused`.

    A dry run keeps nothing: it judges each row as if those before it had not been there.
    """
    for row in rows:
        line, label = row.line, f"{row.cells.get('provider', '')} {row.cells.get('name', '')}".strip()
        try:
            with trying(is_dry_run=is_dry_run):
                result = RowResult(line, _import(row.check()), label)
        except ValidationError as error:
            result = RowResult(line, "refused", label, "; ".join(error.messages))
        except (BadRequest, ValueError) as error:
            result = RowResult(line, "refused", label, str(error))
        except DatabaseError as error:
            result = RowResult(line, "refused", label, str(error).partition("\n")[0])
        yield result  # after the commit: a result that was told is stored


def _import(row: dict[str, str]) -> str:
    _check_cells(row)
    merchant = _merchant(row)
    fields = _offer_fields(row)
    found = Offer.objects.filter(merchant=merchant, provider=row["provider"], name=row["name"]).first()
    offer = found or Offer(merchant=merchant, provider=row["provider"], name=row["name"])
    if found is not None and (found.vertical, found.currency) != (fields["vertical"], fields["currency"]):
        raise BadRequest("vertical and currency of an offer cannot change: withdraw it and add another")
    changed = found is None or any(getattr(offer, name) != value for name, value in fields.items())
    if changed:
        for name, value in fields.items():
            setattr(offer, name, value)
        offer.full_clean()
        offer.save()
    new_terms = _set_terms(offer, row)
    return "created" if found is None else "updated" if changed or new_terms else "unchanged"


def _check_cells(row: dict[str, str]) -> None:
    if empty := [name for name in REQUIRED if not row[name]]:
        raise BadRequest(f"{empty[0]} is empty")
    if row["vertical"] not in VERTICALS:
        raise BadRequest(f"vertical must be one of {', '.join(VERTICALS)}")


def _merchant(row: dict[str, str]) -> Merchant:
    """The merchant by name, made if new; the row's host is registered with it."""
    host = urlsplit(row["merchant_url"]).hostname or ""
    check_host(host)
    merchant, made = Merchant.objects.get_or_create(name=row["merchant"], defaults={"hosts": [host]})
    if not made and host not in merchant.hosts:
        raise BadRequest(f"{host} is not a registered host of {merchant}")
    return merchant


def _offer_fields(row: dict[str, str]) -> dict[str, Any]:
    currency = row.get("currency") or "GBP"
    criteria = {
        name.removeprefix(CRITERIA): parse_criterion(row["vertical"], name.removeprefix(CRITERIA), value)
        for name, value in row.items()
        if name.startswith(CRITERIA) and value
    }
    return {
        "vertical": row["vertical"],
        "price_minor": _money(row, "price", currency),
        "currency": currency,
        "intro_price_minor": _money(row, "intro_price", currency) if row.get("intro_price") else None,
        "intro_months": int(row["intro_months"]) if row.get("intro_months") else None,
        "criteria": criteria,
        "url": row["url"],
        "status": row.get("status") or Offer.Status.ACTIVE,
    }


def _money(row: dict[str, str], name: str, currency: str) -> int:
    try:
        return from_text(row[name], currency)
    except ValueError as error:
        raise BadRequest(f"{name} {error}") from None


def _set_terms(offer: Offer, row: dict[str, str]) -> bool:
    """Put the row's commission terms in force from now unless they already are."""
    kind = row["commission_type"]
    if kind not in CommissionTerms.Type.values:
        raise BadRequest(f"commission_type must be one of {', '.join(CommissionTerms.Type.values)}")
    amount_cell = {"cpa": "commission_value", "hybrid": "commission_min"}.get(kind)
    if amount_cell and not row.get(amount_cell):
        raise BadRequest(f"{amount_cell} is empty")
    amount = _money(row, amount_cell, offer.currency) if amount_cell else None
    rate = None if kind == "cpa" else _rate(row["commission_value"])
    check_terms(offer.vertical, kind, amount, rate)
    current = offer.terms.filter(effective_from__lte=timezone.now()).order_by("-effective_from").first()
    if current and (current.type, current.amount_minor, current.rate) == (kind, amount, rate):
        return False
    CommissionTerms.objects.create(offer=offer, type=kind, amount_minor=amount, rate=rate)
    return True


def _rate(text: str) -> Decimal:
    if not _RATE.match(text):
        raise BadRequest("commission_value must be a percentage with at most three decimal places")
    return Decimal(text)
