"""Jobs live and die with the transaction that defers them, and the worker does them."""

import pytest
from django.core.management import call_command
from django.db import connection, transaction
from procrastinate.contrib.django import app
from procrastinate.contrib.django.models import ProcrastinateJob, ProcrastinateWorker
from procrastinate.exceptions import AlreadyEnqueued

from checkout.tasks import sweep_inbox
from rako.core.jobs import work, worker_app


@pytest.fixture(autouse=True)
def _no_jobs(db):
    """The queue's tables are not Django's to empty between tests."""
    with connection.cursor() as cursor:
        cursor.execute("DELETE FROM procrastinate_events")
        cursor.execute("DELETE FROM procrastinate_jobs")


@pytest.fixture
def ended_sessions(transactional_db):
    """A worker's threads keep their database sessions until its process ends; here they must not outlive the test."""
    yield
    with connection.cursor() as cursor:
        cursor.execute(
            "SELECT pg_terminate_backend(pid, 5000) FROM pg_stat_activity "
            "WHERE datname = current_database() AND pid <> pg_backend_pid()"
        )


def waiting():
    return ProcrastinateJob.objects.filter(status="todo").count()


def test_a_job_is_there_once_its_transaction_commits():
    with transaction.atomic():
        sweep_inbox.defer(timestamp=0)

    assert waiting() == 1


def test_a_job_vanishes_with_its_transaction():
    with transaction.atomic():
        sweep_inbox.defer(timestamp=0)
        transaction.set_rollback(True)

    assert waiting() == 0


def test_the_same_sweep_is_not_queued_twice():
    sweep_inbox.defer(timestamp=0)

    with pytest.raises(AlreadyEnqueued), transaction.atomic():
        sweep_inbox.defer(timestamp=1)


def test_the_worker_does_what_is_due_and_is_gone(ended_sessions):
    sweep_inbox.defer(timestamp=0)

    work(until_idle=True)

    # Successful jobs are deleted.
    assert (ProcrastinateJob.objects.count(), ProcrastinateWorker.objects.count()) == (0, 0)


def test_a_failed_job_is_kept_and_spoils_no_other(ended_sessions):
    app.configure_task("no.such.task", allow_unknown=True).defer()
    sweep_inbox.defer(timestamp=0)

    call_command("worker", "--until-idle")

    assert list(ProcrastinateJob.objects.values_list("task_name", "status")) == [("no.such.task", "failed")]


def test_the_worker_fetches_over_its_own_connector_and_knows_every_task(transactional_db):
    before = app.connector

    twin = worker_app()

    assert (app.connector is before, twin.connector is before) == (True, False)
    assert {"checkout.tasks.sweep_inbox", "checkout.tasks.recover_checkouts"} <= set(twin.tasks)
