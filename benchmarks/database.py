"""The benchmarks' own database: made anew for each run."""

import os
import shutil
import sys

from django.conf import settings
from django.core.management import call_command
from django.db import connection

from benchmarks.ceiling import ROWS
from benchmarks.models import Row
from rako.core.embedded_postgres import stop_if_unused


def prepare() -> None:
    """A new database with the demo registry and the ceiling's rows."""
    if not stop_if_unused(settings.RAKO_DATA_DIR):
        sys.exit("another benchmark is running")
    shutil.rmtree(settings.RAKO_DATA_DIR, ignore_errors=True)
    call_command("migrate", verbosity=0, run_syncdb=True)
    call_command("load_demo", verbosity=0, stdout=open(os.devnull, "w"))  # noqa: SIM115
    Row.objects.bulk_create([Row(pk=number, text="x" * 300) for number in range(1, ROWS + 1)])
    with connection.cursor() as cursor:
        cursor.execute("SELECT setval(pg_get_serial_sequence('benchmarks_row', 'id'), max(id)) FROM benchmarks_row")
        cursor.execute("ANALYZE")
