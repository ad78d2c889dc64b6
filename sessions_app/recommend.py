"""Recording recommendations: the attribution event (protocol, section 1, POST /v1/recommend)."""

import hashlib
from collections.abc import Iterator
from contextlib import contextmanager

from django.conf import settings
from django.db import transaction

from merchants.catalogue import ListedOffer
from merchants.codes import available_offer, code_for
from rako.core.errors import Gone, NotFound
from rako.core.facts import Appended, Fact, state
from rako.core.ids import is_id, new_id
from rako.core.postgres import Statement, send
from sessions_app.models import Agent, Recommendation, Session


class SessionNotFound(NotFound):
    code, message = "session_not_found", "Session not found"


class SessionExpired(Gone):
    code, message = "session_expired", "Session expired"


class RecommendationNotFound(NotFound):
    code, message = "recommendation_not_found", "Recommendation not found"


def open_session(agent: Agent, session_id: str) -> Session:
    """An agent's session within its window. Raises SessionNotFound (another agent's too) or SessionExpired."""
    session = Session.objects.filter(pk=session_id, agent=agent).first() if is_id(session_id) else None
    if session is None:
        raise SessionNotFound()
    if session.is_expired:
        raise SessionExpired()
    return session


_ALONE = "SELECT pg_advisory_xact_lock(hashtextextended(%s, 0))"


@contextmanager
def alone_with(agent: Agent, *, session_id: str, offer_id: str, context: str = "") -> Iterator[None]:
    """A transaction in which nobody else looks for, or records, the same recommendation in the same words by this."""
    with transaction.atomic():
        send(Statement(_ALONE, [f"recommend {agent.pk} {session_id} {offer_id} {context}"]))
        yield


def known_recommendation(agent: Agent, *, session_id: str, offer_id: str, context: str = "") -> Recommendation | None:
    """The latest recommendation of an offer that the agent recorded in the session in the same words."""
    if not (is_id(session_id) and is_id(offer_id)):
        return None
    mine = Recommendation.objects.filter(agent=agent, session_id=session_id, offer_id=offer_id, context=context)
    return mine.order_by("-pk").first()


def record_recommendation(
    agent: Agent, *, session_id: str, offer_id: str, context: str = ""
) -> tuple[Recommendation, ListedOffer, Appended]:
    """Store that the agent recommended an offer, with the exact code it carried; returns it with offer and entry.

    Raises SessionNotFound, SessionExpired, OfferNotFound or OfferUnavailable, in that order.
    """
    session = open_session(agent, session_id)
    offer = available_offer(offer_id)
    recommendation_id = new_id()
    recommendation = Recommendation(
        id=recommendation_id,
        session=session,
        agent=agent,
        offer_id=offer.id,
        aap_code=code_for(offer),
        context=context,
        fallback_url=f"{settings.RAKO_LINK_BASE}/r/{recommendation_id}",
    )
    if session.status != Session.Status.CREATED:
        return recommendation, offer, _state(recommendation, offer, agent)
    # No savepoint inside the transaction of an idempotent request: whatever fails here is a fault of ours.
    with transaction.atomic(savepoint=False):
        entry = _state(recommendation, offer, agent)
        # Only forward: a checkout that ran meanwhile has moved the session further.
        Session.objects.filter(pk=session.pk, status=Session.Status.CREATED).update(status=Session.Status.ACTIVE)
    return recommendation, offer, entry


def _state(recommendation: Recommendation, offer: ListedOffer, agent: Agent) -> Appended:
    """Store the recommendation and the entry that tells of it, in one statement."""
    fact = Fact(
        stream_id=recommendation.pk,
        kind="recommendation.recorded",
        facts={
            "recommendation_id": recommendation.pk,
            "session_id": recommendation.session_id,
            "offer_id": offer.id,
            "merchant_id": offer.merchant_id,
            "code_sha256": hashlib.sha256(recommendation.aap_code.encode()).hexdigest(),
        },
        for_agent={
            "agent_id": agent.pk,
            "builder_id": agent.builder_id,
            # The agent's words may name a person: the ledger holds no more of them than their hash.
            "context_sha256": hashlib.sha256(recommendation.context.encode()).hexdigest(),
        },
        occurred_at=recommendation.created_at,
        idempotency_key=f"recommendation:{recommendation.pk}",
        merchant_id=offer.merchant_id,
        agent_id=agent.pk,
    )
    return state(fact, along_with=recommendation)
