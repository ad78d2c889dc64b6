"""Proofs for those who need not trust us: an entry's place in the log, and a sale's whole history in one file.

Every path leads to the newest checkpoint: the last state of the log that was signed. What was committed a moment ago is
in none yet, and has no proof until then: NotSequencedYet.
"""

from collections.abc import Collection, Sequence
from typing import Any, NamedTuple

from django.conf import settings
from django.db import connection
from django.db.models import Prefetch, Q

from ledger.models import Checkpoint, Conversion, Cosignature, Entry, LogKey, Opening
from ledger.tree_store import fetch
from merchants import keyring
from rako.core.errors import Conflict, NotFound, Unavailable
from rako.core.facts import Appended
from rako.core.receipts import receipt_for, receipt_signer
from rako.core.tlog.encoding import encode_base64
from rako.core.tlog.hashing import HASH_SIZE
from rako.core.tlog.proofs import format_proof
from rako.core.tlog.tree import TILE_HEIGHT, Tree, edge_widths

FORMAT = "rako-conversion-proof@v1"

# Full tiles as stored, and the incomplete ones at the edge from what lies below them, all in one round trip.
_TILES = """
SELECT wanted.level, wanted.index, coalesce(
    (SELECT hashes FROM ledger_tile tile WHERE tile.level = wanted.level AND tile.index = wanted.index),
    CASE wanted.level WHEN 0 THEN (
        SELECT string_agg(leaf_hash, ''::bytea ORDER BY leaf.index) FROM ledger_leaf leaf
        WHERE leaf.index >= wanted.index * 256 AND leaf.index < wanted.index * 256 + 256
    ) ELSE (
        SELECT string_agg(root, ''::bytea ORDER BY below.index) FROM ledger_tile below
        WHERE below.level = wanted.level - 1
            AND below.index >= wanted.index * 256 AND below.index < wanted.index * 256 + 256
    ) END, ''::bytea)
FROM unnest(%s::int[], %s::bigint[]) AS wanted(level, index)
"""


class NoCheckpoint(NotFound):
    code, message = "no_checkpoint", "The log has no such checkpoint"


class NotSequencedYet(Unavailable):
    code, message = "not_sequenced_yet", "Not in a signed checkpoint yet: ask again in a second"


class RecommendationNotRecorded(Conflict):
    code, message = "recommendation_not_recorded", "The recommendation is older than the ledger, which cannot prove it"


class SignedCheckpoint(NamedTuple):
    """A checkpoint as it is shown to others: the note with the cosignatures collected so far."""

    size: int
    note: str


def find_checkpoint(size: int | None = None) -> SignedCheckpoint:
    """The stored checkpoint of a size; without one, the newest. Raises NoCheckpoint."""
    cosignatures = Prefetch("cosignatures", Cosignature.objects.order_by("witness"))
    rows = Checkpoint.objects.order_by("-pk").prefetch_related(cosignatures)
    row = (rows if size is None else rows.filter(pk=size)).first()
    if row is None:
        raise NoCheckpoint()
    return SignedCheckpoint(row.pk, row.note + "".join(each.line for each in row.cosignatures.all()))


def newest_size() -> int:
    """How many entries the newest checkpoint is over; 0 if there is none."""
    return Checkpoint.objects.order_by("-pk").values_list("pk", flat=True).first() or 0


def log_keys() -> dict[str, list[str]]:
    """The verifier keys of the log by use, newest first, those of the past too."""
    keys: dict[str, list[str]] = {purpose: [] for purpose in LogKey.Purpose.values}
    for purpose, vkey in LogKey.objects.order_by("-created_at", "-pk").values_list("purpose", "vkey"):
        keys[purpose].append(vkey)
    current = receipt_signer().vkey
    if current not in keys[LogKey.Purpose.RECEIPT]:  # the sequencer has not run under this secret key yet
        keys[LogKey.Purpose.RECEIPT].insert(0, current)
    return keys


def receipt_of(entry: Entry) -> str:
    """The receipt that was, or might have been, given when the entry was appended."""
    return receipt_for(
        Appended(entry.pk, entry.entry_id, entry.stream_seq, entry.recorded_at, bytes(entry.leaf_hash), False)
    )


def consistency_path(old_size: int, size: int) -> list[bytes]:
    """What shows that the log of `size` entries begins with the one of `old_size`; both at least 1."""
    return tree_around(size, [old_size - 1]).consistency(old_size)


def entry_proof(entry: Entry) -> str:
    """Where the entry is in the log, as C2SP tlog-proof: works offline, next to the log's key and the entry's body.

    Load the entry with its leaf. Raises NotSequencedYet.
    """
    checkpoint = _covering([entry])
    index = entry.leaf.pk
    return format_proof(index, tree_around(checkpoint.size, [index]).inclusion(index), checkpoint.note)


def conversion_proof(conversion: Conversion, party: str) -> dict[str, Any]:
    """The file by which a party (`merchant` or `agent`) proves a sale to anyone: its recommendation and all that
    became of it, each entry with its path to one checkpoint, and the keys. Of private facts it opens only the party's.

    Raises NotSequencedYet, or RecommendationNotRecorded.
    """
    entries = _history(conversion)
    checkpoint = _covering(entries)
    tree = tree_around(checkpoint.size, [entry.leaf.pk for entry in entries])
    openings = {each.entry_id: bytes(each.content) for each in Opening.objects.filter(entry__in=entries, party=party)}
    codes = [{"keyId": key.key_id, "publicKey": key.pem} for key in keyring.published()]
    return {
        "format": FORMAT,
        "party": party,
        "origin": settings.RAKO_LEDGER_ORIGIN,
        "conversionId": conversion.pk,
        "aapCode": conversion.recommendation.aap_code,
        "checkpoint": checkpoint.note,
        "entries": [_proven(entry, tree, openings.get(entry.pk)) for entry in entries],
        "keys": log_keys() | {"codes": codes},
    }


def tree_around(size: int, indices: Collection[int]) -> Tree:
    """The tree of `size` entries, the tiles between these entries and the root read at once: one query, not ten."""
    # A path runs through the tiles above its entry and those at the tree's edge, one of each per level.
    places = {
        (level, place >> TILE_HEIGHT * (level + 1))
        for level in range(len(edge_widths(size)))
        for place in (*indices, size)
    }
    with connection.cursor() as cursor:
        cursor.execute(_TILES, list(map(list, zip(*sorted(places), strict=True))))
        tiles = {(level, index): bytes(hashes) for level, index, hashes in cursor.fetchall()}

    def read(level: int, index: int, width: int) -> bytes:
        known = tiles.get((level, index), b"")[: width * HASH_SIZE]
        return known if len(known) == width * HASH_SIZE else fetch(level, index, width)

    return Tree(size, read)


def _history(conversion: Conversion) -> list[Entry]:
    """The recommendation's entry, then the conversion's own in order. Raises RecommendationNotRecorded."""
    asked = Q(stream_id=conversion.recommendation_id, kind="recommendation.recorded")
    rows = Entry.objects.filter(asked | Q(stream_id=conversion.pk)).select_related("leaf")
    entries = sorted(rows, key=lambda entry: (entry.stream_id == conversion.pk, entry.stream_seq))
    if not entries or entries[0].stream_id == conversion.pk:
        raise RecommendationNotRecorded()
    return entries


def _covering(entries: Sequence[Entry]) -> SignedCheckpoint:
    """The newest checkpoint, if all these entries are in it. Raises NotSequencedYet."""
    try:
        checkpoint = find_checkpoint()
    except NoCheckpoint:
        raise NotSequencedYet(retry_after=1) from None
    leaves = [getattr(entry, "leaf", None) for entry in entries]
    if not all(leaf is not None and leaf.pk < checkpoint.size for leaf in leaves):
        raise NotSequencedYet(retry_after=1)
    return checkpoint


def _proven(entry: Entry, tree: Tree, opening: bytes | None) -> dict[str, Any]:
    return {
        "entryId": entry.entry_id,
        "index": entry.leaf.pk,
        "body": encode_base64(bytes(entry.body)),
        "inclusion": [encode_base64(node) for node in tree.inclusion(entry.leaf.pk)],
        "receipt": receipt_of(entry),
        "opening": None if opening is None else encode_base64(opening),
    }
