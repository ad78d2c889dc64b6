"""What makes a sale suspicious: small pure rules over what was measured of it. They hold, and never refuse.

| rule | measured | lets pass at most |
|---|---|---|
| velocity_hour | the agent's sales within the sale's clock hour | 20, or 3 times its usual day |
| velocity_day | the agent's sales on the sale's day | 50, or 5 times its usual day |
| one_hour | the agent's sales on the sale's day, if all are within one clock hour | 9 |
| shared_owner | what builder and merchant share: an e-mail address, a domain that is not a public one, a name | 0 |
| shared_payment | how many sales the payment's reference was named for | 1 |
| cancellations | percent of the agent's sales at the merchant in 60 days that were clawed back, if 10 or more | 40 |
| click_flood | visits to the link that led to the sale | 300 |
| one_visitor | visits of the busiest visitor to that link | 20 |

A usual day is the mean of the agent's 28 days before. Days and hours are of the sale's own time in UTC, so that a batch
of reports by night is no flood. Visits of known bots do not count. Domains are those of e-mail addresses and of the
merchant's shops; names are the parties', the merchant's legal one, and the holders' of the builder's bank accounts.
"""

import re
from collections.abc import Callable, Collection
from typing import NamedTuple

HOUR_LEAST, HOUR_TIMES = 20, 3
DAY_LEAST, DAY_TIMES = 50, 5
USUAL_DAYS = 28
ONE_HOUR_MOST = 9
PAYMENT_MOST = 1
CANCELLATION_DAYS, CANCELLATION_LEAST, CANCELLATION_PERCENT = 60, 10, 40
VISITS_MOST, VISITOR_MOST = 300, 20

# Whoever has an address here shares no owner with the others who have.
PUBLIC_DOMAINS = frozenset(
    (
        "aol.com", "bt.com", "btinternet.com", "fastmail.com", "gmail.com", "gmx.com", "gmx.de", "gmx.net",
        "googlemail.com", "hey.com", "hotmail.co.uk", "hotmail.com", "icloud.com", "live.co.uk", "live.com",
        "mac.com", "mail.com", "me.com", "msn.com", "outlook.com", "pm.me", "proton.me", "protonmail.com", "sky.com",
        "talktalk.net", "virginmedia.com", "web.de", "yahoo.co.uk", "yahoo.com", "yandex.com", "zoho.com",
    )
)  # fmt: skip


# What a name may leave out and be the same.
LEGAL_FORMS = frozenset(
    (
        *("ag", "bv", "co", "company", "corp", "corporation", "gmbh", "inc", "incorporated", "limited", "llc", "llp"),
        *("ltd", "plc", "sa", "sarl", "the", "trading", "uk"),
    )
)
_WORD = re.compile(r"\w+")


class Measures(NamedTuple):
    """What is known of one sale. `usual_days` are the agent's sales of the 28 days before the sale's day."""

    in_hour: int = 1
    in_day: int = 1
    hours_of_day: int = 1
    usual_days: int = 0
    builder_email: str = ""
    merchant_email: str = ""
    payment_uses: int = 0
    sales_of_pair: int = 0
    clawed_back_of_pair: int = 0
    visits: int = 0
    visits_of_one: int = 0
    merchant_names: Collection[str] = ()
    merchant_hosts: Collection[str] = ()
    builder_names: Collection[str] = ()


class Signal(NamedTuple):
    """A rule that found the sale suspicious."""

    rule: str
    measured: int
    threshold: int


def velocity_hour(sale: Measures) -> tuple[int, int]:
    return sale.in_hour, max(HOUR_LEAST, HOUR_TIMES * sale.usual_days // USUAL_DAYS)


def velocity_day(sale: Measures) -> tuple[int, int]:
    return sale.in_day, max(DAY_LEAST, DAY_TIMES * sale.usual_days // USUAL_DAYS)


def one_hour(sale: Measures) -> tuple[int, int]:
    return sale.in_day if sale.hours_of_day == 1 else 0, ONE_HOUR_MOST


def shared_owner(sale: Measures) -> tuple[int, int]:
    ours, theirs = (email.strip().lower() for email in (sale.builder_email, sale.merchant_email))
    domain = ours.rpartition("@")[2]
    domains = {theirs.rpartition("@")[2], *sale.merchant_hosts}
    shared = (
        bool(ours) and ours == theirs,
        domain not in PUBLIC_DOMAINS | {""} and any(f".{each}".endswith(f".{domain}") for each in domains),
        bool(_plain(sale.builder_names) & _plain(sale.merchant_names)),
    )
    return sum(shared), 0


def _plain(names: Collection[str]) -> set[tuple[str, ...]]:
    """Names without what is spelled now so, now otherwise."""
    words = (tuple(word for word in _WORD.findall(name.casefold()) if word not in LEGAL_FORMS) for name in names)
    return {name for name in words if name}


def shared_payment(sale: Measures) -> tuple[int, int]:
    return sale.payment_uses, PAYMENT_MOST


def cancellations(sale: Measures) -> tuple[int, int]:
    enough = sale.sales_of_pair >= CANCELLATION_LEAST
    return 100 * sale.clawed_back_of_pair // sale.sales_of_pair if enough else 0, CANCELLATION_PERCENT


def click_flood(sale: Measures) -> tuple[int, int]:
    return sale.visits, VISITS_MOST


def one_visitor(sale: Measures) -> tuple[int, int]:
    return sale.visits_of_one, VISITOR_MOST


RULES: dict[str, Callable[[Measures], tuple[int, int]]] = {
    rule.__name__: rule
    for rule in (
        *(velocity_hour, velocity_day, one_hour, shared_owner),
        *(shared_payment, cancellations, click_flood, one_visitor),
    )
}


def signals(sale: Measures) -> list[Signal]:
    """The rules that a sale is beyond."""
    found = ((name, *rule(sale)) for name, rule in RULES.items())
    return [Signal(name, measured, threshold) for name, measured, threshold in found if measured > threshold]
