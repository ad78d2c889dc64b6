"""Calendar months in UTC, the periods of settlement."""

import re
from dataclasses import dataclass
from datetime import UTC, datetime

_PERIOD = re.compile(r"[0-9]{4}-(0[1-9]|1[0-2])\Z", re.ASCII)
_DECEMBER = 12


@dataclass(frozen=True, slots=True, order=True)
class Period:
    """A month: `starts_at` belongs to it, `ends_at` to the next. Raises ValueError unless the text is YYYY-MM."""

    text: str

    def __post_init__(self) -> None:
        if not _PERIOD.match(self.text) or self.text.startswith("0000"):
            raise ValueError("a month is expected, such as 2026-11")

    @property
    def starts_at(self) -> datetime:
        """Its first moment."""
        return datetime(int(self.text[:4]), int(self.text[5:]), 1, tzinfo=UTC)

    @property
    def ends_at(self) -> datetime:
        """The first moment after it."""
        year, month = int(self.text[:4]), int(self.text[5:])
        return datetime(year + month // _DECEMBER, month % _DECEMBER + 1, 1, tzinfo=UTC)

    def __str__(self) -> str:
        return self.text
