"""Carries out payouts: hands them over in files, and records what became of them. Only `move` changes a state.

A payout is in one file at a time and paid once: file and state are written in one transaction, rows are claimed by
locks, each move compares and swaps, and PostgreSQL refuses any other.
"""

import hashlib
from collections.abc import Sequence
from contextlib import nullcontext
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from django.db import transaction
from django.utils import timezone

from rako.core.errors import BadRequest, Conflict, NotFound
from rako.core.facts import state
from rako.core.ids import is_id, new_id
from rako.core.money import Money
from settlement.models import BankAccount, Payout, PayoutFile
from settlement.providers.base import Answer, Order, PayoutProvider
from settlement.providers.registry import provider_here, providers
from settlement.telling import fact_of_payout

State = Payout.State
MOVES: dict[State, frozenset[State]] = {
    State.PENDING: frozenset({State.SUBMITTED}),
    State.SUBMITTED: frozenset({State.PAID, State.FAILED}),
    # Days later, the bank may send back what it had paid.
    State.PAID: frozenset({State.FAILED}),
    State.FAILED: frozenset({State.PENDING}),
}
# What the ledger calls arriving in a state.
_TOLD = {State.SUBMITTED: "submitted", State.PAID: "paid", State.FAILED: "failed", State.PENDING: "retried"}
MOST_IN_A_FILE = 1000
LONGEST_REASON = 300


class PayoutNotFound(NotFound):
    code, message = "payout_not_found", "Payout not found"


class CannotMovePayout(Conflict):
    code = "cannot_move_payout"


class _Undone(Exception):
    """A dry run is over."""


@dataclass(frozen=True, slots=True)
class Sent:
    """A file that was made, and what is in it."""

    file_id: str
    currency: str
    count: int
    total: Money


@transaction.atomic
def move(payout: Payout, to: Payout.State, facts: dict[str, Any] | None = None, **values: Any) -> None:
    """Change the state, with `values` of the row, and append the entry. Raises CannotMovePayout."""
    origin = State(payout.state)
    if to not in MOVES[origin]:
        raise CannotMovePayout(f"A {origin} payout cannot become {to}")
    # Compare and swap: a concurrent mover gets zero rows. A payout that was sent again since is another one's matter.
    row = Payout.objects.filter(pk=payout.pk, state=origin, attempts=payout.attempts)
    if not row.update(state=to, **values):
        raise CannotMovePayout(f"Payout {payout.pk} is no longer {origin}")
    for name, value in {"state": to, **values}.items():
        setattr(payout, name, value)
    state(fact_of_payout(payout, _TOLD[to], **facts or {}))


def send_payouts(currency: str = "", *, is_dry_run: bool = False) -> list[Sent]:
    """Hand over what is pending and has a bank account, in one file for each currency and thousand.

    What builders are owed whom staff have flagged for fraud waits until the flag is lifted.
    Safe to run side by side: nobody takes what another has claimed. Raises NotConfigured.
    """
    provider, sent = provider_here(), list[Sent]()
    wanted = provider.currencies & {currency} if currency else provider.currencies
    try:
        with transaction.atomic() if is_dry_run else nullcontext():
            for code in sorted(wanted):
                while (made := _send_file(provider, code)) is not None:
                    sent.append(made)
            if is_dry_run:
                raise _Undone
    except _Undone:
        pass
    return sent


@transaction.atomic
def _send_file(provider: PayoutProvider, currency: str) -> Sent | None:
    waiting = Payout.objects.pending().payable().with_account().filter(currency=currency).order_by("pk")
    rows = list(waiting.select_for_update(of=("self",), skip_locked=True)[:MOST_IN_A_FILE])
    if not rows:
        return None
    now, file_id = timezone.now(), new_id()
    content = provider.instructions(file_id, now, _orders(currency, rows))
    sha256 = hashlib.sha256(content.encode()).hexdigest()
    file = PayoutFile.objects.create(
        id=file_id, provider=provider.name, currency=currency, content=content, sha256=sha256, created_at=now
    )
    for payout in rows:
        _submit(payout, file, now)
    return Sent(file_id, currency, len(rows), Money(sum(row.amount_minor for row in rows), currency))


def _orders(currency: str, payouts: Sequence[Payout]) -> list[Order]:
    found = BankAccount.objects.filter(currency=currency, builder__in={row.builder_id for row in payouts})
    accounts = {row.builder_id: row for row in found}
    return [_order(row, accounts[row.builder_id]) for row in payouts]


def _order(payout: Payout, to: BankAccount) -> Order:
    money = Money(payout.amount_minor, payout.currency)
    return Order(payout.pk, money, to.holder, to.account["iban"], to.account["bic"])


def _submit(payout: Payout, file: PayoutFile, now: datetime) -> None:
    facts = {"file_id": file.pk, "file_sha256": file.sha256, "attempt": payout.attempts + 1}
    move(payout, State.SUBMITTED, facts, file=file, attempts=payout.attempts + 1, submitted_at=now)


def record_answer(answer: Answer, *, file_id: str = "") -> bool:
    """Record what the bank says of a payout; False if that is known. `file_id` says which file it answers.

    What was paid fails if the bank sends it back.
    An answer to an earlier file must not settle a later one, so of a payout that was sent more than once the file
    must be named. Raises PayoutNotFound, CannotMovePayout, BadRequest for a refusal without its reason.
    """
    payout = Payout.objects.filter(pk=answer.payout_id).first() if is_id(answer.payout_id) else None
    if payout is None:
        raise PayoutNotFound()
    if not answer.is_paid and not answer.reason.strip():
        raise BadRequest("A failed payout needs a reason")
    if file_id and file_id != payout.file_id:
        raise CannotMovePayout(f"The payout is not in file {file_id} any more")
    if payout.attempts > 1 and not file_id:
        raise CannotMovePayout("The payout was sent more than once: name the file that is answered")
    to = State.PAID if answer.is_paid else State.FAILED
    if payout.state == to:
        return False
    if answer.is_paid:
        move(payout, to, paid_at=timezone.now(), failure="")
    else:
        # The bank's own words may name people: they stay out of the entry.
        move(payout, to, failure=answer.reason.strip()[:LONGEST_REASON], paid_at=None)
    return True


def retry(payout: Payout) -> None:
    """Have a failed payout made again, under the same id. Raises CannotMovePayout."""
    move(payout, State.PENDING)


def collect_answers() -> int:
    """Record what providers can tell of their files by themselves; returns how many answers were new."""
    found = 0
    for name, provider in providers().items():
        for file in PayoutFile.objects.filter(provider=name, payouts__state=State.SUBMITTED).distinct():
            found += sum(_collect(answer, file) for answer in provider.answers(file.content, file.created_at))
    return found


def _collect(answer: Answer, file: PayoutFile) -> bool:
    try:
        return record_answer(answer, file_id=file.pk)
    except CannotMovePayout:  # somebody was faster, or it is in another file by now
        return False
