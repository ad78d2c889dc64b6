"""What agents are answered, whoever carries it: the REST API and the MCP tools call these."""

from collections.abc import Mapping
from typing import Any

from merchants.codes import OfferNotFound
from merchants.models import Offer
from merchants.requirements import requirements_of
from rako.core.ids import is_id
from rako.core.receipts import receipt_for
from rako.core.wire import instant
from sessions_app import search, wire
from sessions_app.bridges import bridges_wire
from sessions_app.models import Agent
from sessions_app.recommend import record_recommendation


def found_offers(agent: Agent, params: Mapping[str, str]) -> dict[str, Any]:
    """A page of offers and the session it opened (GET /v1/offers). Raises BadRequest."""
    query = search.parse_query(params)
    page = search.search_offers(query)
    session, entry = search.create_session(agent, query)
    reply: dict[str, Any] = {
        "sessionId": session.pk,
        "offers": [wire.offer_wire(offer) for offer in page.offers],
        "count": len(page.offers),
        "expiresAt": instant(session.expires_at),
        "receipt": receipt_for(entry),
    }
    return reply | {"nextCursor": page.next_cursor} if page.next_cursor else reply


def offer_requirements(offer_id: str) -> dict[str, Any]:
    """What a checkout of the offer needs (GET /v1/offers/{id}/requirements). Raises OfferNotFound."""
    offer = Offer.objects.select_related("merchant").filter(pk=offer_id).first() if is_id(offer_id) else None
    if offer is None:
        raise OfferNotFound()
    return requirements_of(offer)


def recommended(agent: Agent, asked: dict[str, Any]) -> dict[str, Any]:
    """The recommendation now recorded (POST /v1/recommend). Raises what `record_recommendation` does."""
    asked = dict(asked)
    include = asked.pop("include", ())
    recommendation, offer, entry = record_recommendation(agent, **asked)
    reply = {
        "recommendationId": recommendation.pk,
        "fallbackUrl": recommendation.fallback_url,
        "attributionRecorded": True,
        "offer": wire.offer_summary(offer),
        "receipt": receipt_for(entry),
    }
    return reply | bridges_wire(include, recommendation, merchant_id=offer.merchant_id)
