"""The verifier, loaded as the lone file it is, and asked in-process."""

import importlib.util
import json
import sys
from collections.abc import Callable
from pathlib import Path
from types import ModuleType
from typing import Any

import pytest

SCRIPT = Path(__file__).resolve().parents[2] / "tools" / "verify_proof.py"


def load_verifier() -> ModuleType:
    spec = importlib.util.spec_from_file_location("verify_proof", SCRIPT)
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    sys.modules[spec.name] = module  # dataclasses look their module up by name
    spec.loader.exec_module(module)
    return module


VERIFIER = load_verifier()


@pytest.fixture
def verdict(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> Callable[..., tuple[int, str | None]]:
    """`verdict(file, *options)` is the exit code and the name of the failed check."""

    def ask(file: dict[str, Any] | bytes, *options: object) -> tuple[int, str | None]:
        path = tmp_path / "proof.json"
        path.write_bytes(file if isinstance(file, bytes) else json.dumps(file).encode())
        code = VERIFIER.main([str(path), "--json", *map(str, options)])
        said = json.loads(capsys.readouterr().out)
        return code, said["failed"] and said["failed"]["check"] if code != 1 else said["error"]

    return ask
