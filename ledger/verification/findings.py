"""What a verification has to say."""

from collections.abc import Iterable
from dataclasses import dataclass, field

KEPT = 1000


@dataclass(frozen=True, slots=True)
class Finding:
    """Something that must not be: which check (V1 to V13), where and what. `index` is its place in the log, if any."""

    check: str
    subject: str
    detail: str
    index: int | None = None


@dataclass(slots=True)
class Report:
    """Counts what was checked and what was found. All findings count; the first thousand are kept."""

    checked: dict[str, int] = field(default_factory=dict)
    count: int = 0
    kept: list[Finding] = field(default_factory=list)
    _first: Finding | None = None

    @property
    def is_sound(self) -> bool:
        """Whether nothing was found."""
        return self.count == 0

    @property
    def first(self) -> Finding | None:
        """The one that comes first in the log, or else was found first."""
        return self._first

    def add(self, check: str, subject: str, detail: str, index: int | None = None) -> None:
        """Note a finding."""
        self.take([Finding(check, subject, detail, index)])

    def take(self, findings: Iterable[Finding]) -> None:
        """Note several."""
        for finding in findings:
            self.count += 1
            if len(self.kept) < KEPT:
                self.kept.append(finding)
            if self._first is None or _place(finding) < _place(self._first):
                self._first = finding

    def merge(self, other: "Report") -> None:
        """Note what another report has, as found after all that is here."""
        missed = other.count - len(other.kept)
        self.take(other.kept)
        self.count += missed
        if other.first is not None and (self._first is None or _place(other.first) < _place(self._first)):
            self._first = other.first
        for what, number in other.checked.items():
            self.tally(what, number)

    def tally(self, what: str, number: int = 1) -> None:
        """Count what was looked at."""
        self.checked[what] = self.checked.get(what, 0) + number


def _place(finding: Finding) -> float:
    return float("inf") if finding.index is None else finding.index
