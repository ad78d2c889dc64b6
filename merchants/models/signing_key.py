"""The authority's public keys for AAP Codes."""

from django.contrib.postgres.constraints import ExclusionConstraint
from django.contrib.postgres.fields import DateTimeRangeField, RangeOperators
from django.db import models
from django.db.models import Func, Q


class Validity(Func):
    """The half-open range between two times; open-ended where the second is null."""

    function = "TSTZRANGE"
    output_field = DateTimeRangeField()


class SigningKey(models.Model):
    """A public key and the time in which codes are issued under it: `iat` selects it, so old ones stay for ever."""

    key_id = models.CharField(primary_key=True, max_length=16, editable=False)
    public_key = models.TextField(editable=False, help_text="SPKI PEM")
    valid_from = models.DateTimeField(editable=False)
    valid_to = models.DateTimeField(null=True, blank=True, editable=False)

    class Meta:
        ordering = ["-valid_from"]
        constraints = [
            # At any moment exactly one key answers for a code's `iat`.
            ExclusionConstraint(
                name="signing_key_one_at_a_time",
                expressions=[(Validity("valid_from", "valid_to"), RangeOperators.OVERLAPS)],
            ),
            models.CheckConstraint(
                condition=Q(valid_to=None) | Q(valid_to__gt=models.F("valid_from")), name="signing_key_lives"
            ),
        ]

    def __str__(self) -> str:
        return self.key_id
