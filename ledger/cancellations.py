"""A merchant cancels a sale: taken back during validation, absorbed by the merchant after it (protocol, section 4)."""

from dataclasses import dataclass
from datetime import datetime, timedelta

from django.utils import timezone

from ledger.lifecycle import Told, hold_sale, holding, holding_sales, tell
from ledger.models import Conversion, Entry, Event
from rako.core.facts import Appended
from rako.core.postgres import send


@dataclass(frozen=True, slots=True)
class Cancelled:
    """The cancellation as it is stored, its entry, and the conversion as it stands now."""

    event: Event
    entry: Appended
    conversion: Conversion

    @property
    def outcome(self) -> str:
        """`clawed_back` or `merchant_absorbs`: the time of the cancellation decides."""
        ends_at = self.conversion.validation_ends_at
        return "clawed_back" if ends_at is None or self.event.occurred_at < ends_at else "merchant_absorbs"


@holding_sales
def cancel_conversion(conversion: Conversion, *, reason: str) -> Cancelled:
    """Record that the sale was cancelled, now: a merchant cannot date it back into the validation period.

    Once, and once more for each time that a decision reinstated the sale: that took the cancellation before it away.
    """
    send(holding(conversion.merchant_id, conversion.order_reference))
    told = _cancellation(conversion, reason, _reinstated(hold_sale(conversion)))
    tell(conversion.merchant_id, told, conversion=conversion)
    conversion.refresh_from_db()
    event = Event.objects.get(
        merchant=conversion.merchant_id, kind=told.kind, reference=told.reference, is_inherited=False
    )
    entry = Entry.objects.get(idempotency_key=f"event:{event.pk}")
    appended = Appended(entry.pk, entry.entry_id, entry.stream_seq, entry.recorded_at, bytes(entry.leaf_hash), False)
    return Cancelled(event, appended, conversion)


def _reinstated(sale: Conversion) -> list[datetime]:
    """When the sale was given back, first to last. The caller holds it."""
    events = sale.events.filter(kind=Event.Kind.REINSTATED).order_by("occurred_at")
    return list(events.values_list("occurred_at", flat=True))


def _cancellation(conversion: Conversion, reason: str, reinstated: list[datetime]) -> Told:
    reference, now = conversion.pk, timezone.now()
    if reinstated:  # it comes after the last of them, even if a clock ahead of ours has dated that
        reference, now = f"{reference}:{len(reinstated)}", max(now, reinstated[-1] + timedelta(milliseconds=1))
    return Told(Event.Kind.CANCELLED, conversion.order_reference, reference, occurred_at=now, reason=reason)
