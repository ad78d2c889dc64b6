import pytest
from django.conf import settings
from django.db import connection

from rako.core.ids import new_id


def worker(seconds_ago):
    """A worker of the queue, as it registers itself, that was heard of so long ago."""
    with connection.cursor() as cursor:
        cursor.execute("SELECT procrastinate_register_worker_v1()")
        cursor.execute(
            "UPDATE procrastinate_workers SET last_heartbeat = now() - make_interval(secs => %s)", [seconds_ago]
        )


def test_the_process_answers_without_database_or_key(as_stranger):
    reply = as_stranger.get("/health")

    body = {"status": "ok", "version": settings.RAKO_VERSION, "protocol": "AAP"}
    assert (reply.status_code, reply.json()) == (200, body)


@pytest.mark.django_db
def test_without_a_worker_the_service_is_not_ready(as_stranger):
    reply = as_stranger.get("/health/ready")

    assert (reply.status_code, reply.json()) == (503, {"error": "Not ready: worker"})
    assert reply["X-Error-Code"] == "not_ready"


@pytest.mark.django_db
def test_with_a_worker_it_is(as_stranger):
    worker(0)

    reply = as_stranger.get("/health/ready")

    assert (reply.status_code, reply.json()) == (
        200,
        {"status": "ok", "database": "ok", "worker": "ok", "sequencer": "ok"},
    )


@pytest.mark.django_db
@pytest.mark.parametrize(("seconds", "status"), [(55, 200), (65, 503)])
def test_a_worker_counts_for_a_minute_after_its_last_sign(as_stranger, seconds, status):
    worker(seconds)

    assert as_stranger.get("/health/ready").status_code == status


@pytest.mark.django_db
@pytest.mark.parametrize("path", ["/health", "/health/ready"])
def test_health_is_read_only(as_stranger, path):
    assert as_stranger.post(path).status_code == 405


@pytest.mark.django_db
def test_a_log_that_does_not_keep_up_is_told(as_stranger):
    worker(0)
    with connection.cursor() as cursor:  # an entry of long ago: only the guard's owner can make one
        cursor.execute("ALTER TABLE ledger_entry DISABLE TRIGGER ledger_entry_stamp")
        cursor.execute(
            "INSERT INTO ledger_entry"
            " (entry_id, stream_id, stream_seq, kind, idempotency_key, occurred_at, recorded_at, body)"
            " VALUES (%s, %s, 1, 'test.fact', 'x', now(), now() - interval '15 s', '')",
            [new_id(), new_id()],
        )

    reply = as_stranger.get("/health/ready")

    assert (reply.status_code, reply.json()) == (503, {"error": "Not ready: sequencer"})
