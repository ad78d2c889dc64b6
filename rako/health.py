"""Whether the service is up, and whether it is ready (protocol, section 1)."""

from datetime import timedelta
from typing import Any

from django.conf import settings
from django.db import DatabaseError, connection
from django.utils import timezone
from drf_spectacular.utils import extend_schema
from procrastinate.contrib.django.models import ProcrastinateWorker
from rest_framework import serializers
from rest_framework.request import Request
from rest_framework.response import Response

from ledger.sequencer import lag
from rako.core.api_views import PublicView
from rako.core.errors import Unavailable
from rako.core.openapi import raises
from rako.core.wire import WireSerializer

_WORKER_SILENCE = timedelta(seconds=60)
_SEQUENCER_SILENCE = 10.0  # seconds


class NotReady(Unavailable):
    code, message = "not_ready", "Not ready"


class HealthReply(WireSerializer):
    status = serializers.ChoiceField(choices=["ok"])
    version = serializers.CharField()
    protocol = serializers.ChoiceField(choices=["AAP"])


class ReadyReply(WireSerializer):
    status = serializers.ChoiceField(choices=["ok"])
    database = serializers.ChoiceField(choices=["ok"])
    worker = serializers.ChoiceField(choices=["ok"])
    sequencer = serializers.ChoiceField(choices=["ok"])


class HealthView(PublicView):
    """GET /health: the process answers. Touches nothing else."""

    @extend_schema(operation_id="health", summary="Liveness", responses=HealthReply)
    def get(self, request: Request) -> Response:
        return Response({"status": "ok", "version": settings.RAKO_VERSION, "protocol": "AAP"})


class ReadyView(PublicView):
    """GET /health/ready: 200 when the database answers, a worker is alive and the log keeps up, else 503 naming what
    is not."""

    @raises(NotReady("Not ready: worker"))
    @extend_schema(operation_id="ready", summary="Readiness", responses=ReadyReply)
    def get(self, request: Request) -> Response:
        parts = _parts()
        ready = all(state == "ok" for state in parts.values())
        body: dict[str, Any] = {"status": "ok" if ready else "unavailable", **parts}
        if ready:
            return Response(body)
        failed = ", ".join(name for name, state in parts.items() if state != "ok")
        raise NotReady(f"Not ready: {failed}")


def _parts() -> dict[str, str]:
    try:
        connection.ensure_connection()
        seen = timezone.now() - _WORKER_SILENCE
        worker = ProcrastinateWorker.objects.filter(last_heartbeat__gt=seen).exists()
        _, waiting = lag()
    except DatabaseError:
        return {"database": "unavailable", "worker": "unknown", "sequencer": "unknown"}
    # Entries wait a fraction of a second for their place in the log, unless no sequencer runs.
    return {
        "database": "ok",
        "worker": "ok" if worker else "missing",
        "sequencer": "ok" if waiting < _SEQUENCER_SILENCE else f"{waiting:.0f} s behind",
    }
