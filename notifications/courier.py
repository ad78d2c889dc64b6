"""The part of a worker that follows the log and delivers: one thread that talks to the database, many that send."""

import contextlib
import logging
import threading
from collections.abc import Iterator
from concurrent.futures import Future, ThreadPoolExecutor

from django.db import DatabaseError, InterfaceError, connection

from notifications.addresses import Resolver, resolve
from notifications.delivering import SENDERS, Sent, claim, report, send
from notifications.dispatching import follow_log
from notifications.replaying import replay

log = logging.getLogger("rako.webhooks.out")

_IDLE_SECONDS = 0.5
_PAUSE_SECONDS = 2.0


class Courier:
    """Turns new entries into messages and sends what is due. Any number may run, in as many processes."""

    def __init__(self, *, senders: int = SENDERS, resolver: Resolver = resolve) -> None:
        self._senders, self._resolver = senders, resolver
        self._pool = ThreadPoolExecutor(senders, thread_name_prefix="webhook")
        self._flying: set[Future[Sent]] = set()
        self._woken = threading.Event()
        self._stopped = threading.Event()

    def run(self) -> None:
        """Work until told to stop; then wait for what is on its way, and note what came of it."""
        while not self._stopped.is_set():
            try:
                if not self.turn():
                    self._woken.wait(_IDLE_SECONDS)
            except (DatabaseError, InterfaceError) as error:
                # It went away, as in a restart. What was claimed is sent again by whoever comes after its lease.
                log.warning("webhooks wait for the database: %s", error.__class__.__name__)
                connection.close()
                self._stopped.wait(_PAUSE_SECONDS)
            except Exception:  # a bug: said again and again, rather than webhooks that end without a word
                log.exception("webhooks are held up")
                self._stopped.wait(_PAUSE_SECONDS)
        self._pool.shutdown()
        with contextlib.suppress(DatabaseError, InterfaceError):
            self._report()
        connection.close()

    def turn(self) -> bool:
        """Report, follow the log, claim and hand out, once; whether there was anything to do."""
        self._woken.clear()
        was_busy = self._report()
        was_busy |= self._follow()
        free = self._senders - len(self._flying)
        claimed = claim(free) if free else []
        for each in claimed:
            flight = self._pool.submit(send, each, resolver=self._resolver)
            self._flying.add(flight)
            flight.add_done_callback(lambda _: self._woken.set())
        return was_busy or bool(claimed)

    def _follow(self) -> bool:
        """What cannot be made into messages must not hold up those that are made: it is said, and tried again."""
        try:
            return follow_log() + replay() > 0
        except (DatabaseError, InterfaceError):
            raise
        except Exception:
            log.exception("the log cannot be followed any further")
            return False

    def stop(self) -> None:
        """Take nothing on any more. Comes back at once."""
        self._stopped.set()
        self._woken.set()

    def _report(self) -> bool:
        landed = {flight for flight in self._flying if flight.done()}
        report([flight.result() for flight in landed])
        self._flying -= landed
        return bool(landed)


@contextlib.contextmanager
def delivering() -> Iterator[None]:
    """Deliver in the background for as long as the block lasts."""
    courier = Courier()
    thread = threading.Thread(target=courier.run, name="courier")
    thread.start()
    try:
        yield
    finally:
        courier.stop()
        thread.join()
