"""The merchant's payment processor and the buyer on its page, played by the suite."""

import hashlib
import hmac
import html
import json
import re
import time
from dataclasses import dataclass
from typing import Any

from conformance.client import Reply, connect
from conformance.rules import Broken, expect
from conformance.world import Deal, World, fresh

_PATIENCE_SECONDS = 30
_TOO_OLD_SECONDS = 3600


@dataclass(frozen=True, slots=True)
class Payment:
    """A checkout that is about to be paid, and what a processor says of it."""

    deal: Deal
    checkout: dict[str, Any]
    event: dict[str, Any]

    def saying(self, **changes: Any) -> dict[str, Any]:
        """A new event about the same payment in which the object says something else; metadata is merged."""
        known = self.event["data"]["object"]
        metadata = known["metadata"] | changes.pop("metadata", {})
        return self.event | {"id": fresh("evt"), "data": {"object": known | changes | {"metadata": metadata}}}


def payment(world: World, deal: Deal | None = None) -> Payment:
    """A fresh checkout with the event of its payment, not yet delivered."""
    deal = deal or world.deal()
    checkout = world.checkout(deal)
    return Payment(deal, checkout, paid_event(world, deal, checkout))


def paid_event(world: World, deal: Deal, checkout: dict[str, Any]) -> dict[str, Any]:
    """What a processor says when the page of this checkout is paid."""
    currency = checkout["currency"].lower() if world.webhook.is_currency_lower else checkout["currency"]
    paid = {
        "id": checkout["paymentId"],
        "object": "checkout.session",
        "status": "complete",
        "payment_status": "paid",
        "payment_intent": fresh("pi"),
        "amount_total": int(checkout["amount"] * 100),
        "currency": currency,
        "metadata": _metadata(deal, checkout),
    }
    return {
        "id": fresh("evt"),
        "object": "event",
        "type": "checkout.session.completed",
        "created": int(time.time()),
        "livemode": False,
        "account": world.webhook.account,
        "data": {"object": paid},
    }


def _metadata(deal: Deal, checkout: dict[str, Any]) -> dict[str, str]:
    return {
        "aap_code": deal.offer["aapCode"],
        "aap_recommendation_id": deal.recommendation_id,
        "aap_session_id": deal.session_id,
        "aap_offer_id": deal.offer["id"],
        "aap_merchant_id": deal.offer["merchantId"],
        "aap_checkout_id": checkout["transactionId"],
        "aap_protocol_version": "v1",
        "aap_attribution_path": "aap_flow",
    }


def signature(body: bytes, secret: str, *, age: int = 0) -> str:
    """The header's value for a body that is sent so many seconds ago."""
    at = str(int(time.time()) - age)
    mac = hmac.new(secret.encode(), at.encode() + b"." + body, hashlib.sha256)
    return f"t={at},v1={mac.hexdigest()}"


def deliver(
    world: World,
    event: dict[str, Any],
    *,
    secret: str = "",
    age: int = 0,
    header: str | None = None,
    body: bytes | None = None,
) -> Reply:
    """Send an event as the processor would; a `header` of one's own may be wrong, or empty to send none."""
    signed = json.dumps(event, default=float).encode()
    value = signature(signed, secret or world.webhook.secret, age=age) if header is None else header
    headers = {world.webhook.header: value} if value else {}
    return world.stranger.send("POST", world.webhook.path, signed if body is None else body, headers=headers)


def stale(world: World, event: dict[str, Any]) -> Reply:
    """Send an event whose signature was good an hour ago."""
    return deliver(world, event, age=_TOO_OLD_SECONDS)


def visit(address: str) -> int:
    """Look at a payment page as a buyer does; the status of the answer."""
    with connect(address) as buyer:
        return buyer.get(address).status_code


def pay_on_page(world: World, checkout: dict[str, Any]) -> None:
    """Fill in the payment page's form as a buyer does, with the configured fields. Raises Broken."""
    with connect(checkout["checkoutUrl"]) as buyer:
        page = buyer.get(checkout["checkoutUrl"])
        found = re.findall(r'<input[^>]*type="hidden"[^>]*name="([^"]+)"[^>]*value="([^"]*)"', page.text)
        hidden = {name: html.unescape(value) for name, value in found}
        paid = buyer.post(checkout["checkoutUrl"], data=hidden | dict(world.subject.payment_form))
    expect(paid.status_code in {302, 303}, f"the payment page answered {paid.status_code} to the buyer's card")


def await_conversion(world: World, session_id: str) -> dict[str, Any]:
    """The conversion that the processor's own webhook makes. Raises Broken after half a minute."""
    deadline = time.monotonic() + _PATIENCE_SECONDS
    while time.monotonic() < deadline:
        if found := world.session(session_id)["conversions"]:
            return dict(found[0])
        time.sleep(0.1)
    raise Broken(f"no conversion {_PATIENCE_SECONDS} seconds after the payment")
