"""Brings a payment event and its checkout together, whichever of them we learn of first.

The invariant: once a delivery that names an object and the note of that object are both committed, the delivery is
either matched, or a job to process it again is committed as well. Each side looks for the other while it holds the
locks of the names they share, and holds them until it commits: whoever comes second sees the first. These locks come
last, after all rows, so nobody who holds one waits for a row.
"""

from collections.abc import Collection, Sequence
from datetime import timedelta
from typing import NamedTuple

from django.db import transaction
from django.utils import timezone
from procrastinate.contrib.django import app

from checkout.models import Checkout, WebhookReceipt
from rako.core.postgres import Statement, send, send_each

# Named, not imported: the task imports the inbox, which imports what notes objects.
RETRY = "checkout.retry_unmatched"
# How long an unmatched delivery is looked at again: a PSP repeats its own deliveries for about as long.
PATIENCE = timedelta(hours=72)
_MOST_DOUBLINGS = 8  # the pauses grow from two minutes to four hours

_HOLD = "SELECT pg_advisory_xact_lock(hashtextextended(key, 0)) FROM unnest(%s::text[]) AS key"
_NOTE = """
    INSERT INTO checkout_pspobject (connection_id, psp_id, checkout_id, created_at)
    SELECT %s, psp_id, %s, %s FROM unnest(%s::varchar[]) AS psp_id ON CONFLICT DO NOTHING
"""
_WAITING = """
    SELECT id FROM checkout_webhookreceipt
    WHERE result = 'unmatched' AND awaits && %s::varchar[] AND connection_id = %s AND received_at > %s AND id <> %s
    ORDER BY received_at LIMIT 20
"""
_NOTED = """
    SELECT noted.id FROM unnest(%s::varchar[]) AS name CROSS JOIN LATERAL (
        SELECT id FROM checkout_pspobject WHERE connection_id = %s AND psp_id = name LIMIT 1
    ) AS noted LIMIT 1
"""


class Noted(NamedTuple):
    """Which objects at the PSP belong to a checkout; `told_by` is the receipt that says so."""

    checkout: Checkout
    psp_ids: Sequence[str]
    told_by: str = ""


@transaction.atomic(savepoint=False)
def note_psp_objects(checkout: Checkout, psp_ids: Collection[str], *, told_by: str = "") -> None:
    """Remember which objects at the PSP belong to the checkout, and have deliveries that waited for them processed.

    Repeating is harmless. `told_by` is the receipt that is being processed itself: it waits no longer.
    """
    noted = Noted(checkout, sorted(set(psp_ids)), told_by)
    # Two statements, so that the second sees what was committed while the first waited.
    _, _, waiting = send(_noting(noted), _holding([(checkout.connection_id, noted.psp_ids)]), _seeking(noted))
    _retry([receipt_id for (receipt_id,) in waiting])


def note_all(told: Sequence[Noted]) -> None:
    """The same for many checkouts, in the caller's transaction and as many round trips as for two."""
    told = sorted(told, key=lambda noted: (noted.checkout.connection_id or "", noted.psp_ids))  # like everybody
    send_each([_noting(noted) for noted in told])
    send(_holding([(noted.checkout.connection_id, noted.psp_ids) for noted in told]))
    waiting = send_each([_seeking(noted) for noted in told])
    _retry([receipt_id for rows in waiting for (receipt_id,) in rows])


def await_objects(receipt: WebhookReceipt, psp_ids: Collection[str], *, is_timed: bool = True) -> None:
    """Have an unmatched receipt, for the caller to save, wait for the objects its event names, and for the clock.

    Not for the checkout that its metadata points to: that counts only until an object is noted (`outcomes`), so what
    did not match by it never will.
    """
    receipt.awaits = sorted(set(psp_ids))
    pause = timedelta(minutes=2 ** min(receipt.attempts, _MOST_DOUBLINGS))
    receipt.retry_at = timezone.now() + pause if is_timed else None
    seek = Statement(_NOTED, [receipt.awaits, receipt.connection_id])
    _, noted = send(_holding([(receipt.connection_id, receipt.awaits)]), seek)
    if noted:
        _retry([receipt.pk])  # noted while we looked


def _noting(noted: Noted) -> Statement:
    values = [noted.checkout.connection_id, noted.checkout.pk, timezone.now(), noted.psp_ids]
    return Statement(_NOTE, values)


def _seeking(noted: Noted) -> Statement:
    """Finds the deliveries that wait for one of the objects."""
    return Statement(_WAITING, [noted.psp_ids, noted.checkout.connection_id, timezone.now() - PATIENCE, noted.told_by])


def _holding(objects: Sequence[tuple[str | None, Sequence[str]]]) -> Statement:
    """Locks names, each of them at a connection."""
    keys = {f"psp:{connection_id}:{name}" for connection_id, names in objects for name in names}
    return Statement(_HOLD, [sorted(keys)])


def _retry(receipt_ids: Sequence[str]) -> None:
    """Have deliveries processed again once the caller's transaction is committed."""
    if receipt_ids:
        app.configure_task(RETRY).defer(receipt_ids=[*receipt_ids])
