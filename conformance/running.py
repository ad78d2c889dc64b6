"""Runs rules against a server, one after the other; whatever a server answers, the run goes on."""

import time
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from enum import StrEnum

import httpx

from conformance.config import Subject
from conformance.rules import Broken, Level, NotTested, Rule
from conformance.world import World


class CouldNotRun(Exception):
    """There is nothing to test: the server cannot be reached, or does not know the keys."""


class Outcome(StrEnum):
    """What became of a rule."""

    PASSED = "passed"
    FAILED = "failed"
    SKIPPED = "skipped"


@dataclass(frozen=True, slots=True)
class Result:
    """A rule with what became of it; `detail` says why it failed or was skipped."""

    rule: Rule
    outcome: Outcome
    detail: str
    seconds: float

    @property
    def breaks_the_protocol(self) -> bool:
        """Whether this alone makes the server none of the protocol's."""
        return self.outcome == Outcome.FAILED and self.rule.level == Level.MUST


def run(subject: Subject, rules: Iterable[Rule], say: Callable[[Result], object] = lambda _: None) -> list[Result]:
    """Test the rules; `say` hears of each result at once. Raises CouldNotRun."""
    results = []
    world = World(subject)
    try:
        _reach(world)
        for result in _tested(world, rules):
            say(result)
            results.append(result)
    finally:
        world.close()
    return results


def _reach(world: World) -> None:
    try:
        found = world.agent.get("/v1/offers")
    except httpx.HTTPError as error:
        raise CouldNotRun(f"{world.subject.base_url} cannot be reached: {error}") from None
    if found.status == httpx.codes.UNAUTHORIZED:
        raise CouldNotRun("the server does not know the agent's key")
    if world.merchant.get("/v1/conversions").status == httpx.codes.UNAUTHORIZED:
        raise CouldNotRun("the server does not know the merchant's key")


def _tested(world: World, rules: Iterable[Rule]) -> Iterator[Result]:
    for rule in rules:
        started = time.perf_counter()
        outcome, detail = _test(world, rule)
        yield Result(rule, outcome, detail, time.perf_counter() - started)


def _test(world: World, rule: Rule) -> tuple[Outcome, str]:
    if lacking := next((why for need in rule.needs if (why := world.subject.lacks(need))), ""):
        return Outcome.SKIPPED, lacking
    try:
        rule.check(world)
    except NotTested as reason:
        return Outcome.SKIPPED, str(reason)
    except Broken as broken:
        return Outcome.FAILED, str(broken)
    except httpx.HTTPError as error:
        return Outcome.FAILED, f"no answer: {type(error).__name__} {error}"
    except Exception as error:
        # What was answered has not even the shape that the rule reads: no server may end the run.
        return Outcome.FAILED, f"a reply has another shape: {type(error).__name__} {error}"
    return Outcome.PASSED, ""
