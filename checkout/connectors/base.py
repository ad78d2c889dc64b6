"""The connector contract: what Rako asks of a payment service provider (PSP), in words that belong to none of them.

A connector turns PSP objects into these types and back. It is synchronous, holds no state, never touches the
ledger and never opens a transaction; whoever calls it holds none either. Money is whole minor units.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from enum import StrEnum
from typing import ClassVar, Generic, Protocol, TypeVar

from rako.core.errors import RakoError
from rako.core.money import Money


@dataclass(frozen=True, slots=True)
class ConnectionSecrets:
    """What a connector needs to act for one merchant; webhook secrets come newest first."""

    connection_id: str
    account_id: str
    is_live: bool
    credentials: Mapping[str, str] = field(repr=False)
    webhook_secrets: Sequence[str] = field(repr=False)


@dataclass(frozen=True, slots=True)
class ConnectionHealth:
    """What a PSP says of the credentials it was asked with. `missing` names the rights that they lack, in its words."""

    account_id: str
    is_live: bool
    missing: Sequence[str] = ()


@dataclass(frozen=True, slots=True)
class CheckoutRequest:
    """A hosted payment page to make. `attempt_id` is our transaction id and the PSP's idempotency key."""

    attempt_id: str
    money: Money
    merchant_name: str
    item_name: str
    success_url: str
    cancel_url: str
    expires_at: datetime
    metadata: Mapping[str, str]


@dataclass(frozen=True, slots=True)
class CheckoutLink:
    """The PSP's page: its object id, its address, when it closes."""

    psp_id: str
    url: str
    expires_at: datetime


@dataclass(frozen=True, slots=True)
class StoredCharge:
    """An off-session charge of a payment method that the merchant's PSP already holds.

    `payment_method` is what the merchant gave the buyer: the payment method's id there, or "<customer>/<method>".
    """

    attempt_id: str
    money: Money
    merchant_name: str
    item_name: str
    payment_method: str
    metadata: Mapping[str, str]


# What may be told of a refused charge.
DECLINE_REASONS = ("insufficient_funds", "expired_card", "authentication_required", "generic")


class ChargeStatus(StrEnum):
    """Where an off-session charge stands (protocol, section 1, /v1/purchase)."""

    SUCCEEDED = "succeeded"
    PROCESSING = "processing"
    REQUIRES_ACTION = "requires_action"
    DECLINED = "declined"


@dataclass(frozen=True, slots=True)
class ChargeResult:
    """The PSP's answer to a charge. `confirmation` is its payment id: not a conversion, only a reference.

    `decline_reason` is one of `DECLINE_REASONS`: a lost or stolen card is nobody's business.
    """

    status: ChargeStatus
    psp_id: str
    confirmation: str
    decline_reason: str = ""
    next_action_url: str = ""


class PaymentState(StrEnum):
    """The states of a payment that Rako distinguishes."""

    OPEN = "open"
    PENDING = "pending"
    SUCCEEDED = "succeeded"
    FAILED = "failed"
    EXPIRED = "expired"


@dataclass(frozen=True, slots=True)
class Attempt:
    """One of our calls as far as we know it: our transaction id, the object it made if that is known, and when."""

    attempt_id: str
    psp_id: str
    created_at: datetime


@dataclass(frozen=True, slots=True)
class PaymentSnapshot:
    """A page or payment as it stands at the PSP now.

    `psp_id` is the object that our call made, `payment_ref` the canonical payment ("" before there is one), `psp_ids`
    both and whatever else belongs to them. `money` is what was or is to be paid, `status` the PSP's own word.
    `attempt_id` is ours, as it stands in the object, "" in one that we did not make. `refunded_minor` is None where the
    PSP does not say, as some do not in lists.
    """

    psp_id: str
    state: PaymentState
    payment_ref: str
    psp_ids: Sequence[str]
    money: Money | None
    created_at: datetime
    is_live: bool
    attempt_id: str = ""
    metadata: Mapping[str, str] = field(default_factory=dict)
    refunded_minor: int | None = None
    status: str = ""
    url: str = ""
    expires_at: datetime | None = None


class RefundState(StrEnum):
    """Where a refund stands. One that had succeeded may still fail, days later."""

    PENDING = "pending"
    SUCCEEDED = "succeeded"
    FAILED = "failed"


@dataclass(frozen=True, slots=True)
class RefundSnapshot:
    """A refund as it stands at the PSP now, whoever asked for it."""

    refund_id: str
    payment_ref: str
    state: RefundState
    money: Money
    created_at: datetime
    status: str = ""


class DisputeState(StrEnum):
    """Where a dispute stands. An inquiry takes no money; a released one was won, withdrawn or prevented."""

    INQUIRY = "inquiry"
    OPEN = "open"
    LOST = "lost"
    RELEASED = "released"


@dataclass(frozen=True, slots=True)
class DisputeSnapshot:
    """A dispute as it stands at the PSP now."""

    dispute_id: str
    payment_ref: str
    state: DisputeState
    money: Money
    created_at: datetime
    status: str = ""


T = TypeVar("T")


@dataclass(frozen=True, slots=True)
class Page(Generic[T]):
    """A part of a list, which may be empty, and where the next one begins: "" at the end."""

    items: Sequence[T]
    cursor: str = ""


@dataclass(frozen=True, slots=True)
class VerifiedEvent:
    """A webhook whose signature held. `payload` is the parsed body: plain dicts, PSP's words, not yet normalised."""

    event_id: str
    event_type: str
    is_live: bool
    occurred_at: datetime
    payload: Mapping[str, object]


class OutcomeType(StrEnum):
    """What an event means for a sale."""

    PAYMENT_SUCCEEDED = "payment_succeeded"
    PAYMENT_PENDING = "payment_pending"
    PAYMENT_FAILED = "payment_failed"
    CHECKOUT_EXPIRED = "checkout_expired"
    REFUND_SUCCEEDED = "refund_succeeded"
    REFUND_PENDING = "refund_pending"
    REFUND_FAILED = "refund_failed"  # for good, or after it had succeeded
    REFUND_TOTAL = "refund_total"  # what all refunds of a payment come to: held against them, never added
    DISPUTE_INQUIRY = "dispute_inquiry"
    DISPUTE_OPENED = "dispute_opened"
    DISPUTE_LOST = "dispute_lost"
    DISPUTE_RELEASED = "dispute_released"
    CONNECTION_REVOKED = "connection_revoked"


@dataclass(frozen=True, slots=True)
class OutcomeEvent:
    """One outcome in Rako's words.

    `payment_ref` is the PSP's canonical payment id: several events may name the same one, and it is attributed once.
    `psp_ids` are all object ids the event names, newest knowledge of how they belong together. `status` is the
    PSP's own word, kept for people. `is_complete` says that the money is captured in full and owed to the merchant.
    A refund and the opening of a dispute occurred when they were made, as the PSP's lists say, too: who tells of it,
    and when, makes no difference. `related_ref` is the refund's or dispute's id, `money` then its amount (the sum of
    all refunds in REFUND_TOTAL).
    """

    type: OutcomeType
    account_id: str
    is_live: bool
    occurred_at: datetime
    payment_ref: str
    psp_ids: Sequence[str]
    money: Money | None
    metadata: Mapping[str, str]
    status: str
    is_complete: bool
    related_ref: str = ""


class PaymentConnector(Protocol):
    """One PSP. Every method may raise a ConnectorError; none raises anything else for what a PSP or a stranger sent."""

    kind: ClassVar[str]
    # Whether `list_events` has anything to say: not every PSP keeps what it sent.
    keeps_events: ClassVar[bool]

    def __init__(self, connection: ConnectionSecrets) -> None: ...

    def verify_connection(self) -> ConnectionHealth:
        """Whose account the credentials open and which rights they lack, by calls that change nothing."""

    def create_checkout(self, request: CheckoutRequest) -> CheckoutLink:
        """Make the hosted page; the same attempt again gives the same page."""

    def expire_checkout(self, psp_id: str) -> PaymentState:
        """Close an open page so that it can no longer be paid. Returns the state it is in now: EXPIRED, or
        PENDING/SUCCEEDED when the buyer was faster. Raises PspBusy for one that cannot be closed yet."""

    def charge_stored_method(self, request: StoredCharge) -> ChargeResult:
        """Charge without the buyer; the same attempt again gives the same charge, never a second one."""

    def find_attempt(self, attempt: Attempt) -> PaymentSnapshot | None:
        """What the PSP holds for one of our attempts; None if the call never reached it."""

    def get_payment(self, payment_ref: str) -> PaymentSnapshot | None:
        """A payment as it stands now; None if the account has no such payment."""

    def verify_webhook(self, body: bytes, headers: Mapping[str, str], *, now: datetime) -> VerifiedEvent:
        """Authenticate and read a delivery; `headers` in lower case. Raises BadSignature or MalformedEvent."""

    def read_event(self, body: bytes) -> VerifiedEvent:
        """Read a delivery that was authenticated before it was stored. Raises MalformedEvent."""

    def normalize(self, event: VerifiedEvent) -> list[OutcomeEvent]:
        """The outcomes in an event, none for one that says nothing about a sale. Pure. Raises MalformedEvent."""

    def list_payments(self, since: datetime, until: datetime, *, cursor: str = "") -> Page[PaymentSnapshot]:
        """Payments created in [since, until), one request's worth, in an order in which `cursor` goes on."""

    def list_refunds(self, since: datetime, until: datetime, *, cursor: str = "") -> Page[RefundSnapshot]:
        """Refunds created in [since, until)."""

    def list_disputes(self, since: datetime, until: datetime, *, cursor: str = "") -> Page[DisputeSnapshot]:
        """Disputes created in [since, until)."""

    def list_events(self, since: datetime, until: datetime, *, cursor: str = "") -> Page[VerifiedEvent]:
        """The events of that time that say something about a sale, as far as the PSP still keeps them."""


class ConnectorError(RakoError):
    """A PSP call that did not give a result. `outcome_unknown`: it may have taken effect all the same.

    The HTTP status is for /v1/purchase; on /v1/checkout every failure is 502 (protocol, section 1).
    """

    status, code, message = 502, "psp_error", "Could not create checkout"
    outcome_unknown = False
    seconds: int | None = None  # after which it may be asked again

    def __init__(self, message: str | None = None, *, code: str | None = None, retry_after: int | None = None) -> None:
        super().__init__(message, code=code, retry_after=retry_after or self.seconds)


class PspUnavailable(ConnectorError):
    """The PSP was not reached, or said that it did nothing."""

    status, code, message = 503, "psp_unreachable", "The payment processor cannot be reached"
    seconds = 10


class PspRateLimited(ConnectorError):
    """The PSP refuses more requests for now; it did nothing."""

    status, code, message = 503, "psp_rate_limited", "The payment processor takes no more requests at the moment"
    seconds = 10


class PspTimeout(ConnectorError):
    """No answer in time: the call may have taken effect."""

    status, code, message = 504, "outcome_unknown", "The payment's outcome is not known yet"
    outcome_unknown = True
    seconds = 30  # the worker has asked again by then, or soon after


class PspFault(ConnectorError):
    """An answer that is none: a fault of the PSP, or garbage. The call may have taken effect."""

    outcome_unknown = True


class PspBusy(ConnectorError):
    """The same request, or another on the same object, is in flight. It may take effect."""

    status, code, message = 409, "in_progress", "A payment for this session is in progress"
    outcome_unknown = True
    seconds = 2


class KeyReuseMismatch(ConnectorError):
    """The attempt was used for another request, which may have taken effect."""

    status, code, message = 409, "idempotency_mismatch", "This purchase was asked for in another way before"
    outcome_unknown = True


class NotPayable(ConnectorError):
    """The account cannot take this payment: the amount is too small, the currency or method is not enabled."""

    status, code, message = 409, "not_payable", "The merchant's payment processor does not take this payment"


class PspRejected(ConnectorError):
    """The PSP refused the request itself: our mistake."""

    code = "psp_rejected"


class ConnectionRevoked(ConnectorError):
    """The merchant's credentials no longer work, or lack a right."""

    status, code, message = 503, "payment_connection_unavailable", "The merchant's payment connection does not work"


class BadSignature(ConnectorError):
    """The delivery is not from the PSP, too old, or from the future."""

    status, code, message = 400, "invalid_signature", "Invalid signature"


class MalformedEvent(ConnectorError):
    """The delivery is authentic but makes no sense, or belongs to another account or mode."""

    status, code, message = 400, "malformed_event", "Malformed event"
