"""The models of `rako.core`, which is no app of its own."""

from rako.core.idempotency import IdempotentReply
from rako.core.rate_limits import RateWindow

__all__ = ["IdempotentReply", "RateWindow"]
