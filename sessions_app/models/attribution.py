"""The public keys that attribution tokens verify under."""

from django.db import models
from django.utils import timezone

from rako.core.append_only import AppendOnlyModel


class AttributionKey(AppendOnlyModel):
    """A public key, kept for ever: tokens stay verifiable after the deployment's secret is replaced."""

    key_id = models.CharField(primary_key=True, max_length=16, editable=False)
    public_key = models.CharField(max_length=43, editable=False, help_text="32 bytes as base64url.")
    first_used_at = models.DateTimeField(default=timezone.now, editable=False)

    def __str__(self) -> str:
        return self.key_id
