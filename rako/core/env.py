"""Reads settings from the environment; a missing or malformed one fails at start with its name."""

from collections.abc import Callable
from pathlib import Path
from typing import TypeVar
from urllib.parse import urlsplit

import environ
from django.core.exceptions import ImproperlyConfigured

T = TypeVar("T")

_env = environ.Env()


def load_env_file(path: Path) -> None:
    """Take the lines of an .env file as defaults: what the environment says already wins."""
    if path.is_file():
        environ.Env.read_env(path)


def setting(name: str, parse: Callable[[str], T], default: str | None = None) -> T:
    """The parsed value of a variable. Raises ImproperlyConfigured naming it if it is missing or malformed."""
    raw = _env.str(name, default=default if default is not None else environ.Env.NOTSET)
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


def words(raw: str) -> list[str]:
    """Comma-separated words; empty ones are dropped."""
    return [word.strip() for word in raw.split(",") if word.strip()]


def base_url(raw: str) -> str:
    """An absolute http(s) address without a path, query or trailing slash."""
    parts = urlsplit(raw)
    if parts.scheme not in {"http", "https"} or not parts.hostname or parts.query or parts.path.strip("/"):
        raise ValueError("an address like https://rako.example is expected")
    return raw.rstrip("/")
