"""Offers, recommendations and their links (protocol, section 1)."""

from django.conf import settings
from django.http import HttpResponse, HttpResponseRedirect
from drf_spectacular.utils import OpenApiResponse, extend_schema
from rest_framework.request import Request
from rest_framework.response import Response

from merchants.codes import OfferNotFound, OfferUnavailable
from merchants.keyring import NoSigningKey
from merchants.requirements_wire import RequirementsReply
from merchants.verticals import VERTICALS
from rako.core.api_views import AgentView, KeyedRequest, PublicView
from rako.core.money import MAX_MINOR
from rako.core.openapi import query, raises, whole
from sessions_app import clicks, replies, search, wire
from sessions_app.recommend import SessionExpired, SessionNotFound

_PRICE = {"type": "number", "minimum": 0, "maximum": MAX_MINOR // 100, "multipleOf": 0.01}
_SEARCH = [
    query("vertical", {"type": "string", "maxLength": 100}, f"{', '.join(VERTICALS)}; an unknown one finds nothing."),
    query("provider", {"type": "string", "maxLength": 100}, "Part of the provider's name, in any case."),
    query("min_price", _PRICE, "Major units."),
    query("max_price", _PRICE, "Major units."),
    query("data_gb_min", whole(0, 1_000_000), "At least so much data (sim). `min_data_gb` is accepted too."),
    query("contract_months", whole(0, 1_000), "Exactly so long a contract; 0 is rolling."),
    query("limit", whole(1, search.MAX_LIMIT, default=search.DEFAULT_LIMIT), "Offers in the reply."),
    query("cursor", {"type": "string"}, "`nextCursor` of the reply before."),
]


class OffersView(AgentView):
    """GET /v1/offers"""

    @raises(NoSigningKey)
    @extend_schema(
        operation_id="searchOffers",
        summary="Search offers and open a session",
        parameters=_SEARCH,
        responses=wire.SearchReply,
    )
    def get(self, request: KeyedRequest) -> Response:
        return Response(replies.found_offers(request.user.agent, request.query_params))


class RequirementsView(AgentView):
    """GET /v1/offers/{id}/requirements"""

    @raises(OfferNotFound)
    @extend_schema(
        operation_id="getOfferRequirements",
        summary="What a checkout of this offer needs",
        responses=RequirementsReply,
    )
    def get(self, request: KeyedRequest, offer_id: str) -> Response:
        return Response(replies.offer_requirements(offer_id))


class RecommendView(AgentView):
    """POST /v1/recommend"""

    @raises(SessionNotFound, OfferNotFound, SessionExpired, OfferUnavailable, NoSigningKey)
    @extend_schema(
        operation_id="recommend",
        summary="Record a recommendation: the attribution event",
        request=wire.RecommendRequest,
        responses=wire.RecommendReply,
    )
    def post(self, request: KeyedRequest) -> Response:
        asked = wire.RecommendRequest.read(request)
        return Response(replies.recommended(request.user.agent, asked))


class LinkView(PublicView):
    """GET /r/{recommendationId}: on to the merchant's registered page, with a 30-day cookie and a logged click."""

    @extend_schema(
        operation_id="followLink",
        summary="Follow a tracked link to the merchant's page",
        description="Sets the cookie `aap_ref` for 30 days and logs the click; `HEAD` or a prefetch is none.",
        responses={302: OpenApiResponse(description="On to the merchant's registered page")},
    )
    def get(self, request: Request, recommendation_id: str) -> HttpResponse:
        recommendation = clicks.find_link(recommendation_id)
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


def _is_visit(request: Request) -> bool:
    """A look ahead – HEAD, or a browser's prefetch – is none, and must not take the place of the visit that follows."""
    purpose = request.headers.get("Sec-Purpose") or request.headers.get("Purpose") or request.headers.get("X-Moz") or ""
    return request.method != "HEAD" and "prefetch" not in purpose.lower()
