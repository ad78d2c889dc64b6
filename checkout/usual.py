"""Payments as they usually go, processed together: new deliveries that each tell of one success of a page of ours.

They meet the same gate and make the same rows and entries as one by itself does (`outcomes`), with a few round trips
and one flush for all of them. Whatever is not as usual – and whatever somebody else has under way at the moment – is
left to `inbox`, which processes it by itself.
"""

from collections.abc import Sequence
from contextlib import suppress
from typing import NamedTuple

from django.db import transaction

from checkout.connectors.base import MalformedEvent, OutcomeEvent, OutcomeType
from checkout.connectors.registry import connector_for
from checkout.gate import Refused, judge
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
    if len(told) < 2:
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
    """The deliveries that tell of one success and nothing else, all with as many objects at their PSPs."""
    found = []
    for receipt in receipts:
        with suppress(MalformedEvent):
            connector = connector_for(receipt.connection)
            outcomes = connector.normalize(connector.read_event(bytes(receipt.body)))
            if [outcome.type for outcome in outcomes] == [OutcomeType.PAYMENT_SUCCEEDED]:
                found.append((receipt, outcomes[0]))
    names = {len(outcome.psp_ids) for _, outcome in found}
    return [(receipt, outcome) for receipt, outcome in found if len(outcome.psp_ids) == max(names)]


def _judged(told: Sequence[tuple[WebhookReceipt, OutcomeEvent]]) -> list[_Payment]:
    """The payments that pass the gate, each of a checkout of its own that awaits success and that nobody else has."""
    ours = {pk for (pk,) in send(Statement(_LOCK, [[receipt.pk for receipt, _ in told]]))[0]}
    told = [(receipt, outcome) for receipt, outcome in told if receipt.pk in ours]
    checkouts = find_free_checkouts([(receipt.connection_id, outcome) for receipt, outcome in told])
    payments: dict[str, _Payment] = {}
    for (receipt, outcome), checkout in zip(told, checkouts, strict=True):
        if checkout is None or checkout.session_id in payments or not may_succeed(checkout):
            continue
        with suppress(Refused):
            payments[checkout.session_id] = _Payment(receipt, outcome, checkout, judge(receipt, outcome, checkout))
    return list(payments.values())
