"""A document for people, before it has a form: the same texts become HTML and PDF, so that these never differ."""

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any

from ledger.models import Head
from rako.core.tlog.encoding import encode_base64

Facts = list[tuple[str, str]]


@dataclass(frozen=True, slots=True)
class Party:
    """Whoever writes or gets a document; empty lines are left out."""

    role: str
    name: str
    lines: list[str]


@dataclass(frozen=True, slots=True)
class Table:
    """Rows of texts; the last `numeric` columns are figures."""

    title: str
    columns: tuple[str, ...]
    rows: Sequence[tuple[str, ...]]
    numeric: int = 2


@dataclass(frozen=True, slots=True)
class Paper:
    """A document. The last of `totals` is what it comes to; `foot` is how to check it."""

    title: str
    number: str
    parties: list[Party]
    facts: Facts
    tables: list[Table]
    totals: Facts
    foot: Facts
    notes: list[str] = field(default_factory=list)


def party(role: str, details: dict[str, Any]) -> Party:
    """Seller or buyer, as the batch has written them down."""
    vat_number = details["vat_number"]
    lines = [
        *details["address"].splitlines(),
        details.get("country", ""),
        f"VAT number {vat_number}" * bool(vat_number),
    ]
    return Party(role, details["name"], [line.strip() for line in lines if line.strip()])


def foot_of(batch_id: str, cut: int, document_sha256: str) -> Facts:
    """What ties a document to the ledger: the log that its batch was reckoned from, and the hash of the batch.

    Whoever keeps the document keeps a root of the log, too: docs/ledger.md tells how to hold today's log against it.
    """
    root = Head.objects.filter(pk=cut).values_list("root", flat=True).first()
    return [
        ("Ledger", f"{cut:,} entries"),
        ("Merkle root", "–" if root is None else encode_base64(bytes(root))),
        ("Batch", batch_id),
        ("SHA-256 of the batch", document_sha256),
    ]


def month_text(period: str) -> str:
    """Of a month or a day, for people: `January 2026`."""
    return f"{_MONTHS[int(period[5:7]) - 1]} {period[:4]}"


_MONTHS = (
    *("January", "February", "March", "April", "May", "June"),
    *("July", "August", "September", "October", "November", "December"),
)
