"""What the tools are carried out by: the functions of this process, or another server's REST API."""

from collections.abc import Mapping
from typing import Any, Protocol

from django.db import InterfaceError, OperationalError

from checkout.replies import handed_over
from checkout.wire import CheckoutBody
from rako.core.api_keys import kinds
from rako.core.errors import Unauthorized, Unavailable
from sessions_app import replies
from sessions_app.models import Agent, AgentKey
from sessions_app.recommend import alone_with, known_recommendation
from sessions_app.wire import RecommendRequest

Reply = dict[str, Any]


class Backend(Protocol):
    """The REST API's replies as dicts. Whatever it refuses is raised as a RakoError with its code."""

    def search(self, params: Mapping[str, str]) -> Reply:
        """GET /v1/offers"""

    def requirements(self, offer_id: str) -> Reply:
        """GET /v1/offers/{id}/requirements"""

    def recommend(self, session_id: str, offer_id: str, context: str) -> Reply:
        """`recommendationId` and `fallbackUrl`: of the session's recommendation of that offer in those words if there
        is one, so that whoever asks again gets the same; else POST /v1/recommend."""

    def checkout(self, session_id: str, recommendation_id: str) -> Reply:
        """POST /v1/checkout"""


class LocalBackend:
    """Calls the functions behind the REST API as one agent."""

    def __init__(self, agent: Agent) -> None:
        self._agent = agent

    def search(self, params: Mapping[str, str]) -> Reply:
        return replies.found_offers(self._agent, params)

    def requirements(self, offer_id: str) -> Reply:
        return replies.offer_requirements(offer_id)

    def recommend(self, session_id: str, offer_id: str, context: str) -> Reply:
        asked = RecommendRequest.check({"sessionId": session_id, "offerId": offer_id, "context": context})
        with alone_with(self._agent, **asked):  # or two equal calls at once would both find none
            known = known_recommendation(self._agent, **asked)
            if known is not None:
                return {"recommendationId": known.pk, "fallbackUrl": known.fallback_url}
            return replies.recommended(self._agent, asked)

    def checkout(self, session_id: str, recommendation_id: str) -> Reply:
        asked = CheckoutBody.check({"sessionId": session_id, "recommendationId": recommendation_id})
        return handed_over(self._agent, asked)


def agent_of(key: str) -> Agent:
    """The agent whose key this is, as of now. Raises Unauthorized or Unavailable.

    No limit is charged: whoever has the database could change it.
    """
    try:
        found: AgentKey | None = kinds()["agent"].find(key)  # type: ignore[assignment]
    except (OperationalError, InterfaceError) as error:
        raise Unavailable() from error
    if found is None:
        raise Unauthorized()
    return found.agent
