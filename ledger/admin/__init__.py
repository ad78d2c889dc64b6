"""The ledger in the admin: to be read, but for deciding disputes and ending holds. Superusers edit nothing, either."""

from ledger.admin.conversion import ConversionAdmin
from ledger.admin.dispute import DisputeAdmin
from ledger.admin.entry import EntryAdmin
from ledger.admin.evidence import EventAdmin, EvidenceAdmin
from ledger.admin.hold import FraudHoldAdmin
from ledger.admin.log import CheckpointAdmin, LogKeyAdmin, VerificationAdmin

__all__ = [
    "CheckpointAdmin",
    "ConversionAdmin",
    "DisputeAdmin",
    "EntryAdmin",
    "EventAdmin",
    "EvidenceAdmin",
    "FraudHoldAdmin",
    "LogKeyAdmin",
    "VerificationAdmin",
]
