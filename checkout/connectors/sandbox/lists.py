"""Lists: in the order in which things were made, a hundred at a time. The cursor is the last id of a page."""

from datetime import datetime
from typing import TypeVar

from django.db.models import IntegerField, OuterRef, Q, QuerySet, Subquery, Sum
from django.db.models.functions import Coalesce

from checkout.connectors.sandbox import intake
from checkout.connectors.sandbox.models import Account, Dispute, Event, Payment, Refund, RefundStatus

PAGE_SIZE = 100
Row = TypeVar("Row", Payment, Refund, Dispute, Event)


def payments(account: Account) -> QuerySet[Payment]:
    """An account's payments, with the sum of what was refunded as `refunded`."""
    arrived = Refund.objects.filter(payment=OuterRef("pk"), status=RefundStatus.SUCCEEDED)
    total = arrived.values("payment").annotate(total=Sum("amount_minor")).values("total")
    rows = Payment.objects.filter(account=account).select_related("page__account")
    return rows.annotate(refunded=Coalesce(Subquery(total, output_field=IntegerField()), 0))


def refunds(account: Account) -> QuerySet[Refund]:
    """An account's refunds."""
    return Refund.objects.filter(payment__account=account).select_related("payment")


def disputes(account: Account) -> QuerySet[Dispute]:
    """An account's disputes."""
    return Dispute.objects.filter(payment__account=account).select_related("payment")


def events(account: Account) -> QuerySet[Event]:
    """An account's events: all of them say something about a sale."""
    return Event.objects.filter(account=account)


def page(rows: QuerySet[Row], since: datetime, until: datetime, cursor: str) -> tuple[list[Row], str]:
    """The next rows made in [since, until), and the cursor to go on with. Raises PspRejected for a strange cursor."""
    wanted = rows.filter(created_at__gte=since, created_at__lt=until).order_by("created_at", "pk")
    if cursor:
        last = rows.filter(pk=cursor).first() if intake.is_storable(cursor) else None
        if last is None:
            raise intake.refusal("no such cursor")
        wanted = wanted.filter(Q(created_at__gt=last.created_at) | Q(created_at=last.created_at, pk__gt=last.pk))
    found = list(wanted[: PAGE_SIZE + 1])
    return found[:PAGE_SIZE], found[PAGE_SIZE - 1].pk if len(found) > PAGE_SIZE else ""
