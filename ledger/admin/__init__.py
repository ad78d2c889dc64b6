"""The ledger in the admin: to be read. Nobody adds, changes or deletes here, superusers neither."""

from ledger.admin.conversion import ConversionAdmin
from ledger.admin.entry import EntryAdmin
from ledger.admin.evidence import EventAdmin, EvidenceAdmin
from ledger.admin.log import CheckpointAdmin, LogKeyAdmin, VerificationAdmin

__all__ = [
    "CheckpointAdmin",
    "ConversionAdmin",
    "EntryAdmin",
    "EventAdmin",
    "EvidenceAdmin",
    "LogKeyAdmin",
    "VerificationAdmin",
]
