"""How the admin shows money, moments, JSON and links."""

import json
from collections.abc import Callable
from datetime import UTC, datetime
from decimal import Decimal
from functools import reduce
from typing import Any

from django.contrib import admin
from django.contrib.admin.utils import quote
from django.db import models
from django.urls import reverse
from django.utils.html import format_html
from django.utils.safestring import SafeString

from rako.core.money import to_decimal

_LONGEST_SHOWN = 20_000


# The sign before a badge's words, by its tone: colours alone tell too many people nothing.
_SIGNS = {"good": "✓", "open": "○", "held": "⚠", "bad": "✕"}


def money_text(amount_minor: int | None, currency: str) -> str:
    """For people: `1,234.50 GBP`, or a dash for none."""
    return "–" if amount_minor is None else f"{amount_text(amount_minor, currency)} {currency}"


def amount_text(amount_minor: int, currency: str) -> str:
    """Without its currency, for a column under it: `1,234.50`."""
    return f"{to_decimal(amount_minor, currency):,}"


def moment_text(moment: datetime | None) -> str:
    """A moment to the millisecond, for evidence hangs on it: `2026-11-22 10:00:00.000 UTC`."""
    if moment is None:
        return "–"
    return f"{moment.astimezone(UTC).replace(tzinfo=None).isoformat(' ', 'milliseconds')} UTC"


def badge(text: str, tone: str) -> SafeString:
    """Words that stand out, with a sign and a colour for their tone: `good`, `open`, `held` or `bad`."""
    return format_html(
        '<span class="rako-badge rako-{}"><span aria-hidden="true">{}</span> {}</span>', tone, _SIGNS[tone], text
    )


def number_text(number: int) -> str:
    """For people: `1,234,567`."""
    return f"{number:,}"


def percent_text(percent: Decimal) -> str:
    """For people: `2.5 %`."""
    return f"{percent.normalize():f} %"


def money_column(
    field: str, label: str, currency: str = "currency", *, ordering: Any = None
) -> Callable[[Any, Any], str]:
    """A column, as an attribute of an admin class, that shows minor units as money; both names may follow relations.

    `ordering` is the expression for what is no column of the database.
    """

    @admin.display(description=label, ordering=ordering or field)
    def column(_: Any, row: Any) -> str:
        amount, code = (_follow(row, name) for name in (field, currency))
        return money_text(amount, code)

    return column


def _follow(row: Any, path: str) -> Any:
    """The value at the end of a path such as `offer__price_minor`."""
    return reduce(getattr, path.split("__"), row)


def pretty_json(value: Any) -> SafeString:
    """JSON data, or bytes that should be JSON, indented, escaped and of bounded length."""
    if isinstance(value, bytes | memoryview):
        text = bytes(value).decode("utf-8", "replace")
        try:
            value = json.loads(text)
        except (ValueError, RecursionError):
            return block(text)
    return block(json.dumps(value, indent=2, ensure_ascii=False))


def block(text: str) -> SafeString:
    """Text as it is, escaped and of bounded length."""
    cut = f"\n… {len(text) - _LONGEST_SHOWN:,} more characters" if len(text) > _LONGEST_SHOWN else ""
    return format_html('<pre class="rako-block">{}{}</pre>', text[:_LONGEST_SHOWN], cut)


def time_column(field: str, label: str) -> Callable[[Any, Any], str]:
    """A column, as an attribute of an admin class, that shows a moment to the millisecond: evidence hangs on it."""

    @admin.display(description=label, ordering=field)
    def column(_: Any, row: Any) -> str:
        return moment_text(getattr(row, field))

    return column


def change_url(row: models.Model) -> str:
    """The admin page of a row."""
    return reverse(f"admin:{row._meta.app_label}_{row._meta.model_name}_change", args=[quote(row.pk)])


def list_url(model: type[models.Model], **wanted: str) -> str:
    """The admin list of a model, narrowed to rows whose fields have these values."""
    query = {f"{name}__exact": value for name, value in wanted.items()}
    return reverse(f"admin:{model._meta.app_label}_{model._meta.model_name}_changelist", query=query)
