"""The keys that sign AAP Codes: private ones from the environment or 0600 files, public ones in the database.

A code's `iat` selects its key. A process reads the public set at most every `_REFRESH` seconds, and a rotation
takes effect only after `LEAD`, so that no process issues or judges codes by an outdated set.
"""

import base64
import binascii
import hashlib
import os
import time
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta

from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey, Ed25519PublicKey
from django.conf import settings
from django.core.exceptions import ImproperlyConfigured
from django.db import connection, transaction
from django.utils import timezone

from merchants.models import SigningKey
from rako.core.errors import Unavailable

LEAD = timedelta(seconds=60)
_REFRESH = 30.0
_ROTATION_LOCK = 0x52414B4F  # any fixed number; this one spells RAKO


class NoSigningKey(Unavailable):
    code, message = "signing_key_unavailable", "AAP Codes cannot be issued at the moment"


@dataclass(frozen=True, slots=True)
class PublicKey:
    """One published key with the time it is good for (`valid_to` None: until further notice)."""

    key_id: str
    pem: str
    valid_from: datetime
    valid_to: datetime | None
    key: Ed25519PublicKey

    def covers(self, moment: datetime) -> bool:
        return self.valid_from <= moment and (self.valid_to is None or moment < self.valid_to)


_NOTHING: tuple[tuple[PublicKey, ...], float] = ((), float("-inf"))


class _Cache:
    """What this process knows: the public set with the time it was read, and private keys by id."""

    public = _NOTHING
    private: dict[str, Ed25519PrivateKey] = {}  # one per process on purpose


def published() -> tuple[PublicKey, ...]:
    """All public keys, newest first. In sandbox mode the first one is made on first use."""
    known, read_at = _Cache.public
    if time.monotonic() - read_at > _REFRESH:
        rows = list(SigningKey.objects.all()) or [_first_key()]
        known = tuple(_public(row) for row in rows)
        _Cache.public = known, time.monotonic()  # in one step: other threads never see it half-done
    return known


def forget() -> None:
    """Drop what this process remembers; the next use reads anew."""
    _Cache.public, _Cache.private = _NOTHING, {}


def public_key_for(moment: datetime) -> PublicKey | None:
    """The key that answers for codes issued at a moment."""
    return next((key for key in published() if key.covers(moment)), None)


def private_key_for(moment: datetime) -> Ed25519PrivateKey:
    """The key to sign with at a moment. Raises NoSigningKey."""
    public = public_key_for(moment)
    if public is None:
        raise NoSigningKey()
    key = _Cache.private.get(public.key_id)
    if key is None:
        key = _Cache.private[public.key_id] = _load_private(public.key_id)
    return key


def rotate() -> SigningKey:
    """Publish a new key that signs from `LEAD` on; the very first one signs at once.

    The private part is the first unpublished one of the environment or, where the environment has none at all, a
    new 0600 file. Raises ImproperlyConfigured if the environment offers nothing new.
    """
    with transaction.atomic():
        _one_at_a_time()
        row = _add_key()
    forget()
    return row


def _first_key() -> SigningKey:
    if settings.RAKO_MODE == "live" and not settings.RAKO_SIGNING_KEYS:
        raise NoSigningKey()
    with transaction.atomic():
        _one_at_a_time()  # whoever waited here finds the key that the first one made
        return SigningKey.objects.filter(valid_to=None).first() or _add_key()


def _one_at_a_time() -> None:
    with connection.cursor() as cursor:
        cursor.execute("SELECT pg_advisory_xact_lock(%s)", [_ROTATION_LOCK])


def _add_key() -> SigningKey:
    known = set(SigningKey.objects.values_list("key_id", flat=True))
    fresh = [key for key in _environment_keys() if key_id_of(key.public_key()) not in known]
    if settings.RAKO_SIGNING_KEYS and not fresh:
        raise ImproperlyConfigured("RAKO_SIGNING_KEYS holds no key that is not published yet: put a new one first")
    key = fresh[0] if fresh else _write_new_key()
    # The first key covers the moment at which somebody found that there was none.
    starts = timezone.now() + (LEAD if known else -LEAD)
    SigningKey.objects.filter(valid_to=None).update(valid_to=starts)
    return _publish(key, starts)


def key_id_of(key: Ed25519PublicKey) -> str:
    """The first 16 hex digits of the SHA-256 over the key's SPKI DER."""
    der = key.public_bytes(serialization.Encoding.DER, serialization.PublicFormat.SubjectPublicKeyInfo)
    return hashlib.sha256(der).hexdigest()[:16]


def _publish(key: Ed25519PrivateKey, starts: datetime) -> SigningKey:
    public = key.public_key()
    pem = public.public_bytes(serialization.Encoding.PEM, serialization.PublicFormat.SubjectPublicKeyInfo)
    return SigningKey.objects.create(key_id=key_id_of(public), public_key=pem.decode(), valid_from=starts)


def _public(row: SigningKey) -> PublicKey:
    key = serialization.load_pem_public_key(row.public_key.encode())
    assert isinstance(key, Ed25519PublicKey), "only Ed25519 keys are ever published"
    return PublicKey(row.key_id, row.public_key, row.valid_from, row.valid_to, key)


def check_environment() -> None:
    """Raises ImproperlyConfigured if the environment's private keys are malformed."""
    _environment_keys()


def _environment_keys() -> list[Ed25519PrivateKey]:
    try:
        seeds = [base64.b64decode(text, validate=True) for text in settings.RAKO_SIGNING_KEYS]
        return [Ed25519PrivateKey.from_private_bytes(seed) for seed in seeds]
    except (binascii.Error, ValueError):
        raise ImproperlyConfigured(
            "RAKO_SIGNING_KEYS is malformed: base64 of 32-byte Ed25519 seeds is expected"
        ) from None


def _load_private(key_id: str) -> Ed25519PrivateKey:
    for own in _environment_keys():
        if key_id_of(own.public_key()) == key_id:
            return own
    path = settings.RAKO_DATA_DIR / "keys" / f"aap_code_{key_id}.pem"
    try:
        key = serialization.load_pem_private_key(path.read_bytes(), password=None)
    except OSError:
        raise NoSigningKey() from None
    assert isinstance(key, Ed25519PrivateKey), "only Ed25519 keys are ever written"
    return key


def _write_new_key() -> Ed25519PrivateKey:
    key = Ed25519PrivateKey.generate()
    folder = settings.RAKO_DATA_DIR / "keys"
    folder.mkdir(mode=0o700, parents=True, exist_ok=True)
    pem = key.private_bytes(serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption())
    path = folder / f"aap_code_{key_id_of(key.public_key())}.pem"
    with os.fdopen(os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600), "wb") as file:
        file.write(pem)
    return key


def to_datetime(unix_seconds: int) -> datetime:
    """Unix seconds as a UTC time. Raises ValueError or OverflowError for absurd ones."""
    return datetime.fromtimestamp(unix_seconds, UTC)
