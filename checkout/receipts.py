"""What a delivery's row says: the bytes that came, stored once and for good, and what became of them."""

import hashlib
from collections.abc import Mapping, Sequence

from django.utils import timezone

from checkout.models import WebhookReceipt
from checkout.outcomes import Result
from merchants.models import Connection
from rako.core.postgres import Statement, send_each
from rako.core.rows import insert_new, inserting, updating

_KEPT_HEADERS = 40
_SECRET_HEADERS = frozenset({"authorization", "cookie", "proxy-authorization"})
# The columns that tell how a delivery was processed.
_TOLD = (
    *("state", "processed_at", "attempts", "result", "conversion_id", "failed_check", "reason"),
    *("awaits", "retry_at"),
)


def new_receipt(
    connection: Connection,
    event_id: str,
    event_type: str,
    body: bytes,
    *,
    headers: Mapping[str, str] | None = None,
    source: WebhookReceipt.Source = WebhookReceipt.Source.WEBHOOK,
) -> WebhookReceipt:
    """The row of a delivery, not yet stored."""
    return WebhookReceipt(
        connection=connection,
        event_id=event_id,
        event_type=event_type[:100],
        source=source,
        headers=_keep(headers or {}),
        body=body,
        sha256=hashlib.sha256(body).hexdigest(),
    )


def store_new(receipts: Sequence[WebhookReceipt]) -> list[WebhookReceipt]:
    """Store deliveries together, committed at once when no transaction is open; those that were not there before."""
    statements = [inserting(receipt, ignore_conflict=True) for receipt in receipts]
    stored = send_each([Statement(f"{sql} RETURNING true", values) for sql, values in statements])
    for receipt, is_new in zip(receipts, stored, strict=True):
        receipt._state.adding = not is_new
    return [receipt for receipt in receipts if not receipt._state.adding]


def stored(receipt: WebhookReceipt) -> WebhookReceipt:
    """The row of a delivery: itself, or the one that is there of it already."""
    if not receipt._state.adding or insert_new(receipt):
        return receipt
    found = WebhookReceipt.objects.get(connection=receipt.connection, event_id=receipt.event_id)
    found.connection = receipt.connection
    return found


def settle(receipt: WebhookReceipt, result: Result) -> None:
    """Note what became of a delivery; `telling` writes it down."""
    receipt.state = WebhookReceipt.State.PROCESSED
    receipt.processed_at = timezone.now()
    receipt.attempts += 1
    receipt.result, receipt.conversion = result.status, result.conversion
    receipt.failed_check, receipt.reason = result.failed_check, result.reason[:300]
    receipt.awaits, receipt.retry_at = [], None


def telling(receipt: WebhookReceipt) -> Statement:
    """Writes what became of a delivery on its row."""
    return updating(WebhookReceipt, receipt.pk, {name: getattr(receipt, name) for name in _TOLD})


def _keep(headers: Mapping[str, str]) -> dict[str, str]:
    """Headers as evidence: bounded, and without what PostgreSQL text cannot hold."""
    kept = [item for item in headers.items() if item[0] not in _SECRET_HEADERS][:_KEPT_HEADERS]
    return {name: value.encode("utf-8", "backslashreplace").decode().replace("\x00", "")[:2048] for name, value in kept}
