"""Earnings and payouts (protocol, section 1)."""

from django.db.models import Prefetch, QuerySet
from django.utils import timezone
from drf_spectacular.utils import extend_schema
from rest_framework.response import Response

from rako.core.api_views import AgentView, AnyKeyView, KeyedRequest
from rako.core.ids import is_id
from rako.core.openapi import raises
from rako.core.paging import PAGE_PARAMETERS, paged
from settlement import payout_wire as wire
from settlement.earnings import earnings_of, owed_by
from settlement.models import Payout, Statement
from settlement.payouts import PayoutNotFound


class EarningsView(AnyKeyView):
    """GET /v1/earnings"""

    @extend_schema(
        operation_id="getEarnings",
        summary="What you have earned (agent) or owe (merchant)",
        responses=wire.EarningsReply,
    )
    def get(self, request: KeyedRequest) -> Response:
        if request.auth == "merchant":
            owed = owed_by(request.user.merchant_id, timezone.now().date())
            return Response({"earnings": [wire.owed_wire(row) for row in owed]})
        earned = earnings_of(request.user.agent.builder_id)
        return Response({"earnings": [wire.earnings_wire(row) for row in earned]})


class PayoutsView(AgentView):
    """GET /v1/payouts"""

    @extend_schema(
        operation_id="listPayouts",
        summary="Your payouts, newest first",
        parameters=PAGE_PARAMETERS,
        responses=wire.PayoutsReply,
    )
    def get(self, request: KeyedRequest) -> Response:
        return Response(paged(request, own_payouts(request), "payouts", wire.payout_wire))


class PayoutView(AgentView):
    """GET /v1/payouts/{id}"""

    @raises(PayoutNotFound)
    @extend_schema(operation_id="getPayout", summary="One payout", responses=wire.PayoutReply)
    def get(self, request: KeyedRequest, payout_id: str) -> Response:
        payout = own_payouts(request).filter(pk=payout_id).first() if is_id(payout_id) else None
        if payout is None:
            raise PayoutNotFound()
        return Response(wire.payout_wire(payout))


def own_payouts(request: KeyedRequest) -> QuerySet[Payout]:
    """The payouts of the key's builder, with what a reply needs: a batch's document can be large."""
    statements = Statement.objects.select_related("batch").defer("batch__document", "batch__inputs")
    rows = Payout.objects.filter(builder=request.user.agent.builder_id).select_related("batch")
    return rows.defer("batch__document", "batch__inputs").prefetch_related(Prefetch("statements", statements))
