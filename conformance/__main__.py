"""The command line: exit 0 if no MUST failed, 1 could not run, 2 bad arguments, 3 a MUST failed."""

import argparse
import os
import sys
from pathlib import Path

import conformance.sections  # noqa: F401 - registers the rules
from conformance import reports
from conformance.config import BadConfig, load
from conformance.rules import RULES
from conformance.running import CouldNotRun, Result, run

_GIVEN = {"base_url": "AAP_BASE_URL", "agent_key": "AAP_AGENT_KEY", "merchant_key": "AAP_MERCHANT_KEY"}


def main() -> int:
    """Test a server and report."""
    # Texts of the server may have any character, and a pipe may take none but ASCII.
    sys.stdout.reconfigure(errors="backslashreplace")  # type: ignore[union-attr]  # it is a TextIOWrapper
    asked = _arguments()
    rules = [RULES[name] for name in asked.rule] if asked.rule else list(RULES.values())
    if asked.list:
        print(reports.listing(rules), end="")
        return 0
    try:
        subject = load(asked.config, {name: os.environ.get(variable, "") for name, variable in _GIVEN.items()})
        print(f"AAP v1 conformance of {subject.base_url}\n")
        results = run(subject, rules, lambda result: print(reports.line(result), flush=True))
    except (BadConfig, CouldNotRun) as error:
        print(f"could not run: {error}", file=sys.stderr)
        return 1
    return _report(results, subject.base_url, asked)


def _report(results: list[Result], base_url: str, asked: argparse.Namespace) -> int:
    try:
        if asked.junit:
            asked.junit.write_text(reports.junit(results), encoding="utf-8")
        if asked.markdown:
            asked.markdown.write_text(reports.markdown(results, base_url), encoding="utf-8")
    except OSError as error:
        print(f"the report cannot be written: {error}", file=sys.stderr)
        return 1
    print(f"\n{reports.tally(results)}")
    return 3 if any(result.breaks_the_protocol for result in results) else 0


def _arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(
        prog="python -m conformance",
        description="Test a server of the Agent Attribution Protocol v1 from outside. It makes searches, checkouts and "
        "sales there: never run it against real ones. Repeating is safe.",
        epilog=f"Address and keys may come from {', '.join(_GIVEN.values())}, and win over the file.",
    )
    parser.add_argument("--config", type=Path, metavar="FILE", help="what is known of the server, as TOML")
    parser.add_argument("--rule", action="append", metavar="NAME", type=_rule, help="test this one only; repeatable")
    parser.add_argument("--junit", type=Path, metavar="FILE", help="write the results as JUnit XML")
    parser.add_argument("--markdown", type=Path, metavar="FILE", help="write the results as Markdown")
    parser.add_argument("--list", action="store_true", help="list the rules and test nothing")
    return parser.parse_args()


def _rule(name: str) -> str:
    if name not in RULES:
        raise argparse.ArgumentTypeError(f"there is no rule {name}")
    return name


if __name__ == "__main__":
    sys.exit(main())
