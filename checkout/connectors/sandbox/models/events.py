"""What is told to webhooks, and how the telling went."""

from django.db import models
from django.db.models import Q
from django.utils import timezone

from checkout.connectors.sandbox import ids
from checkout.connectors.sandbox.models.accounts import Account

MAX_ATTEMPTS = 16


class Event(models.Model):
    """Something that happened, in the words in which the account's webhook is told."""

    id = ids.PrefixedIdField(ids.EVENT)
    account = models.ForeignKey(Account, on_delete=models.PROTECT, related_name="+")
    type = models.CharField(max_length=60)
    payload = models.JSONField()
    created_at = models.DateTimeField(default=timezone.now, editable=False)

    class Meta:
        indexes = [models.Index(name="sandbox_event_listed", fields=["account", "created_at", "id"])]

    def __str__(self) -> str:
        return f"{self.type} ({self.pk})"


class Delivery(models.Model):
    """The sending of one event. `next_attempt_at` is NULL once it arrived or was given up."""

    event = models.ForeignKey(Event, on_delete=models.PROTECT, related_name="deliveries")
    attempts = models.PositiveSmallIntegerField(default=0)
    last_status_code = models.PositiveSmallIntegerField(null=True)
    last_error = models.CharField(max_length=300, blank=True)
    next_attempt_at = models.DateTimeField(null=True, default=timezone.now)
    delivered_at = models.DateTimeField(null=True)

    class Meta:
        verbose_name_plural = "deliveries"
        constraints = [
            models.CheckConstraint(name="sandbox_delivery_attempts", condition=Q(attempts__lte=MAX_ATTEMPTS)),
            models.CheckConstraint(
                name="sandbox_delivery_done", condition=Q(delivered_at=None) | Q(next_attempt_at=None)
            ),
        ]
        indexes = [
            models.Index(name="sandbox_delivery_due", fields=["next_attempt_at"], condition=Q(delivered_at=None)),
        ]

    def __str__(self) -> str:
        return f"delivery {self.pk} of {self.event_id}"
