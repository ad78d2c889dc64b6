"""A quick look: some leaves picked at random, each checked by itself and proven against the newest checkpoint."""

import secrets

from django.conf import settings

from ledger.models import Checkpoint, Head
from ledger.tree_store import tree_of
from ledger.verification.checkpoints import checkpoint_keys
from ledger.verification.entries import check_entry
from ledger.verification.findings import Report
from ledger.verification.rows import NAMES, leaves_at
from rako.core.tlog.checkpoints import open_checkpoint
from rako.core.tlog.hashing import leaf_hash
from rako.core.tlog.notes import NoteError
from rako.core.tlog.proofs import verify_inclusion
from rako.core.tlog.tree import TreeError

_INDEX, _ENTRY_ID, _BODY = (NAMES.index(name) for name in ("index", "entry_id", "body"))


def check_sample(report: Report, count: int) -> int:
    """Check that many random entries, or all if there are fewer; gives the size of the log they were proven in."""
    size, root = _newest(report)
    indices = secrets.SystemRandom().sample(range(size), min(count, size))
    tree = tree_of(size)
    found = 0
    for row in list(leaves_at(indices)):
        found += 1
        check_entry(row, report)
        index, body = row[_INDEX], row[_BODY]
        if body is None:
            continue
        try:
            if not verify_inclusion(leaf_hash(body), index, size, tree.inclusion(index), root):
                report.add("V3", row[_ENTRY_ID], f"is not proven to be in the log of {size} entries", index)
        except TreeError as error:
            report.add("V4", row[_ENTRY_ID], str(error), index)
    if found < len(indices):
        report.add("V1", f"{len(indices) - found} leaves", f"are missing among the first {size}")
    report.tally("leaves", found)
    return size


def _newest(report: Report) -> tuple[int, bytes]:
    """Size and root as last signed, or as the newest head has them as long as nothing is."""
    newest = Checkpoint.objects.order_by("-pk").first()
    if newest is not None:
        try:
            checkpoint = open_checkpoint(newest.note, checkpoint_keys(report), settings.RAKO_LEDGER_ORIGIN)
        except NoteError as error:
            report.add("V5", f"checkpoint {newest.pk}", str(error), newest.pk - 1)
        else:
            return checkpoint.size, checkpoint.root
    head = Head.objects.order_by("-size").first()
    return (0, b"") if head is None else (head.size, bytes(head.root))
