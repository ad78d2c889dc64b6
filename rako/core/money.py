"""Money: whole minor units with an ISO 4217 code. Decimal is for rates and the wire, float for no arithmetic."""

import re
from dataclasses import dataclass
from decimal import ROUND_HALF_UP, Decimal

# The currencies offers may be priced in, with their ISO 4217 exponents.
EXPONENTS = {"GBP": 2, "EUR": 2, "USD": 2}
# Plain ASCII digits: Decimal itself would take exponents, underscores and other scripts' digits.
_DECIMAL = re.compile(r"-?[0-9]{1,15}(\.[0-9]{1,15})?\Z", re.ASCII)
MAX_MINOR = 10**12  # ten thousand million in major units; far from bigint's edge even when summed


@dataclass(frozen=True, slots=True)
class Money:
    """An amount in whole minor units (pence, cents) of one currency."""

    amount_minor: int
    currency: str

    def __str__(self) -> str:
        if self.currency not in EXPONENTS:  # PSPs tell of payments in others, too
            return f"{self.amount_minor} minor units {self.currency}"
        return f"{major_text(self.amount_minor, self.currency)} {self.currency}"


def round_half_up(value: Decimal) -> int:
    """To the nearest whole unit, halves away from zero: the protocol's rounding at each step (section 4)."""
    return int(value.quantize(Decimal(1), rounding=ROUND_HALF_UP))


def to_decimal(amount_minor: int, currency: str) -> Decimal:
    """Minor units as a Decimal in major units, with the currency's number of places."""
    return Decimal(amount_minor).scaleb(-EXPONENTS[currency])


def major_text(amount_minor: int, currency: str) -> str:
    """For people: 1234 GBP minor units read `12.34`."""
    return f"{to_decimal(amount_minor, currency):.{EXPONENTS[currency]}f}"


def to_wire(amount_minor: int, currency: str) -> int | float:
    """A JSON number in major units; whole amounts print without a fraction (protocol, section 2: `6`)."""
    whole, rest = divmod(amount_minor, 10 ** EXPONENTS[currency])
    # One correctly rounded division gives the double nearest to the decimal, so it prints as the decimal.
    return float(amount_minor / 10 ** EXPONENTS[currency]) if rest else int(whole)


def number_to_wire(value: Decimal) -> int | float:
    """A rate as a JSON number, whole ones without a fraction."""
    return int(value) if value == value.to_integral_value() else float(value)


def from_wire(value: object, currency: str) -> int:
    """Minor units of a JSON number in major units. Raises ValueError with a sentence for the caller."""
    if isinstance(value, bool) or not isinstance(value, int | float):
        raise ValueError("must be a number")
    if not -MAX_MINOR <= value <= MAX_MINOR:  # before it becomes a Decimal; NaN fails it too
        raise ValueError("is too large")
    # repr of a float is the shortest decimal that denotes it: what the sender typed.
    return _to_minor(Decimal(repr(value)), currency)


def from_text(text: str, currency: str) -> int:
    """Minor units of a decimal text such as `12.34`. Raises ValueError with a sentence for the caller."""
    if not _DECIMAL.match(text):
        raise ValueError("must be a number")
    return _to_minor(Decimal(text), currency)


def _to_minor(major: Decimal, currency: str) -> int:
    if currency not in EXPONENTS:
        raise ValueError(f"currency must be one of {', '.join(sorted(EXPONENTS))}")
    minor = major.scaleb(EXPONENTS[currency])
    if minor < 0:
        raise ValueError("must not be negative")
    if minor > MAX_MINOR:
        raise ValueError("is too large")
    if minor != minor.to_integral_value():
        raise ValueError(f"has more than {EXPONENTS[currency]} decimal places")
    return int(minor)
