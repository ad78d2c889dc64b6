"""Stripe's counterparty behind the contract's suite: a merchant's own account with a restricted key."""

import time
from collections.abc import Sequence
from typing import Any

from checkout.connectors.base import ConnectionSecrets
from checkout.connectors.stripe.connector import StripeConnector
from tests.checkout.contract.psp import Delivery
from tests.counterparties.fixtures import Shop
from tests.counterparties.stripe_webhooks import sign

_CARDS = {
    "succeeded": "tok_visa",
    "needs_buyer": "4000002500003155",
    "generic": "4000000000000341",
}


class StripePsp:
    """A shop at Stripe."""

    signs_time = True
    has_inquiries = True

    def __init__(self, shop: Shop, settings: Any) -> None:
        settings.RAKO_STRIPE_API_BASE = settings.RAKO_STRIPE_CONNECT_BASE = shop.psp.url
        self._psp, self._account = shop.psp, shop.account
        self._key = shop.psp.issue_key(shop.account, restricted=True)
        self._secret = "whsec_of_the_shop"
        self.methods = {what: self._stored(card) for what, card in _CARDS.items()}

    def connector(self, **changes: Any) -> StripeConnector:
        fields: dict[str, Any] = {
            "connection_id": "01J00000000000000000000000",
            "account_id": self._account,
            "is_live": False,
            "credentials": {"api_key": self._key},
            "webhook_secrets": [self._secret],
        }
        return StripeConnector(ConnectionSecrets(**fields | changes))

    def pay(self, page: str) -> None:
        self._psp.pay(self._account, page)

    def decline(self, page: str) -> None:
        self._psp.pay(self._account, page, "tok_visa_chargeDeclinedInsufficientFunds")

    def refund(self, payment_ref: str, amount_minor: int) -> str:
        return str(self._psp.refund(self._account, payment_ref, amount_minor)["id"])

    def fail_refund(self, refund_id: str) -> None:
        self._psp.fail_refund(self._account, refund_id)

    def dispute(self, payment_ref: str, *, is_inquiry: bool = False) -> str:
        return str(self._psp.dispute(self._account, payment_ref, inquiry=is_inquiry)["id"])

    def lose(self, dispute_id: str) -> None:
        self._psp.resolve_dispute(self._account, dispute_id, "lost")

    def win(self, dispute_id: str) -> None:
        is_inquiry = dispute_id in self._inquiries()
        self._psp.resolve_dispute(self._account, dispute_id, "closed" if is_inquiry else "won")

    def revoke(self) -> None:
        self._psp.revoke_key(self._key)

    def deliveries(self) -> Sequence[Delivery]:
        made = self._psp.deliveries(self._account, self._secret, again=True, connect=False)
        return [(one.body, {name.lower(): value for name, value in one.headers.items()}) for one in made]

    def signed(self, body: bytes, *, secret: str = "", ago: int = 0) -> dict[str, str]:
        return {"stripe-signature": sign(body, [secret or self._secret], int(time.time()) - ago)}

    def _stored(self, card: str) -> str:
        made = self._psp.store_method(self._account, card)
        return f"{made['customer']}/{made['payment_method']}"

    def _inquiries(self) -> set[str]:
        subjects = [event["data"]["object"] for event in self._psp.events(self._account)]
        return {one["id"] for one in subjects if one["object"] == "dispute" and one["status"].startswith("warning")}
