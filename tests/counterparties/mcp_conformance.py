"""Installs the Model Context Protocol's own conformance suite: `python -m tests.counterparties.mcp_conformance`.

It is a program in TypeScript for Node 22, which npm brings, too. Everything goes into `.counterparties/mcp`. Repeating
is safe. Exit codes: 0 installed, 1 failed, 3 without npm.
"""

import json
import platform
import shutil
import subprocess
import sys
from pathlib import Path

from tests.counterparties.install import InstallFailed, alone, home, run

_CPU = {"x86_64": "x64", "amd64": "x64", "aarch64": "arm64", "arm64": "arm64"}.get(platform.machine().lower(), "?")
NODE = f"node-{sys.platform}-{_CPU}"
# The first that tests 2026-07-28; the latest stable one, 0.1.16, ends with 2025-11-25.
STAMP = {"conformance": "0.2.0-alpha.12", "node": "22.23.3"}


def folder() -> Path:
    """Where the suite is installed, or would be."""
    return home() / "mcp"


def node() -> Path:
    """The Node that it runs on. It runs TypeScript as it stands, too."""
    return folder() / "node_modules" / NODE / "bin" / "node"


def missing() -> str | None:
    """Why the suite cannot run on this machine; None if it can."""
    try:
        is_installed = json.loads((folder() / "stamp.json").read_text()) == STAMP
    except (OSError, ValueError):
        is_installed = False
    return None if is_installed else "run python -m tests.counterparties.mcp_conformance"


def install() -> None:
    """Install what is not there yet. Raises InstallFailed."""
    with alone("mcp"):
        if missing() is None:
            return
        if shutil.which("npm") is None:
            raise InstallFailed("npm is not installed", exit_code=3)
        partial = folder().with_name("mcp.partial")
        shutil.rmtree(partial, ignore_errors=True)
        partial.mkdir()
        packages = (f"{NODE}@{STAMP['node']}", f"@modelcontextprotocol/conformance@{STAMP['conformance']}")
        run("npm", "install", "--silent", "--ignore-scripts", "--no-audit", "--prefix", str(partial), *packages)
        (partial / "stamp.json").write_text(json.dumps(STAMP))
        shutil.rmtree(folder(), ignore_errors=True)
        partial.rename(folder())


def run_suite(url: str, version: str, *, baseline: Path, results: Path) -> "subprocess.CompletedProcess[str]":
    """Every scenario for a version of the protocol; exit code 0 if nothing fails but what the baseline names, and all
    of that does."""
    program = folder() / "node_modules" / "@modelcontextprotocol" / "conformance" / "dist" / "index.js"
    options = {"--url": url, "--spec-version": version, "--expected-failures": baseline, "--output-dir": results}
    words = [str(word) for option in options.items() for word in option]
    command = [str(node()), str(program), "server", "--suite", "all", *words]
    return subprocess.run(command, capture_output=True, text=True, check=False, timeout=120)


def main() -> int:
    try:
        install()
    except (InstallFailed, OSError, subprocess.TimeoutExpired) as failure:
        print(f"NOT INSTALLED: {failure}", file=sys.stderr)
        return failure.exit_code if isinstance(failure, InstallFailed) else 1
    print(f"MCP's conformance suite is installed in {folder()}")
    return 0


if __name__ == "__main__":
    sys.exit(main())
