"""Outgoing webhooks: where they go, what is sent, and what came of each attempt."""

from datetime import datetime, timedelta

from django.contrib.postgres.fields import ArrayField
from django.db import models
from django.db.models import Q
from django.db.models.functions import Now
from django.utils import timezone

from merchants.models import Merchant
from rako.core.encryption import EncryptedJsonField
from rako.core.ids import UlidField
from sessions_app.models import Builder


class Endpoint(models.Model):
    """An address of a merchant's or a builder's that is told what happens to what is theirs."""

    class State(models.TextChoices):
        ENABLED = "enabled"
        DISABLED = "disabled"

    class Because(models.TextChoices):
        OWNER = "owner"
        STAFF = "staff"
        GONE = "gone"  # it answered 410
        FAILING = "failing"  # for days nothing arrived

    id = UlidField(primary_key=True)
    merchant = models.ForeignKey(Merchant, models.PROTECT, null=True, blank=True, related_name="webhook_endpoints")
    builder = models.ForeignKey(Builder, models.PROTECT, null=True, blank=True, related_name="webhook_endpoints")
    url = models.CharField(max_length=500)
    description = models.CharField(max_length=200, blank=True)
    event_types = ArrayField(models.CharField(max_length=50), default=list, blank=True, help_text="Empty: all.")
    state = models.CharField(max_length=8, choices=State, default=State.ENABLED)
    disabled_because = models.CharField(max_length=7, choices=Because, blank=True)
    disabled_at = models.DateTimeField(null=True, blank=True)
    # While it is disabled, and until what it missed is queued: everything before was, as far as it was wanted.
    missed_index = models.BigIntegerField(null=True, blank=True, help_text="From there on the log was not read for it.")
    missed_since = models.DateTimeField(null=True, blank=True, help_text="What was recorded before is not queued.")
    failing_since = models.DateTimeField(null=True, blank=True, help_text="The first failure after the last success.")
    secret = EncryptedJsonField()
    old_secret = EncryptedJsonField(null=True, blank=True)
    old_secret_until = models.DateTimeField(null=True, blank=True, help_text="Until then both secrets sign.")
    # By PostgreSQL's clock, like the entries that it is told of.
    created_at = models.DateTimeField(db_default=Now(), editable=False)

    class Meta:
        verbose_name = "webhook endpoint"
        permissions = [("switch_endpoint", "Can enable and disable webhook endpoints")]
        constraints = [
            models.CheckConstraint(
                condition=Q(merchant__isnull=True, builder__isnull=False)
                | Q(merchant__isnull=False, builder__isnull=True),
                name="endpoint_has_one_owner",
            ),
            models.CheckConstraint(
                condition=Q(state="enabled", disabled_because="", disabled_at=None)
                | Q(state="disabled", disabled_at__isnull=False) & ~Q(disabled_because=""),
                name="endpoint_says_why_it_is_disabled",
            ),
            models.CheckConstraint(
                condition=Q(old_secret__isnull=True, old_secret_until=None)
                | Q(old_secret__isnull=False, old_secret_until__isnull=False),
                name="endpoint_old_secrets_end",
            ),
        ]

    def __str__(self) -> str:
        return self.url

    @property
    def owner(self) -> dict[str, str]:
        """Whose it is, as a filter."""
        if self.merchant_id is not None:
            return {"merchant_id": self.merchant_id}
        return {"builder_id": str(self.builder_id)}


class Message(models.Model):
    """Something to tell one endpoint. Its id is the `webhook-id` of every attempt; the payload is what is sent."""

    class State(models.TextChoices):
        PENDING = "pending"
        DELIVERED = "delivered"
        FAILED = "failed"

    # How long messages and their attempts are kept, delivered or not.
    KEPT = timedelta(days=30)

    id = UlidField(primary_key=True)
    endpoint = models.ForeignKey(Endpoint, models.CASCADE, related_name="messages", db_index=False)
    # Of the entry it was made from; none for what is about the endpoint itself.
    entry_id = models.CharField(max_length=26, null=True, blank=True, db_collation="C")
    event_type = models.CharField(max_length=50)
    payload = models.TextField()
    state = models.CharField(max_length=9, choices=State, default=State.PENDING)
    attempts_made = models.PositiveSmallIntegerField(default=0, help_text="Since it was sent first, or again.")
    due_at = models.DateTimeField(null=True, blank=True, default=timezone.now)
    leased_until = models.DateTimeField(null=True, blank=True, help_text="Until then a worker is sending it.")
    created_at = models.DateTimeField(default=timezone.now, editable=False)
    ended_at = models.DateTimeField(null=True, blank=True)

    class Meta:
        verbose_name = "webhook message"
        permissions = [("resend_message", "Can send webhook messages again")]
        constraints = [
            # However often the log is read: an endpoint is told of an entry once. (That a payout was paid, and that
            # sales were settled by it, are two things.)
            models.UniqueConstraint(fields=["endpoint", "entry_id", "event_type"], name="message_one_per_entry"),
            models.CheckConstraint(
                condition=Q(state="pending", due_at__isnull=False, ended_at=None)
                | Q(state__in=["delivered", "failed"], due_at=None, ended_at__isnull=False, leased_until=None),
                name="message_is_due_until_it_ends",
            ),
        ]
        indexes = [
            # Workers look for what is due by endpoint, and count what is on its way.
            models.Index(fields=["endpoint", "due_at"], condition=Q(state="pending"), name="message_due"),
            models.Index(fields=["endpoint"], condition=Q(leased_until__isnull=False), name="message_on_its_way"),
            models.Index(fields=["endpoint", "-id"], name="message_of_endpoint"),
        ]

    def __str__(self) -> str:
        return f"{self.event_type} {self.wire_id}"

    @property
    def wire_id(self) -> str:
        """The `webhook-id`."""
        return f"msg_{self.pk}"


class Attempt(models.Model):
    """One attempt to deliver a message. Of the reply only the status is kept."""

    message = models.ForeignKey(Message, models.CASCADE, related_name="attempts")
    attempted_at = models.DateTimeField()
    duration_ms = models.PositiveIntegerField()
    status_code = models.PositiveSmallIntegerField(null=True)
    error = models.CharField(max_length=20, blank=True, help_text="Why there is no status.")

    class Meta:
        verbose_name = "webhook attempt"
        ordering = ["id"]

    def __str__(self) -> str:
        return f"{self.status_code or self.error} at {self.attempted_at:%Y-%m-%d %H:%M:%S}"


class Position(models.Model):
    """How far the log has been turned into messages: the index of the first entry that has not. One row."""

    id = models.SmallIntegerField(primary_key=True, default=1)
    next_index = models.BigIntegerField(default=0)

    class Meta:
        constraints = [
            models.CheckConstraint(condition=Q(id=1), name="position_is_one_row"),
            models.CheckConstraint(condition=Q(next_index__gte=0), name="position_starts_at_zero"),
        ]

    def __str__(self) -> str:
        return str(self.next_index)


def oldest_kept(now: datetime) -> datetime:
    """Messages from before this moment are forgotten."""
    return now - Message.KEPT
