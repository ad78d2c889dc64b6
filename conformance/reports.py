"""Results as a table for people, Markdown for a pull request, and JUnit XML for a CI server."""

import sys
from collections import Counter
from collections.abc import Iterable
from xml.etree import ElementTree

from conformance.rules import Rule
from conformance.running import Outcome, Result

_SIGNS = {Outcome.PASSED: "ok  ", Outcome.FAILED: "FAIL", Outcome.SKIPPED: "skip"}
_COLOURS = {Outcome.PASSED: "32", Outcome.FAILED: "31", Outcome.SKIPPED: "33"}


def line(result: Result) -> str:
    """A result as a line of the table."""
    sign = _SIGNS[result.outcome]
    if sys.stdout.isatty():
        sign = f"\033[{_COLOURS[result.outcome]}m{sign}\033[0m"
    rule = result.rule
    shown = f"{sign}  {rule.section}  {rule.level:<6}  {rule.name}"
    return f"{shown}: {result.detail}" if result.detail else shown


def tally(results: Iterable[Result]) -> str:
    """The sum of it, in a sentence."""
    results = list(results)
    counts = Counter(result.outcome for result in results)
    broken = sum(result.breaks_the_protocol for result in results)
    shoulds = counts[Outcome.FAILED] - broken
    return (
        f"{len(results)} rules: {counts[Outcome.PASSED]} passed, {broken} MUST failed, {shoulds} SHOULD failed, "
        f"{counts[Outcome.SKIPPED]} skipped"
    )


def junit(results: list[Result]) -> str:
    """JUnit XML; a SHOULD that failed is a failure there, too, and says so."""
    counts = Counter(result.outcome for result in results)
    numbers = {
        "tests": str(len(results)),
        "failures": str(counts[Outcome.FAILED]),
        "errors": "0",
        "skipped": str(counts[Outcome.SKIPPED]),
        "time": f"{sum(result.seconds for result in results):.3f}",
    }
    suite = ElementTree.Element("testsuite", {"name": "AAP v1 conformance"} | numbers)
    for result in results:
        case = ElementTree.SubElement(
            suite,
            "testcase",
            classname=f"section-{result.rule.section}.{result.rule.level}",
            name=result.rule.name,
            time=f"{result.seconds:.3f}",
        )
        if result.outcome == Outcome.SKIPPED:
            ElementTree.SubElement(case, "skipped", message=_printable(result.detail))
        if result.outcome == Outcome.FAILED:
            failure = ElementTree.SubElement(case, "failure", message=_printable(result.detail))
            failure.set("type", result.rule.level)
            failure.text = result.rule.sentence
    ElementTree.indent(suite)
    return ElementTree.tostring(suite, encoding="unicode", xml_declaration=True) + "\n"


def markdown(results: list[Result], base_url: str) -> str:
    """A report in Markdown: what failed first, then all of it."""
    rows = ["| | section | level | rule | |", "|---|---|---|---|---|"]
    for result in sorted(results, key=lambda result: result.outcome != Outcome.FAILED):
        said = _cell(result.detail or result.rule.sentence)
        rule = result.rule
        rows.append(f"| {_SIGNS[result.outcome].strip()} | {rule.section} | {rule.level} | `{rule.name}` | {said} |")
    return "\n".join([f"# AAP v1 conformance of {base_url}", "", f"{tally(results)}.", "", *rows, ""])


def listing(rules: Iterable[Rule]) -> str:
    """The rules themselves as a table in Markdown."""
    rows = ["| rule | § | level | what must hold | needs |", "|---|---|---|---|---|"]
    for rule in rules:
        needs = ", ".join(f"`{need}`" for need in rule.needs)
        rows.append(f"| `{rule.name}` | {rule.section} | {rule.level} | {_cell(rule.sentence)} | {needs} |")
    return "\n".join(rows) + "\n"


def _cell(text: str) -> str:
    return _printable(text).replace("|", "\\|")


def _printable(text: str) -> str:
    """What XML and a table take, whatever the server sent."""
    return "".join(sign if sign.isprintable() else " " for sign in text)[:500]
