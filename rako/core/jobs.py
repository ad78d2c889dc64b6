"""The background worker over procrastinate's jobs in PostgreSQL."""

from typing import Any, cast

from django.db import connection
from procrastinate.contrib.django import app
from procrastinate.contrib.django.db_cleanup import DjangoApp
from procrastinate.contrib.django.django_connector import DjangoConnector
from procrastinate.periodic import PeriodicRegistry


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
    twin = worker_app()
    if until_idle:
        twin.periodic_registry = PeriodicRegistry()
    defaults: dict[str, Any] = {"concurrency": 4, "delete_jobs": "successful", "fetch_job_polling_interval": 1.0}
    twin.run_worker(**defaults | {"wait": not until_idle, "install_signal_handlers": not until_idle} | options)
