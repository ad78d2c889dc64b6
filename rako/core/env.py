"""Reads settings from the environment; a missing or malformed one fails at start with its name."""

import os
import re
from collections.abc import Callable
from decimal import Decimal
from pathlib import Path
from typing import Any, TypeVar

import environ
from django.core.exceptions import ImproperlyConfigured

from rako.core.bank_accounts import read_bic, read_iban
from rako.core.tlog.notes import NoteError
from rako.core.tlog.witness import Witness

T = TypeVar("T")
_LARGEST_PORT = 65_535
_LOG_ORIGIN = re.compile(r"[A-Za-z0-9.-]+(?:/[A-Za-z0-9._-]+)*\Z")
_BASE_URL = re.compile(r"https?://(?:[A-Za-z0-9.-]+|\[[0-9a-fA-F:]+\])(?::(?P<port>[0-9]{1,5}))?/?\Z")


def load_env_file(path: Path) -> None:
    """Take the lines of an .env file as defaults: what the environment says already wins."""
    if path.is_file():
        environ.Env.read_env(path)


def setting(name: str, parse: Callable[[str], T], default: str | None = None) -> T:
    """The parsed value of a variable. Raises ImproperlyConfigured naming it if it is missing or malformed."""
    raw = os.environ.get(name, default)
    if raw is None:
        raise ImproperlyConfigured(f"{name} is not set")
    try:
        return parse(raw.strip())
    except ValueError as error:
        raise ImproperlyConfigured(f"{name} is malformed: {error}") from None


def whole_number(minimum: int, maximum: int) -> Callable[[str], int]:
    """A parser for an integer between two bounds, both included."""

    def parse(raw: str) -> int:
        if not raw.isascii() or not raw.isdigit() or not minimum <= int(raw) <= maximum:
            raise ValueError(f"a whole number from {minimum} to {maximum} is expected")
        return int(raw)

    return parse


def one_of(*choices: str) -> Callable[[str], str]:
    """A parser that takes only the given words."""

    def parse(raw: str) -> str:
        if raw not in choices:
            raise ValueError(f"expected one of {', '.join(choices)}")
        return raw

    return parse


def shaped(beginning: str) -> Callable[[str], str]:
    """A parser for an id or key that begins so, or nothing. The error does not repeat what was given."""
    pattern = re.compile(re.escape(beginning) + r"[A-Za-z0-9_]+")

    def parse(raw: str) -> str:
        if raw and not pattern.fullmatch(raw):
            raise ValueError(f"{beginning}… is expected")
        return raw

    return parse


def each_shaped(beginning: str) -> Callable[[str], list[str]]:
    """A parser for a comma-separated list of such."""
    parse_one = shaped(beginning)
    return lambda raw: [parse_one(word) for word in words(raw)]


def words(raw: str) -> list[str]:
    """Comma-separated words; empty ones are dropped."""
    return [word.strip() for word in raw.split(",") if word.strip()]


def text(raw: str) -> str:
    """A parser for a text that is not empty."""
    if not raw:
        raise ValueError("it is empty")
    return raw


def percent(raw: str) -> Decimal:
    """A parser for a percentage from 0 to 100 with at most two decimal places."""
    if not re.fullmatch(r"[0-9]{1,3}(\.[0-9]{1,2})?", raw, re.ASCII) or Decimal(raw) > 100:
        raise ValueError("a percentage from 0 to 100 is expected")
    return Decimal(raw)


def iban(raw: str) -> str:
    """A parser for a bank account's IBAN, or nothing."""
    return read_iban(raw) if raw else ""


def bic(raw: str) -> str:
    """A parser for a bank's BIC, or nothing."""
    return read_bic(raw) if raw else ""


def folder(raw: str) -> Path:
    """A parser for a folder's path."""
    return Path(text(raw))


def base_url(raw: str) -> str:
    """An absolute http(s) address: scheme, host and perhaps a port, nothing else."""
    match = _BASE_URL.match(raw)
    if match is None or int(match["port"] or 0) > _LARGEST_PORT:
        raise ValueError("an address like https://rako.example is expected")
    return raw.rstrip("/")


def log_origin(raw: str) -> str:
    """The name of a transparency log: a host and path without a scheme, as it stands in its checkpoints."""
    if not _LOG_ORIGIN.match(raw):
        raise ValueError("a name like rako.example/ledger is expected")
    return raw


def witnesses(raw: str) -> list[Witness]:
    """Witnesses as `<verifier key> <url>`, separated by commas."""
    found = []
    for word in words(raw):
        vkey, _, url = word.partition(" ")
        try:
            found.append(Witness(vkey, base_url(url.strip())))
        except NoteError as error:
            raise ValueError(str(error)) from None
    return found


def database(raw: str) -> dict[str, Any]:
    """A postgres:// address as Django's settings for it; empty for an empty one."""
    if not raw:
        return {}
    try:
        found = environ.Env.db_url_config(raw)
    except Exception as error:  # the library lets many kinds through, and their texts may show the password
        raise ValueError(f"a postgres:// address is expected ({type(error).__name__})") from None
    if found.get("ENGINE") != "django.db.backends.postgresql" or not found.get("NAME"):
        raise ValueError("a postgres:// address with a database name is expected")
    return dict(found)
