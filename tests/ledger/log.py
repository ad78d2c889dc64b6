"""Sales as they really happen, and the log that is published over them, for tests."""

from pathlib import Path
from typing import Any

from django.db import connection
from django.test import override_settings
from django.utils import timezone

from ledger.models import Checkpoint, Conversion
from ledger.publishing import Publisher
from ledger.sequencer import Sequencer
from merchants.models import Offer
from rako.core.facts import Appended, Fact, state
from rako.core.ids import new_id
from sessions_app.models import Agent
from sessions_app.recommend import record_recommendation
from tests.checkout.psp import checkout_of, deliver, paid_event
from tests.factories import SessionFactory


def sell(agent: Agent, offer: Offer) -> Conversion:
    """The agent recommends, the buyer pays, and the PSP's event makes the conversion."""
    session = SessionFactory(agent=agent)
    recommendation, *_ = record_recommendation(agent, session_id=session.pk, offer_id=offer.pk)
    checkout = checkout_of(recommendation)
    told = deliver(checkout.connection, paid_event(checkout))
    assert told.status_code == 200, told.content
    return Conversion.objects.get(pk=told.json()["conversionId"])


def append(**changes: Any) -> Appended:
    """Some entry."""
    fields: dict[str, Any] = {
        "stream_id": new_id(),
        "kind": "test.fact",
        "facts": {},
        "occurred_at": timezone.now(),
        "idempotency_key": new_id(),
    }
    return state(Fact(**fields | changes))


def append_many(count: int) -> None:
    """Entries of no meaning, at once."""
    nonce = "0" * 32
    with connection.cursor() as cursor:
        cursor.execute(
            "SELECT ledger_append(id, id, 'test.fact', '{}', %s, now(), id, NULL, NULL, NULL, NULL, NULL, '{}', '{}', "
            "'{}', '{}') FROM unnest(%s::text[]) AS id",
            [nonce, [new_id() for _ in range(count)]],
        )


def publish_log(folder: Path) -> Checkpoint:
    """Sequence what is committed and sign it, by the signer in a folder."""
    with override_settings(RAKO_SIGNER_DIR=folder):
        Sequencer().tick()
        checkpoint = Publisher().publish()
    assert checkpoint is not None
    return checkpoint
