"""Who recommends, and what was searched, recommended and clicked."""

from sessions_app.models.agent import Agent, AgentKey, Builder
from sessions_app.models.session import Click, Recommendation, Session

__all__ = ["Agent", "AgentKey", "Builder", "Click", "Recommendation", "Session"]
