"""Sessions, recommendations and clicks."""

from django.db import models
from django.db.models import Q
from django.utils import timezone

from merchants.models import Offer
from rako.core.append_only import AppendOnlyModel
from rako.core.ids import UlidField
from sessions_app.models.agent import Agent


class Session(models.Model):
    """An agent's search and what came of it; its window is 24 hours (protocol, section 1)."""

    class Status(models.TextChoices):
        CREATED = "created"
        ACTIVE = "active"
        CHECKOUT = "checkout"
        CONVERTED = "converted"
        # What becomes of the conversion; an idle session whose window has closed is shown as `expired`.
        VALIDATED = "validated"
        SETTLED = "settled"
        CANCELLED = "cancelled"
        CLAWED_BACK = "clawed_back"
        DISPUTED = "disputed"
        RESOLVED = "resolved"

    # Before a sale is proven.
    IDLE = (Status.CREATED, Status.ACTIVE, Status.CHECKOUT)

    id = UlidField(primary_key=True)
    agent = models.ForeignKey(Agent, models.PROTECT, related_name="sessions")
    status = models.CharField(max_length=12, choices=Status, default=Status.CREATED)
    query = models.JSONField(default=dict, editable=False)
    created_at = models.DateTimeField(default=timezone.now, editable=False)
    expires_at = models.DateTimeField(editable=False)

    class Meta:
        constraints = [
            models.CheckConstraint(condition=Q(expires_at__gt=models.F("created_at")), name="session_has_a_window"),
            models.CheckConstraint(
                condition=Q(
                    status__in=[
                        *("created", "active", "checkout", "converted", "validated"),
                        *("settled", "cancelled", "clawed_back", "disputed", "resolved"),
                    ]
                ),
                name="session_status_is_known",
            ),
        ]

    def __str__(self) -> str:
        return str(self.id)

    @property
    def is_expired(self) -> bool:
        return self.expires_at <= timezone.now()

    @property
    def is_converted(self) -> bool:
        """Whether a sale was proven, whatever became of it since."""
        return self.status not in self.IDLE


class Recommendation(AppendOnlyModel):
    """An agent recommended an offer under the exact code it carried: the fact that attribution rests on."""

    id = UlidField(primary_key=True)
    session = models.ForeignKey(Session, models.PROTECT, related_name="recommendations")
    agent = models.ForeignKey(Agent, models.PROTECT, related_name="recommendations")
    offer = models.ForeignKey(Offer, models.PROTECT, related_name="recommendations")
    aap_code = models.CharField(max_length=1024)
    context = models.TextField(blank=True)
    fallback_url = models.CharField(max_length=300)
    created_at = models.DateTimeField(default=timezone.now, editable=False)

    def __str__(self) -> str:
        return str(self.id)


class Click(AppendOnlyModel):
    """A visit to a recommendation's link. `visitor` is a keyed hash: neither address nor browser is stored."""

    recommendation = models.ForeignKey(Recommendation, models.PROTECT, related_name="clicks")
    visitor = models.CharField(max_length=32)
    is_bot = models.BooleanField()
    is_flood = models.BooleanField(
        default=False, db_default=False, help_text="One of too many in an hour, by its visitor or on its link."
    )
    # Ten-minute slots: the reloads of one visitor within one are one click.
    slot = models.BigIntegerField()
    clicked_at = models.DateTimeField(default=timezone.now)

    class Meta:
        constraints = [
            models.UniqueConstraint(
                fields=["recommendation", "visitor", "slot"], name="click_once_per_visitor_and_slot"
            )
        ]
        indexes = [  # What a new click is counted against: the last hour of its link, and of its visitor.
            models.Index(fields=["recommendation", "slot"], name="click_of_link"),
            models.Index(fields=["visitor", "slot"], name="click_of_visitor"),
        ]

    def __str__(self) -> str:
        return f"{self.recommendation_id} at {self.clicked_at:%Y-%m-%d %H:%M}"
