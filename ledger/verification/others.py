"""Checks that apps above the ledger add to a verification: they know tables that the ledger must not."""

from collections.abc import Callable, Iterator

from ledger.verification.findings import Finding

Check = Callable[[], Iterator[Finding]]
_CHECKS: list[Check] = []


def also_verify(check: Check) -> None:
    """Let a full verification yield this check's findings, too. For AppConfig.ready; a second time changes nothing."""
    if check not in _CHECKS:
        _CHECKS.append(check)


def other_checks() -> tuple[Check, ...]:
    """What was added."""
    return tuple(_CHECKS)
