"""Client processes that append through Django as fast as they can, each on a connection of its own."""

import contextlib
import multiprocessing
import statistics
import time
from collections.abc import Callable, Iterator
from multiprocessing.connection import Connection
from typing import NamedTuple

from django.db import connection

from benchmarks.chain import append_to_chain
from benchmarks.sales import Parties, proof_of_sale
from rako.core.facts import state

WARM_UP = 20  # statements: plans, caches, PostgreSQL's compiled functions


class Load(NamedTuple):
    """What all clients together did."""

    per_second: float
    p50_ms: float
    p99_ms: float


def append_sale(parties: Parties) -> None:
    """The product's append: a row of evidence, an entry, three postings and two openings, in one statement."""
    fact, row = proof_of_sale(parties)
    state(fact, along_with=row)


WORK: dict[str, Callable[[Parties], object]] = {"append": append_sale, "chain": append_to_chain}


class Clients:
    """Processes that wait for work; see `clients`."""

    def __init__(self, pipes: list[Connection]) -> None:
        self._pipes = pipes

    def run(self, work: str, seconds: float) -> Load:
        """Have all of them do a kind of `WORK` at once; they start together when all are warm."""
        for step in ((work, seconds), "go"):
            for pipe in self._pipes:
                pipe.send(step)
            answers = [pipe.recv() for pipe in self._pipes]
        latencies = sorted(latency for times, _ in answers for latency in times)
        return Load(
            sum(len(times) / elapsed for times, elapsed in answers),
            statistics.median(latencies) * 1000,
            latencies[len(latencies) * 99 // 100] * 1000,
        )


@contextlib.contextmanager
def clients(count: int) -> Iterator[Clients]:
    """Fork client processes. Before the first connection of this one: children must not share it."""
    context = multiprocessing.get_context("fork")
    pairs = [context.Pipe() for _ in range(count)]
    processes = [context.Process(target=_serve, args=(theirs,), daemon=True) for _, theirs in pairs]
    for process in processes:
        process.start()
    for _, theirs in pairs:
        theirs.close()
    try:
        yield Clients([ours for ours, _ in pairs])
    finally:
        for ours, _ in pairs:
            ours.send(None)
        for process in processes:
            process.join(5)


def _serve(pipe: Connection) -> None:
    while (order := pipe.recv()) is not None:
        work, seconds = order
        parties = Parties.of_the_demo()
        for _ in range(WARM_UP):
            WORK[work](parties)
        pipe.send("warm")
        pipe.recv()
        pipe.send(_measure(WORK[work], parties, seconds))
        connection.close()
        connection.close_pool()  # type: ignore[attr-defined]  # the server may be restarted now


def _measure(work: Callable[[Parties], object], parties: Parties, seconds: float) -> tuple[list[float], float]:
    times: list[float] = []
    started = now = time.perf_counter()
    while now < started + seconds:
        work(parties)
        times.append(-now + (now := time.perf_counter()))
    return times, now - started
