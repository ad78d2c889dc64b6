"""The distinct provider names, so that "part of a name" is looked up among hundreds of names, not in every offer."""

from django.db import models


class Provider(models.Model):
    """A brand that offers carry. PostgreSQL adds a row with the first offer of a name; none is ever removed."""

    name = models.CharField(max_length=60, primary_key=True)

    def __str__(self) -> str:
        return self.name
