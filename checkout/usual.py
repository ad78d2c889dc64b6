"""Payments as they usually go, processed together: new deliveries that each tell of one success of a page of ours.

They meet the same gate and make the same rows and entries as one by itself does (`outcomes`), with a few round trips
and one flush for all of them. Whatever is not as usual, and whatever somebody else has under way, is left to do by
itself: nothing here waits for anybody.
"""

from collections.abc import Sequence
from contextlib import suppress
from typing import NamedTuple

from django.db import transaction

from checkout.connectors.base import OutcomeEvent, OutcomeType
from checkout.connectors.registry import connector_for
from checkout.gate import judge
from checkout.matching import Noted, note_all
from checkout.models import Checkout, WebhookReceipt
from checkout.outcomes import Result
from checkout.receipts import settle, telling
from checkout.sales import find_free_checkouts
from checkout.states import Success, may_succeed, succeed_all
from ledger.evidence import SaleEvidence
from ledger.sets import record_unmet
from rako.core.postgres import Statement, send, send_each

_LOCK = "SELECT id FROM checkout_webhookreceipt WHERE id = ANY(%s) AND state = 'received' FOR UPDATE SKIP LOCKED"
# Locks that are not passed over are held for moments only; if not, each delivery waits by itself.
_WAIT_BRIEFLY = "SET LOCAL lock_timeout = '250ms'"


class _Payment(NamedTuple):
    receipt: WebhookReceipt
    outcome: OutcomeEvent
    checkout: Checkout
    evidence: SaleEvidence


def process_usual(receipts: Sequence[WebhookReceipt]) -> dict[str, Result]:
    """Of stored deliveries, each with its connection, those that could be processed together, by their id.

    Either all that is said here is recorded, or, with the exception, nothing.
    """
    told = _successes(receipts)
    if not told:
        return {}
    with transaction.atomic():
        payments = _judged(told)
        recorded = record_unmet([(payment.checkout.recommendation, payment.evidence) for payment in payments])
        made = [(payments[place], sale) for place, sale in recorded.items()]
        proven = [payment for payment, _ in made]
        succeed_all(
            [
                Success(checkout, outcome.payment_ref, receipt.sha256, outcome.occurred_at)
                for receipt, outcome, checkout, _ in proven
            ]
        )
        note_all(
            [Noted(checkout, sorted(set(outcome.psp_ids)), receipt.pk) for receipt, outcome, checkout, _ in proven]
        )
        for payment, sale in made:
            settle(payment.receipt, Result("conversion_recorded", sale.conversion))
        send_each([telling(payment.receipt) for payment in proven])
    return {payment.receipt.pk: Result("conversion_recorded", sale.conversion) for payment, sale in made}


def _successes(receipts: Sequence[WebhookReceipt]) -> list[tuple[WebhookReceipt, OutcomeEvent]]:
    """The deliveries that tell of one success and nothing else."""
    found = []
    for receipt in receipts:
        with suppress(Exception):  # what cannot be read is told to whoever sent it, by itself
            connector = connector_for(receipt.connection)
            outcomes = connector.normalize(connector.read_event(bytes(receipt.body)))
            if [outcome.type for outcome in outcomes] == [OutcomeType.PAYMENT_SUCCEEDED]:
                found.append((receipt, outcomes[0]))
    return found


def _judged(told: Sequence[tuple[WebhookReceipt, OutcomeEvent]]) -> list[_Payment]:
    """The payments that pass the gate, each of a session of its own whose checkout awaits success and is not held."""
    _, rows = send(Statement(_WAIT_BRIEFLY), Statement(_LOCK, [[receipt.pk for receipt, _ in told]]))
    ours = {pk for (pk,) in rows}
    told = [(receipt, outcome) for receipt, outcome in told if receipt.pk in ours]
    checkouts = find_free_checkouts([(receipt.connection_id, outcome) for receipt, outcome in told])
    payments, seen = [], set[tuple[str, str]]()
    for (receipt, outcome), checkout in zip(told, checkouts, strict=True):
        if checkout is None or not may_succeed(checkout):
            continue
        names = {("session", checkout.session_id), (checkout.merchant_id, outcome.payment_ref)}
        if seen.isdisjoint(names):
            with suppress(Exception):  # a refusal is told, and a fault found, by itself
                payments.append(_Payment(receipt, outcome, checkout, judge(receipt, outcome, checkout)))
                seen |= names
    return payments
