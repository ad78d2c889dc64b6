"""Ids: 26-character ULIDs, sortable by time. Any other shape is simply an id that does not exist."""

import re
from typing import Any

from django.db import models
from ulid import ULID

# Crockford base32 without I, L, O, U; the first character of a 128-bit value is at most 7.
ID_PATTERN = "[0-7][0-9A-HJKMNP-TV-Z]{25}"
_ULID = re.compile(ID_PATTERN + r"\Z")


def new_id() -> str:
    """A fresh ULID in its canonical upper-case form."""
    return str(ULID())


def is_id(value: object) -> bool:
    """Whether a value a stranger sent could be one of our ids."""
    return isinstance(value, str) and _ULID.match(value) is not None


class UlidField(models.CharField):  # type: ignore[type-arg]  # no arguments at run time
    """A ULID primary key. Collation C compares bytes: index order is time order, and comparing is cheap."""

    def __init__(self, **options: Any) -> None:
        options |= {"max_length": 26, "db_collation": "C", "default": new_id, "editable": False}
        super().__init__(**options)

    def deconstruct(self) -> Any:
        name, path, args, options = super().deconstruct()
        for fixed in ("max_length", "db_collation", "default", "editable"):
            options.pop(fixed, None)
        return name, path, args, options
