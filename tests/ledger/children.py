"""Processes that work on the tests' database and may be killed: what they do, and how they are started."""

import multiprocessing
import os
import resource
import signal
import threading
import time
from collections.abc import Callable
from io import StringIO
from multiprocessing.process import BaseProcess
from pathlib import Path
from typing import Any, NoReturn

import pytest
from django.conf import settings
from django.core.management import call_command
from django.db import DatabaseError, connection

from ledger.management.commands import sequencer as command
from ledger.publishing import Publisher
from ledger.sequencer import Sequencer
from rako.core.ids import new_id
from rako.core.tlog import signer
from tests.ledger.told import tell

PLACES = ("HOST", "PORT", "NAME", "USER", "PASSWORD")
_context = multiprocessing.get_context("forkserver")
_context.set_forkserver_preload(["tests.ledger.zygote"])


def start(call: Callable[..., Any], *args: Any) -> BaseProcess:
    """A process that makes this call on our database; killed at the latest when the tests end."""
    database = {name: connection.settings_dict[name] for name in PLACES}
    folders = {name: getattr(settings, name) for name in ("RAKO_DATA_DIR", "RAKO_SIGNER_DIR")}
    process = _context.Process(target=_run, args=(database, folders, call, args), daemon=True)
    process.start()
    return process


def outcome(call: Callable[..., Any], *args: Any) -> Any:
    """What the call gives in a process of its own, or the number of the signal that ended it, negative."""
    receiver, sender = _context.Pipe(duplex=False)
    process = start(_tell_parent, sender, call, *args)
    sender.close()
    try:
        return receiver.recv() if receiver.poll(60) else pytest.fail("a child process hangs")
    except EOFError:  # it said nothing
        process.join(10)
        return process.exitcode


def end(*processes: BaseProcess) -> None:
    for process in processes:
        process.kill()
        process.join(10)


def _run(database: dict[str, Any], folders: dict[str, Path], call: Callable[..., Any], args: tuple[Any, ...]) -> None:
    connection.settings_dict.update(database)
    for name, folder in folders.items():
        setattr(settings, name, folder)
    call(*args)


def _tell_parent(sender: Any, call: Callable[..., Any], *args: Any) -> None:
    sender.send(call(*args))


def die(*_: object) -> NoReturn:
    os.kill(os.getpid(), signal.SIGKILL)
    raise AssertionError("still alive")


def tick_and_die(step: str, moment: str) -> None:
    """Sequence once and be killed before or after one of its steps."""

    class Victim(Sequencer):
        def __getattribute__(self, name: str) -> Any:
            found = super().__getattribute__(name)
            return dying(found, moment) if name == step else found

    Victim().tick()


def publish_and_die(step: str) -> None:
    """Publish once and be killed before the signer remembers, before it answers, or before the answer is stored."""
    if step == "before the state":
        signer.write_state = die
    elif step == "before the reply":
        signer.NoteSigner.sign = die  # type: ignore[method-assign]
    else:
        signer.Signer.sign = dying(signer.Signer.sign, "after")  # type: ignore[method-assign]
    Publisher().publish()


def dying(call: Callable[..., Any], moment: str) -> Callable[..., Any]:
    def wrapped(*args: Any, **names: Any) -> Any:
        if moment == "before":
            die()
        call(*args, **names)
        die()

    return wrapped


def tick_for_ever() -> None:
    sequencer = Sequencer(batch=40)
    while True:
        sequencer.tick()


def sequence_for_ever() -> None:
    """The command's own loop; it survives whatever happens to the database."""
    command._sequence(threading.Event(), 0.05)


def tell_for_ever(acknowledged: Path) -> None:
    """Tell one fact after another, each until it is acknowledged, and note down the entries' ids."""
    with acknowledged.open("a") as file:
        while True:
            file.write(f"{_insist(new_id())}\n")
            file.flush()


def _insist(key: str) -> str:
    while True:
        try:
            return tell(key=key).entry_id
        except DatabaseError:
            connection.close()
            time.sleep(0.02)


def sequence_once() -> tuple[str, int]:
    """What `manage.py sequencer --once` says, and the most memory the process ever held, in MB."""
    output = StringIO()
    call_command("sequencer", once=True, stdout=output)
    return output.getvalue(), resource.getrusage(resource.RUSAGE_SELF).ru_maxrss // 1024
