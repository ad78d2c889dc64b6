"""A rule is a function with its section of the protocol, its level, and a sentence: its docstring."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from enum import StrEnum
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from conformance.world import World

Check = Callable[["World"], None]


class Level(StrEnum):
    """What a failure means: the server is not an AAP server, or it is one that could do better."""

    MUST = "MUST"
    SHOULD = "SHOULD"


class Broken(Exception):
    """The server does not keep the rule."""


class NotTested(Exception):
    """The rule cannot be tested here; the text says why."""


@dataclass(frozen=True, slots=True)
class Rule:
    """One promise of the protocol. `needs` names what the configuration must have for it."""

    name: str
    section: str
    level: Level
    sentence: str
    needs: tuple[str, ...]
    check: Check


RULES: dict[str, Rule] = {}


def must(section: str, *needs: str) -> Callable[[Check], Check]:
    """Decorator: a rule that a server must keep."""
    return _register(Level.MUST, section, needs)


def should(section: str, *needs: str) -> Callable[[Check], Check]:
    """Decorator: a rule that a server should keep."""
    return _register(Level.SHOULD, section, needs)


def expect(holds: object, otherwise: str) -> None:
    """Raises Broken with the text unless it holds."""
    if not holds:
        raise Broken(otherwise)


def _register(level: Level, section: str, needs: tuple[str, ...]) -> Callable[[Check], Check]:
    def keep(check: Check) -> Check:
        name = check.__name__.replace("_", "-")
        if name in RULES:
            raise ValueError(f"two rules are named {name}")
        sentence = " ".join((check.__doc__ or "").split())
        RULES[name] = Rule(name, section, level, sentence, needs, check)
        return check

    return keep
