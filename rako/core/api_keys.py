"""API keys: shown once, stored as a SHA-256 digest and a short prefix, revoked at once (protocol, section 0).

A key is 256 random bits, so a plain digest is enough: there is nothing to guess, and looking it up by a unique
index compares no secret byte by byte.
"""

import hashlib
import secrets
from typing import Any, Self

from django.db import models
from django.db.models import Q
from django.utils import timezone

from rako.core.ids import UlidField

PREFIX = "aap_"
_SHOWN = 12
LONGEST = 128


def digest(key: str) -> str:
    """What is stored instead of the key."""
    return hashlib.sha256(key.encode()).hexdigest()


class ApiKeyQuerySet(models.QuerySet["ApiKey"]):
    """Keys by their state."""

    def usable(self) -> Self:
        """Neither revoked nor past their overlap."""
        return self.filter(Q(expires_at=None) | Q(expires_at__gt=timezone.now()), revoked_at=None)


class ApiKey(models.Model):
    """One secret of an agent or a merchant. `expires_at` lets an old key overlap with its successor."""

    id = UlidField(primary_key=True)
    name = models.CharField(max_length=100)
    prefix = models.CharField(max_length=_SHOWN)
    digest = models.CharField(max_length=64, unique=True, editable=False)
    created_at = models.DateTimeField(default=timezone.now, editable=False)
    expires_at = models.DateTimeField(null=True, blank=True)
    revoked_at = models.DateTimeField(null=True, blank=True, editable=False)

    objects = ApiKeyQuerySet.as_manager()

    class Meta:
        abstract = True

    def __str__(self) -> str:
        return f"{self.name} ({self.prefix}…)"

    @classmethod
    def issue(cls, *, key: str | None = None, **owner: Any) -> "tuple[Self, str]":
        """A new key row and the key itself, which is never to be had again. `key` is for published demo keys only."""
        key = key or PREFIX + secrets.token_urlsafe(32)
        row: Any = cls.objects.create(prefix=key[:_SHOWN], digest=digest(key), **owner)
        return row, key

    @classmethod
    def find(cls, key: str) -> Self | None:
        """The usable key row with everything a request needs of its owner, in one query."""
        found: Any = cls.objects.usable().select_related(*cls.owners()).filter(digest=digest(key)).first()
        return found if found and found.owner_is_active() else None

    @classmethod
    def owners(cls) -> tuple[str, ...]:
        """The relations to load along with the key."""
        raise NotImplementedError

    def owner_is_active(self) -> bool:
        """Whether the owner may use the API at all."""
        raise NotImplementedError

    def revoke(self) -> None:
        """End the key now. Repeating is harmless: the first time stands."""
        type(self).objects.filter(pk=self.pk, revoked_at=None).update(revoked_at=timezone.now())


_kinds: dict[str, type[ApiKey]] = {}


def key_kind(kind: str) -> Any:
    """Class decorator: registers a model as the keys of one kind ("agent", "merchant")."""

    def register(model: type[ApiKey]) -> type[ApiKey]:
        _kinds[kind] = model
        return model

    return register


def kinds() -> dict[str, type[ApiKey]]:
    """The registered kinds of key."""
    return _kinds
