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
from rako.core.rate_limits import PER_MINUTE, Rate, Tier, charging

PREFIX = "aap_"
_SHOWN = 12
LONGEST = 128
# What a reply says to the key's owner, whatever was asked.
NOTICE = "Rako-Notice"
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
    tier = models.CharField(max_length=10, choices=Tier, default=Tier.STANDARD, db_default=Tier.STANDARD)
    rate_limit = models.PositiveIntegerField(
        null=True,
        blank=True,
        verbose_name="requests a minute",
        help_text="Of the enterprise tier only; empty: no limit.",
    )

    # Of a key that `admit` found: this request is counted in it.
    rate: Rate
    notice: str | None = None

    objects = ApiKeyQuerySet.as_manager()

    # What each kind adds: SQL, from behind SELECT, that finds `key` by its digest if its owner is active. Its columns
    # have different names; the key's is `id`.
    owner_lookup: ClassVar[str]
    # SQL beside it: text for the owner, or NULL (`also_tell`).
    notice_lookup: ClassVar[str] = "NULL"

    class Meta:
        abstract = True
        constraints = [
            models.CheckConstraint(condition=Q(tier__in=Tier.values), name="%(class)s_tier_is_known"),
            models.CheckConstraint(
                condition=Q(rate_limit=None) | Q(tier=Tier.ENTERPRISE, rate_limit__gte=1),
                name="%(class)s_own_limit_is_enterprise",
            ),
        ]

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

        What is not read here, Django loads when it is asked for.
        """
        row = cls._first(cls._lookup(), key)
        return None if row is None else cls.with_owner(row[2:])

    @classmethod
    def admit(cls, key: str) -> Self | None:
        """`find` for a request of the API, which is counted by the same statement; `rate` says where the key stands.

        Written by hand because every request runs it: the ORM takes longer to compile it than PostgreSQL to answer.
        Call it outside any transaction: the key's other requests wait until it is committed.
        """
        row = cls._first(charging(cls._lookup()), key)
        if row is None:
            return None
        now, used, ends_at, per_minute, notice, *owned = row
        found = cls.with_owner(tuple(owned))
        found.rate, found.notice = Rate.of(per_minute, now, used, ends_at), notice
        return found

    @property
    def headers(self) -> dict[str, str]:
        """What every reply to a request with the key carries, once it was admitted."""
        return self.rate.headers | ({} if self.notice is None else {NOTICE: self.notice})

    @classmethod
    def _lookup(cls) -> str:
        return f"SELECT {PER_MINUTE}, {cls.notice_lookup} AS notice, {cls.owner_lookup} AND {_USABLE}"

    @staticmethod
    def _first(sql: str, key: str) -> tuple[Any, ...] | None:
        with prepared_cursor() as cursor:
            cursor.execute(sql, [digest(key)])
            row: tuple[Any, ...] | None = cursor.fetchone()
        return row

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


def also_tell(kind: str, sql: str) -> None:
    """Have replies to keys of a kind carry the text that an expression of SQL over the key's row comes to, as `NOTICE`,
    unless it is NULL. For AppConfig.ready of an app above; every request of the API evaluates it, so it is a cheap one.
    """
    _kinds[kind].notice_lookup = sql
