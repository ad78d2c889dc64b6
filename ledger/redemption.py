"""Redeeming attribution tokens: a merchant's report that says by a token which recommendation has the sale.

The token must be the merchant's own and say what is recorded; its time is that of the session, which every report is
held against. Its nonce is kept with the evidence. That no token makes two sales is PostgreSQL's word: a session has
one.
"""

from typing import Any

from ledger.models.conversion import Path
from merchants.models import Merchant
from rako.core.errors import BadRequest
from sessions_app.attribution_token import AttributionToken, find_recommendation
from sessions_app.recommend import RecommendationNotFound, SessionNotFound

# What evidence keeps of how a report came: it says nothing of the sale.
REDEEMED = ("attribution_nonce", "event_sha256")


def redeem(merchant: Merchant, fields: dict[str, Any]) -> dict[str, Any]:
    """A report's fields with what its token stands for in its place.

    Raises InvalidToken, BadRequest, and SessionNotFound or RecommendationNotFound if the report names others.
    """
    fields = dict(fields)
    text = fields.pop("attribution_token", None)
    if text is None:
        return fields
    if fields.get("attribution_path", Path.AAP_FLOW) != Path.AAP_FLOW:
        raise BadRequest("attributionToken is for aap_flow alone", code="invalid_field")
    recommendation, token = find_recommendation(text, merchant_id=merchant.pk)
    named = {"session_id": recommendation.session_id, "recommendation_id": recommendation.pk}
    if fields.get("session_id", recommendation.session_id) != recommendation.session_id:
        raise SessionNotFound()
    if fields.get("recommendation_id", recommendation.pk) != recommendation.pk:
        raise RecommendationNotFound()
    return fields | named | {"redeemed": what_is_kept(token)}


def what_is_kept(token: AttributionToken) -> dict[str, Any]:
    """What the evidence says of a redeemed token: enough to tell it from every other, too little to use it."""
    return {"attribution_nonce": token.nonce}
