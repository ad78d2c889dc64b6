"""Entries as the admin shows them: what they say, what they moved, and whether hash, chain and openings hold."""

from collections.abc import Collection, Iterable
from dataclasses import dataclass
from hashlib import sha256
from typing import Any, NamedTuple

import orjson
from django.contrib.admin.utils import quote
from django.db.models import Prefetch, QuerySet
from django.urls import reverse
from django.utils.safestring import SafeString

from ledger.admin.facts_table import FactRow, currency_of, fact_rows
from ledger.models import Account, Entry, Opening, Posting
from merchants.models import Merchant
from rako.core.admin_text import amount_text, change_url, pretty_json
from rako.core.tlog.hashing import leaf_hash
from sessions_app.models import Builder

_PARTIES = tuple(Opening.Party.values)


class Owner(NamedTuple):
    """Whose account it is."""

    name: str
    url: str = ""


class AccountName(NamedTuple):
    """An account for people: its name, and what its balance means."""

    name: str
    meaning: str

    def __str__(self) -> str:
        return f"{self.name} – {self.meaning}"


class Line(NamedTuple):
    """A posting; amounts in major units, one of the two is empty."""

    account: AccountName
    owner: Owner
    currency: str
    debit: str
    credit: str


class ShownOpening(NamedTuple):
    """What an entry says to one party alone. `state` is empty if it is what the body has sealed."""

    party: str
    state: str
    rows: list[FactRow]


@dataclass(frozen=True, slots=True)
class ShownEntry:
    """An entry with what the page checks of it, for `admin/ledger/_entry.html`."""

    entry: Entry
    url: str
    index: int | None
    is_hashed: bool
    follows: bool
    facts: list[FactRow]
    lines: list[Line]
    lines_differ: bool
    openings: list[ShownOpening]
    raw: SafeString

    @property
    def leaf_hash(self) -> str:
        """In hex, as the column has it."""
        return bytes(self.entry.leaf_hash).hex()


def with_all(entries: QuerySet[Entry]) -> QuerySet[Entry]:
    """Entries with leaf, postings and openings, in three queries."""
    postings = Prefetch("postings", Posting.objects.order_by("place"))
    openings = Prefetch("openings", Opening.objects.order_by("party"))
    return entries.select_related("leaf").prefetch_related(postings).prefetch_related(openings)


def show_entries(entries: Collection[Entry], hash_before: bytes | None) -> list[ShownEntry]:
    """Neighbouring entries of one stream; `hash_before` is the leaf hash of the one before them, if there is one."""
    owners = owners_of(posting.owner_id for entry in entries for posting in entry.postings.all())
    shown, currency = [], ""
    for entry in entries:
        body = parse_body(entry)
        currency = currency_of(body) or currency  # later entries of a sale are in the currency of the first
        shown.append(_show(entry, body, hash_before, currency, owners))
        hash_before = bytes(entry.leaf_hash)
    return shown


def hash_before(entry: Entry) -> bytes | None:
    """The leaf hash of the entry before this one in its stream, or None."""
    before = Entry.objects.filter(stream_id=entry.stream_id, stream_seq=entry.stream_seq - 1)
    found = before.values_list("leaf_hash", flat=True).first()
    return None if found is None else bytes(found)


def owners_of(ids: Iterable[str]) -> dict[str, Owner]:
    """Merchants and builders by id, in two queries; an id of nobody is shown as it is."""
    wanted = {owner_id for owner_id in ids if owner_id}
    owners = {"": Owner("the network")} | {owner_id: Owner(owner_id) for owner_id in wanted}
    if wanted:
        for model in (Merchant, Builder):
            found = model._default_manager.filter(pk__in=wanted).only("pk", "name")
            owners |= {row.pk: Owner(row.name, change_url(row)) for row in found}
    return owners


def account_name(account: str) -> AccountName:
    """An account of the double entry, as people call it."""
    return AccountName(account.replace("_", " "), str(Account(account).label))


def stream_url(stream_id: str) -> str:
    """The page with a stream's entries."""
    return reverse("admin:ledger_stream", args=[quote(stream_id)])


def parse_body(entry: Entry) -> dict[str, Any]:
    """What the body says; nothing if it is not JSON any more, for such entries must be looked at, too."""
    try:
        body = orjson.loads(bytes(entry.body))
    except orjson.JSONDecodeError:
        return {}
    return body if isinstance(body, dict) else {}


def _show(
    entry: Entry, body: dict[str, Any], before: bytes | None, currency: str, owners: dict[str, Owner]
) -> ShownEntry:
    facts, postings = body.get("facts"), list(entry.postings.all())
    leaf = getattr(entry, "leaf", None)
    return ShownEntry(
        entry=entry,
        url=change_url(entry),
        index=None if leaf is None else leaf.pk,
        is_hashed=leaf_hash(bytes(entry.body)) == bytes(entry.leaf_hash)
        and (leaf is None or bytes(leaf.leaf_hash) == bytes(entry.leaf_hash)),
        follows="prev" in body
        and body["prev"] == (None if before is None else before.hex())
        and (entry.stream_seq > 1) is (before is not None),
        facts=fact_rows(facts, currency) if isinstance(facts, dict) else [],
        lines=[_line(posting, owners) for posting in postings],
        lines_differ=[[row.account, row.currency, row.amount_minor] for row in postings] != body.get("postings"),
        openings=_openings(entry, body.get("sealed"), currency),
        raw=pretty_json(entry.body),
    )


def _line(posting: Posting, owners: dict[str, Owner]) -> Line:
    amount = amount_text(abs(posting.amount_minor), posting.currency)
    debit, credit = (amount, "") if posting.amount_minor > 0 else ("", amount)
    return Line(account_name(posting.account), owners[posting.owner_id], posting.currency, debit, credit)


def _openings(entry: Entry, sealed: Any, currency: str) -> list[ShownOpening]:
    """The openings there are, and those that are gone though the body has sealed them."""
    hashes = sealed if isinstance(sealed, dict) else {}
    kept = {opening.party: bytes(opening.content) for opening in entry.openings.all()}
    shown = []
    for party in _PARTIES:
        if party in kept:
            holds = sha256(kept[party]).hexdigest() == hashes.get(party)
            shown.append(
                ShownOpening(party, "" if holds else "not what the body has sealed", _told(kept[party], currency))
            )
        elif party in hashes:
            shown.append(ShownOpening(party, "erased; the entry stands and verifies without it", []))
    return shown


def _told(content: bytes, currency: str) -> list[FactRow]:
    try:
        facts = orjson.loads(content)
    except orjson.JSONDecodeError:
        return []
    return [row for row in fact_rows(facts, currency) if row.name != "nonce"] if isinstance(facts, dict) else []
