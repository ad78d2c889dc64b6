"""When a delivery is tried again: ever later, over three days. Pure arithmetic."""

import random
from datetime import datetime, timedelta

_MINUTE, _HOUR = 60, 3600
# Seconds from an attempt to the next; ten attempts in all.
PAUSES = (5, 5 * _MINUTE, 30 * _MINUTE, 2 * _HOUR, 5 * _HOUR, 10 * _HOUR, 14 * _HOUR, 20 * _HOUR, 24 * _HOUR)
ATTEMPTS = len(PAUSES) + 1
# The most that a receiver's Retry-After may put an attempt off.
_LONGEST = 24 * _HOUR
# Up to a tenth later: what failed together does not come back together.
_JITTER = 0.1
# An endpoint that took nothing for so long is disabled at its next failure: before a message has had its last attempt.
GIVEN_UP_AFTER = timedelta(days=3)


def next_attempt(made: int, now: datetime, retry_after: int | None = None) -> datetime | None:
    """When to try again after so many failed attempts; None if that was the last."""
    if made >= ATTEMPTS:
        return None
    pause = max(PAUSES[made - 1], min(retry_after or 0, _LONGEST))
    return now + timedelta(seconds=pause * (1 + random.uniform(0, _JITTER)))  # noqa: S311 - nothing secret


def is_given_up(failing_since: datetime, now: datetime) -> bool:
    """Whether an endpoint has failed for too long."""
    return now - failing_since >= GIVEN_UP_AFTER
