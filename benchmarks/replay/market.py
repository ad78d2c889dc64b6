"""What the orders need to be reported: one merchant, one offer, and for each order a recommendation of its time.

The past cannot be had through the API: sessions and recommendations are written as rows, all else goes the real way.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, time, timedelta
from decimal import Decimal

from django.utils import timezone

from benchmarks.replay.orders import Order
from merchants.catalogue import find_offer
from merchants.codes import code_for
from merchants.models import CommissionTerms, Merchant, MerchantKey, Offer
from sessions_app.models import Agent, Builder, Recommendation, Session

AGENTS = 7  # of as many builders
PERCENT = Decimal("5.00")
_CHUNK = 2000
# Stays are confirmed on the day of the service; a shop's orders are as good as stays of no length.
_STAY = {
    "city": "Fort Washington",
    "country": "US",
    "stars": 3,
    "board": "room_only",
    "free_cancellation": False,
    "max_guests": 1,
}


@dataclass(frozen=True, slots=True)
class Market:
    """The merchant's key, and the agents by whose recommendation the orders came."""

    merchant_id: str
    key: str
    offer_id: str
    code: str
    agents: Sequence[Agent]

    def agent_of(self, order: Order) -> Agent:
        """Whose recommendation an order is credited to."""
        return self.agents[order.number % len(self.agents)]


def open_market() -> Market:
    """A merchant, its offer at 5 %, and agents of seven builders."""
    merchant = Merchant.objects.create(name="CDNOW", hosts=["cdnow.example"], vat_rate=Decimal("0.2"))
    offer = Offer.objects.create(
        merchant=merchant,
        vertical="hotels",
        provider="CDNOW",
        name="Music by mail",
        price_minor=1000,
        criteria=_STAY,
        url="https://cdnow.example/",
    )
    past = timezone.now() - timedelta(days=1)
    CommissionTerms.objects.create(offer=offer, type="percentage", rate=PERCENT, effective_from=past)
    found = find_offer(offer.pk)
    assert found is not None  # noqa: S101 - just made
    _, key = MerchantKey.issue(name="Replay", merchant=merchant, tier="enterprise")
    builders = [Builder.objects.create(name=f"Replay builder {number}") for number in range(AGENTS)]
    agents = [Agent.objects.create(builder=builder, name="Replay") for builder in builders]
    return Market(merchant.pk, key, offer.pk, code_for(found), agents)


def recommend(market: Market, orders: Sequence[Order]) -> list[tuple[Order, str]]:
    """A session with one recommendation for each order, opened at the day's beginning; with the sessions' ids."""
    sessions, recommendations = [], []
    for order in orders:
        opened = datetime.combine(order.on, time(), UTC)
        session = Session(agent=market.agent_of(order), created_at=opened, expires_at=opened + timedelta(days=1))
        sessions.append(session)
        recommendations.append(
            Recommendation(
                session=session,
                agent_id=session.agent_id,
                offer_id=market.offer_id,
                aap_code=market.code,
                fallback_url="https://cdnow.example/",
                created_at=opened,
            )
        )
    Session.objects.bulk_create(sessions, batch_size=_CHUNK)
    Recommendation.objects.bulk_create(recommendations, batch_size=_CHUNK)
    return [(order, session.pk) for order, session in zip(orders, sessions, strict=True)]


def row_of(order: Order, session_id: str) -> dict[str, object]:
    """The order as the merchant reports it."""
    return {
        "sessionId": session_id,
        "orderReference": order.reference,
        "transactionValue": float(Decimal(order.value_minor) / 100),
        "occurredAt": f"{order.on}T12:00:00.000Z",
        "serviceDate": order.on.isoformat(),
    }
