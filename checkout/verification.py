"""V13 and V10 of `verify_ledger`: the bytes that PSPs sent are still those that the evidence names, and connections
stand as their last entries tell."""

import hashlib
from collections.abc import Iterator

from django.db import connection

from checkout.models import WebhookReceipt
from ledger.verification.findings import Finding

_CHUNK = 500
# By the hash as well, so that evidence cannot be turned to other bytes.
_WITHOUT_BYTES = """
SELECT evidence.id FROM ledger_evidence evidence
WHERE source = 'psp_event' AND NOT EXISTS (
    SELECT 1 FROM checkout_webhookreceipt receipt
    WHERE receipt.id = evidence.details ->> 'receipt_id' AND receipt.sha256 = evidence.sha256
) ORDER BY evidence.id LIMIT 1000
"""

_STANDING = """
SELECT connection.id, connection.status FROM merchants_connection connection CROSS JOIN LATERAL (
    SELECT kind FROM ledger_entry WHERE stream_id = connection.id ORDER BY stream_seq DESC LIMIT 1
) last
WHERE last.kind <> 'connection.' || CASE connection.status WHEN 'active' THEN 'restored' ELSE connection.status END
ORDER BY connection.id LIMIT 1000
"""


def receipt_findings() -> Iterator[Finding]:
    """Deliveries that are not what was received, and payments' evidence without its delivery."""
    rows = WebhookReceipt.objects.order_by("pk").values_list("pk", "body", "sha256")
    for pk, body, sha256 in rows.iterator(chunk_size=_CHUNK):
        if hashlib.sha256(body).hexdigest() != sha256:
            yield Finding("V13", f"webhook {pk}", "its bytes are not those that were received")
    with connection.cursor() as cursor:
        cursor.execute(_WITHOUT_BYTES)
        for (pk,) in cursor.fetchall():
            yield Finding("V13", f"evidence {pk}", "the bytes that it was taken from are missing")


def connection_findings() -> Iterator[Finding]:
    """Connections that were told to be something else."""
    with connection.cursor() as cursor:
        cursor.execute(_STANDING)
        for pk, status in cursor.fetchall():
            yield Finding("V10", f"connection {pk}", f"is {status}, but its last entry tells otherwise")
