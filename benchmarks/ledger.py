"""`python -m benchmarks.ledger`: what the ledger takes, how late its log is, and what proofs and verification cost."""

import os
import statistics
from typing import Any

import django

os.environ["DJANGO_SETTINGS_MODULE"] = "benchmarks.settings"
django.setup()  # its settings name the database's folder

from django.conf import settings  # noqa: E402
from django.db import connection  # noqa: E402

from benchmarks import proving  # noqa: E402
from benchmarks.chain import create_chain  # noqa: E402
from benchmarks.clients import Clients, Load, clients  # noqa: E402
from benchmarks.database import prepare  # noqa: E402
from benchmarks.growth import grow  # noqa: E402
from benchmarks.pgbench import pgbench  # noqa: E402
from benchmarks.sales import prepare_conversions  # noqa: E402
from benchmarks.searches import search_ms  # noqa: E402
from benchmarks.sequencing import (  # noqa: E402
    lag_ms,
    sequencing,
    size,
    wait_until_sequenced,
    wait_until_signed,
)
from benchmarks.slow_disk import CannotSlow, slow_flushes  # noqa: E402

CONNECTIONS = 8
SECONDS = float(os.environ.get("RAKO_BENCHMARK_SECONDS", "4"))
ENTRIES = int(os.environ.get("RAKO_BENCHMARK_ENTRIES", "100000"))
BACKLOG = 100_000
ROUNDS = 3
PATIENCE = 900.0  # seconds, for what should take tens of them


def main() -> None:
    """A log of `ENTRIES` first; then, on top of it, appends beside their yardsticks by turns."""
    # Forked before the first connection.
    with clients(CONNECTIONS) as ours:
        prepare()
        grow_the_log()
        prove()
        verify()
        prepare_conversions()
        create_chain()
        append(ours)
        append_slowly(ours)
        search()


def tell(what: str, figures: str, goal: str = "") -> None:
    print(f"{what:<52}{figures}{f'   (goal {goal})' if goal else ''}", flush=True)


def grow_the_log() -> None:
    """Most of it beside a running sequencer, then a backlog for one that starts afterwards."""
    backlog = min(BACKLOG, ENTRIES)
    grow(1000)
    _vacuum()  # the plans of empty tables are others
    if backlog < ENTRIES:
        with sequencing() as sequencer:
            seconds = grow(ENTRIES - backlog)
            wait_until_sequenced(PATIENCE)
            tell("bulk appends beside the sequencer", f"{(ENTRIES - backlog) / seconds:,.0f} entries/s in bulk")
            tell("sequencer's memory while it kept up", f"{sequencer.peak_mb():.0f} MB", "< 200")
    grow(backlog)
    _vacuum()
    started = size()
    with sequencing() as sequencer:
        seconds = _until_drained(started)
        tell(f"backlog of {backlog:,} drained", f"{backlog / seconds:,.0f} entries/s")
        wait_until_signed(PATIENCE)
        tell("sequencer's memory at that", f"{sequencer.peak_mb():.0f} MB", "< 200")


def prove() -> None:
    for at_once, how in ((False, "tiles one by one"), (True, "tiles at once")):
        p50, p99 = proving.proofs_ms(at_once=at_once)
        what = f"inclusion proof among {size():,}, {how}"
        tell(what, f"p50 {p50:.2f} ms, p99 {p99:.2f} ms", "p99 < 10 ms")
    for connections in (1, CONNECTIONS):
        served = proving.served_proofs(SECONDS, connections)
        figures = f"p50 {served['p50_ms']:.1f} ms, p99 {served['p99_ms']:.1f} ms, {served['rps']:.0f} requests/s"
        tell(f"  over HTTP, {connections} connections", figures + _failed(served["failed"]))


def verify() -> None:
    report = proving.verification()
    rate = report["entries"] / report["wall"]
    seconds = f"{report['wall']:.1f} s with its start, {report['cpu']:.1f} s of them its own CPU"
    tell(f"verify_ledger --full, {report['entries']:,} entries", f"{rate:,.0f} entries/s in {seconds}", ">= 100,000/s")
    if not report["sound"]:
        print(f"  !! {report['count']} findings, the first is {report['first']}")


def append(ours: Clients) -> None:
    """Appends through Django beside pgbench, without a sequencer and with one."""
    print(f"\n{ROUNDS} rounds of {SECONDS:g} s each, {CONNECTIONS} clients, by turns; medians")
    _compare("appends", ours)
    with sequencing() as sequencer:
        wait_until_sequenced(PATIENCE)
        first = size()
        _compare("appends beside the sequencer", ours)
        wait_until_sequenced(PATIENCE)
        p50, p99 = lag_ms(first, size())
        tell(f"inclusion lag of {size() - first:,}", f"p50 {p50:.0f} ms, p99 {p99:.0f} ms", "p99 < 1000 ms")
        tell("sequencer's memory at that", f"{sequencer.peak_mb():.0f} MB", "< 200")


def _compare(what: str, ours: Clients) -> None:
    loads, theirs = [], []
    for _ in range(ROUNDS):
        loads.append(ours.run("append", SECONDS))
        theirs.append(pgbench(SECONDS, count=CONNECTIONS))
    ceiling = statistics.median(theirs)
    tell(what, _figures(loads), ">= 1,500/s, p99 < 15 ms")
    ratio = _rate(loads) / ceiling
    tell("  pgbench, same statement", f"{ceiling:,.0f}/s, ratio {ratio:.2f}", ">= 0.5")


def append_slowly(ours: Clients) -> None:
    """Where a flush takes a millisecond more, writers that queue for one chain pay for it one after the other."""
    print("\nflushes slowed by 1 ms")
    connection.close()
    try:
        with slow_flushes(settings.RAKO_DATA_DIR):
            loads, theirs = [], []
            for _ in range(ROUNDS):
                loads.append(ours.run("append", SECONDS))
                theirs.append(ours.run("chain", SECONDS))
    except CannotSlow as error:
        print(f"!! SKIPPED: {error}")
        return
    tell("appends", _figures(loads))
    tell("  global hash chain", f"{_figures(theirs)}, ratio {_rate(loads) / _rate(theirs):.2f}", ">= 3")


def search() -> None:
    bare, stated = search_ms(rounds=20)
    print()
    tell("a search's session", f"{bare:.2f} ms alone, {stated:.2f} ms with its entry, ratio {stated / bare:.2f}")


def _figures(loads: list[Load]) -> str:
    p50, p99 = (statistics.median(getattr(load, name) for load in loads) for name in ("p50_ms", "p99_ms"))
    return f"{_rate(loads):,.0f}/s, p50 {p50:.1f} ms, p99 {p99:.1f} ms"


def _rate(loads: list[Load]) -> float:
    return statistics.median(load.per_second for load in loads)


def _failed(count: Any) -> str:
    return f"  !! {count} failed" if count else ""


def _until_drained(started: int) -> float:
    """Seconds from the first head to the last: not those in which the process starts."""
    wait_until_sequenced(PATIENCE)
    with connection.cursor() as cursor:
        cursor.execute(
            "SELECT extract(epoch FROM max(created_at) - min(created_at)) * count(*) / greatest(count(*) - 1, 1) "
            "FROM ledger_head WHERE size > %s",
            [started],
        )
        return float(cursor.fetchone()[0])


def _vacuum() -> None:
    with connection.cursor() as cursor:
        cursor.execute("VACUUM ANALYZE")


if __name__ == "__main__":
    main()
