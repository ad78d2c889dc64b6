"""Ids with a prefix that says what they name, as PSPs have them: `cs_01J…`, `pi_01J…`."""

from functools import partial
from typing import TYPE_CHECKING, Any

from django.db import models

from rako.core.ids import is_id, new_id

# Generic for the type checker only.
if TYPE_CHECKING:
    _TextField = models.CharField[str, str]
else:
    _TextField = models.CharField

ACCOUNT, PAGE, PAYMENT, EVENT = "acct_", "cs_", "pi_", "evt_"
REFUND, DISPUTE, CHARGE = "re_", "du_", "ch_"


def prefixed_id(prefix: str) -> str:
    """A fresh id: the prefix and a ULID."""
    return prefix + new_id()


def has_shape(prefix: str, value: str) -> bool:
    """Whether a value a stranger sent could be one of our ids with this prefix."""
    return value.startswith(prefix) and is_id(value.removeprefix(prefix))


class PrefixedIdField(_TextField):
    """A primary key made of a prefix and a ULID; collation C keeps index order time order."""

    def __init__(self, prefix: str, **options: Any) -> None:
        self.prefix = prefix
        fixed = {"max_length": 31, "db_collation": "C", "default": partial(prefixed_id, prefix), "editable": False}
        super().__init__(primary_key=True, **options | fixed)

    def deconstruct(self) -> Any:
        name, path, _, options = super().deconstruct()
        for fixed in ("max_length", "db_collation", "default", "editable", "primary_key"):
            options.pop(fixed, None)
        return name, path, [self.prefix], options
