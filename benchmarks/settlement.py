"""`python -m benchmarks.settlement`: what closing a month costs, and that it stays so as months and history grow."""

import os
import resource
import subprocess
import sys
import time
from typing import NamedTuple

import django

os.environ["DJANGO_SETTINGS_MODULE"] = "benchmarks.settings"
django.setup()  # its settings name the database's folder

from django.db import connection  # noqa: E402
from django.db.backends.postgresql.psycopg_any import mogrify  # noqa: E402

from benchmarks.database import prepare  # noqa: E402
from benchmarks.pgbench import run_script  # noqa: E402
from ledger.sequencer import Sequencer  # noqa: E402
from merchants.models import Merchant  # noqa: E402
from sessions_app.models import Builder  # noqa: E402
from settlement.models import Batch, Statement  # noqa: E402

LARGEST = int(os.environ.get("RAKO_BENCHMARK_COMMISSIONS", "100000"))
SIZES = [size for size in (10_000, 100_000, 1_000_000) if size <= LARGEST]
BUILDERS = 200
_STATEMENT = 500  # entries of one statement
_WRITERS = 2

# A confirmed commission is what settlement reads of a sale: the entry of its validation, with three postings.
_CONFIRM = """
SELECT count(*) FROM (SELECT nextval('benchmarks_confirmed') AS number FROM generate_series(1, %(count)s)) AS counted,
LATERAL ledger_append(
    '03' || lpad(number::text, 24, '0'), '04' || lpad(number::text, 24, '0'), 'conversion.validated', %(facts)s,
    lpad(number::text, 32, '0'), %(at)s, 'confirmed:' || number, NULL, NULL, NULL, NULL, NULL,
    ARRAY['merchant_receivable', 'builder_payable', 'fee_revenue'],
    ARRAY[(%(merchants)s::text[])[1 + number %% %(merchant_count)s],
        (%(builders)s::text[])[1 + number %% %(builder_count)s], ''],
    ARRAY['GBP', 'GBP', 'GBP'], ARRAY[800, -640, -160]::bigint[]
)
"""


class Closed(NamedTuple):
    """A command as its process was seen from outside."""

    seconds: float
    cpu: float
    megabytes: float


def main() -> None:
    prepare()
    merchants = list(Merchant.objects.values_list("pk", flat=True))
    builders = Builder.objects.bulk_create([Builder(name=f"Builder {number}") for number in range(BUILDERS)])
    with connection.cursor() as cursor:
        cursor.execute("CREATE SEQUENCE benchmarks_confirmed")
    print(f"{len(merchants)} merchants, {BUILDERS} builders; each month on top of those before it\n")
    for month, size in enumerate(SIZES, 1):
        period = f"2026-{month:02d}"
        _confirm(size, f"{period}-15T12:00:00Z", merchants, [builder.pk for builder in builders])
        _tell(f"settle, {size:,} commissions", _run("settle", "--period", period), size)
        _check(period, size)
        _tell("  resettle --check", _run("resettle", "--period", period, "--check"), size)


def _confirm(count: int, at: str, merchants: list[str], builders: list[str]) -> None:
    values = {
        "count": _STATEMENT,
        "facts": '{"is_held":false,"status":"validated"}',
        "at": at,
        "merchants": merchants,
        "merchant_count": len(merchants),
        "builders": builders,
        "builder_count": len(builders),
    }
    script = mogrify(_CONFIRM, values, connection) + ";\n"
    run_script(script, "-c", str(_WRITERS), "-j", "1", "-t", str(count // _STATEMENT // _WRITERS))
    sequencer = Sequencer()
    while sequencer.tick():
        pass
    with connection.cursor() as cursor:
        cursor.execute("VACUUM ANALYZE")


def _run(*command: str) -> Closed:
    before = resource.getrusage(resource.RUSAGE_CHILDREN)
    started = time.perf_counter()
    code = "import sys, django; django.setup(); from django.core.management import execute_from_command_line as run; "
    arguments = [sys.executable, "-c", f"{code}run(['manage.py', *sys.argv[1:]])", *command]
    subprocess.run(arguments, check=True, stdout=subprocess.DEVNULL)  # noqa: S603 - our own
    seconds = time.perf_counter() - started
    after = resource.getrusage(resource.RUSAGE_CHILDREN)
    cpu = after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime
    return Closed(seconds, cpu, after.ru_maxrss / 1024)


def _check(period: str, size: int) -> None:
    """What was settled is what was confirmed, or the figures are worth nothing."""
    batch = Batch.objects.get(period=period)
    earned = sum(Statement.objects.filter(batch=batch).values_list("earned_minor", flat=True))
    assert (batch.line_count, earned) == (size, 640 * size), (batch.line_count, earned)  # noqa: S101


def _tell(what: str, closed: Closed, size: int) -> None:
    each = f"{closed.seconds * 1e6 / size:.1f} µs each"
    cost = f"{closed.seconds:.1f} s ({each}), {closed.cpu:.1f} s of its own CPU, at most {closed.megabytes:.0f} MB"
    print(f"{what:<36}{cost}", flush=True)


if __name__ == "__main__":
    main()
