"""Plain-text double-entry journals as hledger and beancount read them.

Nothing of other people's texts goes into one: accounts, descriptions and tags are our own words and ids.
"""

from abc import ABC, abstractmethod
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import date

from rako.core.money import EXPONENTS, major_text

AccountPath = tuple[str, ...]


@dataclass(frozen=True, slots=True)
class Leg:
    """What one account gets; debits are positive."""

    account: AccountPath
    currency: str
    amount_minor: int


@dataclass(frozen=True, slots=True)
class Transaction:
    """Legs that add up to zero in each currency; those of zero are left out."""

    on: date
    description: str
    tags: dict[str, str]
    legs: list[Leg]


class Journal(ABC):
    """One file of a dialect: it declares each account before its first use."""

    def __init__(self) -> None:
        self._declared: set[AccountPath] = set()

    @abstractmethod
    def head(self, title: str) -> str:
        """What the file begins with."""

    @abstractmethod
    def declaration(self, account: AccountPath) -> str:
        """The line that makes an account known."""

    @abstractmethod
    def account_name(self, account: AccountPath) -> str:
        """An account in this dialect."""

    @abstractmethod
    def begin(self, transaction: Transaction) -> str:
        """A transaction's lines before its legs."""

    def write(self, transaction: Transaction) -> str:
        """A transaction, after the accounts that it is the first to use."""
        legs = [leg for leg in transaction.legs if leg.amount_minor]
        if not legs:
            return ""
        return "".join([*self._declare(legs), self.begin(transaction), *map(self._leg, legs), "\n"])

    def _declare(self, legs: list[Leg]) -> Iterator[str]:
        for leg in legs:
            if leg.account not in self._declared:
                self._declared.add(leg.account)
                yield self.declaration(leg.account)

    def _leg(self, leg: Leg) -> str:
        return f"    {self.account_name(leg.account)}  {major_text(leg.amount_minor, leg.currency)} {leg.currency}\n"


class Hledger(Journal):
    """`assets:merchant_receivable:<id>`; sound by `hledger check --strict`."""

    def head(self, title: str) -> str:
        commodities = "".join(f"commodity 1{'0' * 3}.{'0' * places} {code}\n" for code, places in EXPONENTS.items())
        return f"; {title}\n\n{commodities}\n"

    def declaration(self, account: AccountPath) -> str:
        return f"account {self.account_name(account)}\n"

    def account_name(self, account: AccountPath) -> str:
        return ":".join(account)

    def begin(self, transaction: Transaction) -> str:
        tags = "".join(f"    ; {name}: {value}\n" for name, value in transaction.tags.items())
        return f"{transaction.on.isoformat()} {transaction.description}\n{tags}"


class Beancount(Journal):
    """`Assets:MerchantReceivable:<id>`; sound by `bean-check`."""

    def head(self, title: str) -> str:
        currencies = "".join(f'option "operating_currency" "{code}"\n' for code in EXPONENTS)
        return f'option "title" "{title}"\n{currencies}\n'

    def declaration(self, account: AccountPath) -> str:
        # Of a day before any: order in the file means nothing to beancount.
        return f"1970-01-01 open {self.account_name(account)}\n"

    def account_name(self, account: AccountPath) -> str:
        return ":".join("".join(word[:1].upper() + word[1:] for word in part.split("_")) for part in account)

    def begin(self, transaction: Transaction) -> str:
        tags = "".join(f'  {name}: "{value}"\n' for name, value in transaction.tags.items())
        return f'{transaction.on.isoformat()} * "{transaction.description}"\n{tags}'


def written(journal: Journal, title: str, pages: Iterator[list[Transaction]]) -> Iterator[str]:
    """A journal's text, a page at a time."""
    yield journal.head(title)
    for page in pages:
        yield "".join(map(journal.write, page))
