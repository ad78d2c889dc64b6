"""The test cards, and the tokens of stored payment methods: the only ones the sandbox PSP takes.

The first five numbers are the ones that PSPs publish; the two delayed ones are our own.
"""

import re
from dataclasses import dataclass
from enum import Enum, auto

EXAMPLE_EXPIRY, EXAMPLE_CVC = "12/34", "123"


class Behaviour(Enum):
    """What happens when a card is charged."""

    SUCCEEDS = auto()
    IS_DECLINED = auto()
    ASKS_STEP_UP = auto()
    SUCCEEDS_LATER = auto()
    FAILS_LATER = auto()


@dataclass(frozen=True, slots=True)
class Card:
    """A test card. `name` stands for it in addresses, so that a number never does."""

    name: str
    number: str
    behaviour: Behaviour
    effect: str
    decline_code: str = ""
    brand: str = "visa"

    @property
    def last4(self) -> str:
        """All of a number that is ever kept."""
        return self.number[-4:]

    @property
    def spaced(self) -> str:
        """The number as it is printed on a card."""
        return " ".join(re.findall("....", self.number))


CARDS = (
    Card("succeeds", "4242424242424242", Behaviour.SUCCEEDS, "Payment succeeds"),
    Card("step-up", "4000000000003220", Behaviour.ASKS_STEP_UP, "Asks to approve or refuse"),
    Card("declined", "4000000000000002", Behaviour.IS_DECLINED, "Declined by the bank", "card_declined"),
    Card("funds", "4000000000009995", Behaviour.IS_DECLINED, "Declined: not enough money", "insufficient_funds"),
    Card("expired", "4000000000000069", Behaviour.IS_DECLINED, "Declined: card has expired", "expired_card"),
    Card("succeeds-later", "4000000000006009", Behaviour.SUCCEEDS_LATER, "Processing, then succeeds"),
    Card("fails-later", "4000000000006108", Behaviour.FAILS_LATER, "Processing, then fails", "card_declined"),
)

_BY_NUMBER = {card.number: card for card in CARDS}
_BY_NAME = {card.name: card for card in CARDS}

STORED_METHODS = {
    "pm_card_visa": _BY_NAME["succeeds"],
    "pm_card_declined": _BY_NAME["declined"],
    "pm_card_insufficient_funds": _BY_NAME["funds"],
    "pm_card_expired": _BY_NAME["expired"],
    "pm_card_authentication_required": _BY_NAME["step-up"],
    "pm_card_processing": _BY_NAME["succeeds-later"],
}

DECLINE_MESSAGES = {
    "card_declined": "The bank declined this card. Nothing was charged. Try another card.",
    "insufficient_funds": "There is not enough money on this card. Nothing was charged. Try another card.",
    "expired_card": "This card has expired. Nothing was charged. Try another card.",
    "authentication_refused": "The payment was not approved. Nothing was charged. Try again or use another card.",
}

# What a merchant may be told of a refusal, by decline code; the others are nobody's business.
_TOLD = {
    "insufficient_funds": "insufficient_funds",
    "expired_card": "expired_card",
    # A charge that was canceled has no code: the bank's question was never answered.
    "": "authentication_required",
}


def decline_reason(code: str) -> str:
    """The contract's word for a decline code of ours."""
    return _TOLD.get(code, "generic")


def by_number(text: str) -> Card | None:
    """The test card with this number, spaces and hyphens aside; None for any other number."""
    return _BY_NUMBER.get(re.sub(r"[ -]", "", text))


def by_name(name: str) -> Card | None:
    """The test card that an address names; None if there is no such card."""
    return _BY_NAME.get(name)
