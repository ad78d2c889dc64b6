"""Offers, recommendations and their links (protocol, section 1)."""

from typing import Any

from django.conf import settings
from django.http import HttpRequest, HttpResponse, HttpResponseRedirect
from drf_spectacular.utils import OpenApiParameter, extend_schema
from rest_framework.response import Response

from merchants.codes import OfferNotFound
from merchants.models import Offer
from merchants.requirements import requirements_of
from rako.core.api_views import AgentView, KeyedRequest
from rako.core.errors import RakoError, error_reply, only
from rako.core.ids import is_id
from rako.core.receipts import receipt_for
from rako.core.wire import instant
from sessions_app import clicks, search, wire
from sessions_app.bridges import bridges_wire
from sessions_app.recommend import record_recommendation


def _query(name: str, kind: Any, text: str) -> OpenApiParameter:
    return OpenApiParameter(name, kind, OpenApiParameter.QUERY, description=text)


class OffersView(AgentView):
    """GET /v1/offers"""

    @extend_schema(
        operation_id="searchOffers",
        summary="Search offers and open a session",
        parameters=[
            _query(
                "vertical", str, "sim, broadband, energy, flights, hotels, insurance; an unknown one finds nothing."
            ),
            _query("provider", str, "Part of the provider's name, in any case."),
            _query("min_price", float, "Major units."),
            _query("max_price", float, "Major units."),
            _query("data_gb_min", int, "At least so much data (sim). `min_data_gb` is accepted too."),
            _query("contract_months", int, "Exactly so long a contract; 0 is rolling."),
            _query("limit", int, "Offers in the reply: 20 unless told, at most 100."),
            _query("cursor", str, "`nextCursor` of the reply before."),
        ],
        responses=wire.SearchReply,
    )
    def get(self, request: KeyedRequest) -> Response:
        query = search.parse_query(request.query_params)
        page = search.search_offers(query)
        session, entry = search.create_session(request.user.agent, query)
        reply: dict[str, Any] = {
            "sessionId": session.pk,
            "offers": [wire.offer_wire(offer) for offer in page.offers],
            "count": len(page.offers),
            "expiresAt": instant(session.expires_at),
            "receipt": receipt_for(entry),
        }
        return Response(reply | {"nextCursor": page.next_cursor} if page.next_cursor else reply)


class RequirementsView(AgentView):
    """GET /v1/offers/{id}/requirements"""

    @extend_schema(operation_id="getOfferRequirements", summary="What a checkout of this offer needs", responses=dict)
    def get(self, request: KeyedRequest, offer_id: str) -> Response:
        offer = Offer.objects.select_related("merchant").filter(pk=offer_id).first() if is_id(offer_id) else None
        if offer is None:
            raise OfferNotFound()
        return Response(requirements_of(offer))


class RecommendView(AgentView):
    """POST /v1/recommend"""

    @extend_schema(
        operation_id="recommend",
        summary="Record a recommendation: the attribution event",
        request=wire.RecommendRequest,
        responses=wire.RecommendReply,
    )
    def post(self, request: KeyedRequest) -> Response:
        asked = wire.RecommendRequest.read(request)
        include = asked.pop("include", ())
        recommendation, offer, entry = record_recommendation(request.user.agent, **asked)
        reply = {
            "recommendationId": recommendation.pk,
            "fallbackUrl": recommendation.fallback_url,
            "attributionRecorded": True,
            "offer": wire.offer_summary(offer),
            "receipt": receipt_for(entry),
        }
        return Response(reply | bridges_wire(include, recommendation, merchant_id=offer.merchant_id))


@only("GET", "HEAD")
def follow_link(request: HttpRequest, recommendation_id: str) -> HttpResponse:
    """GET /r/{recommendationId}: on to the merchant's registered page, with a 30-day cookie and a logged click."""
    try:
        recommendation = clicks.find_link(recommendation_id)
    except RakoError as error:
        return error_reply(error)
    if _is_visit(request):
        clicks.log_click(
            recommendation,
            address=request.META.get("REMOTE_ADDR", ""),
            user_agent=request.headers.get("User-Agent", "")[:500],
        )
    response = HttpResponseRedirect(clicks.landing_url(recommendation))
    response["Cache-Control"] = "no-store"
    response.set_cookie(
        clicks.COOKIE,
        recommendation.pk,
        max_age=clicks.COOKIE_SECONDS,
        secure=settings.SESSION_COOKIE_SECURE,
        httponly=True,
        samesite="Lax",
    )
    return response


def _is_visit(request: HttpRequest) -> bool:
    """A look ahead – HEAD, or a browser's prefetch – is none, and must not take the place of the visit that follows."""
    purpose = request.headers.get("Sec-Purpose") or request.headers.get("Purpose") or request.headers.get("X-Moz") or ""
    return request.method != "HEAD" and "prefetch" not in purpose.lower()
