"""The kernel stands on its own: a party can check a proof without the web application."""

import json
import subprocess
import sys
from pathlib import Path

import rako.core.tlog

MODULES = sorted(path.stem for path in Path(rako.core.tlog.__file__).parent.glob("*.py") if path.stem != "__init__")
SCRIPT = """
import importlib, json, sys
for name in sys.argv[1:]:
    importlib.import_module(f"rako.core.tlog.{name}")
print(json.dumps(sorted(sys.modules)))
"""


def test_no_module_of_the_log_loads_django():
    output = subprocess.run([sys.executable, "-c", SCRIPT, *MODULES], capture_output=True, check=True, text=True).stdout
    loaded = json.loads(output)

    assert {"rako.core.tlog.tree", "rako.core.tlog.signer", "rako.core.tlog.witness"} <= set(loaded)
    ours = [name for name in loaded if name.startswith("rako") and not name.startswith("rako.core.tlog")]
    assert ours == ["rako", "rako.core"]  # the empty packages around it
    assert [name for name in loaded if name.startswith(("django", "ledger", "psycopg"))] == []
