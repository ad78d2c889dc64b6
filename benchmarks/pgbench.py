"""A yardstick: PostgreSQL's own pgbench, running the very statement that the product sends."""

import re
import subprocess
import tempfile
from pathlib import Path

from django.conf import settings
from django.db import connection
from django.db.backends.postgresql.psycopg_any import mogrify

from benchmarks.sales import CONVERSIONS, FIRST, Parties, conversion_id, proof_of_sale
from rako.core import facts
from rako.core.embedded_postgres import DATABASE, PORT, ROLE, bin_dir, socket_dir
from rako.core.rows import inserting

# Ids of digits are ids, too; pgbench fills its variables in as text.
_VARIABLES = """\
\\set a random(100000000000, 999999999999)
\\set b random(100000000000, 999999999999)
\\set c random(100000000000, 999999999999)
\\set sale random({first}, {last})
"""
_ENTRY, _STREAM, _EVIDENCE = "01:a:b", "01:a:c", "01:b:c"


def pgbench(seconds: float, *, count: int) -> float:
    """Statements per second of so many connections."""
    said = run_script(_script(), "-c", str(count), "-j", "2", "-T", str(max(1, round(seconds))))
    found = re.search(r"tps = ([\d.]+)", said)
    return float(found[1]) if found else 0.0


def run_script(script: str, *options: str) -> str:
    """Run pgbench on the benchmarks' database; what it says. Raises RuntimeError if a statement failed."""
    with tempfile.NamedTemporaryFile("w", suffix=".sql") as file:
        file.write(script)
        file.flush()
        command = [str(bin_dir() / "pgbench"), "-h", str(socket_dir(Path(settings.RAKO_DATA_DIR))), "-p", str(PORT)]
        command += ["-U", ROLE, "-n", *options, "-f", file.name, DATABASE]
        done = subprocess.run(command, check=False, capture_output=True, text=True)  # noqa: S603
    if done.returncode or "number of failed transactions: 0 " not in done.stdout:
        raise RuntimeError(f"pgbench failed:\n{done.stdout[-1000:]}{done.stderr[-1000:]}")
    return done.stdout


def _script() -> str:
    """The statement as Django sends it, with variables in place of the ids."""
    stream, sale, reference = "01" + "Z" * 24, conversion_id(0), "pi_" + "0" * 24
    fact, row = proof_of_sale(Parties.of_the_demo(), stream_id=stream, sale=sale, reference=reference)
    sql, values = facts.stating(fact, inserting(row))
    text = mogrify(sql, values, connection)
    entry_id = values[sql[: sql.index("ledger_append(")].count("%s")]
    for found, variable in (
        (entry_id, _ENTRY),
        (stream, _STREAM),
        (str(row.pk), _EVIDENCE),
        (reference, "pi_:a:b"),
        (sale, sale[:-4] + ":sale"),
    ):
        text = text.replace(found, variable)
    return _VARIABLES.format(first=FIRST, last=FIRST + CONVERSIONS - 1) + text + ";\n"
