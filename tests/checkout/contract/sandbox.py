"""The sandbox PSP behind the contract's suite."""

from collections.abc import Sequence
from datetime import timedelta
from typing import Any

import orjson
from django.utils import timezone

from checkout.connectors.base import ConnectionSecrets
from checkout.connectors.sandbox import accounts, cards, disputes, pages, refunds, signature
from checkout.connectors.sandbox.connector import SandboxConnector
from checkout.connectors.sandbox.models import Event, Payment
from tests.checkout.contract.psp import Delivery


class SandboxPsp:
    """An account of our own PSP, told of things in-process."""

    signs_time = True
    has_inquiries = True
    methods = {
        "succeeded": "cus_1/pm_card_visa",
        "processing": "pm_card_processing",
        "needs_buyer": "pm_card_authentication_required",
        "insufficient_funds": "pm_card_insufficient_funds",
        "expired_card": "pm_card_expired",
        "generic": "pm_card_declined",
    }

    def __init__(self) -> None:
        self._account = accounts.open_account("Northwind Mobile", "/hooks/northwind")

    def connector(self, **changes: Any) -> SandboxConnector:
        fields: dict[str, Any] = {
            "connection_id": "01J00000000000000000000000",
            "account_id": self._account.pk,
            "is_live": False,
            "credentials": {"secret_key": self._account.secret_key},
            "webhook_secrets": [self._account.webhook_secret],
        }
        return SandboxConnector(ConnectionSecrets(**fields | changes))

    def pay(self, page: str) -> None:
        self._try(page, "succeeds")

    def decline(self, page: str) -> None:
        self._try(page, "declined")

    def refund(self, payment_ref: str, amount_minor: int) -> str:
        return str(refunds.refund(self._payment(payment_ref), amount_minor).pk)

    def fail_refund(self, refund_id: str) -> None:
        refunds.fail_refund(refund_id)

    def dispute(self, payment_ref: str, *, is_inquiry: bool = False) -> str:
        return str(disputes.open_dispute(self._payment(payment_ref), is_inquiry=is_inquiry).pk)

    def lose(self, dispute_id: str) -> None:
        disputes.lose(dispute_id)

    def win(self, dispute_id: str) -> None:
        disputes.win(dispute_id)

    def revoke(self) -> None:
        accounts.close_account(self._account.pk)

    def deliveries(self) -> Sequence[Delivery]:
        bodies = [orjson.dumps(event.payload) for event in Event.objects.order_by("created_at", "pk")]
        return [(body, self.signed(body)) for body in bodies]

    def signed(self, body: bytes, *, secret: str = "", ago: int = 0) -> dict[str, str]:
        at = timezone.now() - timedelta(seconds=ago)
        return {signature.HEADER.lower(): signature.sign(body, secret or self._account.webhook_secret, at)}

    def _try(self, page: str, name: str) -> None:
        card = cards.by_name(name)
        assert card is not None
        pages.pay_page(page, card)

    def _payment(self, payment_ref: str) -> Payment:
        return Payment.objects.get(pk=payment_ref)
