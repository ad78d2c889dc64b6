"""Holds that fraud signals placed on sales, until staff release or confirm them, and how far the looks have come."""

from django.db import models
from django.db.models import Q
from django.utils import timezone

from ledger.models.conversion import Conversion
from rako.core.ids import UlidField


class FraudHold(models.Model):
    """A rule found a sale suspicious: which one, what it measured, and what it would have let pass.

    All of it is a fact but how it ended. A rule holds a sale once: what staff released stays released.
    """

    class State(models.TextChoices):
        OPEN = "open"
        RELEASED = "released"
        CONFIRMED = "confirmed"

    id = UlidField(primary_key=True)
    conversion = models.ForeignKey(Conversion, models.PROTECT, related_name="fraud_holds")
    rule = models.CharField(max_length=20)
    measured = models.BigIntegerField()
    threshold = models.BigIntegerField(help_text="The most that is not suspicious.")
    placed_at = models.DateTimeField(default=timezone.now)
    state = models.CharField(max_length=9, choices=State, default=State.OPEN)
    ended_at = models.DateTimeField(null=True, blank=True)
    reason = models.CharField(max_length=300, blank=True, help_text="Why it was released or confirmed.")

    class Meta:
        ordering = ["-id"]
        permissions = [("review_fraudhold", "Can release and confirm holds")]
        constraints = [
            models.UniqueConstraint(fields=["conversion", "rule"], name="hold_once_by_a_rule"),
            models.CheckConstraint(
                condition=Q(measured__gt=models.F("threshold")), name="hold_is_beyond_its_threshold"
            ),
            models.CheckConstraint(
                condition=Q(state="open", ended_at=None)
                | Q(state__in=["released", "confirmed"], ended_at__isnull=False),
                name="hold_ends_once",
            ),
        ]
        indexes = [models.Index(fields=["placed_at"], condition=Q(state="open"), name="hold_open")]

    def __str__(self) -> str:
        return f"{self.rule} on {self.conversion_id}"


class FraudLook(models.Model):
    """How far one of the looks at sales has come: the id of the last that it has seen (`ledger.fraud_signals`)."""

    days = models.PositiveSmallIntegerField(primary_key=True, help_text="How old the sales are that it looks at.")
    last_id = models.CharField(max_length=26)

    def __str__(self) -> str:
        return f"{self.days} days: {self.last_id}"
