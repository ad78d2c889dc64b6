"""What a PSP answered when it was asked, as bytes that can be kept as evidence and read again.

Reconciliation never edits what is recorded: it states an outcome that it has read at the PSP, with the merchant's
credentials, and the one processor carries it out like a delivery's.
"""

import hashlib
from datetime import datetime

import orjson

from checkout.connectors.base import MalformedEvent, OutcomeEvent, OutcomeType
from checkout.models import WebhookReceipt
from rako.core.money import Money

PREFIX = "answer:"
_OPTIONS = orjson.OPT_SORT_KEYS | orjson.OPT_UTC_Z


def answer_of(outcome: OutcomeEvent) -> tuple[str, bytes]:
    """An id for an outcome, the same whenever the PSP answers the same, and its bytes.

    When it happened is no part of the id: of a dispute's end the PSP does not say it, and each look has its own time.
    """
    money = None if outcome.money is None else [outcome.money.amount_minor, outcome.money.currency]
    told = {
        "type": outcome.type.value,
        "account_id": outcome.account_id,
        "is_live": outcome.is_live,
        "payment_ref": outcome.payment_ref,
        "psp_ids": list(outcome.psp_ids),
        "money": money,
        "metadata": dict(outcome.metadata),
        "status": outcome.status,
        "is_complete": outcome.is_complete,
        "related_ref": outcome.related_ref,
    }
    digest = hashlib.sha256(orjson.dumps(told, option=_OPTIONS)).hexdigest()
    body = orjson.dumps(told | {"occurred_at": outcome.occurred_at}, option=_OPTIONS)
    return f"{PREFIX}{outcome.type}:{digest[:32]}", body


def is_answer(receipt: WebhookReceipt) -> bool:
    """Whether a receipt's body is one of `answer_of`, and not a PSP's own event."""
    return receipt.source == WebhookReceipt.Source.RECONCILIATION and receipt.event_id.startswith(PREFIX)


def read_answer(body: bytes) -> OutcomeEvent:
    """The outcome again. Raises MalformedEvent."""
    try:
        told = orjson.loads(body)
        money = None if told["money"] is None else Money(*told["money"])
        read = {"type": OutcomeType(told["type"]), "occurred_at": datetime.fromisoformat(told["occurred_at"])}
        return OutcomeEvent(**told | read | {"money": money})
    except (orjson.JSONDecodeError, KeyError, TypeError, ValueError) as error:
        raise MalformedEvent() from error
