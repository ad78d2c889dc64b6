"""API keys: shown once, stored as a SHA-256 digest and a short prefix, revoked at once (protocol, section 0).

A key is 256 random bits, so a plain digest is enough: there is nothing to guess, and looking it up by a unique
index compares no secret byte by byte.
"""

import hashlib
import secrets
from typing import Any, ClassVar, Self

from django.db import models
from django.db.models import Q
from django.utils import timezone

from rako.core.ids import UlidField
from rako.core.postgres import prepared_cursor

PREFIX = "aap_"
_SHOWN = 12
LONGEST = 128
_USABLE = "key.revoked_at IS NULL AND (key.expires_at IS NULL OR key.expires_at > statement_timestamp())"


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

    # What each kind adds: SQL that finds `key` by its digest if its owner is active.
    owner_lookup: ClassVar[str]

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
        """The key row with its owner, in one query; None unless it is usable and its owner active.

        Written by hand because every request of the API runs it: the ORM takes longer to compile it than PostgreSQL
        to answer. What is not read here, Django loads when it is asked for.
        """
        with prepared_cursor() as cursor:
            cursor.execute(f"{cls.owner_lookup} AND {_USABLE}", [digest(key)])
            row = cursor.fetchone()
        return None if row is None else cls.with_owner(row)

    @classmethod
    def with_owner(cls, row: tuple[Any, ...]) -> Self:
        """The key with its owner, of a row of `owner_lookup`."""
        raise TypeError(f"{cls.__name__} does not say who owns it")

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
