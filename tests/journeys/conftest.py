"""The whole service for journeys: a live server, a worker, and a real browser."""

import os
import shutil
from collections.abc import Callable, Iterator
from threading import Thread
from typing import Any

import pytest
from django.db import connection

from rako.core.jobs import work
from tests.factories import OfferFactory

CHROMIUM = shutil.which("chromium") or shutil.which("chromium-browser") or shutil.which("google-chrome")


@pytest.fixture
def service(live_server: Any, settings: Any) -> str:
    """The address of a running server that knows its own address; a SIM of SMARTY's is to be had."""
    settings.RAKO_BASE_URL = settings.RAKO_LINK_BASE = live_server.url
    OfferFactory(merchant__name="SMARTY Ltd", provider="SMARTY", name="SMARTY 30GB")
    return str(live_server.url)


@pytest.fixture
def run_worker() -> Callable[[], None]:
    """Runs the jobs that are due, in a thread of its own as the worker process would."""

    def run() -> None:
        def idle() -> None:
            work(until_idle=True)
            connection.close()

        thread = Thread(target=idle)
        thread.start()
        thread.join(30)
        assert not thread.is_alive(), "the worker did not come to rest"

    return run


@pytest.fixture
def browser(monkeypatch: pytest.MonkeyPatch) -> Iterator[Any]:
    """Debian's Chromium, driven by Playwright. Where there is none the test is skipped, or fails if it is required."""
    if CHROMIUM is None:
        message = "NO CHROMIUM: the browser journeys did not run (install the package `chromium`)"
        if os.environ.get("RAKO_TEST_REQUIRE") == "all":
            pytest.fail(message)
        pytest.skip(message)
    from playwright.sync_api import sync_playwright

    # Playwright runs an event loop in this thread, which Django takes for an async view.
    monkeypatch.setenv("DJANGO_ALLOW_ASYNC_UNSAFE", "1")
    flags = ["--no-sandbox", "--disable-gpu", "--disable-background-networking", "--disable-component-update"]
    with sync_playwright() as playwright:
        chromium = playwright.chromium.launch(executable_path=CHROMIUM, args=flags)
        yield chromium
        chromium.close()
        # Django keeps connections by event loop too: the one used beside Playwright's is closed while its loop runs.
        connection.close()
