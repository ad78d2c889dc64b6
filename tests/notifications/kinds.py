"""Every kind of entry that the code can append, read off its sources: the `kind` of each `Fact` that is made anywhere.

Constants, their choices, and what callers pass on are followed. What is put together at run time is listed here, by its
very expression: one that is not fails, as does a value that a list like `Event.Kind` gains and nobody decided on.
"""

import ast
from collections.abc import Iterator
from pathlib import Path

from checkout import states
from checkout.connections import standing
from ledger.models import Dispute, DisputeStatement, Event, FraudHold
from settlement import payouts
from settlement.models import Invoice

ROOT = Path(__file__).resolve().parents[2]
APPS = ("rako", "merchants", "sessions_app", "ledger", "settlement", "checkout", "notifications", "mcp_server")
_BUILT = {
    "_KINDS[to]": set(states._KINDS.values()),
    "f'connection.{_TOLD[to]}'": {f"connection.{to}" for to in standing._TOLD.values()},
    "f'conversion.{event.kind}'": {f"conversion.{kind}" for kind in Event.Kind.values},
    "f'dispute.{dispute.state}'": {f"dispute.{state}" for state in Dispute.State.values if state != "open"},
    "f'dispute.{kind}_added'": {f"dispute.{kind}_added" for kind in DisputeStatement.Kind.values},
    "f'hold.{hold.state}'": {f"hold.{state}" for state in FraudHold.State.values if state != "open"},
    "f'payment.{result.status}'": {"payment.unmatched", "payment.rejected"},  # those that have a `failed_check`
    "f'payout.{what}'": {f"payout.{what}" for what in {*payouts._TOLD.values(), "ordered"}},
    "f'{invoice.kind}.issued'": {f"{kind}.issued" for kind in Invoice.Kind.values},
}


def appended_kinds() -> set[str]:
    """All of them."""
    return {kind for path in source_files() for kind in _Module(path).kinds()}


def source_files() -> list[Path]:
    """The product's own."""
    return [path for app in APPS for path in (ROOT / app).rglob("*.py") if "migrations" not in path.parts]


class _Module:
    """A source file, in which a kind is followed to where it is named. No other file names it for this one."""

    def __init__(self, path: Path) -> None:
        self.path, self.tree = path, ast.parse(path.read_text())
        self.functions = {node.name: node for node in ast.walk(self.tree) if isinstance(node, ast.FunctionDef)}

    def kinds(self) -> Iterator[str]:
        for function, call in self._calls("Fact"):
            [given] = [each.value for each in call.keywords if each.arg == "kind"]
            yield from self._values(given, function)

    def _calls(self, name: str) -> Iterator[tuple[ast.AST, ast.Call]]:
        """Where something is called, with the function or module around it."""
        inner = [*self.functions.values()]
        for scope in (*inner, self.tree):
            for node in ast.walk(scope):
                is_call = isinstance(node, ast.Call) and isinstance(node.func, ast.Name) and node.func.id == name
                if is_call and (scope is not self.tree or not any(node in ast.walk(each) for each in inner)):
                    yield scope, node

    def _values(self, given: ast.expr, scope: ast.AST) -> set[str]:
        if isinstance(given, ast.Constant):
            return {str(given.value)}
        if isinstance(given, ast.IfExp):
            return self._values(given.body, scope) | self._values(given.orelse, scope)
        if isinstance(given, ast.Name):
            return self._named(given.id, scope)
        built = ast.unparse(given)
        assert built in _BUILT, f"{self.path}: say in {__name__} what {built} can be"
        return _BUILT[built]

    def _named(self, name: str, scope: ast.AST) -> set[str]:
        """What a variable holds: what is assigned to it here or in the module, or what callers give."""
        parameters = [] if scope is self.tree else [each.arg for each in self._arguments(scope)]
        if name in parameters:
            calls = [*self._calls(scope.name)]  # type: ignore[attr-defined]  # a function
            assert calls, f"{self.path}: nobody calls {scope.name}"  # type: ignore[attr-defined]
            return {kind for around, call in calls for kind in self._passed(name, parameters, call, around)}
        for place in (scope, self.tree):
            assigned = [node for node in ast.walk(place) if isinstance(node, ast.Assign)]
            found = [each.value for each in assigned if ast.unparse(each.targets[0]) == name]
            if found:
                return {kind for value in found for kind in self._values(value, place)}
        raise AssertionError(f"{self.path}: where does {name} come from?")

    def _passed(self, name: str, parameters: list[str], call: ast.Call, scope: ast.AST) -> set[str]:
        by_name = [each.value for each in call.keywords if each.arg == name]
        [given] = by_name or [call.args[parameters.index(name)]]
        return self._values(given, scope)

    def _arguments(self, scope: ast.AST) -> list[ast.arg]:
        assert isinstance(scope, ast.FunctionDef)
        return [*scope.args.posonlyargs, *scope.args.args, *scope.args.kwonlyargs]
