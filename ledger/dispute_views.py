"""Disputes over the API: each side opens its own kinds, and reads and answers those it is a side of."""

from django.db.models import QuerySet
from drf_spectacular.utils import extend_schema
from rest_framework.response import Response

from ledger import dispute_wire as wire
from ledger.conversions import SessionConverted
from ledger.dispute_claims import CannotDispute, MissingSale, about_conversion, about_missing_sale
from ledger.dispute_decisions import ForStaff, accept
from ledger.dispute_moves import DisputeMoved
from ledger.disputes import DisputeExists, open_dispute, say, withdraw
from ledger.models import Dispute, DisputeStatement, Side
from ledger.reports import REFUSALS
from ledger.views import ConversionNotFound, find_conversion
from rako.core.api_views import AnyKeyView, KeyedRequest
from rako.core.errors import Forbidden, NotFound
from rako.core.ids import is_id
from rako.core.openapi import raises
from rako.core.paging import PAGE_PARAMETERS, paged
from sessions_app.recommend import RecommendationNotFound, SessionExpired, SessionNotFound


class DisputeNotFound(NotFound):
    code, message = "dispute_not_found", "Dispute not found"


class ConversionDisputesView(AnyKeyView):
    """POST /v1/conversions/{id}/disputes"""

    @raises(ConversionNotFound, CannotDispute, DisputeExists)
    @extend_schema(
        operation_id="openDispute",
        summary="Dispute a recorded sale, which is held until that is decided",
        request=wire.DisputeBody,
        responses=wire.WholeDisputeReply,
    )
    def post(self, request: KeyedRequest, conversion_id: str) -> Response:
        conversion = find_conversion(request, conversion_id)
        asked = wire.DisputeBody.read(request)
        dispute = about_conversion(conversion, _side(request), asked["kind"], asked.get("claimed_value"))
        return _whole(open_dispute(dispute, asked.get("message", "")))


class DisputesView(AnyKeyView):
    """GET and POST /v1/disputes"""

    @extend_schema(
        operation_id="listDisputes",
        summary="Your disputes, newest first",
        parameters=PAGE_PARAMETERS,
        responses=wire.DisputesReply,
    )
    def get(self, request: KeyedRequest) -> Response:
        return Response(paged(request, _own(request), "disputes", wire.dispute_wire))

    @raises(SessionNotFound, RecommendationNotFound, CannotDispute, DisputeExists, SessionConverted, SessionExpired)
    @extend_schema(
        operation_id="claimMissingSale",
        summary="Claim a sale that was never recorded (agent)",
        auth=[{"agentKey": []}],  # type: ignore[list-item]  # as in ledger.views
        request=wire.MissingSaleBody,
        responses=wire.WholeDisputeReply,
    )
    def post(self, request: KeyedRequest) -> Response:
        if request.auth != "agent":
            raise Forbidden("This endpoint needs an agent key")
        asked = wire.MissingSaleBody.read(request)
        message = asked.pop("message", "")
        sold_at, value = asked.pop("occurred_at"), asked.pop("claimed_value")
        claim = MissingSale(value=value, sold_at=sold_at, **asked)
        return _whole(open_dispute(about_missing_sale(request.user.agent, claim), message))


class DisputeView(AnyKeyView):
    """GET /v1/disputes/{id}"""

    @raises(DisputeNotFound)
    @extend_schema(
        operation_id="getDispute", summary="A dispute with what both sides said", responses=wire.WholeDisputeReply
    )
    def get(self, request: KeyedRequest, dispute_id: str) -> Response:
        return _whole(_find(request, dispute_id))


class MessagesView(AnyKeyView):
    """POST /v1/disputes/{id}/messages"""

    @raises(DisputeNotFound, DisputeMoved)
    @extend_schema(
        operation_id="addDisputeMessage",
        summary="Say something in a dispute; the other side reads it",
        request=wire.MessageBody,
        responses=wire.WholeDisputeReply,
    )
    def post(self, request: KeyedRequest, dispute_id: str) -> Response:
        dispute, asked = _find(request, dispute_id), wire.MessageBody.read(request)
        say(dispute, _side(request), DisputeStatement.Kind.MESSAGE, asked["text"])
        return _whole(_find(request, dispute_id))


class DisputeEvidenceView(AnyKeyView):
    """POST /v1/disputes/{id}/evidence"""

    @raises(DisputeNotFound, DisputeMoved)
    @extend_schema(
        operation_id="addDisputeEvidence",
        summary="Add a document by its hash, or a small text; the other side reads it",
        request=wire.DisputeEvidenceBody,
        responses=wire.WholeDisputeReply,
    )
    def post(self, request: KeyedRequest, dispute_id: str) -> Response:
        dispute, asked = _find(request, dispute_id), wire.DisputeEvidenceBody.read(request)
        text = asked.pop("text", "")
        say(dispute, _side(request), DisputeStatement.Kind.EVIDENCE, text, **asked)
        return _whole(_find(request, dispute_id))


class WithdrawView(AnyKeyView):
    """POST /v1/disputes/{id}/withdraw"""

    @raises(DisputeNotFound, DisputeMoved)
    @extend_schema(
        operation_id="withdrawDispute",
        summary="Give up a dispute that you opened",
        request=None,
        responses=wire.WholeDisputeReply,
    )
    def post(self, request: KeyedRequest, dispute_id: str) -> Response:
        return _whole(withdraw(_find(request, dispute_id), _side(request)))


class AcceptView(AnyKeyView):
    """POST /v1/disputes/{id}/accept"""

    @raises(DisputeNotFound, DisputeMoved, ForStaff, *REFUSALS)
    @extend_schema(
        operation_id="acceptDispute",
        summary="Concede a dispute that the other side opened: it is upheld as claimed",
        request=None,
        responses=wire.WholeDisputeReply,
    )
    def post(self, request: KeyedRequest, dispute_id: str) -> Response:
        return _whole(accept(_find(request, dispute_id), _side(request)))


def _side(request: KeyedRequest) -> Side:
    return Side.MERCHANT if request.auth == "merchant" else Side.BUILDER


def _own(request: KeyedRequest) -> QuerySet[Dispute]:
    if request.auth == "merchant":
        return Dispute.objects.filter(merchant=request.user.merchant_id)
    return Dispute.objects.filter(agent=request.user.agent_id)


def _find(request: KeyedRequest, dispute_id: str) -> Dispute:
    found = _own(request).filter(pk=dispute_id).first() if is_id(dispute_id) else None
    if found is None:
        raise DisputeNotFound()
    return found


def _whole(dispute: Dispute) -> Response:
    return Response(wire.whole_dispute_wire(dispute, list(dispute.statements.all())))
