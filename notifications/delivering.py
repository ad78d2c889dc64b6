"""Claims messages that are due and notes what came of sending them. Nothing here waits for a receiver.

A claim is a lease: of any number of workers one sends, and what a worker took and never reported is sent again, under
the same id, when its lease is over. So a message arrives at least once, and receivers tell repeats by its id.
"""

import logging
from collections.abc import Sequence
from datetime import datetime, timedelta
from time import monotonic
from typing import Any, NamedTuple

from django.db import connection, transaction
from django.db.models import Q
from django.utils import timezone

from notifications.addresses import Resolver, resolve
from notifications.endpoints import Because, disable
from notifications.models import Attempt, Endpoint, Message, oldest_kept
from notifications.schedule import is_given_up, next_attempt
from notifications.sending import Answer, post
from notifications.signing import signed_headers
from rako.core.encryption import UndecipherableError, decrypt

log = logging.getLogger("rako.webhooks.out")

# Longer than an attempt may take.
LEASE = timedelta(seconds=60)
# How much is on its way to one endpoint at a time: a slow one holds up itself.
AT_ONCE = 4
# How many messages a worker sends at a time; and how many of one owner's are on their way at a time, by all workers
# together, for all its endpoints may be slow: so they hold a quarter of one worker's senders.
SENDERS = 32
PER_OWNER = SENDERS // 4
# When a message is tried again whose attempt could not even begin.
_PUT_BACK = timedelta(seconds=5)
_FORGOTTEN_AT_ONCE = 10_000

# Endpoints first, each locked by one claimer at a time; those whose owners have least on its way come first, and else
# by lot. What another claimer took since our snapshot fails the conditions of the UPDATE, which PostgreSQL holds
# against the rows as they are then. What is busy is what all workers hold leases of. Of two claimers at one moment
# neither sees what the other takes of an owner's: for once they may take its part each.
_CLAIM = """
WITH busy AS (
    SELECT endpoint_id, count(*) AS messages FROM notifications_message WHERE leased_until > %(now)s GROUP BY 1
), owners AS (
    SELECT coalesce(merchant_id, builder_id) AS id, sum(messages) AS messages
    FROM busy JOIN notifications_endpoint endpoint ON endpoint.id = busy.endpoint_id GROUP BY 1
), open AS (
    SELECT endpoint.id, %(at_once)s - coalesce(busy.messages, 0) AS room,
        coalesce(endpoint.merchant_id, endpoint.builder_id) AS owner_id,
        %(per_owner)s - coalesce(owners.messages, 0) AS owners_room
    FROM notifications_endpoint endpoint
    LEFT JOIN busy ON busy.endpoint_id = endpoint.id
    LEFT JOIN owners ON owners.id = coalesce(endpoint.merchant_id, endpoint.builder_id)
    WHERE endpoint.state = 'enabled' AND coalesce(busy.messages, 0) < %(at_once)s
        AND coalesce(owners.messages, 0) < %(per_owner)s AND EXISTS (
            SELECT FROM notifications_message due WHERE due.endpoint_id = endpoint.id AND due.state = 'pending'
                AND due.due_at <= %(now)s AND (due.leased_until IS NULL OR due.leased_until <= %(now)s)
        )
    ORDER BY coalesce(owners.messages, 0), coalesce(busy.messages, 0), random()
    LIMIT %(limit)s FOR NO KEY UPDATE OF endpoint SKIP LOCKED
), ranked AS (
    SELECT due.id, owners_room, row_number() OVER (PARTITION BY owner_id ORDER BY due.place, due.due_at) AS place
    FROM open CROSS JOIN LATERAL (
        SELECT id, due_at, row_number() OVER (ORDER BY due_at) AS place FROM notifications_message
        WHERE endpoint_id = open.id AND state = 'pending'
            AND due_at <= %(now)s AND (leased_until IS NULL OR leased_until <= %(now)s)
        ORDER BY due_at LIMIT open.room
    ) due
), chosen AS (
    SELECT id FROM ranked WHERE place <= owners_room ORDER BY place LIMIT %(limit)s
)
UPDATE notifications_message message
SET leased_until = %(now)s + %(lease)s, attempts_made = message.attempts_made + 1
FROM chosen, notifications_endpoint endpoint
WHERE message.id = chosen.id AND endpoint.id = message.endpoint_id AND message.state = 'pending'
    AND message.due_at <= %(now)s AND (message.leased_until IS NULL OR message.leased_until <= %(now)s)
RETURNING message.id, message.payload, message.attempts_made, message.leased_until, endpoint.id,
    coalesce(endpoint.merchant_id, endpoint.builder_id), endpoint.url, endpoint.secret,
    CASE WHEN endpoint.old_secret_until > %(now)s THEN endpoint.old_secret END
"""
# A lease that ran out, and maybe began anew, is no longer ours to report on.
_REPORT = """
UPDATE notifications_message message SET state = told.state, due_at = told.due_at, ended_at = told.ended_at,
    leased_until = NULL, attempts_made = message.attempts_made - told.not_made
FROM unnest(%s::text[], %s::timestamptz[], %s::text[], %s::timestamptz[], %s::timestamptz[], %s::int[])
    AS told(id, leased_until, state, due_at, ended_at, not_made)
WHERE message.id = told.id AND message.leased_until = told.leased_until
RETURNING message.id
"""


class Claimed(NamedTuple):
    """A message that is ours to send; the secrets are still encrypted."""

    message_id: str
    payload: str
    attempts_made: int
    leased_until: datetime
    endpoint_id: str
    owner_id: str
    url: str
    secret: str
    old_secret: str | None


class Sent(NamedTuple):
    """What came of sending a message."""

    claimed: Claimed
    answer: Answer
    at: datetime
    seconds: float


def claim(limit: int, now: datetime | None = None) -> list[Claimed]:
    """Take messages that are due, at most so many."""
    values: dict[str, Any] = {"now": now or timezone.now(), "limit": limit, "lease": LEASE}
    values |= {"at_once": AT_ONCE, "per_owner": PER_OWNER}
    with transaction.atomic(), connection.cursor() as cursor:
        cursor.execute(_CLAIM, values)
        return [Claimed(*row) for row in cursor.fetchall()]


def send(claimed: Claimed, *, resolver: Resolver = resolve) -> Sent:
    """One attempt. Touches no database, and raises nothing."""
    at, started = timezone.now(), monotonic()
    try:
        keys = [decrypt(token) for token in (claimed.secret, claimed.old_secret) if token is not None]
        headers = signed_headers(f"msg_{claimed.message_id}", claimed.payload, at, keys)
        answer = post(claimed.url, claimed.payload, headers, owner=claimed.owner_id, resolver=resolver)
    except UndecipherableError:
        answer = Answer(error="secret_not_readable")
    except Exception:  # a bug of ours is no reason to send nothing to anybody any more
        log.exception("message %s could not be sent", claimed.message_id)
        answer = Answer(error="internal_error")
    return Sent(claimed, answer, at, monotonic() - started)


@transaction.atomic
def report(sent: Sequence[Sent]) -> None:
    """Note what came of some attempts: done, to be tried again, or given up, and with it maybe the endpoint."""
    if not sent:
        return
    rows = Endpoint.objects.filter(pk__in={each.claimed.endpoint_id for each in sent}).defer("secret", "old_secret")
    # Endpoints before messages, in their order: like whoever changes or deletes one.
    endpoints = {row.pk: row for row in rows.select_for_update(no_key=True).order_by("pk")}
    with connection.cursor() as cursor:
        cursor.execute(_REPORT, [list(column) for column in zip(*map(_outcome, sent), strict=True)])
        ours = {row[0] for row in cursor.fetchall()}
    noted = [each for each in sent if each.claimed.message_id in ours and not each.answer.is_none]
    Attempt.objects.bulk_create(_attempt(each) for each in noted)
    for endpoint in endpoints.values():
        _judge(endpoint, [each for each in noted if each.claimed.endpoint_id == endpoint.pk])


def deliver_due(limit: int = 100, *, resolver: Resolver = resolve) -> list[Sent]:
    """Claim, send one after the other, and report: for tests and small jobs. The worker does it side by side."""
    sent = [send(claimed, resolver=resolver) for claimed in claim(limit)]
    report(sent)
    return sent


def forget_old(now: datetime | None = None) -> int:
    """Delete a batch of messages, with their attempts, that are older than they are kept; how many."""
    now = now or timezone.now()
    # A lease that is over is taken off by whoever sends the message next: nobody, if its endpoint is disabled.
    is_free = Q(leased_until=None) | Q(leased_until__lte=now)
    old = Message.objects.filter(is_free, created_at__lt=oldest_kept(now))
    chosen = list(old.order_by("pk").values_list("pk", flat=True)[:_FORGOTTEN_AT_ONCE])
    Message.objects.filter(is_free, pk__in=chosen).delete()
    return len(chosen)


def _outcome(sent: Sent) -> tuple[Any, ...]:
    """The message's id, our lease, its state, next attempt and end from now on, and 1 if there was no attempt."""
    claimed, answer, now = sent.claimed, sent.answer, timezone.now()
    due_at = None
    if answer.is_none:
        due_at = now + _PUT_BACK
    elif not (answer.is_received or answer.is_gone):
        due_at = next_attempt(claimed.attempts_made, now, answer.retry_after)
    state = Message.State.DELIVERED if answer.is_received else Message.State.FAILED
    if due_at is not None:
        return claimed.message_id, claimed.leased_until, str(Message.State.PENDING), due_at, None, int(answer.is_none)
    return claimed.message_id, claimed.leased_until, str(state), None, now, 0


def _attempt(sent: Sent) -> Attempt:
    return Attempt(
        message_id=sent.claimed.message_id,
        attempted_at=sent.at,
        duration_ms=int(sent.seconds * 1000),
        status_code=sent.answer.status_code,
        error=sent.answer.error,
    )


def _judge(endpoint: Endpoint, sent: Sequence[Sent]) -> None:
    """Keep since when an endpoint has been failing, and disable it if that is too long, or it wants nothing more."""
    # What an address said that it had before says nothing of the one it has.
    sent = [each for each in sent if each.claimed.url == endpoint.url]
    failures = [each for each in sent if not each.answer.is_received]
    for each in failures:
        what = each.answer.status_code or each.answer.error
        log.info("message %s, endpoint %s: %s", each.claimed.message_id, endpoint.pk, what)
    since = endpoint.failing_since
    if len(failures) < len(sent):
        since = None
    elif failures and since is None:
        since = min(each.at for each in failures)
    if since != endpoint.failing_since:
        Endpoint.objects.filter(pk=endpoint.pk).update(failing_since=since)
    if any(each.answer.is_gone for each in failures):
        disable(endpoint, Because.GONE)
    elif failures and since is not None and is_given_up(since, timezone.now()):
        disable(endpoint, Because.FAILING)
