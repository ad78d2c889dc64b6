"""The authority: immutable entries, and the conversions and evidence they tell of."""

from ledger.models.conversion import Conversion, Evidence
from ledger.models.entry import Entry

__all__ = ["Conversion", "Entry", "Evidence"]
