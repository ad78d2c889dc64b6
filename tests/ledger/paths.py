"""Proofs of a sale by each path, as merchants report them, and what a ledger must come to."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

from django.db.models import Sum

from ledger.models import Conversion, Posting
from ledger.verification.run import Scope, verify
from merchants.models import Merchant
from sessions_app.models import Click, Recommendation
from tests.checkout.psp import checkout_of, deliver, paid_event
from tests.conftest import Api
from tests.factories import MerchantKeyFactory, OfferFactory, RecommendationFactory
from tests.ledger.tampering import guards_in_force, sequence

# What a CPA of 8.00 comes to by each path, in the order of their priority: gross × multiplier, fee, payout.
EARNS = {
    "aap_flow": (800, 160, 640),
    "tracked_link": (600, 120, 480),
    "extension": (600, 120, 480),
    "influence": (400, 80, 320),
}
PATHS = list(EARNS)


class Market:
    """A merchant that pays for all paths, with an offer that two agents recommended; one link each was followed."""

    def __init__(self, **offer: Any) -> None:
        self.offer = OfferFactory(**offer)
        self.merchant = self.offer.merchant
        Merchant.objects.filter(pk=self.merchant.pk).update(accepts_extension=True, accepts_influence=True)
        self.client = Api(MerchantKeyFactory(merchant=self.merchant).secret)
        self.ours, self.theirs = self.recommend(), self.recommend()

    def recommend(self) -> Recommendation:
        """A recommendation of an agent of its own, whose link was followed at once."""
        recommendation = RecommendationFactory(offer=self.offer)
        Click.objects.create(recommendation=recommendation, visitor="v" * 32, is_bot=False, slot=0)
        return recommendation

    def report(self, recommendation: Recommendation, path: str, order: str = "ORDER-1", **changes: Any) -> Any:
        """The merchant's report of a sale by a path."""
        body: dict[str, Any] = {"orderReference": order, "transactionValue": 10} | changes
        if path == "tracked_link":
            return self.client.post(f"/r/{recommendation.pk}/convert", body)
        body = {"sessionId": recommendation.session_id, "recommendationId": recommendation.pk} | body
        if path == "extension":
            evidence = {"activatedAt": recommendation.created_at.isoformat()}
            body = {"attributionPath": path, "evidence": evidence} | body
        if path == "influence":
            body = {"attributionPath": path, "evidence": {"survey": "S-17"}} | body
        return self.client.post("/v1/conversions", body)

    def payment(self, recommendation: Recommendation) -> Callable[[], Any]:
        """The buyer has paid on the page of the flow; call it to have the processor tell of it."""
        checkout = checkout_of(recommendation)
        event = paid_event(checkout)
        return lambda: deliver(checkout.connection, event)


def live_sales() -> list[Conversion]:
    return list(Conversion.objects.filter(is_superseded=False))


def balances() -> dict[str, int]:
    rows = Posting.objects.values("account").annotate(total=Sum("amount_minor"))
    return {row["account"]: row["total"] for row in rows if row["total"]}


def accrued(path: str) -> dict[str, int]:
    """The balances of one sale by a path, and nothing else."""
    amount, fee, payout = EARNS[path]
    return {"merchant_accrued": amount, "fee_pending": -fee, "builder_pending": -payout}


def findings(folder: Path, settings: Any) -> list[Any]:
    """What a verification of everything finds."""
    settings.RAKO_SIGNER_DIR = folder / "signer"
    guards_in_force()
    sequence()
    return verify(Scope()).kept
