"""What a search costs with its entry and without, in this process and by turns."""

import time
from collections.abc import Callable

from django.utils import timezone

from benchmarks.sales import Parties
from sessions_app.models import Session
from sessions_app.search import WINDOW, create_session, parse_query

_ROUND = 50


def search_ms(rounds: int) -> tuple[float, float]:
    """Milliseconds of a session alone and of one with its entry: the best of many rounds each."""
    agent, query = Parties.of_the_demo().agent, parse_query({"vertical": "sim"})

    def bare() -> None:
        now = timezone.now()
        Session.objects.create(agent=agent, query=query.as_asked(), created_at=now, expires_at=now + WINDOW)

    def stated() -> None:
        create_session(agent, query)

    taken = [(_time(bare), _time(stated)) for _ in range(rounds)]
    return min(alone for alone, _ in taken), min(together for _, together in taken)


def _time(work: Callable[[], None]) -> float:
    started = time.perf_counter()
    for _ in range(_ROUND):
        work()
    return (time.perf_counter() - started) / _ROUND * 1000
