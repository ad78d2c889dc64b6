"""Facts as people read them: a row each, money in major units, ids that lead to their pages."""

import json
from collections.abc import Iterator
from itertools import islice
from typing import Any, NamedTuple

from django.contrib.admin.utils import quote
from django.urls import reverse

from rako.core.admin_text import money_text
from rako.core.ids import is_id
from rako.core.money import EXPONENTS

_MOST_ROWS = 100
_LONGEST = 500
_DEEPEST = 5

# Whose page an id leads to, by address: some of them belong to apps above the ledger.
PAGES = {
    "agent_id": "sessions_app_agent",
    "builder_id": "sessions_app_builder",
    "checkout_id": "checkout_checkout",
    "conversion_id": "ledger_conversion",
    "merchant_id": "merchants_merchant",
    "offer_id": "merchants_offer",
    "recommendation_id": "sessions_app_recommendation",
    "session_id": "sessions_app_session",
}


class FactRow(NamedTuple):
    """A fact by its name, with the page its value leads to, if any. Neither is safe for HTML as it is."""

    name: str
    text: str
    url: str = ""


def fact_rows(facts: dict[str, Any], currency: str) -> list[FactRow]:
    """Facts in a flat table of bounded size; nested ones are named by their path."""
    rows = list(islice(_rows(facts, "", "", currency, 0), _MOST_ROWS + 1))
    if len(rows) > _MOST_ROWS:
        rows[_MOST_ROWS:] = [FactRow("…", "more than fit here: see the body")]
    return rows


def currency_of(body: dict[str, Any]) -> str:
    """The currency of an entry's amounts, or "" if it does not tell."""
    facts, postings = body.get("facts"), body.get("postings")
    told = facts.get("currency") if isinstance(facts, dict) else None
    if told is None and isinstance(postings, list) and postings and isinstance(postings[0], list):
        told = postings[0][1] if len(postings[0]) > 1 else None
    return told if isinstance(told, str) and told in EXPONENTS else ""


def page_of(name: str, value: Any) -> str:
    """The admin page of what a fact `name` (`merchant_id`) refers to, or ""."""
    if name not in PAGES or not is_id(value):
        return ""
    return reverse(f"admin:{PAGES[name]}_change", args=[quote(value)])


def _rows(value: Any, path: str, name: str, currency: str, depth: int) -> Iterator[FactRow]:
    if isinstance(value, dict | list) and value and depth < _DEEPEST:
        items = value.items() if isinstance(value, dict) else enumerate(value, start=1)
        for key, item in items:
            words = str(key).removesuffix("_minor").replace("_", " ")
            yield from _rows(item, f"{path} › {words}" if path else words, str(key), currency, depth + 1)
    else:
        yield FactRow(path, _text(name, value, currency), page_of(name, value))


def _text(name: str, value: Any, currency: str) -> str:
    if value is None or value in ({}, [], ""):
        return "–"
    if isinstance(value, bool):
        return "yes" if value else "no"
    if isinstance(value, int) and name.endswith("_minor"):
        return money_text(value, currency) if currency else f"{value:,} minor units"
    text = value if isinstance(value, str) else json.dumps(value, ensure_ascii=False)
    return text if len(text) <= _LONGEST else f"{text[:_LONGEST]}…"
