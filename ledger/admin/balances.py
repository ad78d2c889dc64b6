"""Balances and the postings behind them, as finance reads them: debits in one column, credits in the other.

Balances are of sequenced entries: see `Balance`. All amounts add up to zero in each currency, or something is wrong.
"""

from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any, NamedTuple

from django.core.paginator import Page, Paginator
from django.db.models import Max, QuerySet, Sum

from ledger.admin.shown_entries import AccountName, Owner, account_name, owners_of
from ledger.models import Account, Balance, Entry, Posting
from rako.core.admin_text import amount_text

_PAGE = 100
# No index leads from an account to its postings: they are looked for among so many entries at a time.
WINDOW = 20_000
_FILTERS = ("account", "owner_id", "currency")


class BalanceRow(NamedTuple):
    """An account's balance in major units; one of the two is empty."""

    account: str
    name: AccountName
    owner_id: str
    owner: Owner
    currency: str
    debit: str
    credit: str


@dataclass(frozen=True, slots=True)
class Trial:
    """The trial balance of one currency."""

    currency: str
    rows: list[BalanceRow]
    debit: str
    credit: str
    balances: bool


@dataclass(frozen=True, slots=True)
class PostingsFound:
    """An account's postings, newest first, among the entries `first` to `last`; `before` is where to look on."""

    rows: list[tuple[Posting, BalanceRow]]
    first: int
    last: int
    before: int | None
    debit: str
    credit: str


def trial_balances(wanted: dict[str, str] | None = None) -> list[Trial]:
    """The sum of each account, by currency, in one query; of the accounts `wanted` alone if given."""
    sums: Any = Balance.objects.filter(**wanted or {}).values("account", "currency").annotate(sum=Sum("balance_minor"))
    by_currency: dict[str, dict[str, int]] = {}
    for row in sums:
        by_currency.setdefault(row["currency"], {})[row["account"]] = int(row["sum"])
    return [_trial(currency, by_currency[currency]) for currency in sorted(by_currency)]


def balances(wanted: dict[str, str], page: str | None) -> tuple[Page[Any], list[BalanceRow]]:
    """A page of balances and its rows. `wanted` narrows: see `wanted_of`."""
    rows = Balance.objects.filter(**wanted).order_by("account", "currency", "owner_id").values()
    found = Paginator(rows, _PAGE).get_page(page)
    listed = list(found)
    owners = owners_of(row["owner_id"] for row in listed)
    return found, [
        _row(row["account"], row["owner_id"], owners[row["owner_id"]], row["currency"], row["balance_minor"])
        for row in listed
    ]


def postings(wanted: dict[str, str], before: int | None) -> PostingsFound:
    """The newest postings of an account, at most a hundred of at most `WINDOW` entries before number `before`."""
    newest: int = Entry.objects.aggregate(newest=Max("pk"))["newest"] or 0
    last = newest if before is None else min(before, newest)
    first = max(1, last - WINDOW + 1)
    within = Posting.objects.filter(entry_id__gte=first, entry_id__lte=last, **wanted)
    rows = list(_ordered(within)[: _PAGE + 1])
    if len(rows) > _PAGE and rows[0].entry_id != rows[-1].entry_id:
        # The last one's entry may have more of them: it begins the next page.
        first = rows[-1].entry_id + 1
        rows = [row for row in rows if row.entry_id >= first]
    owners = owners_of(row.owner_id for row in rows)
    shown = [
        (row, _row(row.account, row.owner_id, owners[row.owner_id], row.currency, row.amount_minor)) for row in rows
    ]
    currency = wanted["currency"]
    return PostingsFound(
        rows=shown,
        first=first,
        last=last,
        before=first - 1 if first > 1 else None,
        debit=_sum((row.amount_minor for row in rows if row.amount_minor > 0), currency),
        credit=_sum((row.amount_minor for row in rows if row.amount_minor < 0), currency),
    )


def wanted_of(query: Any) -> dict[str, str]:
    """What a page's query narrows balances to; the network's own accounts have the owner `-`."""
    wanted = {name: query[name].strip() for name in _FILTERS if query.get(name, "").strip()}
    if wanted.get("owner_id") == "-":
        wanted["owner_id"] = ""
    return wanted


def _ordered(rows: QuerySet[Posting]) -> QuerySet[Posting]:
    return rows.select_related("entry").defer("entry__body").order_by("-entry_id", "place")


def _trial(currency: str, sums: dict[str, int]) -> Trial:
    known = [account for account in Account.values if account in sums]
    return Trial(
        currency,
        [_row(account, "", Owner(""), currency, sums[account]) for account in known],
        _sum((minor for minor in sums.values() if minor > 0), currency),
        _sum((minor for minor in sums.values() if minor < 0), currency),
        sum(sums.values()) == 0,
    )


def _row(account: str, owner_id: str, owner: Owner, currency: str, minor: int) -> BalanceRow:
    amount = amount_text(abs(minor), currency)
    debit, credit = (amount, "") if minor >= 0 else ("", amount)
    return BalanceRow(account, account_name(account), owner_id, owner, currency, debit, credit)


def _sum(minors: Iterable[int], currency: str) -> str:
    return amount_text(abs(sum(minors)), currency)
