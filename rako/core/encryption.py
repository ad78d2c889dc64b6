"""Credentials at rest: Fernet tokens under rotatable keys. The first key encrypts, all of them decrypt."""

import zlib
from functools import lru_cache
from typing import Any

import orjson
from cryptography.fernet import Fernet, InvalidToken, MultiFernet
from django.conf import settings
from django.core.exceptions import ImproperlyConfigured
from django.db import models


class UndecipherableError(Exception):
    """A stored secret was encrypted under a key that is not configured any more."""


def _box() -> MultiFernet:
    return _box_of(tuple(settings.RAKO_CREDENTIAL_KEYS))


@lru_cache(maxsize=1)
def _box_of(keys: tuple[str, ...]) -> MultiFernet:
    try:
        return MultiFernet([Fernet(key) for key in keys])
    except ValueError:
        # The message of the cause would show part of the key.
        raise ImproperlyConfigured(
            "RAKO_CREDENTIAL_KEYS is malformed: comma-separated Fernet keys are expected"
        ) from None


def encrypt(value: Any) -> str:
    """JSON data as a Fernet token under the first key."""
    return _box().encrypt(orjson.dumps(value)).decode()


def decrypt(token: str) -> Any:
    """The data of a token. Raises UndecipherableError, which never shows the token."""
    try:
        return orjson.loads(_box().decrypt(token))
    except InvalidToken:
        raise UndecipherableError("Encrypted under a key that is not in RAKO_CREDENTIAL_KEYS") from None


def seal(content: bytes) -> str:
    """Bytes, compressed, as a Fernet token under the first key."""
    return _box().encrypt(zlib.compress(content, 1)).decode()


def unseal(token: str) -> bytes:
    """The bytes of a sealed token. Raises UndecipherableError, which never shows the token."""
    try:
        return zlib.decompress(_box().decrypt(token))
    except InvalidToken:
        raise UndecipherableError("Encrypted under a key that is not in RAKO_CREDENTIAL_KEYS") from None


class EncryptedJsonField(models.TextField):  # type: ignore[type-arg]  # no arguments at run time
    """JSON data that the database only ever sees as a Fernet token."""

    _pyi_private_set_type: Any
    _pyi_private_get_type: Any

    def get_prep_value(self, value: Any) -> Any:
        return None if value is None else encrypt(value)

    def from_db_value(self, value: str | None, expression: Any, connection: Any) -> Any:
        return None if value is None else decrypt(value)


class SealedField(EncryptedJsonField):
    """Bytes that the database only ever sees sealed."""

    def get_prep_value(self, value: Any) -> Any:
        return None if value is None else seal(value)

    def from_db_value(self, value: str | None, expression: Any, connection: Any) -> Any:
        return None if value is None else unseal(value)
