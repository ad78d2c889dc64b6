"""Installs the TypeScript compiler that checks the examples: `python -m tests.examples.install`.

It goes into `.counterparties/typescript`, by npm as this machine has it configured. Repeating is safe: what is there
has the versions in its folder's name. Exit codes: 0 installed, 1 failed, 3 without Node or npm.
"""

import os
import shutil
import subprocess
import sys
import tempfile
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]
TYPESCRIPT, NODE_TYPES = "7.0.2", "20.19.43"


def folder() -> Path:
    """Where the compiler is installed, or would be."""
    home = Path(os.environ.get("RAKO_COUNTERPARTIES") or ROOT / ".counterparties")
    return home / "typescript" / f"{TYPESCRIPT}-{NODE_TYPES}"


def missing() -> str | None:
    """Why TypeScript cannot be checked on this machine; None if it can."""
    return None if folder().exists() else "run python -m tests.examples.install"


def install() -> None:
    """Install what is not there yet. Raises CalledProcessError or OSError."""
    if folder().exists():
        return
    folder().parent.mkdir(parents=True, exist_ok=True)
    # Complete or not there at all: two installations at once each make their own, and one of them stays.
    partial = Path(tempfile.mkdtemp(dir=folder().parent))
    packages = (f"typescript@{TYPESCRIPT}", f"@types/node@{NODE_TYPES}")
    npm = ["npm", "install", "--silent", "--ignore-scripts", "--no-audit", "--prefix", str(partial), *packages]
    try:
        subprocess.run(npm, check=True, capture_output=True, timeout=600)
        if not folder().exists():
            partial.rename(folder())
    finally:
        shutil.rmtree(partial, ignore_errors=True)


def main() -> int:
    if shutil.which("node") is None or shutil.which("npm") is None:
        print("NOT INSTALLED: node or npm is not installed", file=sys.stderr)
        return 3
    try:
        install()
    except (OSError, subprocess.SubprocessError) as failure:
        print(f"NOT INSTALLED: {failure}", file=sys.stderr)
        return 1
    print(f"TypeScript {TYPESCRIPT} is installed in {folder()}")
    return 0


if __name__ == "__main__":
    sys.exit(main())
