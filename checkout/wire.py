"""Checkouts and purchases as they appear on the wire (protocol, section 1)."""

from typing import Any

from rest_framework import serializers

from checkout.authorizations import AuthorizationRequest
from checkout.models import Checkout
from rako.core.money import to_wire
from rako.core.wire import ObjectField, TextField, WireSerializer
from sessions_app.bridges import BridgesReply, IncludeField


class CheckoutBody(WireSerializer):
    required_together = ("session_id", "recommendation_id")
    session_id = TextField()
    recommendation_id = TextField()
    user_details = ObjectField(required=False, help_text="Reserved; not stored.")
    payment_method = TextField(max_length=255, required=False, help_text="With it this is a purchase.")
    authorization = ObjectField(of=AuthorizationRequest, required=False)
    include = IncludeField(required=False)


class PurchaseBody(WireSerializer):
    required_together = ("recommendation_id",)
    recommendation_id = TextField()
    payment_method = TextField(
        max_length=255, required=False, help_text="A payment method stored at the merchant's PSP."
    )
    authorization = ObjectField(
        of=AuthorizationRequest, required=False, help_text="The buyer's mandate, good for one purchase."
    )


class NamedReply(WireSerializer):
    id = serializers.CharField()
    name = serializers.CharField()


class OfferOfCheckout(NamedReply):
    provider = serializers.CharField()


class SessionOfCheckout(WireSerializer):
    id = serializers.CharField()
    status = serializers.CharField()


class CheckoutReply(WireSerializer):
    transaction_id = serializers.CharField()
    payment_id = serializers.CharField(required=False)
    checkout_url = serializers.CharField(required=False)
    status = serializers.ChoiceField(
        choices=["awaiting_payment", "initiated", "succeeded", "processing", "requires_action", "failed"]
    )
    backend = serializers.ChoiceField(choices=["orchestrated", "direct"])
    mode = serializers.ChoiceField(choices=["checkout", "autonomous"])
    confirmation = serializers.CharField(required=False, help_text="Autonomous only; never proof of a conversion.")
    amount = serializers.FloatField()
    currency = serializers.CharField()
    merchant = NamedReply()
    offer = OfferOfCheckout()
    session = SessionOfCheckout()
    bridges = BridgesReply(required=False)
    receipt = serializers.CharField(
        required=False, help_text="A signed note: our word that the start of this checkout is in the public log."
    )


class WebhookReply(WireSerializer):
    received = serializers.ChoiceField(choices=[True])
    status = serializers.ChoiceField(
        choices=["conversion_recorded", "clawback_recorded", "duplicate", "rejected", "unmatched", "ignored"]
    )
    conversion_id = serializers.CharField(required=False)
    verification = serializers.CharField(required=False)
    failed_check = serializers.CharField(required=False, help_text="Which of the five checks did not hold.")
    reason = serializers.CharField(required=False)


def checkout_wire(checkout: Checkout, *, receipt: str) -> dict[str, Any]:
    """The reply to a checkout or purchase. Load the checkout with merchant, offer and session."""
    offer = checkout.recommendation.offer
    reply: dict[str, Any] = {"transactionId": checkout.pk}
    if checkout.psp_id:
        reply["paymentId"] = checkout.psp_id
    if checkout.url:
        reply["checkoutUrl"] = checkout.url
    reply |= {
        "status": _status(checkout),
        "backend": checkout.backend,
        "mode": checkout.mode,
        "amount": to_wire(checkout.amount_minor, checkout.currency),
        "currency": checkout.currency,
        "merchant": {"id": checkout.merchant_id, "name": checkout.merchant.name},
        "offer": {"id": offer.pk, "name": offer.name, "provider": offer.provider},
        "session": {"id": checkout.session_id, "status": "checkout"},
    }
    if checkout.mode == Checkout.Mode.AUTONOMOUS:
        reply["confirmation"] = checkout.confirmation
    if receipt:
        reply["receipt"] = receipt
    return reply


def _status(checkout: Checkout) -> str:
    if checkout.mode == Checkout.Mode.AUTONOMOUS:
        return "requires_action" if checkout.state == Checkout.State.OPEN else checkout.state
    return "initiated" if checkout.backend == Checkout.Backend.DIRECT else "awaiting_payment"
