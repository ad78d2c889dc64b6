"""One of several processes that extend a log through one signer: `python -m … FOLDER BRANCH LIMIT SEED`.

The branches share their first 30 leaves. Prints what it signed; stops at LIMIT, or when the other branch has won.
"""

import json
import sys
from pathlib import Path

from rako.core.tlog.signer import Refused, Signer
from tests.core.tlog.stored_log import StoredLog, dice, make_leaves

ORIGIN = "rako.example/ledger"
SHARED = 30


def branch(name: str, limit: int) -> StoredLog:
    return StoredLog(make_leaves(SHARED) + make_leaves(limit, branch=name))


def race(folder: Path, name: str, limit: int, seed: int) -> list[str]:
    signer, log, draw, notes = Signer(folder, ORIGIN), branch(name, limit), dice(seed), []
    while True:
        size = signer.last[0]
        if size >= limit:
            return notes
        tree = log.tree(min(limit, size + draw.randrange(1, 4)))
        try:
            notes.append(signer.sign(tree.size, tree.root(), tree.consistency(size), old_size=size))
        except Refused as refused:
            if refused.reason == "inconsistent":
                return notes
            if refused.reason not in ("stale", "fork"):
                raise


if __name__ == "__main__":
    print("ready", flush=True)
    sys.stdin.readline()
    print(json.dumps(race(Path(sys.argv[1]), sys.argv[2], int(sys.argv[3]), int(sys.argv[4]))))
