"""The product's settings on a database of its own, quiet enough that logging is not what is measured."""

import os
from pathlib import Path

os.environ.pop("DATABASE_URL", None)
_data = Path(__file__).resolve().parent.parent / os.environ.get("RAKO_DATA_DIR", ".rako") / "benchmark"
# Child processes find it set and must not nest it again.
_data_dir = os.environ.setdefault("RAKO_BENCHMARK_DATA_DIR", str(_data))
os.environ |= {"RAKO_MODE": "sandbox", "RAKO_LOG_LEVEL": "WARNING", "RAKO_DATA_DIR": _data_dir}

from rako.settings import *  # noqa: E402, F403

INSTALLED_APPS += ["benchmarks"]  # noqa: F405  # the ceiling's one table
if os.environ.get("RAKO_BENCHMARK_CEILING"):
    ROOT_URLCONF = "benchmarks.ceiling"
    MIDDLEWARE = []
    SILENCED_SYSTEM_CHECKS = ["admin.E408", "admin.E409", "admin.E410"]  # it serves no admin
