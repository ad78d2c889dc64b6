"""Which conversions a party asks to see (protocol, section 1, GET /v1/conversions). Each filter reads an index."""

from collections.abc import Mapping
from datetime import UTC, date, datetime
from typing import Any

from django.db.models import QuerySet
from ulid import ULID

from ledger.models import Conversion, Status
from ledger.models.conversion import Level, Path
from ledger.settled import SETTLEMENTS, in_batch, of_settlement, paid_by
from rako.core.errors import BadRequest
from rako.core.ids import is_id
from rako.core.openapi import query

# As replies name them: settlements say the last two of a validated sale.
_STORED = {
    "pending": (Status.MATCHED, Status.PENDING_VALIDATION),
    **{status.value: (status,) for status in (Status.DISPUTED, Status.RESOLVED, Status.REJECTED, Status.CLAWED_BACK)},
}
_STATUSES = (*_STORED, *SETTLEMENTS)
_LONGEST_REFERENCE = 200
_MOMENT = {"anyOf": [*({"type": "string", "format": form} for form in ("date-time", "date")), {"enum": [""]}]}
# As the API's description has them.
FILTERS = [
    query("status", {"type": "string", "enum": list(_STATUSES)}, "As replies show it."),
    query("attributionPath", {"type": "string", "enum": Path.values}),
    query("verificationLevel", {"type": "string", "enum": Level.values}),
    query("sessionId", {"type": "string"}, "Of this session."),
    query("orderReference", {"type": "string", "maxLength": _LONGEST_REFERENCE}, "For merchants' keys only."),
    query("batchId", {"type": "string"}, "That this settlement has, with those it takes back."),
    query("payoutId", {"type": "string"}, "That this payout pays, with those it takes back."),
    query("from", _MOMENT, "Recorded at this time (ISO 8601 with an offset, or a date in UTC) or later."),
    query("to", _MOMENT, "Recorded before this time."),
]
# An id holds the time at which it was drawn, a moment before the row was recorded.
_DRAWN_BEFORE_MS = 60_000


def narrowed(rows: QuerySet[Conversion], asked: Mapping[str, str], *, is_merchant: bool) -> QuerySet[Conversion]:
    """The rows that meet all that is asked for; empty parameters ask for nothing. Raises BadRequest."""
    if status := asked.get("status"):
        rows = _of_status(rows, _one_of("status", status, _STATUSES))
    if path := asked.get("attributionPath"):
        rows = rows.filter(attribution_path=_one_of("attributionPath", path, Path.values))
    if level := asked.get("verificationLevel"):
        rows = rows.filter(verification_level=_one_of("verificationLevel", level, Level.values))
    if session := asked.get("sessionId"):
        rows = rows.filter(session=session) if is_id(session) else rows.none()
    if reference := asked.get("orderReference"):
        rows = rows.filter(order_reference=_reference(reference, is_merchant=is_merchant))
    if batch := asked.get("batchId"):
        rows = in_batch(rows, batch) if is_id(batch) else rows.none()
    if payout := asked.get("payoutId"):
        rows = paid_by(rows, payout) if is_id(payout) else rows.none()
    since, until = _moment("from", asked.get("from")), _moment("to", asked.get("to"))
    if since is not None:
        rows = rows.filter(pk__gte=_lowest_id(since, before_ms=_DRAWN_BEFORE_MS), recorded_at__gte=since)
    if until is not None:
        rows = rows.filter(pk__lt=_lowest_id(until), recorded_at__lt=until)
    return rows


def _of_status(rows: QuerySet[Conversion], status: str) -> QuerySet[Conversion]:
    if status in _STORED:
        return rows.filter(status__in=_STORED[status])
    return of_settlement(rows.filter(status=Status.VALIDATED), Status(status))


def _one_of(name: str, value: str, allowed: Any) -> str:
    if value not in allowed:
        raise BadRequest(f"{name} must be one of {', '.join(allowed)}", code="invalid_field")
    return value


def _reference(text: str, *, is_merchant: bool) -> str:
    if not is_merchant:
        raise BadRequest("orderReference is a filter for merchants", code="invalid_field")
    if len(text) > _LONGEST_REFERENCE:
        raise BadRequest(f"orderReference must have at most {_LONGEST_REFERENCE} characters", code="invalid_field")
    return text


def _moment(name: str, text: str | None) -> datetime | None:
    """A time with its offset, or a date: then its first moment in UTC."""
    if not text:
        return None
    try:
        if len(text) == len("2026-01-01"):
            return datetime.combine(date.fromisoformat(text), datetime.min.time(), UTC)
        moment = datetime.fromisoformat(text)
        if moment.tzinfo is None:
            raise ValueError
        return moment.astimezone(UTC)
    except (ValueError, OverflowError):
        raise BadRequest(f"{name} must be a date or an ISO 8601 time with an offset", code="invalid_field") from None


def _lowest_id(moment: datetime, before_ms: int = 0) -> str:
    """No id that is drawn at that time, or so long before it, or later is less."""
    milliseconds = max(0, int(moment.timestamp() * 1000) - before_ms)
    return str(ULID.from_bytes(milliseconds.to_bytes(6) + bytes(10)))
