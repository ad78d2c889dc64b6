"""The direction of imports: an app imports only what is lower."""

import ast
from collections.abc import Iterator
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parent.parent
LAYERS = [
    *("rako.core", "merchants", "sessions_app", "ledger", "settlement", "checkout", "notifications"),
    *("portal", "mcp_server", "rako"),
]
SANDBOX = ROOT / "checkout" / "connectors" / "sandbox"


def layer_of(module: str) -> int | None:
    """The height of a module; None for foreign ones. `rako.core` is the lowest, the rest of `rako` the highest."""
    head = "rako.core" if module == "rako.core" or module.startswith("rako.core.") else module.split(".")[0]
    return LAYERS.index(head) if head in LAYERS else None


def imports_of(path: Path) -> Iterator[str]:
    for node in ast.walk(ast.parse(path.read_text())):
        if isinstance(node, ast.Import):
            yield from (name.name for name in node.names)
        elif isinstance(node, ast.ImportFrom) and node.module:
            yield node.module
            yield from (f"{node.module}.{name.name}" for name in node.names)


def sources() -> list[Path]:
    folders = {layer.split(".")[0] for layer in LAYERS}
    return sorted(
        path for folder in folders for path in (ROOT / folder).rglob("*.py") if "migrations" not in path.parts
    )


@pytest.mark.parametrize("path", sources(), ids=lambda path: str(path.relative_to(ROOT)))
def test_imports_point_downwards(path):
    own = layer_of(".".join(path.relative_to(ROOT).with_suffix("").parts))

    upwards = [module for module in imports_of(path) if (layer_of(module) or 0) > own]

    assert upwards == []


@pytest.mark.parametrize("path", sorted(SANDBOX.rglob("*.py")), ids=lambda path: path.name)
def test_the_sandbox_psp_knows_nothing_of_rako_but_the_contract(path):
    allowed = ("rako.core", "checkout.connectors.base", "checkout.connectors.sandbox")

    ours = [module for module in imports_of(path) if layer_of(module) is not None and module != "checkout.connectors"]

    assert [module for module in ours if not module.startswith(allowed)] == []
