"""The suite finds a broken server out, and goes on whatever it is answered."""

from dataclasses import replace

import pytest

import conformance.sections  # noqa: F401 - registers the rules
import tests.conformance.optional_mutants
import tests.conformance.webhook_mutants  # noqa: F401 - both register more of them
from conformance.config import Subject, load
from conformance.rules import RULES
from conformance.running import Outcome, run
from tests.conformance.mutants import MUTANTS
from tests.conformance.proxy import Answer, mutating

# It needs nothing that a mutant breaks: if it fails, the proxy is at fault.
CONTROL = "health-is-public"


@pytest.fixture(scope="module")
def subject(live_rako, tmp_path_factory) -> Subject:
    from rako.management.commands.conformance import write

    path = tmp_path_factory.mktemp("conformance") / "subject.toml"
    write(path, live_rako.conformance_subject())
    return load(path, {})


def outcomes(subject, names):
    return {result.rule.name: result.outcome for result in run(subject, [RULES[name] for name in names])}


@pytest.mark.parametrize("mutant", MUTANTS, ids=lambda mutant: mutant.name)
def test_a_broken_server_is_found_out(subject, mutant, tmp_path):
    (log := tmp_path / "server.log").touch()

    with mutating(replace(subject, server_log=str(log)), mutant.mutation) as broken:
        found = outcomes(broken, [CONTROL, *mutant.caught_by])

    if mutant.is_optional and Outcome.SKIPPED in found.values():
        pytest.skip("our server does not have what this one breaks")
    assert found == {CONTROL: Outcome.PASSED} | dict.fromkeys(mutant.caught_by, Outcome.FAILED)


def test_a_proxy_that_changes_nothing_breaks_no_rule(subject):
    with mutating(subject, lambda asked, proxy: proxy.forward(asked)) as same:
        results = run(same, RULES.values())

    assert [(found.rule.name, found.detail) for found in results if found.outcome == Outcome.FAILED] == []
    assert sum(found.outcome == Outcome.PASSED for found in results) >= 45


@pytest.mark.parametrize(
    ("status", "body"),
    [(200, b""), (200, b"[]"), (200, b"{}"), (200, b'{"offers": [1]}'), (200, b"\xff"), (503, b"<html>")],
    ids=repr,
)
def test_nonsense_fails_rules_and_stops_nothing(subject, body, status):
    kind = [("Content-Type", "application/json")]

    with mutating(subject, lambda asked, proxy: Answer(status, kind, body)) as broken:
        results = run(broken, RULES.values())

    assert len(results) == len(RULES)
    assert {found.outcome for found in results if found.rule.section == "3"} <= {Outcome.FAILED, Outcome.SKIPPED}
