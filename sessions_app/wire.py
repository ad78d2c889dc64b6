"""Sessions, offers and recommendations as they appear on the wire."""

from typing import Any

from rest_framework import serializers

from merchants.catalogue import ListedOffer
from merchants.codes import code_for
from merchants.verticals import VERTICALS
from rako.core.money import to_wire
from rako.core.receipts import RECEIPT
from rako.core.wire import InstantField, TextField, WireSerializer, instant
from sessions_app.bridges import BridgesReply, IncludeField
from sessions_app.models import Recommendation, Session


class RecommendRequest(WireSerializer):
    """`context` says in the agent's words why; at most 2,000 characters."""

    required_together = ("session_id", "offer_id")
    session_id = TextField()
    offer_id = TextField()
    # The base class's `context` is an option that no view of ours passes.
    context = TextField(max_length=2000, required=False, allow_blank=True)  # type: ignore[assignment]
    include = IncludeField(required=False)


class OfferReply(WireSerializer):
    id = serializers.CharField()
    merchant_id = serializers.CharField()
    vertical = serializers.ChoiceField(choices=list(VERTICALS))
    provider = serializers.CharField()
    name = serializers.CharField()
    price = serializers.FloatField(help_text="Major units.")
    currency = serializers.CharField()
    criteria = serializers.DictField()
    aap_code = serializers.CharField()
    status = serializers.CharField(help_text="Always `active`.")
    intro_price = serializers.FloatField(required=False, help_text="What the first `introMonths` months cost.")
    intro_months = serializers.IntegerField(required=False)


class SearchReply(WireSerializer):
    session_id = serializers.CharField()
    offers = OfferReply(many=True)
    count = serializers.IntegerField(help_text="Offers in this reply.")
    expires_at = InstantField()
    next_cursor = serializers.CharField(required=False, help_text="Ask for it with `cursor`; absent on the last page.")
    receipt = serializers.CharField(help_text=RECEIPT)


class ConstraintsReply(WireSerializer):
    price = serializers.FloatField(help_text="Major units.")
    currency = serializers.CharField()
    available = serializers.BooleanField()
    contract_months = serializers.IntegerField(allow_null=True, help_text="0 is rolling; null where there is none.")
    session_hours = serializers.IntegerField()


class RequirementsReply(WireSerializer):
    offer_id = serializers.CharField()
    vertical = serializers.ChoiceField(choices=list(VERTICALS))
    required_fields = serializers.ListField(
        child=serializers.CharField(), help_text="What the merchant's pages ask the buyer for."
    )
    confirmations = serializers.ListField(child=serializers.CharField(), help_text="For the agent to obtain.")
    eligibility = serializers.ListField(child=serializers.CharField())
    constraints = ConstraintsReply()
    next_step = serializers.CharField()


class OfferSummary(WireSerializer):
    id = serializers.CharField()
    provider = serializers.CharField()
    name = serializers.CharField()
    price = serializers.FloatField()
    currency = serializers.CharField()


class SessionReply(WireSerializer):
    id = serializers.CharField()
    agent_id = serializers.CharField()
    status = serializers.ChoiceField(choices=[*Session.Status.values, "expired"])
    created_at = InstantField()
    expires_at = InstantField()


class RecommendationOfSession(WireSerializer):
    id = serializers.CharField()
    offer_id = serializers.CharField()
    merchant_id = serializers.CharField()
    aap_code = serializers.CharField()
    fallback_url = serializers.CharField()
    created_at = InstantField()
    context = serializers.CharField(required=False, help_text="For the agent alone.")  # type: ignore[assignment]


class RecommendReply(WireSerializer):
    recommendation_id = serializers.CharField()
    fallback_url = serializers.CharField()
    attribution_recorded = serializers.BooleanField()
    offer = OfferSummary()
    bridges = BridgesReply(required=False)
    receipt = serializers.CharField(help_text=RECEIPT)


# The hot path builds plain dicts; tests hold them against the serializers above.
def offer_wire(offer: ListedOffer) -> dict[str, Any]:
    """An offer of a search result, with its code."""
    shown: dict[str, Any] = {
        "id": offer.id,
        "merchantId": offer.merchant_id,
        "vertical": offer.vertical,
        "provider": offer.provider,
        "name": offer.name,
        "price": to_wire(offer.price_minor, offer.currency),
        "currency": offer.currency,
        "criteria": offer.criteria,
        "aapCode": code_for(offer),
        "status": "active",
    }
    if offer.intro_price_minor is not None:
        shown["introPrice"] = to_wire(offer.intro_price_minor, offer.currency)
        shown["introMonths"] = offer.intro_months
    return shown


def offer_summary(offer: ListedOffer) -> dict[str, Any]:
    """The short form of an offer."""
    return {
        "id": offer.id,
        "provider": offer.provider,
        "name": offer.name,
        "price": to_wire(offer.price_minor, offer.currency),
        "currency": offer.currency,
    }


def session_wire(session: Session) -> dict[str, Any]:
    """A session; one whose window closed unused is shown as expired."""
    idle = session.status in (Session.Status.CREATED, Session.Status.ACTIVE, Session.Status.CHECKOUT)
    return {
        "id": session.pk,
        "agentId": session.agent_id,
        "status": "expired" if idle and session.is_expired else session.status,
        "createdAt": instant(session.created_at),
        "expiresAt": instant(session.expires_at),
    }


def recommendation_wire(recommendation: Recommendation, *, with_context: bool) -> dict[str, Any]:
    """A recommendation; the agent's own words are for the agent alone."""
    shown = {
        "id": recommendation.pk,
        "offerId": recommendation.offer_id,
        "merchantId": recommendation.offer.merchant_id,
        "aapCode": recommendation.aap_code,
        "fallbackUrl": recommendation.fallback_url,
        "createdAt": instant(recommendation.created_at),
    }
    return shown | {"context": recommendation.context} if with_context else shown
