"""How often a key may call (protocol, section 0): so many requests in a window of a minute, counted in PostgreSQL.

A window begins, on a whole second, with the first request after the one before it: what the headers say is then simply
true. Until `X-RateLimit-Reset` no more than `X-RateLimit-Limit` requests are answered, and from then on as many again.
A sliding window would have to keep every request's time, or refuse clients that keep exactly to their limit.
"""

from typing import NamedTuple, Self

from django.db import models

from rako.core.errors import RakoError

WINDOW_SECONDS = 60
# What the headers say of keys without a limit: more than anybody can send in a minute.
NO_LIMIT = 1_000_000_000
# Refusals are counted up to so many times the limit; beyond that, they write nothing.
_MOST_COUNTED = 10


class Tier(models.TextChoices):
    """What was agreed with a key's owner."""

    STANDARD = "standard"
    GROWTH = "growth"
    ENTERPRISE = "enterprise"


# Requests a minute. Enterprise keys have a number of their own, or none.
LIMITS = {Tier.STANDARD: 60, Tier.GROWTH: 300}
_CASES = " ".join(f"WHEN '{tier}' THEN {limit}" for tier, limit in LIMITS.items())
# The limit of the row `key`; NULL is none.
PER_MINUTE = f"CASE key.tier {_CASES} ELSE key.rate_limit END AS per_minute"


class RateLimited(RakoError):
    status, code, message = 429, "rate_limited", "Rate limit exceeded"


class RateWindow(models.Model):
    """The latest window of one key. The table is UNLOGGED: counting waits for no disk, and after a crash of PostgreSQL
    every key begins a new window."""

    key_id = models.CharField(max_length=26, primary_key=True, db_collation="C")
    ends_at = models.BigIntegerField(help_text="Unix seconds.")
    used = models.IntegerField()


# A window is over once it has ended, and if it ends too late: then it was begun before the clock was set back.
_IS_CURRENT = f"abs({{}}.ends_at - {{}}.ends_at) < {WINDOW_SECONDS}"
# Finds a key by `lookup`, which selects the columns `id` and `per_minute`, and counts the request, all at once. Of many
# at the same time each waits for the one before it, for as long as that takes to commit this statement alone.
_CHARGE = f"""
WITH key AS ({{lookup}}),
fresh AS (SELECT floor(extract(epoch FROM statement_timestamp()))::bigint + {WINDOW_SECONDS} AS ends_at),
seen AS (
    SELECT standing.used, standing.ends_at FROM key JOIN rako_ratewindow standing ON standing.key_id = key.id, fresh
    WHERE key.per_minute IS NOT NULL AND {_IS_CURRENT.format("standing", "fresh")}
),
charged AS (
    INSERT INTO rako_ratewindow AS standing (key_id, ends_at, used)
    SELECT key.id, fresh.ends_at, 1 FROM key, fresh
    WHERE key.per_minute IS NOT NULL
        AND NOT EXISTS (SELECT FROM seen WHERE seen.used >= key.per_minute::bigint * {_MOST_COUNTED})
    ON CONFLICT (key_id) DO UPDATE SET
        used = CASE WHEN {_IS_CURRENT.format("standing", "excluded")} THEN standing.used + 1 ELSE 1 END,
        ends_at = CASE WHEN {_IS_CURRENT.format("standing", "excluded")} THEN standing.ends_at ELSE excluded.ends_at END
    RETURNING used, ends_at
)
SELECT fresh.ends_at - {WINDOW_SECONDS}, coalesce(charged.used, seen.used), coalesce(charged.ends_at, seen.ends_at),
    key.*
FROM key CROSS JOIN fresh LEFT JOIN charged ON true LEFT JOIN seen ON true
"""  # noqa: S608 - constants


def charging(lookup: str) -> str:
    """The statement that finds a key and charges it: a row of three columns for `Rate.of`, then those of the lookup."""
    return _CHARGE.format(lookup=lookup)


class Rate(NamedTuple):
    """Where a key stands in its window, this request counted; times are Unix seconds."""

    limit: int
    used: int
    now: int
    ends_at: int

    @classmethod
    def of(cls, limit: int | None, now: int, used: int | None, ends_at: int | None) -> Self:
        """What `charging` found; there is no window if the key has no limit."""
        if limit is None or used is None or ends_at is None:
            return cls(NO_LIMIT, 1, now, now + WINDOW_SECONDS)
        return cls(limit, used, now, ends_at)

    def check(self) -> None:
        """Raise RateLimited beyond the limit. Who goes on all the same is asked to wait longer, a minute for each limit
        full of refusals; the next window serves them in any case."""
        if self.used > self.limit:
            minutes_more = (self.used - self.limit - 1) // self.limit
            raise RateLimited(retry_after=self.ends_at - self.now + WINDOW_SECONDS * minutes_more)

    @property
    def headers(self) -> dict[str, str]:
        """What every reply to a keyed request carries."""
        return {
            "X-RateLimit-Limit": str(self.limit),
            "X-RateLimit-Remaining": str(max(0, self.limit - self.used)),
            "X-RateLimit-Reset": str(self.ends_at),
        }
