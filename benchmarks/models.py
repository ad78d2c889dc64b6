"""The table that the ceiling reads and writes."""

from django.db import models


class Row(models.Model):
    """About as wide as a session or a recommendation."""

    text = models.CharField(max_length=500)
    data = models.JSONField(default=dict)

    def __str__(self) -> str:
        return str(self.pk)
