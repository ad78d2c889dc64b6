"""The background worker over procrastinate's jobs in PostgreSQL."""

import logging
import time
from typing import Any, cast

from django.db import DatabaseError, connection
from procrastinate.contrib.django import app
from procrastinate.contrib.django.db_cleanup import DjangoApp
from procrastinate.contrib.django.django_connector import DjangoConnector
from procrastinate.exceptions import ConnectorException
from procrastinate.periodic import PeriodicRegistry

log = logging.getLogger("rako.worker")

_PAUSE_SECONDS = 2


def worker_app() -> DjangoApp:
    """A twin of the Django app with the same tasks, for fetching jobs over a connection of its own.

    The Django app itself keeps deferring through Django's connection, inside the worker too: a job deferred by a
    task commits or vanishes with that task's transaction. (Replacing the connector, as the library's own command
    does, would lose that.)
    """
    connection.ensure_connection()  # starts the embedded server if that is what we run on
    connector = cast(DjangoConnector, app.connector).get_worker_connector()
    connection.close()
    twin = DjangoApp(connector=connector)
    twin.tasks = app.tasks
    twin.periodic_registry = app.periodic_registry
    return twin


def work(*, until_idle: bool = False, **options: Any) -> None:
    """Run jobs until a signal comes or, with `until_idle`, until none is due; periodic ones only in the former case."""
    defaults: dict[str, Any] = {"concurrency": 4, "delete_jobs": "successful", "fetch_job_polling_interval": 1.0}
    if until_idle:
        twin = worker_app()
        twin.periodic_registry = PeriodicRegistry()  # type: ignore[no-untyped-call]
        twin.run_worker(**defaults | {"wait": False, "install_signal_handlers": False} | options)
        return
    while True:
        try:
            worker_app().run_worker(**defaults | options)
            return  # a signal came
        except (ConnectorException, DatabaseError) as error:
            # The database went away, as in a restart: what was claimed is taken up again by whoever comes next.
            log.warning("the worker lost the database and tries again: %s", error.__class__.__name__)
            connection.close()
            time.sleep(_PAUSE_SECONDS)
