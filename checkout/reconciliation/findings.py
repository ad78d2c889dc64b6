"""Findings: kept while a difference is seen, ended when it is gone, and what is done about them."""

import logging
from collections.abc import Collection, Iterable

from django.utils import timezone

from checkout import inbox
from checkout.answers import answer_of
from checkout.models import Finding, WebhookReceipt
from checkout.reconciliation.differences import Difference
from merchants.models import Connection

log = logging.getLogger("rako.reconciliation")

State = Finding.State


def keep(
    connection: Connection, differences: Iterable[Difference], *, looked_at: Collection[str], kinds: Collection[str]
) -> None:
    """Note what differs in the objects looked at, and end what is open on them and was not seen again.

    Only findings of `kinds` are ended: others belong to another list. Staff may accept one, and another run may note
    the same, at the same time: whoever comes second leaves it as it is.
    """
    now = timezone.now()
    known = {
        (row.kind, row.reference): row
        for row in Finding.objects.filter(connection=connection, reference__in=looked_at, kind__in=kinds)
    }
    seen = {(str(difference.kind), difference.reference): difference for difference in differences}
    new = [_row(connection, difference) for key, difference in seen.items() if key not in known]
    Finding.objects.bulk_create(new, ignore_conflicts=True)
    same = [row.pk for key, row in known.items() if key in seen and _stays(row, seen[key])]
    Finding.objects.filter(pk__in=same).update(last_seen_at=now)
    for key, row in known.items():
        if key in seen and not _stays(row, seen[key]):
            # Resolved before, or told otherwise than it is now: who accepted that has not accepted this.
            values = {"state": State.OPEN, "ended_at": None, "detail": seen[key].detail[:500], "reason": ""}
            Finding.objects.filter(pk=row.pk, state=row.state).update(last_seen_at=now, **values)
    gone = [row.pk for key, row in known.items() if key not in seen]
    Finding.objects.filter(pk__in=gone, state=State.OPEN).update(state=State.RESOLVED, ended_at=now)


def end_arrived(connection: Connection) -> None:
    """End the findings about events that have arrived after all: their list need not be read again for that."""
    arrived = WebhookReceipt.objects.filter(connection=connection).values("event_id")
    gaps = Finding.objects.filter(connection=connection, kind=Finding.Kind.WEBHOOK_GAP, state=State.OPEN)
    gaps.filter(reference__in=arrived).update(state=State.RESOLVED, ended_at=timezone.now())


def carry_out(connection: Connection, difference: Difference) -> None:
    """Have the outcome behind a difference carried out, once. Whether the difference is gone then, a look tells.

    No ledger row is edited: the gate judges the outcome like a delivery's, and may refuse it.
    """
    if difference.fix is not None:
        event_id, body = answer_of(difference.fix)
        take_in(connection, event_id, f"reconciliation.{difference.fix.type}", body)


def take_in(connection: Connection, event_id: str, event_type: str, body: bytes) -> None:
    """Have the inbox process what the PSP said."""
    try:
        inbox.take_in(connection, event_id, event_type, body)
    except Exception:  # one that cannot be processed must not hold up the rest; the inbox keeps it and tries again
        log.exception("%s of connection %s could not be processed", event_id, connection.pk)


def accept(finding: Finding, reason: str) -> bool:
    """Leave a difference as it is, for a reason. Whether it was open."""
    open_ones = Finding.objects.filter(pk=finding.pk, state=State.OPEN)
    return bool(open_ones.update(state=State.ACCEPTED, ended_at=timezone.now(), reason=reason[:300]))


def _stays(row: Finding, difference: Difference) -> bool:
    """Whether nothing is new about a finding."""
    return row.state != State.RESOLVED and row.detail == difference.detail[:500]


def _row(connection: Connection, difference: Difference) -> Finding:
    return Finding(
        connection=connection,
        merchant_id=connection.merchant_id,
        checkout=difference.checkout,
        kind=difference.kind,
        reference=difference.reference[:255],
        is_money=difference.kind in Finding.MONEY,
        detail=difference.detail[:500],
    )
