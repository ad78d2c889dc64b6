"""The webhook inbox: authenticate, store, then process exactly once (protocol, section 1, POST /v1/webhooks/…)."""

import hashlib
import logging
from collections.abc import Iterable, Mapping
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
from checkout.sales import connection_at
from merchants.models import Connection
from rako.core.errors import NotFound
from rako.core.facts import Fact, state
from rako.core.ids import is_id
from rako.core.postgres import Statement, send
from rako.core.rows import insert_new, updating

log = logging.getLogger("rako.webhooks")

# A conversion outweighs what the other outcomes of the same event came to.
_WEIGHT = ("conversion_recorded", "clawback_recorded", "duplicate", "rejected", "unmatched", "ignored")
_KEPT_HEADERS = 40
_SECRET_HEADERS = frozenset({"authorization", "cookie", "proxy-authorization"})
_SWEEP_AFTER = timedelta(seconds=30)
_SWEEP_ATTEMPTS = 20
_PAUSE_AFTER_FAULT = timedelta(minutes=5)
_BATCH = 100
# The columns that tell how a delivery was processed, and those of them that its processing looks at.
_TOLD = (
    *("state", "processed_at", "attempts", "result", "conversion_id", "failed_check", "reason"),
    *("awaits", "retry_at"),
)
_LOOKED_AT = ("state", "attempts", "result", "conversion_id", "failed_check", "reason")
_LOCK = f"SELECT {', '.join(_LOOKED_AT)} FROM checkout_webhookreceipt WHERE id = %s FOR UPDATE"  # noqa: S608


def find_connection(kind: str, connection_id: str) -> Connection:
    """The connection a webhook address names. Raises NotFound; a disconnected one still hears of late payments."""
    found = connection_at(kind, connection_id) if is_id(connection_id) and is_known(kind) else None
    if found is None:
        raise NotFound()
    return found


def receive(connection: Connection, body: bytes, headers: Mapping[str, str]) -> tuple[WebhookReceipt, Result]:
    """Authenticate and store a delivery, then process it. Raises BadSignature or MalformedEvent, with nothing stored.

    The receipt is committed on its own: a fault while processing answers 5xx, and the event is not lost.
    """
    event = connector_for(connection).verify_webhook(body, headers, now=timezone.now())
    if event.event_id.startswith(PREFIX):  # the ids of what was answered to us are nobody else's to give
        raise MalformedEvent()
    return _process(_store(connection, event.event_id, event.event_type, body, headers=_keep(headers)))


def take_in(connection: Connection, event_id: str, event_type: str, body: bytes) -> Result:
    """Store and process what a PSP said when reconciliation asked: a delivery of it later on is a duplicate."""
    source = WebhookReceipt.Source.RECONCILIATION
    return _process(_store(connection, event_id, event_type, body, source=source), again=True)[1]


def _store(
    connection: Connection,
    event_id: str,
    event_type: str,
    body: bytes,
    *,
    headers: dict[str, str] | None = None,
    source: WebhookReceipt.Source = WebhookReceipt.Source.WEBHOOK,
) -> WebhookReceipt:
    """The statement's row, committed on its own; the one of before if it was stored before."""
    receipt = WebhookReceipt(
        connection=connection,
        event_id=event_id,
        event_type=event_type[:100],
        source=source,
        headers=headers or {},
        body=body,
        sha256=hashlib.sha256(body).hexdigest(),
    )
    if not insert_new(receipt):
        receipt = WebhookReceipt.objects.get(connection=connection, event_id=event_id)
        receipt.connection = connection
    return receipt


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
    receipt.state = WebhookReceipt.State.PROCESSED
    receipt.processed_at = timezone.now()
    receipt.attempts += 1
    receipt.result, receipt.conversion = result.status, result.conversion
    receipt.failed_check, receipt.reason = result.failed_check, result.reason[:300]
    receipt.awaits, receipt.retry_at = [], None
    if result.status == "unmatched":
        # What names our code is looked at again by the clock, too; all else only when a payment it names is known.
        await_objects(receipt, named, is_timed=bool(result.failed_check))
    send(updating(WebhookReceipt, receipt.pk, {name: getattr(receipt, name) for name in _TOLD}))
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


def _keep(headers: Mapping[str, str]) -> dict[str, str]:
    """Headers as evidence: bounded, and without what PostgreSQL text cannot hold."""
    kept = [item for item in headers.items() if item[0] not in _SECRET_HEADERS][:_KEPT_HEADERS]
    return {name: value.encode("utf-8", "backslashreplace").decode().replace("\x00", "")[:2048] for name, value in kept}
