"""What we decide about a sale ourselves, told of exactly one conversion: for disputes and for holds."""

from datetime import datetime

from django.utils import timezone

from ledger.lifecycle import CannotMove, Told, tell
from ledger.models import Conversion, Event, Evidence

# Our own events are in a space of their own, which no processor's references enter.
OURS = "aap:"


def decide_of(
    conversion: Conversion,
    *kinds: Event.Kind,
    reference: str,
    reason: str,
    amount_minor: int | None = None,
) -> Conversion:
    """Tell one event of each kind of a conversion, now; only a correction takes the amount. Inside a transaction.

    Raises CannotMove.
    """
    proof = Evidence.objects.filter(conversion=conversion).order_by("pk").values_list("reference", flat=True).first()
    moved, at = conversion, _now(conversion)
    for kind in kinds:
        amount = amount_minor if kind == Event.Kind.CORRECTED else None
        told = Told(kind, str(proof), reference, at, amount, reason)
        found = tell(conversion.merchant_id, told)
        if found is None or found.pk != conversion.pk:
            raise CannotMove("The sale's payment belongs to another sale, too")
        moved = found
    return moved


def _now(conversion: Conversion) -> datetime:
    """A decision comes after all that it decides about, even what a clock ahead of ours has dated."""
    newest = conversion.events.order_by("-occurred_at").values_list("occurred_at", flat=True).first()
    return max(timezone.now(), newest or timezone.now())
