"""Money that moves: the entries of payouts. Settlement decides, the ledger keeps the balance.

Whoever spends a balance holds the lock on its owner, so that one balance is never spent twice.
"""

from django.db import transaction
from django.utils import timezone

from ledger.models import Account, Entry
from ledger.models import Posting as PostingRow
from ledger.projections import balance_of
from rako.core.errors import Conflict
from rako.core.facts import Appended, Fact, Posting, state
from rako.core.ids import new_id
from rako.core.money import Money
from sessions_app.models import Builder


class NotCovered(Conflict):
    code, message = "not_covered", "The balance does not cover this"


class PayoutConflict(Conflict):
    code, message = "payout_conflict", "This reference was used for another amount"


@transaction.atomic
def pay_builder(builder: Builder, money: Money, *, reference: str) -> Appended:
    """Record a payout, once per builder, currency and reference.

    Raises NotCovered if the builder is not owed so much, net of clawbacks, and PayoutConflict if the reference was used
    for another amount.
    """
    Builder.objects.select_for_update(no_key=True).get(pk=builder.pk)
    key = f"payout:{builder.pk}:{money.currency}:{reference}"
    owed = -sum(
        balance_of(account, builder.pk, money.currency)
        for account in (Account.BUILDER_PAYABLE, Account.BUILDER_CLAWBACK_DUE)
    )
    # Told again, it is the entry of then, whatever is owed by now.
    if not 0 < money.amount_minor <= owed and not Entry.objects.filter(idempotency_key=key).exists():
        raise NotCovered()
    entry = state(
        Fact(
            stream_id=new_id(),
            kind="builder.paid",
            facts={"reference": reference},
            for_agent={"builder_id": builder.pk},
            postings=[
                Posting(Account.BUILDER_PAYABLE, builder.pk, money.currency, money.amount_minor),
                Posting(Account.BANK_CLEARING, "", money.currency, -money.amount_minor),
            ],
            occurred_at=timezone.now(),
            idempotency_key=key,
        )
    )
    if not entry.is_new and not PostingRow.objects.filter(entry=entry.id, amount_minor=money.amount_minor).exists():
        raise PayoutConflict()
    return entry
