"""Conversions, their evidence, and sessions with what came of them (protocol, section 1)."""

from typing import Any

from django.db.models import QuerySet
from drf_spectacular.utils import PolymorphicProxySerializer, extend_schema
from rest_framework.response import Response

from ledger import wire
from ledger.batch_wire import BatchBody, BatchReply, answer, report_of
from ledger.filters import FILTERS, narrowed
from ledger.models import Conversion, Status
from ledger.outcome_wire import ConversionWithMilestonesReply, milestone_wire
from ledger.reports import REFUSALS, report_conversion
from ledger.settled import standing, with_settlement
from rako.core.api_views import AnyKeyView, KeyedRequest
from rako.core.errors import Forbidden, NotFound
from rako.core.ids import is_id
from rako.core.openapi import raises
from rako.core.paging import PAGE_PARAMETERS, paged
from rako.core.receipts import receipt_for
from sessions_app.models import Recommendation, Session
from sessions_app.recommend import SessionNotFound
from sessions_app.wire import recommendation_wire, session_wire


class ConversionNotFound(NotFound):
    code, message = "conversion_not_found", "Conversion not found"


def own_conversions(request: KeyedRequest) -> QuerySet[Conversion]:
    """The conversions that belong to the key's party: others do not exist for it."""
    if request.auth == "merchant":
        return Conversion.objects.filter(merchant=request.user.merchant_id)
    return Conversion.objects.filter(agent=request.user.agent_id)


def shown_conversions(request: KeyedRequest) -> QuerySet[Conversion]:
    """The same, with what settlements and holds say of them."""
    merchant_id = request.user.merchant_id if request.auth == "merchant" else None
    return with_settlement(own_conversions(request), merchant_id=merchant_id).prefetch_related("fraud_holds")


def _shown(request: KeyedRequest, conversion: Conversion) -> dict[str, Any]:
    return wire.conversion_wire(conversion, is_merchant=request.auth == "merchant")


class ConversionsView(AnyKeyView):
    """GET and POST /v1/conversions"""

    @property
    def is_one_transaction(self) -> bool:  # type: ignore[override]  # it depends on the body
        """A batch is committed in parts; what is sent again is found known."""
        return self._batch() is None

    def _batch(self) -> Any:
        body: Any = self.request.data
        return body.get("conversions")

    @extend_schema(
        operation_id="listConversions",
        summary="Your conversions, newest first",
        parameters=[*PAGE_PARAMETERS, *FILTERS],
        responses=wire.ConversionsReply,
    )
    def get(self, request: KeyedRequest) -> Response:
        rows = shown_conversions(request)
        rows = narrowed(rows, request.query_params, is_merchant=request.auth == "merchant")
        return Response(paged(request, rows, "conversions", lambda row: _shown(request, row)))

    @raises(*REFUSALS)
    @extend_schema(
        operation_id="reportConversion",
        summary="Report a sale, or up to 1,000 of them (merchant)",
        auth=[{"merchantKey": []}],  # type: ignore[list-item]  # requirement objects, as OpenAPI has them
        request=PolymorphicProxySerializer("ReportOrBatch", [wire.ReportBody, BatchBody], None),
        responses=PolymorphicProxySerializer("ReportOrBatchReply", [wire.ReceiptedReportReply, BatchReply], None),
    )
    def post(self, request: KeyedRequest) -> Response:
        if request.auth != "merchant":
            raise Forbidden("This endpoint needs a merchant key")
        if (rows := self._batch()) is not None:
            return Response(answer(request.user.merchant, rows))
        report = report_of(request.user.merchant, wire.ReportBody.read(request))
        recorded = report_conversion(request.user.merchant, report)
        reply = wire.report_wire(recorded.conversion, report.order_reference)
        return Response(reply | {"receipt": receipt_for(recorded.entry)})


class ConversionView(AnyKeyView):
    """GET /v1/conversions/{id}"""

    @raises(ConversionNotFound)
    @extend_schema(operation_id="getConversion", summary="One conversion", responses=ConversionWithMilestonesReply)
    def get(self, request: KeyedRequest, conversion_id: str) -> Response:
        conversion = find_conversion(request, conversion_id)
        milestones = [milestone_wire(row) for row in conversion.milestones.order_by("received_at", "id")]
        return Response(_shown(request, conversion) | {"milestones": milestones})


class EvidenceView(AnyKeyView):
    """GET /v1/conversions/{id}/evidence"""

    @raises(ConversionNotFound)
    @extend_schema(operation_id="getEvidence", summary="What proves a conversion", responses=wire.EvidencesReply)
    def get(self, request: KeyedRequest, conversion_id: str) -> Response:
        conversion = find_conversion(request, conversion_id)
        rows = conversion.evidence.order_by("received_at", "id")
        return Response({"conversionId": conversion.pk, "evidence": [wire.evidence_wire(row) for row in rows]})


class SessionView(AnyKeyView):
    """GET /v1/sessions/{id}: for the agent whole, for a merchant what concerns its own offers."""

    @raises(SessionNotFound)
    @extend_schema(operation_id="getSession", summary="A session and what came of it", responses=wire.WholeSessionReply)
    def get(self, request: KeyedRequest, session_id: str) -> Response:
        session = Session.objects.filter(pk=session_id).first() if is_id(session_id) else None
        is_agent = request.auth == "agent"
        if session is None or (is_agent and session.agent_id != request.user.agent_id):
            raise SessionNotFound()
        recommendations = Recommendation.objects.filter(session=session).select_related("offer").order_by("id")
        if not is_agent:
            recommendations = recommendations.filter(offer__merchant=request.user.merchant_id)
        shown = [recommendation_wire(row, with_context=is_agent) for row in recommendations]
        if not shown and not is_agent:
            raise SessionNotFound()
        conversions = list(shown_conversions(request).filter(session=session).order_by("id"))
        is_settled = any(standing(row) == Status.SETTLED for row in conversions)
        return Response(
            {
                "session": session_wire(session) | ({"status": "settled"} if is_settled else {}),
                "recommendations": shown,
                "conversions": [_shown(request, row) for row in conversions],
            }
        )


def find_conversion(request: KeyedRequest, conversion_id: str, *related: str) -> Conversion:
    """One of the party's own, with what it refers to. Raises ConversionNotFound."""
    rows = shown_conversions(request).select_related(*related) if related else shown_conversions(request)
    found = rows.filter(pk=conversion_id).first() if is_id(conversion_id) else None
    if found is None:
        raise ConversionNotFound()
    return found
