"""The connector contract: what Rako asks of a payment service provider (PSP), in words that belong to none of them.

A connector turns PSP objects into these types and back. It is synchronous, holds no state, never touches the
ledger and never opens a transaction; whoever calls it holds none either. Money is whole minor units.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from enum import StrEnum
from typing import ClassVar, Protocol

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
    """An off-session charge of a payment method that the merchant's PSP already holds."""

    attempt_id: str
    money: Money
    merchant_name: str
    item_name: str
    payment_method: str
    metadata: Mapping[str, str]


class ChargeStatus(StrEnum):
    """Where an off-session charge stands (protocol, section 1, /v1/purchase)."""

    SUCCEEDED = "succeeded"
    PROCESSING = "processing"
    REQUIRES_ACTION = "requires_action"
    DECLINED = "declined"


@dataclass(frozen=True, slots=True)
class ChargeResult:
    """The PSP's answer to a charge. `confirmation` is its payment id: not a conversion, only a reference."""

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
class PaymentSnapshot:
    """A PSP object as it stands now, for the worker that completes or voids calls which died half-way."""

    psp_id: str
    state: PaymentState
    url: str
    expires_at: datetime


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


@dataclass(frozen=True, slots=True)
class OutcomeEvent:
    """One outcome in Rako's words.

    `payment_ref` is the PSP's canonical payment id: several events may name the same one, and it is attributed once.
    `psp_ids` are all object ids the event names, newest knowledge of how they belong together. `status` is the
    PSP's own word, kept for people. `is_complete` says that the money is captured in full and owed to the merchant.
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


class PaymentConnector(Protocol):
    """One PSP. Every method may raise a ConnectorError; none raises anything else for what a PSP or a stranger sent."""

    kind: ClassVar[str]

    def __init__(self, connection: ConnectionSecrets) -> None: ...

    def create_checkout(self, request: CheckoutRequest) -> CheckoutLink:
        """Make the hosted page; the same attempt again gives the same page."""

    def expire_checkout(self, psp_id: str) -> PaymentState:
        """Close an open page so that it can no longer be paid. Returns the state it is in now: EXPIRED, or
        PENDING/SUCCEEDED when the buyer was faster."""

    def charge_stored_method(self, request: StoredCharge) -> ChargeResult:
        """Charge without the buyer; the same attempt again gives the same charge, never a second one."""

    def find_attempt(self, attempt_id: str) -> PaymentSnapshot | None:
        """What the PSP holds for one of our attempts; None if the call never reached it."""

    def verify_webhook(self, body: bytes, headers: Mapping[str, str], *, now: datetime) -> VerifiedEvent:
        """Authenticate and read a delivery; `headers` in lower case. Raises BadSignature or MalformedEvent."""

    def read_event(self, body: bytes) -> VerifiedEvent:
        """Read a delivery that was authenticated before it was stored. Raises MalformedEvent."""

    def normalize(self, event: VerifiedEvent) -> list[OutcomeEvent]:
        """The outcomes in an event, none for one that says nothing about a sale. Pure. Raises MalformedEvent."""


class ConnectorError(RakoError):
    """A PSP call that did not give a result. `outcome_unknown`: it may have taken effect all the same."""

    status, code, message = 502, "psp_error", "Could not create checkout"
    outcome_unknown = False


class PspUnavailable(ConnectorError):
    """The PSP was not reached, or said that it did nothing."""

    code = "psp_unreachable"


class PspTimeout(ConnectorError):
    """No answer in time: the call may have taken effect."""

    code = "outcome_unknown"
    outcome_unknown = True


class PspRejected(ConnectorError):
    """The PSP refused the request itself: our mistake, or the merchant's account does not allow it."""

    code = "psp_rejected"


class ConnectionRevoked(ConnectorError):
    """The merchant's credentials no longer work."""

    code = "payment_connection_unavailable"


class BadSignature(ConnectorError):
    """The delivery is not from the PSP, too old, or from the future."""

    status, code, message = 400, "invalid_signature", "Invalid signature"


class MalformedEvent(ConnectorError):
    """The delivery is authentic but makes no sense, or belongs to another account or mode."""

    status, code, message = 400, "malformed_event", "Malformed event"
