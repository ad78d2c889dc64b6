"""The webhook inbox: authenticate, store, then process exactly once (protocol, section 1, POST /v1/webhooks/…)."""

import logging
from collections.abc import Iterable, Mapping, Sequence
from datetime import timedelta

from django.db import transaction
from django.db.models import F
from django.utils import timezone

from checkout.answers import PREFIX, is_answer, read_answer
from checkout.connectors.base import MalformedEvent
from checkout.connectors.registry import connector_for, is_known
from checkout.matching import PATIENCE, await_objects
from checkout.models import WebhookReceipt
from checkout.outcomes import Result, apply_outcome
from checkout.receipts import new_receipt, settle, store_new, stored, telling
from checkout.sales import connection_at
from checkout.usual import process_usual
from merchants.models import Connection
from rako.core.errors import NotFound
from rako.core.facts import Fact, state
from rako.core.ids import is_id
from rako.core.postgres import Statement, send
from rako.core.together import Together

log = logging.getLogger("rako.webhooks")

# A conversion outweighs what the other outcomes of the same event came to.
_WEIGHT = ("conversion_recorded", "clawback_recorded", "duplicate", "rejected", "unmatched", "ignored")
_SWEEP_AFTER = timedelta(seconds=30)
_SWEEP_ATTEMPTS = 20
_PAUSE_AFTER_FAULT = timedelta(minutes=5)
_BATCH = 100
# Deliveries that are processed together: more would make each other wait.
_AT_ONCE = 16
# The columns that processing looks at.
_LOOKED_AT = ("state", "attempts", "result", "conversion_id", "failed_check", "reason")
_LOCK = f"SELECT {', '.join(_LOOKED_AT)} FROM checkout_webhookreceipt WHERE id = %s FOR UPDATE"  # noqa: S608


def find_connection(kind: str, connection_id: str) -> Connection:
    """The connection a webhook address names. Raises NotFound; a disconnected one still hears of late payments."""
    found = connection_at(kind, connection_id) if is_id(connection_id) and is_known(kind) else None
    if found is None:
        raise NotFound()
    return found


def receive(connection: Connection, body: bytes, headers: Mapping[str, str]) -> Result:
    """Authenticate and store a delivery, then process it. Raises BadSignature or MalformedEvent, with nothing stored.

    The receipt is committed on its own: a fault while processing answers 5xx, and the event is not lost. Payments as
    they usually go are processed with those that come at the same time; whatever else there is to do, a delivery does
    by itself, so that it holds up nobody.
    """
    event = connector_for(connection).verify_webhook(body, headers, now=timezone.now())
    if event.event_id.startswith(PREFIX):  # the ids of what was answered to us are nobody else's to give
        raise MalformedEvent()
    receipt = new_receipt(connection, event.event_id, event.event_type, body, headers=headers)
    return _take_in(receipt) or _process(stored(receipt))[1]


def take_in_usual(receipts: Sequence[WebhookReceipt]) -> list[Result | None]:
    """Store new deliveries, and process those of them that are as usual; None for each that is left to do."""
    try:
        done = process_usual(store_new(receipts))
    except Exception:  # a fault in one is no fault of the others: each finds out for itself
        log.warning("webhooks that came at the same time are processed one by one", exc_info=True)
        done = {}
    return [done.get(receipt.pk) for receipt in receipts]


_take_in = Together(take_in_usual, most=_AT_ONCE)


def take_in(connection: Connection, event_id: str, event_type: str, body: bytes) -> Result:
    """Store and process what a PSP said when reconciliation asked: a delivery of it later on is a duplicate."""
    source = WebhookReceipt.Source.RECONCILIATION
    receipt = stored(new_receipt(connection, event_id, event_type, body, source=source))
    return _process(receipt, again=True)[1]


def process(receipt_id: str, *, again: bool = False) -> tuple[WebhookReceipt, Result]:
    """Process a stored delivery once, whoever else tries at the same time. `again` repeats one that was processed:
    harmless, since a payment is attributed once, and useful after a refusal whose cause is gone.
    """
    return _process(WebhookReceipt.objects.select_related("connection").get(pk=receipt_id), again=again)


@transaction.atomic
def _process(receipt: WebhookReceipt, *, again: bool = False) -> tuple[WebhookReceipt, Result]:
    [[told]] = send(Statement(_LOCK, [receipt.pk]))
    for name, value in zip(_LOOKED_AT, told, strict=True):
        setattr(receipt, name, value)
    if receipt.state == WebhookReceipt.State.PROCESSED and (not again or receipt.conversion_id):
        return receipt, Result("duplicate", receipt.conversion, receipt.failed_check, receipt.reason)
    result, named = _carry_out(receipt)
    _tell(receipt, result)
    settle(receipt, result)
    if result.status == "unmatched":
        # What names our code is looked at again by the clock, too; all else only when a payment it names is known.
        await_objects(receipt, named, is_timed=bool(result.failed_check))
    send(telling(receipt))
    return receipt, result


def process_again(receipt_ids: list[str]) -> int:
    """Process deliveries again whose cause of refusal may be gone; returns how many could be. Safe to repeat."""
    return _each(receipt_ids, again=True)


def sweep() -> int:
    """Process deliveries that a fault left behind, and unmatched ones whose pause is over; returns how many could be.

    Safe to repeat and to run in parallel. What was still not matched after `PATIENCE` is left to people.
    """
    now = timezone.now()
    left = WebhookReceipt.objects.filter(
        state="received", received_at__lt=now - _SWEEP_AFTER, attempts__lt=_SWEEP_ATTEMPTS
    )
    paused = WebhookReceipt.objects.filter(result="unmatched", retry_at__lte=now, received_at__gt=now - PATIENCE)
    done = _each(left.order_by("received_at").values_list("pk", flat=True)[:_BATCH])
    return done + _each(paused.order_by("retry_at").values_list("pk", flat=True)[:_BATCH], again=True)


def _each(receipt_ids: Iterable[str], *, again: bool = False) -> int:
    done = 0
    for receipt_id in list(receipt_ids):
        try:
            process(receipt_id, again=again)
            done += 1
        except Exception:  # one broken delivery must not hold up the rest; it is counted, logged and kept
            log.exception("webhook %s could not be processed", receipt_id)
            later = timezone.now() + _PAUSE_AFTER_FAULT
            WebhookReceipt.objects.filter(pk=receipt_id).update(attempts=F("attempts") + 1, retry_at=later)
    return done


def _carry_out(receipt: WebhookReceipt) -> tuple[Result, list[str]]:
    """What the event's outcomes come to, and the objects at the PSP that they name."""
    try:
        if is_answer(receipt):
            outcomes = [read_answer(bytes(receipt.body))]
        else:
            connector = connector_for(receipt.connection)
            outcomes = connector.normalize(connector.read_event(bytes(receipt.body)))
    except MalformedEvent as error:
        return Result("rejected", failed_check="authentic", reason=str(error)), []
    results = [apply_outcome(receipt, outcome) for outcome in outcomes]
    result = min(results, key=lambda result: _WEIGHT.index(result.status), default=Result("ignored"))
    return result, [psp_id for outcome in outcomes for psp_id in outcome.psp_ids]


def _tell(receipt: WebhookReceipt, result: Result) -> None:
    """A refusal is a fact, and enters the ledger once for each reason; and so is that a refused payment matched."""
    was_refused = receipt.result in ("unmatched", "rejected")
    if result.failed_check:
        _state(receipt, f"payment.{result.status}", result, key=f":{result.failed_check}")
    elif was_refused and result.conversion is not None:
        _state(receipt, "payment.matched", result)


def _state(receipt: WebhookReceipt, kind: str, result: Result, *, key: str = "") -> None:
    """Append to the receipt's own stream: it shows how unmatched evidence moves (`ledger.lifecycle.MOVES`)."""
    facts = {"merchant_id": receipt.connection.merchant_id}
    conversion = result.conversion
    facts |= {"failed_check": result.failed_check} if conversion is None else {"conversion_id": conversion.pk}
    state(
        Fact(
            stream_id=receipt.pk,
            kind=kind,
            facts=facts,
            for_merchant={"event_id": receipt.event_id, "reason": result.reason},
            evidence_sha256=receipt.sha256,
            occurred_at=receipt.received_at if conversion is None else timezone.now(),
            idempotency_key=f"{kind}:{receipt.pk}{key}",
            merchant_id=receipt.connection.merchant_id,
            agent_id=None if conversion is None else conversion.agent_id,
        )
    )
