"""Entries: the facts of the attribution chain, one immutable row each."""

from django.db import models
from django.db.models import Func
from django.db.models.functions import Now

from rako.core.append_only import AppendOnlyModel
from rako.core.ids import UlidField


class LeafHash(Func):
    """RFC 6962 leaf hash: SHA-256 over a zero byte and the body. PostgreSQL computes it, so it cannot be claimed."""

    template = "sha256('\\x00'::bytea || %(expressions)s)"
    output_field = models.BinaryField()


class Entry(AppendOnlyModel):
    """One fact. `body` is canonical JSON and authoritative; the other columns are copies for queries.

    Entries of one stream (a conversion, or a piece of evidence that found none) form a chain: `stream_seq`
    counts from 1 and the body's `prev` is the hash of the entry before. PostgreSQL stamps `recorded_at`.
    """

    entry_id = UlidField(unique=True)
    stream_id = models.CharField(max_length=26, db_collation="C")
    stream_seq = models.PositiveIntegerField()
    kind = models.CharField(max_length=40)
    idempotency_key = models.CharField(max_length=200, unique=True)
    occurred_at = models.DateTimeField()
    recorded_at = models.DateTimeField(db_default=Now(), editable=False)
    body = models.BinaryField()
    leaf_hash = models.GeneratedField(expression=LeafHash("body"), output_field=models.BinaryField(), db_persist=True)

    class Meta:
        verbose_name_plural = "entries"
        ordering = ["id"]
        constraints = [
            models.UniqueConstraint(fields=["stream_id", "stream_seq"], name="entry_one_per_place_in_its_stream"),
            models.CheckConstraint(condition=models.Q(stream_seq__gte=1), name="entry_streams_start_at_one"),
        ]

    def __str__(self) -> str:
        return f"{self.kind} {self.entry_id}"
