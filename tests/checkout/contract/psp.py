"""What a test of the contract needs of a PSP, and the requests that it sends through a connector."""

from collections.abc import Mapping, Sequence
from datetime import timedelta
from typing import Any, Protocol

from django.utils import timezone

from checkout.connectors.base import Attempt, CheckoutRequest, PaymentConnector, StoredCharge
from rako.core.ids import new_id
from rako.core.money import Money

PRICE = Money(1_200, "GBP")
Delivery = tuple[bytes, dict[str, str]]


class Psp(Protocol):
    """One account at one PSP, and everybody else who has to do with it: buyers, banks, the merchant's staff."""

    # What not every PSP has.
    signs_time: bool
    has_inquiries: bool
    # Payment methods it holds, by what comes of charging them: "succeeded", "needs_buyer", or a decline reason.
    methods: Mapping[str, str]

    def connector(self, **changes: Any) -> PaymentConnector:
        """The connector with the account's own secrets, or others."""

    def pay(self, page: str) -> None:
        """The buyer pays on a page."""

    def decline(self, page: str) -> None:
        """The buyer tries a card that is refused."""

    def refund(self, payment_ref: str, amount_minor: int) -> str:
        """The merchant's staff give a part back; the refund's id."""

    def fail_refund(self, refund_id: str) -> None:
        """The buyer's bank sends back a refund that had succeeded."""

    def dispute(self, payment_ref: str, *, is_inquiry: bool = False) -> str:
        """The buyer's bank takes the payment back, or only asks; the dispute's id."""

    def lose(self, dispute_id: str) -> None:
        """The bank keeps the money."""

    def win(self, dispute_id: str) -> None:
        """The bank gives the money back, or closes its inquiry."""

    def revoke(self) -> None:
        """The credentials stop working."""

    def deliveries(self) -> Sequence[Delivery]:
        """All that was told so far, oldest first, with headers in lower case."""

    def signed(self, body: bytes, *, secret: str = "", ago: int = 0) -> dict[str, str]:
        """The headers of a delivery signed so many seconds ago, with the account's own secret unless told otherwise."""


def request(**changes: Any) -> CheckoutRequest:
    """A page for £12.00 that is open for two hours."""
    attempt_id = changes.get("attempt_id") or new_id()
    fields: dict[str, Any] = {
        "attempt_id": attempt_id,
        "money": PRICE,
        "merchant_name": "Northwind Mobile",
        "item_name": "SIM 20",
        "success_url": f"http://127.0.0.1:3456/checkout/{attempt_id}/done",
        "cancel_url": f"http://127.0.0.1:3456/checkout/{attempt_id}/cancelled",
        "expires_at": timezone.now() + timedelta(hours=2),
        "metadata": {"aap_checkout_id": attempt_id, "aap_code": "aap://rako.sh/v1/x"},
    }
    return CheckoutRequest(**fields | changes)


def charge(payment_method: str, **changes: Any) -> StoredCharge:
    """A charge of £12.00."""
    attempt_id = changes.get("attempt_id") or new_id()
    fields: dict[str, Any] = {
        "attempt_id": attempt_id,
        "money": PRICE,
        "merchant_name": "Northwind Mobile",
        "item_name": "SIM 20",
        "payment_method": payment_method,
        "metadata": {"aap_checkout_id": attempt_id},
    }
    return StoredCharge(**fields | changes)


def attempt(attempt_id: str) -> Attempt:
    """An attempt whose answer was lost: all we know is our own id, and when it was."""
    return Attempt(attempt_id, psp_id="", created_at=timezone.now())
