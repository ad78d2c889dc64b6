"""Measures sales and holds the suspicious ones: one statement for each many, off indexes, at a bounded cost.

Each sale is looked at when it is new, and again when it is one day and three days old: then all of its hour and its day
is known, and what was cancelled at once. However many there are, none is left out: each look goes on where it ended.
"""

from collections import defaultdict
from collections.abc import Collection, Iterator
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any

from django.db import connection
from django.utils import timezone
from ulid import ULID

from ledger.fraud_rules import CANCELLATION_DAYS, USUAL_DAYS, Measures, Signal, signals
from ledger.holds import place
from ledger.models import FraudLook
from ledger.windows import CLOCK_SKEW
from rako.core.progress import progress
from sessions_app.models import Builder

# How old sales are, in days, when they are looked at.
LOOKS = (0, 1, 3)
# A sale has its id before its transaction ends: each look begins again a little before where it ended.
OVERLAP = timedelta(hours=1)
# So many sales are measured at once.
MOST = 20_000
_PAST = timedelta(days=max(CANCELLATION_DAYS, USUAL_DAYS + 1))

# Ids begin with the time: a range of them is a range of times, read off the keys.
_MEASURED = """
WITH recent AS (
    SELECT id, agent_id, builder_id, merchant_id, recommendation_id, converted_at FROM ledger_conversion
    WHERE id > %(after)s AND id < %(before)s
        AND status IN ('matched', 'pending_validation', 'validated', 'disputed', 'resolved')
    ORDER BY id LIMIT %(most)s
), past AS (
    SELECT sale.agent_id, sale.merchant_id, sale.status, sale.id, date_trunc('hour', sale.converted_at, 'UTC') AS hour
    FROM (SELECT DISTINCT agent_id FROM recent) agent
    JOIN ledger_conversion sale ON sale.agent_id = agent.agent_id AND sale.id >= %(past)s AND NOT sale.is_superseded
), hours AS (
    SELECT agent_id, hour, count(*) AS sales FROM past GROUP BY agent_id, hour
), days AS (
    SELECT agent_id, date_trunc('day', hour, 'UTC') AS day, sum(sales) AS sales, count(*) AS hours
    FROM hours GROUP BY 1, 2
), usual AS (
    SELECT agent_id, day, sales, hours, coalesce(sum(sales) OVER (
        PARTITION BY agent_id ORDER BY day RANGE BETWEEN %(usual)s PRECEDING AND '1 day' PRECEDING
    ), 0) AS before FROM days
), pairs AS (
    SELECT agent_id, merchant_id, count(*) AS sales, count(*) FILTER (WHERE status = 'clawed_back') AS clawed_back
    FROM past GROUP BY agent_id, merchant_id
), named AS (
    SELECT DISTINCT sale.id, proof.details ->> 'payment_reference' AS payment
    FROM recent sale JOIN ledger_evidence proof ON proof.conversion_id = sale.id
    WHERE proof.details ->> 'payment_reference' IS NOT NULL
), payments AS (
    SELECT named.id, (
        SELECT count(DISTINCT proof.conversion_id)
        FROM ledger_evidence proof JOIN ledger_conversion sale ON sale.id = proof.conversion_id
        -- What passed to another path is one sale still.
        WHERE proof.details ->> 'payment_reference' = named.payment AND NOT sale.is_superseded
    ) AS uses FROM named
)
SELECT recent.id, recent.builder_id, ARRAY(SELECT rule FROM ledger_fraudhold hold WHERE hold.conversion_id = recent.id),
    hours.sales, usual.sales::int, usual.hours, usual.before::int, builder.email, merchant.contact_email,
    coalesce(payments.uses, 0), pairs.sales, pairs.clawed_back,
    coalesce(clicks.visits, 0)::int, coalesce(clicks.most, 0),
    ARRAY[merchant.name, merchant.legal_name], merchant.hosts
FROM recent
JOIN hours ON hours.agent_id = recent.agent_id AND hours.hour = date_trunc('hour', recent.converted_at, 'UTC')
JOIN usual ON usual.agent_id = recent.agent_id AND usual.day = date_trunc('day', recent.converted_at, 'UTC')
JOIN pairs ON pairs.agent_id = recent.agent_id AND pairs.merchant_id = recent.merchant_id
JOIN sessions_app_builder builder ON builder.id = recent.builder_id
JOIN merchants_merchant merchant ON merchant.id = recent.merchant_id
LEFT JOIN payments ON payments.id = recent.id
LEFT JOIN LATERAL (
    SELECT sum(visits) AS visits, max(visits) AS most FROM (
        SELECT count(*) AS visits FROM (
            SELECT visitor FROM sessions_app_click
            WHERE recommendation_id = recent.recommendation_id AND NOT is_bot LIMIT 10000
        ) visit GROUP BY visitor
    ) visitor
) clicks ON true
ORDER BY recent.id
"""


@dataclass(frozen=True, slots=True)
class Suspicion:
    """A sale that a rule finds suspicious and has not held before."""

    conversion_id: str
    signal: Signal


def check_signals(*, now: datetime | None = None, dry_run: bool = False) -> list[Suspicion]:
    """Hold what is suspicious, each sale in a transaction of its own; what was found. A dry run keeps nothing."""
    return list(progress(_checked(now or timezone.now(), dry_run), total=None, label="holds"))


def check_all(now: datetime | None = None) -> int:
    """The same without keeping what was found in mind; how many it were."""
    return sum(1 for _ in _checked(now or timezone.now(), dry_run=False))


def _checked(now: datetime, dry_run: bool) -> Iterator[Suspicion]:
    ended = dict(FraudLook.objects.values_list("days", "last_id"))
    for days in LOOKS:
        after = _begin(days, ended.get(days), now)
        for found, last_id in _pages(after, _first_id(now + CLOCK_SKEW - timedelta(days=days))):
            yield from (each for each in found if dry_run or place(each.conversion_id, each.signal))
            if not dry_run:  # what it has found is held by now
                _end(days, last_id)


def _begin(days: int, last_id: str | None, now: datetime) -> str:
    """Where a look goes on. The first that there is takes what is young enough for the later ones to come to, too."""
    if last_id is not None:
        return _first_id(ULID.from_str(last_id).datetime - OVERLAP)
    return _first_id(now - timedelta(days=days or max(LOOKS)))


def _end(days: int, last_id: str) -> None:
    """Keep how far a look has come. One that ran beside it may have come further."""
    FraudLook.objects.get_or_create(days=days, defaults={"last_id": last_id})
    FraudLook.objects.filter(days=days, last_id__lt=last_id).update(last_id=last_id)


def _pages(after: str, before: str) -> Iterator[tuple[list[Suspicion], str]]:
    """What is suspicious among the sales between two ids, many at a time, and the id that each part reaches to."""
    is_last = False
    while not is_last:
        rows = _measured(after, before)
        owners = _owners({row[1] for row in rows})
        is_last = len(rows) < MOST
        after = before if is_last else rows[-1][0]
        yield [each for row in rows for each in _suspicions(row, owners)], after


def _measured(after: str, before: str) -> list[tuple[Any, ...]]:
    values: dict[str, Any] = {
        "after": after,
        "before": before,
        "past": _first_id(ULID.from_str(after).datetime - _PAST),
        "usual": timedelta(days=USUAL_DAYS),
        "most": MOST,
    }
    with connection.cursor() as cursor:
        cursor.execute(_MEASURED, values)
        return list(cursor.fetchall())


def _owners(builders: Collection[str]) -> dict[str, list[str]]:
    """What builders are called, by themselves and by their banks."""
    names: dict[str, list[str]] = defaultdict(list)
    rows = Builder.objects.filter(pk__in=builders).values_list("pk", "name", "bank_accounts__holder")
    for pk, name, holder in rows:
        names[pk] += [name, holder or ""]
    return names


def _suspicions(row: tuple[Any, ...], owners: dict[str, list[str]]) -> Iterator[Suspicion]:
    """Rules that the sale is beyond and that have not held it yet."""
    conversion_id, builder_id, held_by, *measured = row
    sale = Measures(*measured)._replace(builder_names=owners[builder_id])
    return (Suspicion(conversion_id, signal) for signal in signals(sale) if signal.rule not in held_by)


def _first_id(moment: datetime) -> str:
    """The smallest id that a row of this moment may have."""
    return str(ULID.from_datetime(moment))[:10] + "0" * 16
