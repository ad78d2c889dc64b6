"""Where the ids of a call come from: other calls' replies. The schema's links, and the first steps of its examples."""

from dataclasses import dataclass, field


@dataclass(frozen=True, slots=True)
class Link:
    """What a reply to `source` gives to a call of `target`: a value for each path parameter and field of the body."""

    source: str
    target: str
    path: dict[str, str] = field(default_factory=dict)
    body: dict[str, str] = field(default_factory=dict)


def _reply(pointer: str) -> str:
    return f"$response.body#/{pointer}"


def _request(pointer: str) -> str:
    return f"$request.body#/{pointer}"


_SESSION, _FOUND = _reply("sessionId"), _reply("offers/0/id")
_RECOMMENDATION = {"recommendationId": _reply("recommendationId")}
_OF_SESSION = {"sessionId": _request("sessionId")}
_CONVERSION = {"conversion_id": _reply("conversionId")}
_LISTED_CONVERSION = {"conversion_id": _reply("conversions/0/conversionId")}
_DISPUTE = {"dispute_id": _reply("disputeId")}
_LISTED_DISPUTE = {"dispute_id": _reply("disputes/0/disputeId")}
_CONNECTION = {"connection_id": _reply("connections/0/id")}

# Of several links to a target the first is the way that examples go.
LINKS = (
    Link("searchOffers", "getOfferRequirements", {"offer_id": _FOUND}),
    Link("searchOffers", "recommend", body={"sessionId": _SESSION, "offerId": _FOUND}),
    Link("searchOffers", "getSession", {"session_id": _SESSION}),
    Link("searchOffers", "issueCode", body={"offerId": _FOUND}),
    Link("searchOffers", "verifyCode", body={"code": _reply("offers/0/aapCode")}),
    Link("recommend", "checkout", body=_OF_SESSION | _RECOMMENDATION),
    Link("recommend", "purchase", body=_RECOMMENDATION),
    Link("recommend", "reportConversion", body=_OF_SESSION),
    Link("recommend", "claimMissingSale", body=_OF_SESSION | _RECOMMENDATION),
    Link("recommend", "followLink", {"recommendation_id": _reply("recommendationId")}),
    Link("recommend", "getLinkStats", {"recommendation_id": _reply("recommendationId")}),
    Link("recommend", "convertLink", {"recommendation_id": _reply("recommendationId")}),
    *(
        Link(source, target, ids)
        for source, ids in (("reportConversion", _CONVERSION), ("listConversions", _LISTED_CONVERSION))
        for target in (
            *("getConversion", "getEvidence", "getConversionProof"),
            *("openDispute", "reportMilestone", "cancelConversion"),
        )
    ),
    *(
        Link(source, target, ids)
        for source, ids in (
            ("claimMissingSale", _DISPUTE),
            ("openDispute", _DISPUTE),
            ("listDisputes", _LISTED_DISPUTE),
        )
        for target in ("getDispute", "addDisputeMessage", "addDisputeEvidence", "withdrawDispute", "acceptDispute")
    ),
    Link("listInvoices", "getInvoice", {"invoice_id": _reply("invoices/0/id")}),
    Link("getInvoice", "getEntry", {"entry_id": _reply("ledgerEntryId")}),
    Link("getConversionProof", "getEntryProof", {"entry_id": _reply("entries/0/entryId")}),
    Link("getConversionProof", "getEntry", {"entry_id": _reply("entries/0/entryId")}),
    Link("listSettlements", "exportSettlement", {"batch_id": _reply("settlements/0/batchId")}),
    Link("listSettlements", "getStatement", {"statement_id": _reply("settlements/0/statements/0/id")}),
    Link("listPayouts", "getPayout", {"payout_id": _reply("payouts/0/id")}),
    *(
        Link(source, target, {"endpoint_id": _reply(pointer)})
        for source, pointer in (("createWebhookEndpoint", "id"), ("listWebhookEndpoints", "webhookEndpoints/0/id"))
        for target in (
            *("getWebhookEndpoint", "changeWebhookEndpoint", "rotateWebhookSecret", "testWebhookEndpoint"),
            *("listWebhookDeliveries", "deleteWebhookEndpoint"),
        )
    ),
    *(Link("listConnections", target, _CONNECTION) for target in ("getConnection", "disconnect", "addWebhookSecret")),
)


def link_to(target: str) -> Link | None:
    """The way that examples go to an operation; None if it needs nothing of another reply."""
    return next((link for link in LINKS if link.target == target), None)


def last_of(expression: str) -> str:
    """The pointer within the body that an expression names."""
    return expression.partition("#/")[2]
