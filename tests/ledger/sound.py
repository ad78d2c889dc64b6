"""What `verify_ledger` finds wrong with the sales of a test, whose entries no sequencer has taken yet."""

from ledger.verification.findings import Finding, Report
from ledger.verification.money import check_money
from ledger.verification.stories import Stories


def unsound() -> list[Finding]:
    """Findings about conversions, their evidence, events and milestones, and money that does not add up."""
    report = Report()
    for _ in Stories(report):
        pass
    check_money(report)
    return report.kept
