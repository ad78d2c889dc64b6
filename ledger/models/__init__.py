"""The authority: immutable entries with their log, and the conversions, evidence and events they tell of."""

from ledger.models.conversion import Conversion, Event, Evidence, Milestone, Status
from ledger.models.dispute import Dispute, DisputeStatement, Side
from ledger.models.entry import Account, Balance, Entry, Opening, Posting
from ledger.models.hold import FraudHold, FraudLook
from ledger.models.log import Checkpoint, Cosignature, Head, Leaf, LogKey, Tile, Verification

__all__ = [
    "Account",
    "Balance",
    "Checkpoint",
    "Conversion",
    "Cosignature",
    "Dispute",
    "DisputeStatement",
    "Entry",
    "Event",
    "Evidence",
    "FraudHold",
    "FraudLook",
    "Head",
    "Leaf",
    "LogKey",
    "Milestone",
    "Opening",
    "Posting",
    "Side",
    "Status",
    "Tile",
    "Verification",
]
