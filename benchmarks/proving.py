"""What proofs and a full verification cost on the log as it is."""

import json
import os
import random
import subprocess
import sys
import time
from typing import Any

from benchmarks import load
from benchmarks.scenarios import KEYED
from ledger.models import Entry, Head
from ledger.proofs import tree_around
from ledger.tree_store import tree_of
from rako.core.tlog.proofs import verify_inclusion
from rako.serving import serving

_PROOFS = 500


def proofs_ms(*, at_once: bool) -> tuple[float, float]:
    """Median and 99th percentile of making the inclusion proof of a random entry, nothing cached, in milliseconds.

    `at_once` reads the tiles in one query, as the API does; otherwise one by one.
    """
    head = Head.objects.order_by("-size")[0]
    times = []
    for index in random.sample(range(head.size), min(_PROOFS, head.size)):
        started = time.perf_counter()
        tree = tree_around(head.size, [index]) if at_once else tree_of(head.size)
        path = tree.inclusion(index)
        times.append((time.perf_counter() - started) * 1000)
        leaf = bytes(Entry.objects.get(leaf=index).leaf_hash)
        if not verify_inclusion(leaf, index, head.size, path, bytes(head.root)):
            raise AssertionError(f"the proof of leaf {index} is wrong")
    times.sort()
    return times[len(times) // 2], times[len(times) * 99 // 100]


def served_proofs(seconds: float, connections: int) -> dict[str, Any]:
    """The same over HTTP, as an agent asks for them: two web processes."""
    ids = list(Entry.objects.filter(agent_id__isnull=False).order_by("?").values_list("entry_id", flat=True)[:20_000])
    requests = [{"method": "GET", "path": f"/v1/ledger/entries/{id_}/proof", "headers": KEYED} for id_ in ids]
    with serving(web_only="/health") as server:
        load.drive(server.base_url, requests[:50], repeat=False, connections=connections, seconds=2)
        return load.drive(server.base_url, requests, repeat=False, connections=connections, seconds=seconds)


def verification() -> dict[str, Any]:
    """One `manage.py verify_ledger --full` as a process: its report, its seconds, and where its CPU time went."""
    started, before = time.perf_counter(), os.times()
    command = [sys.executable, "manage.py", "verify_ledger", "--full", "--json"]
    done = subprocess.run(command, capture_output=True, text=True, check=False)  # noqa: S603
    after = os.times()
    if done.returncode not in {0, 3}:
        raise RuntimeError(f"verify_ledger failed:\n{done.stderr[-2000:]}")
    report: dict[str, Any] = json.loads(done.stdout)
    cpu = after.children_user + after.children_system - before.children_user - before.children_system
    return report | {"wall": time.perf_counter() - started, "cpu": cpu}
