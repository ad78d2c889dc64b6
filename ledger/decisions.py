"""What we decide about a sale ourselves, told of exactly one conversion: for disputes and for holds."""

from datetime import datetime, timedelta

from django.utils import timezone

from ledger.lifecycle import CannotMove, Told, hold_sale, holding, tell
from ledger.models import Conversion, Event, Evidence
from ledger.priority import live
from rako.core.postgres import send

# Our own events are in a space of their own, which no processor's references enter.
OURS = "aap:"


def hold_to_decide(conversion: Conversion) -> Conversion:
    """The conversion that has the sale, held until the transaction ends: what is judged of it now stays true until it
    is decided. For functions that are `holding_sales`."""
    send(holding(conversion.merchant_id, _told_under(conversion)))
    return hold_sale(conversion)


def decide_of(
    conversion: Conversion,
    *kinds: Event.Kind,
    reference: str,
    reason: str,
    amount_minor: int | None = None,
) -> Conversion:
    """Tell one event of each kind of a sale, now; only a correction takes the amount. Inside a transaction.

    It is told of the conversion that has the sale by now, if another superseded this one. Raises
    CannotMove.
    """
    proof, moved = _told_under(conversion), live(conversion)
    at = _now(moved)
    for kind in kinds:
        amount = amount_minor if kind == Event.Kind.CORRECTED else None
        told = Told(kind, proof, reference, at, amount, reason)
        found = tell(conversion.merchant_id, told, conversion=moved)
        if found is None:
            raise CannotMove("There is no such sale")
        moved = found
    return moved


def _told_under(conversion: Conversion) -> str:
    """The reference by which a decision names its sale."""
    proofs = Evidence.objects.filter(conversion=conversion).order_by("pk")
    return str(proofs.values_list("reference", flat=True).first())


def _now(conversion: Conversion) -> datetime:
    """A decision comes after all that it decides about, even what a clock ahead of ours has dated."""
    # What starts a validation is told ahead of its time, and decisions are not about it.
    events = conversion.events.exclude(kind=Event.Kind.VALIDATION_STARTED)
    newest = events.order_by("-occurred_at").values_list("occurred_at", flat=True).first()
    now = timezone.now()
    return now if newest is None else max(now, newest + timedelta(milliseconds=1))
