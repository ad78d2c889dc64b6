"""Bank account numbers as people type them: IBANs with their check digits, and BICs. Errors never repeat the number."""

from stdnum import bic, iban
from stdnum.exceptions import ValidationError

_HINT = 4


def read_iban(text: str) -> str:
    """An IBAN without spaces, in capitals. Raises ValueError unless country, length and check digits hold."""
    try:
        return str(iban.validate(text))
    except ValidationError:
        raise ValueError("is not an IBAN: its check digits do not hold, or its country has others") from None


def read_bic(text: str) -> str:
    """A BIC in capitals. Raises ValueError for what has not its form."""
    try:
        return str(bic.validate(text))
    except ValidationError:
        raise ValueError("is not a BIC: 8 or 11 letters and digits are expected") from None


def hint_of(number: str) -> str:
    """What may be shown of an account: its last four characters."""
    return number[-_HINT:]
