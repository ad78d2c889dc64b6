"""Minor units as Hyperswitch counts them. For some currencies it has other exponents than ISO 4217, which is ours."""

from checkout.connectors.base import NotPayable
from rako.core.money import EXPONENTS, MAX_MINOR, Money

_WHOLE = frozenset(
    {
        *("BIF", "CLP", "DJF", "GNF", "IRR", "JPY", "KMF", "KRW", "MGA"),
        *("PYG", "RWF", "UGX", "VND", "VUV", "XAF", "XOF", "XPF"),
    }
)
_THOUSANDTHS = frozenset({"BHD", "IQD", "JOD", "KWD", "LYD", "OMR", "TND"})
# Where ISO 4217 differs from the above.
_ISO = {"IRR": 2, "MGA": 2, "ISK": 0}


class Inexact(ValueError):
    """The amount cannot be told in the other side's minor units, or its currency is none."""


def to_psp(money: Money) -> int:
    """What to ask Hyperswitch for. Raises NotPayable if it cannot be asked for."""
    try:
        amount = _shift(money.amount_minor, _their_exponent(money.currency) - _our_exponent(money.currency))
    except Inexact:
        raise NotPayable() from None
    if not 0 < amount <= MAX_MINOR:
        raise NotPayable()
    return amount


def from_psp(amount: int, currency: str) -> Money:
    """What Hyperswitch says, as money. Raises Inexact."""
    return Money(_shift(amount, _our_exponent(currency) - _their_exponent(currency)), currency)


def _our_exponent(currency: str) -> int:
    return EXPONENTS.get(currency, _ISO.get(currency, _their_exponent(currency)))


def _their_exponent(currency: str) -> int:
    if len(currency) != 3 or not (currency.isascii() and currency.isalpha() and currency.isupper()):
        raise Inexact(currency)
    if currency in _WHOLE:
        return 0
    if currency == "CLF":
        return 4
    return 3 if currency in _THOUSANDTHS else 2


def _shift(amount: int, places: int) -> int:
    if places >= 0:
        return amount * int(10**places)
    whole, rest = divmod(amount, int(10**-places))
    if rest:
        raise Inexact(str(amount))
    return whole
