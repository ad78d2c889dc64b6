"""Every address of the service. No trailing slashes, no redirects: the official client follows none."""

from django.conf import settings
from django.contrib import admin
from django.urls import include, path
from drf_spectacular.renderers import OpenApiJsonRenderer
from drf_spectacular.views import SpectacularAPIView, SpectacularSwaggerView

from checkout.connection_views import (
    ConnectionsView,
    ConnectionView,
    DisconnectView,
    PlatformWebhookView,
    WebhookSecretView,
)
from checkout.views import CheckoutView, PurchaseView, WebhookView, returned
from ledger.attribution_views import OrderEventsView, OrderSecretView, TokenKeysView, VerifyTokenView
from ledger.dispute_views import (
    AcceptView,
    ConversionDisputesView,
    DisputeEvidenceView,
    DisputesView,
    DisputeView,
    MessagesView,
    WithdrawView,
)
from ledger.link_views import ConvertView, LinkStatsView
from ledger.log_views import (
    CheckpointView,
    ConsistencyView,
    ConversionProofView,
    EntryProofView,
    EntryView,
    LogKeysView,
    TileView,
)
from ledger.outcome_views import CancelView, MilestonesView
from ledger.views import ConversionsView, ConversionView, EvidenceView, SessionView
from mcp_server.views import McpView
from merchants.views import IssueView, JwksView, PublicKeyView, VerifyView
from notifications.views import (
    DeliveriesView,
    EndpointsView,
    EndpointView,
    ResendView,
    RotateSecretView,
    TestView,
)
from rako.core.errors import only
from rako.health import HealthView, ReadyView
from rako.home import home
from rako.reference import views as reference
from sessions_app.views import LinkView, OffersView, RecommendView, RequirementsView
from settlement.document_views import (
    InvoicesView,
    InvoiceView,
    SettlementExportView,
    SettlementsView,
    StatementView,
)
from settlement.payout_views import EarningsView, PayoutsView, PayoutView

safe = only("GET", "HEAD")
urlpatterns = [
    path("", home),
    path("health", HealthView.as_view()),
    path("health/ready", ReadyView.as_view()),
    path("v1/offers", OffersView.as_view()),
    path("v1/offers/<str:offer_id>/requirements", RequirementsView.as_view()),
    path("v1/recommend", RecommendView.as_view()),
    path("v1/checkout", CheckoutView.as_view()),
    path("v1/purchase", PurchaseView.as_view()),
    path("v1/sessions/<str:session_id>", SessionView.as_view()),
    path("v1/conversions", ConversionsView.as_view()),
    path("v1/conversions/<str:conversion_id>", ConversionView.as_view()),
    path("v1/conversions/<str:conversion_id>/milestones", MilestonesView.as_view()),
    path("v1/conversions/<str:conversion_id>/cancel", CancelView.as_view()),
    path("v1/conversions/<str:conversion_id>/evidence", EvidenceView.as_view()),
    path("v1/conversions/<str:conversion_id>/proof", ConversionProofView.as_view()),
    path("v1/conversions/<str:conversion_id>/disputes", ConversionDisputesView.as_view()),
    path("v1/disputes", DisputesView.as_view()),
    path("v1/disputes/<str:dispute_id>", DisputeView.as_view()),
    path("v1/disputes/<str:dispute_id>/messages", MessagesView.as_view()),
    path("v1/disputes/<str:dispute_id>/evidence", DisputeEvidenceView.as_view()),
    path("v1/disputes/<str:dispute_id>/withdraw", WithdrawView.as_view()),
    path("v1/disputes/<str:dispute_id>/accept", AcceptView.as_view()),
    path("v1/invoices", InvoicesView.as_view()),
    path("v1/invoices/<str:invoice_id>", InvoiceView.as_view()),
    path("v1/statements/<str:statement_id>", StatementView.as_view()),
    path("v1/settlements", SettlementsView.as_view()),
    path("v1/settlements/<str:batch_id>/export", SettlementExportView.as_view()),
    path("v1/earnings", EarningsView.as_view()),
    path("v1/payouts", PayoutsView.as_view()),
    path("v1/payouts/<str:payout_id>", PayoutView.as_view()),
    path("v1/ledger/checkpoint", CheckpointView.as_view()),
    path("v1/ledger/tile/<path:tile>", TileView.as_view()),
    path("v1/ledger/consistency", ConsistencyView.as_view()),
    path("v1/ledger/keys", LogKeysView.as_view()),
    path("v1/ledger/entries/<str:entry_id>", EntryView.as_view()),
    path("v1/ledger/entries/<str:entry_id>/proof", EntryProofView.as_view()),
    path("v1/codes/issue", IssueView.as_view()),
    path("v1/codes/verify", VerifyView.as_view()),
    path("v1/codes/public-key", PublicKeyView.as_view()),
    path("v1/attribution/verify", VerifyTokenView.as_view()),
    path("v1/attribution/keys", TokenKeysView.as_view()),
    path("v1/acp/secret", OrderSecretView.as_view()),
    path("v1/acp/orders/<str:merchant_id>", OrderEventsView.as_view()),
    path(".well-known/jwks.json", JwksView.as_view()),
    path("v1/connections", ConnectionsView.as_view()),
    path("v1/connections/<str:connection_id>", ConnectionView.as_view()),
    path("v1/connections/<str:connection_id>/webhook-secret", WebhookSecretView.as_view()),
    path("v1/connections/<str:connection_id>/disconnect", DisconnectView.as_view()),
    path("v1/webhooks/stripe", PlatformWebhookView.as_view()),
    path("v1/webhooks/<str:kind>/<str:connection_id>", WebhookView.as_view()),
    path("v1/webhook-endpoints", EndpointsView.as_view()),
    path("v1/webhook-endpoints/<str:endpoint_id>", EndpointView.as_view()),
    path("v1/webhook-endpoints/<str:endpoint_id>/rotate-secret", RotateSecretView.as_view()),
    path("v1/webhook-endpoints/<str:endpoint_id>/test", TestView.as_view()),
    path("v1/webhook-endpoints/<str:endpoint_id>/deliveries", DeliveriesView.as_view()),
    path("v1/webhook-endpoints/<str:endpoint_id>/deliveries/<str:message_id>/resend", ResendView.as_view()),
    path("mcp", McpView.as_view()),
    path("r/<str:recommendation_id>", LinkView.as_view()),
    path("r/<str:recommendation_id>/convert", ConvertView.as_view()),
    path("r/<str:recommendation_id>/stats", LinkStatsView.as_view()),
    path("checkout/<str:transaction_id>/done", returned, {"outcome": "done"}),
    path("checkout/<str:transaction_id>/cancelled", returned, {"outcome": "cancelled"}),
    path("openapi.json", safe(SpectacularAPIView.as_view(renderer_classes=[OpenApiJsonRenderer])), name="schema"),
    path("docs", safe(SpectacularSwaggerView.as_view(url_name="schema"))),
    path("docs/api", reference.index),
    path("docs/api/<str:operation_id>", reference.page),
    path("llms.txt", reference.llms),
    path("postman.json", reference.postman_collection),
    path("admin/", admin.site.urls),
]
if settings.RAKO_MODE == "sandbox":
    urlpatterns.append(path("sandbox/", include("checkout.connectors.sandbox.urls")))

handler400 = "rako.core.errors.bad_request"
handler403 = "rako.core.errors.forbidden"
handler404 = "rako.core.errors.not_found"
handler500 = "rako.core.errors.server_error"
