"""Brings a payment event and its checkout together, whichever of them we learn of first.

The invariant: once a delivery that names an object and the note of that object are both committed, the delivery is
either matched, or a job to process it again is committed as well. Each side looks for the other while it holds the
locks of the names they share, and holds them until it commits: whoever comes second sees the first. These locks come
last, after all rows, so nobody who holds one waits for a row.
"""

from collections.abc import Collection, Sequence
from datetime import timedelta
from typing import Any

from django.db import connection, transaction
from django.utils import timezone
from procrastinate.contrib.django import app

from checkout.models import Checkout, PspObject, WebhookReceipt

# Named, not imported: the task imports the inbox, which imports what notes objects.
RETRY = "checkout.retry_unmatched"
# How long an unmatched delivery is looked at again: a PSP repeats its own deliveries for about as long.
PATIENCE = timedelta(hours=72)
_MOST_DOUBLINGS = 8  # the pauses grow from two minutes to four hours

_HOLD = "SELECT pg_advisory_xact_lock(hashtextextended(key, 0)) FROM unnest(%s::text[]) AS key;"
_WAITING = """
    SELECT id FROM checkout_webhookreceipt
    WHERE result = 'unmatched' AND awaits && %s::varchar[] AND connection_id = %s AND received_at > %s AND id <> %s
    ORDER BY received_at LIMIT 20
"""
_NOTED = "SELECT id FROM checkout_pspobject WHERE psp_id = ANY(%s::varchar[]) AND connection_id = %s LIMIT 1"


@transaction.atomic(savepoint=False)
def note_psp_objects(checkout: Checkout, psp_ids: Collection[str], *, told_by: str = "") -> None:
    """Remember which objects at the PSP belong to the checkout, and have deliveries that waited for them processed.

    Repeating is harmless. `told_by` is the receipt that is being processed itself: it waits no longer.
    """
    rows = [PspObject(connection_id=checkout.connection_id, psp_id=psp_id, checkout=checkout) for psp_id in psp_ids]
    PspObject.objects.bulk_create(rows, ignore_conflicts=True)
    since = timezone.now() - PATIENCE
    _retry(_ask(_WAITING, checkout.connection_id, psp_ids, since, told_by))


def await_objects(receipt: WebhookReceipt, psp_ids: Collection[str], *, is_timed: bool = True) -> None:
    """Have an unmatched receipt, for the caller to save, wait for the objects its event names, and for the clock.

    Not for the checkout that its metadata points to: that counts only until an object is noted (`outcomes`), so what
    did not match by it never will.
    """
    receipt.awaits = sorted(set(psp_ids))
    pause = timedelta(minutes=2 ** min(receipt.attempts, _MOST_DOUBLINGS))
    receipt.retry_at = timezone.now() + pause if is_timed else None
    if _ask(_NOTED, receipt.connection_id, receipt.awaits):
        _retry([receipt.pk])  # noted while we looked


def _ask(sql: str, connection_id: str | None, names: Collection[str], *more: Any) -> list[str]:
    """The ids that a query finds under the locks of names at a connection."""
    keys = sorted({f"psp:{connection_id}:{name}" for name in names})
    with connection.cursor() as cursor:
        # Two statements, so that the second sees what was committed while the first waited; one round trip.
        cursor.execute(_HOLD + sql, [keys, list(names), connection_id, *more])
        cursor.nextset()
        return [str(found) for (found,) in cursor.fetchall()]


def _retry(receipt_ids: Sequence[str]) -> None:
    """Have deliveries processed again once the caller's transaction is committed."""
    if receipt_ids:
        app.configure_task(RETRY).defer(receipt_ids=[*receipt_ids])
