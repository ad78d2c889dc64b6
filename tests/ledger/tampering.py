"""A log to tamper with, and the hands to do it: what a superuser of the database can do, whatever guards it."""

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest
from django.db import connection, transaction
from django.test import override_settings
from django.utils import timezone

from ledger.lifecycle import Kind, Told, tell
from ledger.models import Checkpoint, Conversion, Evidence
from ledger.publishing import Publisher
from ledger.reports import Report, report_conversion
from ledger.sequencer import Sequencer
from rako.core.append_only import GUARDED_TABLES
from rako.core.facts import Fact, Posting, state
from rako.core.ids import new_id
from tests.factories import AgentFactory, OfferFactory, RecommendationFactory
from tests.ledger.log import sell

MERCHANT, AGENT, BUILDER = (new_id() for _ in range(3))
LEDGER = [*sorted(table for table in GUARDED_TABLES if table.startswith("ledger_")), "ledger_balance"]


@pytest.fixture(scope="module")
def log(django_db_setup: None, django_db_blocker: Any, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Path]:
    """One log for all tests of a module, never committed. Gives the signer's folder."""
    folder = tmp_path_factory.mktemp("log") / "signer"
    with django_db_blocker.unblock(), override_settings(RAKO_SIGNER_DIR=folder), transaction.atomic():
        make_log()
        guards_in_force()
        yield folder
        transaction.set_rollback(True)


@pytest.fixture
def signer(log: Path, db: None, settings: Any) -> Path:
    """The log, to be tampered with: `db` undoes what the test does."""
    settings.RAKO_SIGNER_DIR = log
    return log


def make_log(count: int = 280) -> None:
    """Sales with all that may happen to them, and then small facts: a whole tile, several heads and checkpoints."""
    paid, refunded = (sell(AgentFactory(), OfferFactory()) for _ in range(2))
    reported = RecommendationFactory()
    report_conversion(reported.offer.merchant, Report(reported.session_id, "order-7", 10))
    happen(paid, Kind.VALIDATED, "end", timedelta(days=90))
    happen(refunded, Kind.REFUNDED, "re_1", amount_minor=400)
    sequence()
    for first in range(0, count, 70):
        tell_small(range(first, first + 70))
        sequence()


def happen(conversion: Conversion, kind: Kind, reference: str, after: timedelta = timedelta(), **values: Any) -> None:
    paid = Evidence.objects.get(conversion=conversion)
    tell(conversion.merchant_id, Told(kind, paid.reference, reference, timezone.now() + after, **values))


def tell_small(numbers: range) -> None:
    """Facts with openings, in streams of three; the first of each moves money."""
    stream_id = new_id()
    for number in numbers:
        stream_id = stream_id if number % 3 else new_id()
        lines = [("merchant_accrued", MERCHANT, 800), ("builder_pending", BUILDER, -640), ("fee_pending", "", -160)]
        fact = Fact(
            stream_id=stream_id,
            kind="test.told",
            facts={"merchant_id": MERCHANT, "number": number, "text": "£ und ü", "parts": {"of": [1, None, True]}},
            for_merchant={"reference": f"pi_{number}"},
            for_agent={"agent_id": AGENT, "builder_id": BUILDER},
            postings=[] if number % 3 else [Posting(account, owner, "GBP", amount) for account, owner, amount in lines],
            merchant_id=MERCHANT,
            agent_id=AGENT,
            occurred_at=timezone.now(),
            idempotency_key=new_id(),
        )
        state(fact)


def sequence() -> Checkpoint:
    """Take everything into the log, and sign it."""
    Sequencer().tick()
    checkpoint = Publisher().publish()
    assert checkpoint is not None
    return checkpoint


def guards_in_force() -> None:
    """The tests' liberty with TRUNCATE is taken back, as it is in production."""
    with connection.cursor() as cursor:
        cursor.execute("SET CONSTRAINTS ALL IMMEDIATE")
        for table in sorted(GUARDED_TABLES):
            cursor.execute(f"ALTER TABLE {table} ENABLE ALWAYS TRIGGER {table}_no_truncate")


@contextmanager
def undone() -> Iterator[None]:
    """Whatever is done in the block is undone after it."""
    with transaction.atomic():
        yield
        transaction.set_rollback(True)


def as_superuser(*deeds: str | Callable[[], Any]) -> None:
    """Lift every guard of the ledger's tables, do it, and put them back as they were."""
    with connection.cursor() as cursor:
        cursor.execute("SET CONSTRAINTS ALL IMMEDIATE")
        cursor.execute(
            "SELECT tgrelid::regclass::text, tgname FROM pg_trigger "
            "WHERE tgenabled = 'A' AND tgrelid = ANY(%s::regclass[])",
            [LEDGER],
        )
        always = cursor.fetchall()
        for table in LEDGER:
            cursor.execute(f"ALTER TABLE {table} DISABLE TRIGGER ALL")
        for deed in deeds:
            cursor.execute(deed) if isinstance(deed, str) else deed()
        for table in LEDGER:
            cursor.execute(f"ALTER TABLE {table} ENABLE TRIGGER ALL")
        for table, trigger in always:
            cursor.execute(f"ALTER TABLE {table} ENABLE ALWAYS TRIGGER {trigger}")


def rows(sql: str, *values: Any) -> list[tuple[Any, ...]]:
    with connection.cursor() as cursor:
        cursor.execute(sql, values or None)
        return list(cursor.fetchall())
