"""Hyperswitch's counterparty behind the contract's suite."""

from collections.abc import Sequence
from typing import Any

from checkout.connectors.base import ConnectionSecrets
from checkout.connectors.hyperswitch.connector import HyperswitchConnector
from tests.checkout.contract.psp import Delivery
from tests.counterparties.hyperswitch import HyperswitchCounterparty, signature


class HyperswitchPsp:
    """A merchant at Hyperswitch. Its deliveries are caught before they leave."""

    signs_time = False
    has_inquiries = False
    methods = {
        "succeeded": "cus_1/pm_succeeds",
        "processing": "cus_1/pm_processing",
        "needs_buyer": "cus_1/pm_requires_action",
        "insufficient_funds": "cus_1/pm_insufficient_funds",
        "expired_card": "cus_1/pm_expired_card",
        "generic": "cus_1/pm_lost_card",
    }

    def __init__(self, settings: Any) -> None:
        self._psp = HyperswitchCounterparty(sender=self._catch)
        self._sent: list[Delivery] = []
        self._merchant = self._psp.add_merchant("http://127.0.0.1/hooks")
        settings.RAKO_HYPERSWITCH_API_BASE = self._psp.base_url

    def close(self) -> None:
        self._psp.close()

    def connector(self, **changes: Any) -> HyperswitchConnector:
        fields: dict[str, Any] = {
            "connection_id": "01J00000000000000000000000",
            "account_id": self._merchant.merchant_id,
            "is_live": False,
            "credentials": {"api_key": self._merchant.api_key, "profile_id": self._merchant.profile_id},
            "webhook_secrets": [self._merchant.payment_response_hash_key],
        }
        return HyperswitchConnector(ConnectionSecrets(**fields | changes))

    def pay(self, page: str) -> None:
        self._psp.pay(page)

    def decline(self, page: str) -> None:
        self._psp.pay(page, "declined")

    def refund(self, payment_ref: str, amount_minor: int) -> str:
        return str(self._psp.refund(payment_ref, amount_minor)["refund_id"])

    def fail_refund(self, refund_id: str) -> None:
        self._psp.finish_refund(refund_id, "failed")

    def dispute(self, payment_ref: str, *, is_inquiry: bool = False) -> str:
        assert not is_inquiry
        return str(self._psp.dispute(payment_ref)["dispute_id"])

    def lose(self, dispute_id: str) -> None:
        self._psp.move_dispute(dispute_id, "lost")

    def win(self, dispute_id: str) -> None:
        self._psp.move_dispute(dispute_id, "won")

    def revoke(self) -> None:
        self._psp.revoke_key(self._merchant.api_key)

    def deliveries(self) -> Sequence[Delivery]:
        self._sent.clear()
        self._psp.deliver(again=True)
        return list(self._sent)

    def signed(self, body: bytes, *, secret: str = "", ago: int = 0) -> dict[str, str]:
        key = secret or self._merchant.payment_response_hash_key
        assert key is not None
        return {"x-webhook-signature-512": signature(key, body)}

    def _catch(self, url: str, body: bytes, headers: dict[str, str]) -> int:
        self._sent.append((body, {name.lower(): value for name, value in headers.items()}))
        return 200
