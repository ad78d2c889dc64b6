"""Amounts between ISO 4217's minor units, which are Rako's, and Stripe's, which for some currencies are others."""

from checkout.connectors.base import NotPayable
from checkout.connectors.stripe.reading import Nonsense
from rako.core.money import MAX_MINOR, Money

_USUAL = 2
# The currencies with other than two places; of these, three that Stripe counts otherwise than ISO 4217 does. Iceland's
# and Uganda's have cents there, which are always 00.
_IN_ISO = {
    "BHD": 3, "BIF": 0, "CLP": 0, "DJF": 0, "GNF": 0, "IQD": 3, "ISK": 0, "JOD": 3, "JPY": 0, "KMF": 0, "KRW": 0,
    "KWD": 3, "LYD": 3, "OMR": 3, "PYG": 0, "RWF": 0, "TND": 3, "UGX": 0, "VND": 0, "VUV": 0, "XAF": 0, "XOF": 0,
    "XPF": 0,
}  # fmt: skip
_AT_STRIPE = _IN_ISO | {"ISK": 2, "MGA": 0, "UGX": 2}


def to_stripe(money: Money) -> int:
    """The amount as Stripe counts it. Raises NotPayable for one that it cannot express."""
    amount = _shifted(money.amount_minor, _shift(money.currency))
    if amount is None or amount <= 0:
        raise NotPayable()
    if _AT_STRIPE.get(money.currency) == 3 and amount % 10:  # it has three places, and takes payments in two
        raise NotPayable()
    return amount


def from_stripe(amount: int, currency: str) -> Money:
    """Money of an amount and a currency as Stripe tells them. Raises Nonsense for one that cannot be."""
    code = currency.upper()
    if not (code.isascii() and code.isalpha() and 3 <= len(code) <= 5):
        raise Nonsense("currency")
    minor = _shifted(amount, -_shift(code))
    if minor is None or not 0 <= minor <= MAX_MINOR:
        raise Nonsense("amount")
    return Money(minor, code)


def _shift(code: str) -> int:
    """How many more places the currency has at Stripe."""
    return _AT_STRIPE.get(code, _USUAL) - _IN_ISO.get(code, _USUAL)


def _shifted(amount: int, places: int) -> int | None:
    if places >= 0:
        return int(amount * 10**places)
    whole, rest = divmod(amount, 10**-places)
    return None if rest else int(whole)
