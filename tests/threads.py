"""Racing: the same call from many threads at once, each with a database connection of its own."""

from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from threading import Barrier
from typing import Any

from django.db import connection


def race(call: Callable[[int], Any], times: int = 8) -> list[Any]:
    """The results, or the exceptions raised, in no particular order."""
    barrier = Barrier(times)

    def run(number: int) -> Any:
        barrier.wait()
        try:
            return call(number)
        except Exception as error:
            return error
        finally:
            connection.close()

    with ThreadPoolExecutor(times) as pool:
        return list(pool.map(run, range(times)))
