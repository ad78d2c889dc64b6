"""Sending events to the account's webhook: signed at send time, tried again ever more slowly, given up after 16 times.

No transaction and no row lock is held while the other side thinks. A claim pushes `next_attempt_at` ahead by a
lease, so of two workers one sends; the lease also brings back what a worker took and never reported.
"""

import logging
from dataclasses import dataclass
from datetime import timedelta

import orjson
import requests
from django.conf import settings
from django.db import transaction
from django.utils import timezone

from checkout.connectors.sandbox import jobs, signature
from checkout.connectors.sandbox.models import MAX_ATTEMPTS, Account, Delivery

log = logging.getLogger("rako.sandbox")

TIMEOUT_SECONDS = (2, 8)
LEASE = timedelta(seconds=60)
# How long a due delivery waits for its job before the sweep takes the job for lost.
GRACE = timedelta(seconds=30)
BATCH = 100


@dataclass(frozen=True, slots=True)
class Answer:
    """What came back from an attempt: a status code, or the reason why there is none."""

    status_code: int | None = None
    error: str = ""

    @property
    def is_received(self) -> bool:
        """Whether the other side took the event: any 2xx."""
        return self.status_code is not None and 200 <= self.status_code < 300


def attempt(delivery_id: int) -> Answer | None:
    """Send a delivery if it is due and nobody else is sending it; None if there was nothing to do."""
    delivery = _claim(delivery_id)
    if delivery is None:
        return None
    answer = _post(delivery.event.account, orjson.dumps(delivery.event.payload))
    _report(delivery, answer)
    return answer


def rearm_overdue() -> int:
    """Defer a new job for a batch of deliveries that are due but whose job got lost; how many there were."""
    with transaction.atomic():
        overdue = Delivery.objects.filter(delivered_at=None, next_attempt_at__lte=timezone.now() - GRACE)
        found = list(overdue.order_by("next_attempt_at").select_for_update(skip_locked=True)[:BATCH])
        for delivery in found:
            # Due anew from now: at most one more job per grace period, however long the queue is.
            delivery.next_attempt_at = timezone.now() if delivery.attempts < MAX_ATTEMPTS else None
            delivery.save(update_fields=["next_attempt_at"])
            if delivery.next_attempt_at:
                jobs.defer_delivery(delivery.pk)
    return len(found)


def pause_after(attempts: int) -> int | None:
    """Seconds until the next attempt: 1, 2, 4 … 32, then 60; None when there is none."""
    if attempts >= MAX_ATTEMPTS:
        return None
    return min(60, 2 ** (attempts - 1)) if attempts <= 6 else 60


@transaction.atomic
def _claim(delivery_id: int) -> Delivery | None:
    now = timezone.now()
    due = Delivery.objects.filter(
        pk=delivery_id, delivered_at=None, next_attempt_at__lte=now, attempts__lt=MAX_ATTEMPTS
    )
    locked = due.select_related("event__account").select_for_update(skip_locked=True, of=("self",))
    delivery = locked.first()
    if delivery is not None:
        delivery.attempts += 1
        delivery.next_attempt_at = now + LEASE
        delivery.save(update_fields=["attempts", "next_attempt_at"])
    return delivery


def _post(account: Account, body: bytes) -> Answer:
    headers = {
        "Content-Type": "application/json",
        "User-Agent": "Rako-Sandbox-PSP/1",
        signature.HEADER: signature.sign(body, account.webhook_secret, timezone.now()),
    }
    try:
        with requests.Session() as session:
            # The address is our own: a proxy of the environment is not on the way there.
            session.trust_env = False
            # Streamed: the status is the whole answer, a body of any size is left unread.
            reply = session.post(
                settings.RAKO_BASE_URL + account.webhook_path,
                data=body,
                headers=headers,
                timeout=TIMEOUT_SECONDS,
                allow_redirects=False,
                stream=True,
            )
    except requests.RequestException as error:
        return Answer(error=f"{type(error).__name__}: {error}"[:300])
    return Answer(status_code=reply.status_code)


@transaction.atomic
def _report(delivery: Delivery, answer: Answer) -> None:
    now = timezone.now()
    pause = None if answer.is_received else pause_after(delivery.attempts)
    mine = Delivery.objects.filter(pk=delivery.pk, attempts=delivery.attempts, delivered_at=None)
    was_mine = mine.update(
        last_status_code=answer.status_code,
        last_error=answer.error,
        delivered_at=now if answer.is_received else None,
        next_attempt_at=None if pause is None else now + timedelta(seconds=pause),
    )
    if was_mine and pause is not None:
        jobs.defer_delivery(delivery.pk, pause)
    if not answer.is_received:
        log.warning("delivery %s, attempt %s: %s", delivery.pk, delivery.attempts, answer.status_code or answer.error)
