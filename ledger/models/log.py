"""The transparency log over the entries: an RFC 6962 tree that only grows, and the signed statements about it."""

from django.db import models
from django.db.models import Q
from django.db.models.functions import Now

from ledger.models.entry import Entry, TransactionId
from rako.core.append_only import AppendOnlyModel


class Leaf(AppendOnlyModel):
    """An entry's place in the tree, counted from 0."""

    index = models.BigIntegerField(primary_key=True)
    entry = models.OneToOneField(Entry, models.PROTECT, related_name="leaf")
    leaf_hash = models.BinaryField()

    class Meta:
        constraints = [models.CheckConstraint(condition=Q(index__gte=0), name="leaf_indices_start_at_zero")]

    def __str__(self) -> str:
        return str(self.index)


class Tile(AppendOnlyModel):
    """256 neighbouring hashes of one level of the tree (C2SP tlog-tiles): level 0 are leaves, level 1 are roots of
    level 0's tiles, and so on. Only full tiles are stored; the rest is read from what lies below."""

    pk = models.CompositePrimaryKey("level", "index")
    level = models.PositiveSmallIntegerField()
    index = models.BigIntegerField()
    hashes = models.BinaryField()
    root = models.BinaryField()

    def __str__(self) -> str:
        return f"{self.level}/{self.index}"


class Head(AppendOnlyModel):
    """The tree after one batch. `horizon` is the oldest transaction that was still running when the batch was read:
    the next look begins there, so that no late commit is missed. It means something on `cluster` only: a log that was
    restored elsewhere looks at everything once, and then only at entries behind `floor`."""

    size = models.BigIntegerField(primary_key=True)
    root = models.BinaryField()
    horizon = TransactionId()
    floor = models.BigIntegerField(default=0)
    cluster = models.BigIntegerField(help_text="PostgreSQL's system identifier.")
    created_at = models.DateTimeField(db_default=Now(), editable=False)

    def __str__(self) -> str:
        return f"{self.size} entries"


class Checkpoint(AppendOnlyModel):
    """A head that the signer has signed (C2SP tlog-checkpoint)."""

    head = models.OneToOneField(Head, models.PROTECT, primary_key=True, related_name="checkpoint", db_column="size")
    note = models.TextField()
    created_at = models.DateTimeField(db_default=Now(), editable=False)

    def __str__(self) -> str:
        return f"checkpoint at {self.head_id}"


class Cosignature(AppendOnlyModel):
    """A witness's word that a checkpoint extends what it saw before (C2SP tlog-cosignature)."""

    checkpoint = models.ForeignKey(Checkpoint, models.PROTECT, related_name="cosignatures", db_column="size")
    witness = models.CharField(max_length=200)
    line = models.TextField()
    created_at = models.DateTimeField(db_default=Now(), editable=False)

    class Meta:
        constraints = [
            models.UniqueConstraint(fields=["checkpoint", "witness"], name="cosignature_one_per_witness"),
        ]
        indexes = [models.Index(fields=["witness", "-checkpoint"], name="cosignature_latest")]

    def __str__(self) -> str:
        return f"{self.witness} at {self.checkpoint_id}"


class LogKey(AppendOnlyModel):
    """A public key of the log, kept for ever: old signatures stay verifiable after a key is replaced."""

    class Purpose(models.TextChoices):
        CHECKPOINT = "checkpoint"
        RECEIPT = "receipt"

    vkey = models.CharField(max_length=300, unique=True, help_text="C2SP verifier key.")
    purpose = models.CharField(max_length=10, choices=Purpose)
    created_at = models.DateTimeField(db_default=Now(), editable=False)

    def __str__(self) -> str:
        return self.vkey


class Verification(AppendOnlyModel):
    """One run of `verify_ledger`: what was looked at and what was found."""

    class Mode(models.TextChoices):
        FULL = "full"
        SINCE = "since"
        SAMPLE = "sample"

    mode = models.CharField(max_length=6, choices=Mode)
    entries = models.BigIntegerField(help_text="Entries looked at.")
    size = models.BigIntegerField(help_text="Size of the log when it ended.")
    is_sound = models.BooleanField()
    findings = models.JSONField(default=list, help_text="The first findings.")
    seconds = models.FloatField()
    created_at = models.DateTimeField(db_default=Now(), editable=False)

    class Meta:
        ordering = ["-id"]

    def __str__(self) -> str:
        return f"{self.mode} at {self.created_at:%Y-%m-%d %H:%M}: {'sound' if self.is_sound else 'TAMPERED WITH'}"
