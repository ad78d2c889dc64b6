"""What merchants report of tracked links, and what came of a link (protocol, section 1)."""

from typing import Any

from django.db.models import Count, Max, Min, Q
from drf_spectacular.utils import extend_schema
from rest_framework.response import Response

from ledger import wire
from ledger.models import Conversion
from ledger.models.conversion import Path
from ledger.reports import REFUSALS, Report, report_conversion
from rako.core.api_views import AnyKeyView, KeyedRequest, MerchantView
from rako.core.ids import is_id
from rako.core.openapi import raises
from rako.core.receipts import receipt_for
from rako.core.wire import instant
from sessions_app.models import Click, Recommendation
from sessions_app.recommend import RecommendationNotFound

_BY_PEOPLE = Q(is_bot=False, is_flood=False)


class ConvertView(MerchantView):
    """POST /r/{id}/convert: nobody but the merchant reports a sale."""

    @raises(*REFUSALS)
    @extend_schema(
        operation_id="convertLink",
        summary="Report a sale that a tracked link brought (merchant)",
        request=wire.ConvertBody,
        responses=wire.ReceiptedReportReply,
    )
    def post(self, request: KeyedRequest, recommendation_id: str) -> Response:
        asked = wire.ConvertBody.read(request)
        recommendation = _find(recommendation_id, offer__merchant=request.user.merchant_id)
        report = Report(
            session_id=recommendation.session_id,
            recommendation_id=recommendation.pk,
            value=asked.pop("transaction_value"),
            service_on=asked.pop("service_date", None),
            attribution_path=Path.TRACKED_LINK,
            **asked,
        )
        recorded = report_conversion(request.user.merchant, report)
        reply = wire.report_wire(recorded.conversion, report.order_reference)
        return Response(reply | {"receipt": receipt_for(recorded.entry)})


class LinkStatsView(AnyKeyView):
    """GET /r/{id}/stats: for the builder who earns by the link, and the merchant it leads to."""

    @raises(RecommendationNotFound)
    @extend_schema(operation_id="getLinkStats", summary="What came of a tracked link", responses=wire.LinkStatsReply)
    def get(self, request: KeyedRequest, recommendation_id: str) -> Response:
        if request.auth == "merchant":
            recommendation = _find(recommendation_id, offer__merchant=request.user.merchant_id)
        else:
            recommendation = _find(recommendation_id, agent__builder=request.user.agent.builder_id)
        return Response({"recommendationId": recommendation.pk} | _stats(recommendation))


def _find(recommendation_id: str, **owner: Any) -> Recommendation:
    """A recommendation of the key's party: others do not exist for it. Raises RecommendationNotFound."""
    found = Recommendation.objects.filter(pk=recommendation_id, **owner).first() if is_id(recommendation_id) else None
    if found is None:
        raise RecommendationNotFound()
    return found


def _stats(recommendation: Recommendation) -> dict[str, Any]:
    counted = Click.objects.filter(recommendation=recommendation).aggregate(
        clicks=Count("pk", filter=_BY_PEOPLE),
        uniqueClicks=Count("visitor", filter=_BY_PEOPLE, distinct=True),
        botClicks=Count("pk", filter=Q(is_bot=True)),
        floodClicks=Count("pk", filter=Q(is_bot=False, is_flood=True)),
        firstClickAt=Min("clicked_at", filter=_BY_PEOPLE),
        lastClickAt=Max("clicked_at", filter=_BY_PEOPLE),
    )
    times = {name: counted[name] and instant(counted[name]) for name in ("firstClickAt", "lastClickAt")}
    sales = Conversion.objects.filter(recommendation=recommendation, is_superseded=False)
    return counted | times | {"conversions": sales.count()}
