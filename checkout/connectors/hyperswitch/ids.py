"""The ids that we choose for payments: 30 characters, as Hyperswitch demands, and derived from the attempt alone."""

import re

from rako.core.ids import is_id

PAYMENT, STEP_UP = "pay_", "stp_"
_SHAPE = re.compile(r"[A-Za-z0-9_-]{1,64}\Z", re.ASCII)


def payment_of(attempt_id: str) -> str:
    """The id of an attempt's payment link or charge."""
    return PAYMENT + attempt_id


def step_up_of(attempt_id: str) -> str:
    """The id of the payment link on which the buyer approves what could not be charged without them."""
    return STEP_UP + attempt_id


def attempt_of(payment_id: str) -> str:
    """The attempt that a payment's id was derived from, "" for one that is not ours."""
    attempt_id = payment_id.removeprefix(PAYMENT if payment_id.startswith(PAYMENT) else STEP_UP)
    return attempt_id if attempt_id != payment_id and is_id(attempt_id) else ""


def family(payment_id: str) -> list[str]:
    """A payment, and the charge in whose place it was made: they belong to the same attempt."""
    is_step_up = payment_id.startswith(STEP_UP) and attempt_of(payment_id)
    return [payment_id, payment_of(attempt_of(payment_id))] if is_step_up else [payment_id]


def is_payment(text: str) -> bool:
    """Whether there could be a payment with this id; anything else must not become part of an address."""
    return _SHAPE.match(text) is not None and text != "list"
