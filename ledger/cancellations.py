"""A merchant cancels a sale: taken back during validation, absorbed by the merchant after it (protocol, section 4)."""

from dataclasses import dataclass

from django.utils import timezone

from ledger.lifecycle import Told, tell
from ledger.models import Conversion, Entry, Event
from rako.core.facts import Appended


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


def cancel_conversion(conversion: Conversion, *, reason: str) -> Cancelled:
    """Record once that the sale was cancelled, now: a merchant cannot date it back into the validation period."""
    told = Told(
        Event.Kind.CANCELLED, conversion.order_reference, conversion.pk, occurred_at=timezone.now(), reason=reason
    )
    tell(conversion.merchant_id, told, conversion=conversion)
    conversion.refresh_from_db()
    event = Event.objects.get(
        merchant=conversion.merchant_id, kind=told.kind, reference=told.reference, is_inherited=False
    )
    entry = Entry.objects.get(idempotency_key=f"event:{event.pk}")
    appended = Appended(entry.pk, entry.entry_id, entry.stream_seq, entry.recorded_at, bytes(entry.leaf_hash), False)
    return Cancelled(event, appended, conversion)
