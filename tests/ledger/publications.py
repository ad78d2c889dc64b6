"""The steps of publishing that tests take: a log that grows, is signed, is set back, is overtaken."""

from pathlib import Path
from typing import Any

import pytest
from django.conf import LazySettings

from ledger.models import Checkpoint
from ledger.publishing import Publisher
from ledger.sequencer import Sequencer
from tests.ledger.told import as_owner, drain, tell_many

ORIGIN = "rako.sh/ledger"
GUARDS = tuple(f"ledger_{table}.ledger_{table}_no_change" for table in ("leaf", "head", "checkpoint"))


def configure(settings: LazySettings, folder: Path) -> None:
    """A signer of the test's own, whom nobody watches."""
    settings.RAKO_SIGNER_DIR = folder / "signer"
    settings.RAKO_LEDGER_ORIGIN = ORIGIN
    settings.RAKO_WITNESSES = []
    settings.RAKO_CHECKPOINT_EXPORT = ""


def grow(count: int = 1) -> None:
    """So many more entries in the log, as one head."""
    tell_many(count)
    drain(Sequencer())


def published(count: int = 1) -> Checkpoint:
    grow(count)
    checkpoint = Publisher().publish()
    assert checkpoint is not None
    return checkpoint


def set_back(size: int) -> None:
    """What a backup of then would bring back: the newer part of the log is gone, entries and all."""
    as_owner(
        f"DELETE FROM ledger_checkpoint WHERE size > {size}",
        f"DELETE FROM ledger_head WHERE size > {size}",
        f"CREATE TEMP TABLE gone AS SELECT entry_id FROM ledger_leaf WHERE index >= {size}",
        f"DELETE FROM ledger_leaf WHERE index >= {size}",
        "DELETE FROM ledger_posting WHERE entry_id IN (TABLE gone)",
        "DELETE FROM ledger_entry WHERE id IN (TABLE gone)",
        "DROP TABLE gone",
        guards=(*GUARDS, "ledger_entry.ledger_entry_no_change", "ledger_posting.ledger_posting_no_change"),
    )


def overtake(monkeypatch: pytest.MonkeyPatch, owner: type, name: str) -> None:
    """Just before the next call of a method, another process has three more entries signed and cosigned."""
    honest = getattr(owner, name)
    call = honest.fget if isinstance(honest, property) else honest

    def late(*args: Any, **names: Any) -> Any:
        monkeypatch.setattr(owner, name, honest)
        published(3)
        return call(*args, **names)

    monkeypatch.setattr(owner, name, property(late) if isinstance(honest, property) else late)
