"""Findings: kept while a difference is seen, ended when it is gone, and what is done about them."""

from collections.abc import Collection, Sequence

from django.utils import timezone

from checkout import inbox
from checkout.answers import answer_of
from checkout.models import Finding
from checkout.reconciliation.differences import Difference
from merchants.models import Connection

State = Finding.State


def keep(
    connection: Connection, differences: Sequence[Difference], *, looked_at: Collection[str], kinds: Collection[str]
) -> int:
    """Note what differs in the objects looked at, and end what is open on them and was not seen again.

    Only findings of `kinds` are ended: others belong to another list. Returns how many are new or open again.
    """
    now, new = timezone.now(), 0
    known = {
        (row.kind, row.reference): row
        for row in Finding.objects.filter(connection=connection, reference__in=looked_at, kind__in=kinds)
    }
    for difference in differences:
        row = known.pop((str(difference.kind), difference.reference), None)
        new += row is None or row.state == State.RESOLVED
        if row is None:
            Finding.objects.create(connection=connection, merchant_id=connection.merchant_id, **_values(difference))
        elif row.state == State.ACCEPTED and row.detail == difference.detail[:500]:
            Finding.objects.filter(pk=row.pk).update(last_seen_at=now)
        else:
            # Resolved before, or accepted as something else than it is now.
            values = {"state": State.OPEN, "ended_at": None, "detail": difference.detail[:500], "last_seen_at": now}
            Finding.objects.filter(pk=row.pk).update(**values)
    gone = [row.pk for row in known.values() if row.state == State.OPEN]
    Finding.objects.filter(pk__in=gone).update(state=State.RESOLVED, ended_at=now)
    return new


def fix(connection: Connection, difference: Difference) -> bool:
    """Have the outcome behind a difference carried out, once. Whether the difference is gone now.

    No ledger row is edited: the gate judges the outcome like a delivery's, and may refuse it.
    """
    if difference.fix is None:
        return False
    event_id, body = answer_of(difference.fix)
    result = inbox.take_in(connection, event_id, f"reconciliation.{difference.fix.type}", body)
    return result.status in {"conversion_recorded", "clawback_recorded", "duplicate", "ignored"}


def accept(finding: Finding, reason: str) -> None:
    """Leave a difference as it is, for a reason."""
    open_ones = Finding.objects.filter(pk=finding.pk, state=State.OPEN)
    open_ones.update(state=State.ACCEPTED, ended_at=timezone.now(), reason=reason[:300])


def _values(difference: Difference) -> dict[str, object]:
    return {
        "checkout": difference.checkout,
        "kind": difference.kind,
        "reference": difference.reference[:255],
        "is_money": difference.kind in Finding.MONEY,
        "detail": difference.detail[:500],
    }
