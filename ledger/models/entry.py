"""Entries: the facts of the attribution chain, one immutable row each, with their postings and openings."""

from typing import Any

from django.db import models
from django.db.models import Func, Q
from django.db.models.functions import Now

from rako.core.append_only import AppendOnlyModel
from rako.core.ids import UlidField
from rako.core.money import EXPONENTS


class Account(models.TextChoices):
    """The accounts of the double entry. Debits are positive, credits negative; all but the last five have an owner."""

    MERCHANT_ACCRUED = "merchant_accrued", "owed by the merchant once validated"
    MERCHANT_RECEIVABLE = "merchant_receivable", "owed by the merchant"
    BUILDER_PENDING = "builder_pending", "owed to the builder once validated"
    BUILDER_PAYABLE = "builder_payable", "owed to the builder"
    BUILDER_CLAWBACK_DUE = "builder_clawback_due", "owed by the builder: paid out, then reversed"
    FEE_PENDING = "fee_pending", "the network's fee once validated"
    FEE_REVENUE = "fee_revenue", "the network's fee"
    VAT_PAYABLE = "vat_payable", "VAT on the network's invoices"
    BANK_CLEARING = "bank_clearing", "money that moved through the bank"
    BAD_DEBT = "bad_debt", "what nobody will pay any more"


class LeafHash(Func):
    """RFC 6962 leaf hash: SHA-256 over a zero byte and the body. PostgreSQL computes it, so it cannot be claimed."""

    template = "sha256('\\x00'::bytea || %(expressions)s)"
    output_field = models.BinaryField()


class TransactionId(models.Field):  # type: ignore[type-arg]  # no arguments at run time
    """The 64-bit id of the transaction that wrote a row (`xid8`)."""

    def db_type(self, connection: Any) -> str:
        return "xid8"

    def from_db_value(self, value: Any, expression: Any, connection: Any) -> int | None:
        return None if value is None else int(value)


class CurrentTransaction(Func):
    """The id of the running transaction."""

    template = "pg_current_xact_id()"
    output_field = TransactionId()


class Entry(AppendOnlyModel):
    """One fact. `body` is canonical JSON and authoritative; the other columns are copies for queries.

    Entries of one stream (a session, a recommendation, a checkout, a conversion, a delivery that proved nothing) form
    a chain: `stream_seq` counts from 1 and the body's `prev` is the hash of the entry before. Only the function
    `ledger_append` writes entries (see `rako.core.facts`); PostgreSQL stamps `recorded_at` and `xid`.
    """

    entry_id = UlidField(unique=True)
    stream_id = models.CharField(max_length=26, db_collation="C")
    stream_seq = models.PositiveIntegerField()
    kind = models.CharField(max_length=40)
    idempotency_key = models.CharField(max_length=200, unique=True, db_collation="C")
    # The parties that may read it. No foreign keys: the body is what counts, and appends are the hot path.
    merchant_id = models.CharField(max_length=26, null=True, db_collation="C")  # absent, not empty
    agent_id = models.CharField(max_length=26, null=True, db_collation="C")
    occurred_at = models.DateTimeField()
    recorded_at = models.DateTimeField(db_default=Now(), editable=False)
    xid = TransactionId(db_default=CurrentTransaction(), editable=False)
    body = models.BinaryField()
    leaf_hash = models.GeneratedField(expression=LeafHash("body"), output_field=models.BinaryField(), db_persist=True)

    class Meta:
        verbose_name_plural = "entries"
        ordering = ["id"]
        constraints = [
            models.UniqueConstraint(fields=["stream_id", "stream_seq"], name="entry_one_per_place_in_its_stream"),
            models.CheckConstraint(condition=Q(stream_seq__gte=1), name="entry_streams_start_at_one"),
        ]
        # The sequencer reads what was written since its last look, and nothing else.
        indexes = [models.Index(fields=["xid"], name="entry_written_by")]

    def __str__(self) -> str:
        return f"{self.kind} {self.entry_id}"


class Posting(AppendOnlyModel):
    """One line of an entry's double entry. PostgreSQL adds up the lines of each entry and currency."""

    pk = models.CompositePrimaryKey("entry", "place")
    # Written by the function that has just written the entry; a trigger refuses any other.
    entry = models.ForeignKey(Entry, models.PROTECT, related_name="postings", db_constraint=False, db_index=False)
    place = models.PositiveSmallIntegerField()
    account = models.CharField(max_length=24, choices=Account)
    owner_id = models.CharField(max_length=26, blank=True, db_collation="C")
    currency = models.CharField(max_length=3)
    amount_minor = models.BigIntegerField(help_text="Debits are positive, credits negative.")

    class Meta:
        constraints = [
            models.CheckConstraint(condition=Q(account__in=Account.values), name="posting_account_is_known"),
            models.CheckConstraint(condition=Q(currency__in=list(EXPONENTS)), name="posting_currency_is_known"),
            models.CheckConstraint(condition=~Q(amount_minor=0), name="posting_moves_something"),
        ]

    def __str__(self) -> str:
        return f"{self.account} {self.amount_minor} {self.currency}"


class Opening(AppendOnlyModel):
    """What an entry says to one party alone. The body holds only its SHA-256; with its nonce, that tells nobody else.

    Rows are never changed. Those of an entry without postings may be deleted (erasure of personal text): the entry
    still stands and verifies.
    """

    class Party(models.TextChoices):
        MERCHANT = "merchant"
        AGENT = "agent"

    pk = models.CompositePrimaryKey("entry", "party")
    entry = models.ForeignKey(Entry, models.PROTECT, related_name="openings", db_constraint=False, db_index=False)
    party = models.CharField(max_length=8, choices=Party)
    content = models.BinaryField()

    class Meta:
        constraints = [
            models.CheckConstraint(condition=Q(party__in=["merchant", "agent"]), name="opening_party_is_known")
        ]

    def __str__(self) -> str:
        return f"{self.party} of {self.entry_id}"


class Balance(models.Model):
    """What the sequenced postings of an account come to. A projection: `rebuild_projections` makes it anew."""

    pk = models.CompositePrimaryKey("account", "owner_id", "currency")
    account = models.CharField(max_length=24, choices=Account)
    owner_id = models.CharField(max_length=26, blank=True, db_collation="C")
    currency = models.CharField(max_length=3)
    balance_minor = models.BigIntegerField()

    def __str__(self) -> str:
        return f"{self.account} {self.owner_id} {self.balance_minor} {self.currency}"
