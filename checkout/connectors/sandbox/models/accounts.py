"""Merchants' accounts."""

from django.db import models
from django.db.models import Q
from django.utils import timezone

from checkout.connectors.sandbox import ids


class Account(models.Model):
    """A merchant's account at the sandbox PSP. A closed one can do nothing more, and stays as a record."""

    id = ids.PrefixedIdField(ids.ACCOUNT)
    display_name = models.TextField()
    secret_key = models.CharField(max_length=100)
    webhook_secret = models.CharField(max_length=100)
    webhook_path = models.CharField(max_length=300)
    is_closed = models.BooleanField(default=False)
    created_at = models.DateTimeField(default=timezone.now, editable=False)

    class Meta:
        constraints = [
            models.CheckConstraint(name="sandbox_account_webhook_path", condition=Q(webhook_path__startswith="/")),
        ]

    def __str__(self) -> str:
        return f"{self.display_name} ({self.pk})"
