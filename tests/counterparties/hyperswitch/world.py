"""What the fake remembers: merchants, payments, refunds, disputes, events; and its clock and its ids.

Everything is read and written under `World.lock`. Ids are derived from a seed and a counter: the same calls on the same
seed give the same ids.
"""

import hashlib
import heapq
import threading
from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from typing import Any

Json = dict[str, Any]
Key = tuple[str, str]  # merchant id, object id: ids are unique within a merchant only
Clock = Callable[[], datetime]


@dataclass(eq=False)
class Merchant:
    """A merchant with its one profile. `api_key` is the key it was created with; `keys` are those that still open."""

    merchant_id: str
    profile_id: str
    api_key: str
    payment_response_hash_key: str | None
    webhook_url: str | None
    webhooks_allowed: bool
    keys: set[str] = field(default_factory=set)
    refunds_become: str = "succeeded"


@dataclass(frozen=True)
class Decline:
    """Why the processor refused: its own code and words, and Hyperswitch's unified code."""

    error_code: str
    error_message: str
    unified_code: str = "UE_9000"
    unified_message: str = "The payment was refused"


@dataclass
class Attempt:
    attempt_id: str
    created: datetime
    status: str = "pending"
    decline: Decline | None = None


@dataclass(eq=False)
class Payment:
    """One payment. `fields` are the request's, checked; `unseen` is an outcome that only a force_sync brings in."""

    number: int
    merchant: Merchant
    payment_id: str
    fields: Json
    created: datetime
    expires_on: datetime
    client_secret: str
    link_id: str | None
    status: str = "requires_payment_method"
    amount_received: int | None = None
    attempts: list[Attempt] = field(default_factory=list)
    cancellation_reason: str | None = None
    unseen: tuple[str, Decline | None] | None = None
    modified: datetime | None = None
    refunds: list["Refund"] = field(default_factory=list)
    disputes: list["Dispute"] = field(default_factory=list)

    @property
    def amount(self) -> int:
        return int(self.fields["amount"])

    @property
    def currency(self) -> str:
        return str(self.fields["currency"])


@dataclass(eq=False)
class Refund:
    number: int
    payment: Payment
    refund_id: str
    amount: int
    status: str
    created: datetime
    updated: datetime
    reason: str | None = None
    metadata: Json | None = None
    error: tuple[str, str] | None = None


@dataclass(eq=False)
class Dispute:
    number: int
    payment: Payment
    dispute_id: str
    amount: int
    status: str
    reason: str
    created: datetime
    updated: datetime


@dataclass(eq=False)
class Event:
    """One webhook event. Body and headers are fixed when it happens: every delivery sends the same bytes."""

    number: int
    merchant: Merchant
    event_id: str
    event_type: str
    object_id: str
    body: bytes
    headers: dict[str, str]
    answers: list[int] = field(default_factory=list)

    @property
    def is_delivered(self) -> bool:
        return any(200 <= answer < 300 for answer in self.answers)


class World:
    """All state of one counterparty, its lock, its clock and its ids."""

    def __init__(self, *, mode: str, clock: Clock | None, seed: int, announces_expiry: bool) -> None:
        self.lock = threading.RLock()
        self.mode = mode
        self.announces_expiry = announces_expiry
        self.lists_disputes_by_start_time = False
        self.base_url = ""
        self.merchants: dict[str, Merchant] = {}
        self.payments: dict[Key, Payment] = {}
        self.refunds: dict[Key, Refund] = {}
        self.disputes: dict[Key, Dispute] = {}
        self.events: list[Event] = []
        self.announced: set[tuple[str, str, str]] = set()
        self._lapses: list[tuple[datetime, int, Payment]] = []
        self._clock = clock or (lambda: datetime.now(UTC))
        self._offset = timedelta()
        self._seed = seed
        self._counts: Counter[str] = Counter()

    def now(self) -> datetime:
        return self._clock() + self._offset

    def advance(self, seconds: float) -> None:
        self._offset += timedelta(seconds=seconds)

    def number(self, kind: str) -> int:
        """The next number of a kind: the order in which things came to be."""
        self._counts[kind] += 1
        return self._counts[kind]

    def new_id(self, prefix: str, length: int = 26) -> str:
        """`prefix_` and `length` characters; with the default and a three-letter prefix exactly 30."""
        text = f"{self._seed}:{prefix}:{self.number(prefix)}"
        return f"{prefix}_{hashlib.sha256(text.encode()).hexdigest()[:length]}"

    def add_payment(self, payment: Payment) -> None:
        self.payments[payment.merchant.merchant_id, payment.payment_id] = payment
        heapq.heappush(self._lapses, (payment.expires_on, payment.number, payment))

    def lapsed(self) -> list[Payment]:
        """Payments whose session has run out since this was last asked, oldest first."""
        due = []
        while self._lapses and self._lapses[0][0] <= self.now():
            due.append(heapq.heappop(self._lapses)[2])
        return due
