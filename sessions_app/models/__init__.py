"""Who recommends, and what was searched, recommended and clicked."""

from sessions_app.models.agent import Agent, AgentKey, Builder
from sessions_app.models.attribution import AttributionKey
from sessions_app.models.session import Click, Recommendation, Session

__all__ = ["Agent", "AgentKey", "AttributionKey", "Builder", "Click", "Recommendation", "Session"]
