"""V10 for closed months: each is still what the ledger makes of it (a part of every full `verify_ledger`)."""

from collections.abc import Iterator

from ledger.verification.findings import Finding
from settlement.models import Batch
from settlement.recomputing import differences


def settlement_findings() -> Iterator[Finding]:
    """Where a closed month is not what the entries before its cut come to."""
    for batch in Batch.objects.order_by("period"):
        yield from (Finding("V10", f"settlement {batch.period}", detail) for detail in differences(batch))
