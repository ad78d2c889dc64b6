"""One server for all tests of this folder."""

from collections.abc import Iterator

import pytest

from tests.live import LiveRako, serve


@pytest.fixture(scope="package")
def live_rako() -> Iterator[LiveRako]:
    with serve() as served:
        yield served
