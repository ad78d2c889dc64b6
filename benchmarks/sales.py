"""What is appended: a proof of a sale with its entry and three postings, as `ledger.conversions` states it."""

import random
import secrets
from dataclasses import dataclass
from datetime import timedelta

from django.db import transaction
from django.utils import timezone

from ledger.models import Conversion, Evidence
from merchants.models import Offer
from rako.core.facts import Fact, Posting
from rako.core.ids import new_id
from rako.core.wire import instant
from sessions_app.models import Agent, AgentKey, Recommendation, Session

# The evidence of a run refers to these, spread as sales are: one row alone would be contended for.
CONVERSIONS = 1000
FIRST = 1000
COMMISSION = {"amount_minor": 800, "fee_minor": 160, "payout_minor": 640}


@dataclass(frozen=True, slots=True)
class Parties:
    """Who is at either end of the sales, and what was sold."""

    agent: Agent
    merchant_id: str
    offer_id: str

    @classmethod
    def of_the_demo(cls) -> "Parties":
        offer = Offer.objects.filter(vertical="sim", status="active").order_by("id")[0]
        agent = AgentKey.objects.select_related("agent").get(name="Published demo key").agent
        return cls(agent, offer.merchant_id, offer.pk)


def conversion_id(number: int) -> str:
    """The id of one of the prepared conversions: four digits at its end tell it from the others."""
    return f"01BENCHMARK00000000000{FIRST + number}"


@transaction.atomic
def prepare_conversions() -> None:
    """The rows that evidence refers to. The sales themselves are not what is measured: they have no entries."""
    parties, now = Parties.of_the_demo(), timezone.now()
    owned = {"agent": parties.agent, "created_at": now}
    sessions = [Session(**owned, expires_at=now + timedelta(days=1)) for _ in range(CONVERSIONS)]
    recommendations = [
        Recommendation(**owned, session=session, offer_id=parties.offer_id, aap_code="-", fallback_url="-")
        for session in sessions
    ]
    Session.objects.bulk_create(sessions)
    Recommendation.objects.bulk_create(recommendations)
    Conversion.objects.bulk_create(
        conversion_of(recommendation, parties, id=conversion_id(number), order_reference=f"benchmark-{number}")
        for number, recommendation in enumerate(recommendations)
    )


def conversion_of(recommendation: Recommendation, parties: Parties, **named: str) -> Conversion:
    """A sale's row, with an id and an order's reference of its own."""
    return Conversion(
        **named,
        attribution_path="aap_flow",
        verification_level="orchestrated",
        session=recommendation.session,
        recommendation=recommendation,
        agent=parties.agent,
        builder_id=parties.agent.builder_id,
        merchant_id=parties.merchant_id,
        offer_id=parties.offer_id,
        code_sha256="0" * 64,
        transaction_value_minor=2500,
        currency="GBP",
        commission_type="cpa",
        commission_minor=COMMISSION["amount_minor"],
        network_fee_minor=COMMISSION["fee_minor"],
        builder_payout_minor=COMMISSION["payout_minor"],
        network_fee_rate="0.2",
        validation_days=14,
        converted_at=recommendation.created_at,
    )


def proof_of_sale(
    parties: Parties, *, stream_id: str = "", chain: str = "", sale: str = "", reference: str = ""
) -> tuple[Fact, Evidence]:
    """A payment as the connectors prove it, with the facts and the money that the first entry of a sale has."""
    now = timezone.now()
    stream_id, reference = stream_id or new_id(), reference or f"pi_{secrets.token_hex(12)}"
    sale = sale or conversion_id(random.randrange(CONVERSIONS))  # noqa: S311
    digest = secrets.token_hex(32)
    row = Evidence(
        conversion_id=sale,
        merchant_id=parties.merchant_id,
        source="psp_event",
        level="orchestrated",
        reference=reference,
        transaction_value_minor=2500,
        currency="GBP",
        occurred_at=now,
        received_at=now,
        sha256=digest,
        details={"event": "checkout.session.completed", "payment": reference},
    )
    fact = Fact(
        stream_id=chain or stream_id,
        kind="conversion.recorded",
        facts=_facts(parties, stream_id, sale, instant(now), digest),
        for_merchant={"order_reference": f"order-{reference}", "reference": reference},
        for_agent={"agent_id": parties.agent.pk, "builder_id": parties.agent.builder_id},
        evidence_sha256=digest,
        postings=[
            Posting("merchant_accrued", parties.merchant_id, "GBP", COMMISSION["amount_minor"]),
            Posting("builder_pending", parties.agent.builder_id, "GBP", -COMMISSION["payout_minor"]),
            Posting("fee_pending", "", "GBP", -COMMISSION["fee_minor"]),
        ],
        occurred_at=now,
        idempotency_key=f"conversion:{stream_id}",
        merchant_id=parties.merchant_id,
        agent_id=parties.agent.pk,
    )
    return fact, row


def _facts(parties: Parties, stream_id: str, sale: str, received_at: str, digest: str) -> dict[str, object]:
    return {
        "conversion_id": stream_id,
        "status": "pending_validation",
        "verification_level": "orchestrated",
        "session_id": sale,
        "recommendation_id": sale,
        "merchant_id": parties.merchant_id,
        "offer_id": parties.offer_id,
        "transaction_value_minor": 2500,
        "currency": "GBP",
        "evidence": {"source": "psp_event", "level": "orchestrated", "received_at": received_at, "sha256": digest},
        "attribution_path": "aap_flow",
        "code_sha256": "0" * 64,
        "validation_days": 14,
        "validation_ends_at": received_at,
        "commission": {"type": "cpa", "gross_minor": 800, "path_multiplier": "1.00", "fee_rate": "0.2000"} | COMMISSION,
    }
