"""Measures recent sales and holds the suspicious ones: one statement for all, off indexes, at a bounded cost."""

from collections.abc import Iterator
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any

from django.db import connection
from django.utils import timezone
from ulid import ULID

from ledger.fraud_rules import CANCELLATION_DAYS, USUAL_DAYS, Measures, Signal, signals
from ledger.holds import place
from rako.core.progress import progress

# Sales that were recorded in the last days and are not reversed; what is older was looked at before.
LOOK_BACK = timedelta(days=3)
MOST = 20_000

# Ids begin with the time: a range of them is a range of times, read off the keys.
_MEASURED = """
WITH recent AS (
    SELECT id, agent_id, builder_id, merchant_id, recommendation_id, converted_at FROM ledger_conversion
    WHERE id >= %(recent)s AND status IN ('matched', 'pending_validation', 'validated', 'disputed', 'resolved')
    ORDER BY id DESC LIMIT %(most)s
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
        SELECT count(DISTINCT conversion_id) FROM ledger_evidence proof
        WHERE proof.details ->> 'payment_reference' = named.payment
    ) AS uses FROM named
)
SELECT recent.id, ARRAY(SELECT rule FROM ledger_fraudhold hold WHERE hold.conversion_id = recent.id),
    hours.sales, usual.sales::int, usual.hours, usual.before::int, builder.email, merchant.contact_email,
    coalesce(payments.uses, 0), pairs.sales, pairs.clawed_back,
    coalesce(clicks.visits, 0)::int, coalesce(clicks.most, 0)
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
    """Hold what is suspicious among recent sales, each in a transaction of its own; what was found."""
    found = list(suspicions(now or timezone.now()))
    if dry_run:
        return found
    return [each for each in progress(found, total=len(found), label="holds") if place(each.conversion_id, each.signal)]


def suspicions(now: datetime) -> Iterator[Suspicion]:
    """Sales beyond a rule that has not held them yet. A rule holds a sale once: what staff released stays released."""
    past = timedelta(days=max(CANCELLATION_DAYS, USUAL_DAYS + 1)) + LOOK_BACK
    values: dict[str, Any] = {
        "recent": _first_id(now - LOOK_BACK),
        "past": _first_id(now - past),
        "usual": timedelta(days=USUAL_DAYS),
        "most": MOST,
    }
    with connection.cursor() as cursor:
        cursor.execute(_MEASURED, values)
        rows = cursor.fetchall()
    for conversion_id, held_by, *measured in rows:
        for signal in signals(Measures(*measured)):
            if signal.rule not in held_by:
                yield Suspicion(conversion_id, signal)


def _first_id(moment: datetime) -> str:
    """The smallest id that a row of this moment may have."""
    return str(ULID.from_datetime(moment))[:10] + "0" * 16
