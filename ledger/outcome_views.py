"""What a merchant tells of a sale after it: milestones and cancellation (protocol, section 1)."""

from drf_spectacular.utils import extend_schema
from rest_framework.response import Response

from ledger import outcome_wire
from ledger.cancellations import cancel_conversion
from ledger.lifecycle import CannotMove
from ledger.milestones import MilestoneConflict, report_milestone
from ledger.models import Conversion
from ledger.views import ConversionNotFound, find_conversion
from rako.core.api_views import KeyedRequest, MerchantView
from rako.core.openapi import raises


class MilestonesView(MerchantView):
    """POST /v1/conversions/{id}/milestones"""

    @raises(ConversionNotFound, MilestoneConflict, CannotMove)
    @extend_schema(
        operation_id="reportMilestone",
        summary="Report how a sale goes on (merchant)",
        request=outcome_wire.MilestoneBody,
        responses=outcome_wire.MilestoneReply,
    )
    def post(self, request: KeyedRequest, conversion_id: str) -> Response:
        asked = outcome_wire.MilestoneBody.read(request)
        name = asked.pop("milestone")
        return Response(outcome_wire.reached_wire(report_milestone(_own(request, conversion_id), name=name, **asked)))


class CancelView(MerchantView):
    """POST /v1/conversions/{id}/cancel"""

    @raises(ConversionNotFound, CannotMove)
    @extend_schema(
        operation_id="cancelConversion",
        summary="Report that the customer cancelled (merchant)",
        request=outcome_wire.CancelBody,
        responses=outcome_wire.CancelReply,
    )
    def post(self, request: KeyedRequest, conversion_id: str) -> Response:
        asked = outcome_wire.CancelBody.read(request)
        return Response(outcome_wire.cancelled_wire(cancel_conversion(_own(request, conversion_id), **asked)))


def _own(request: KeyedRequest, conversion_id: str) -> Conversion:
    return find_conversion(request, conversion_id, "offer")
