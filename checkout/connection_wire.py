"""A merchant's connections as they appear on the wire. Secrets come in and never go out."""

import re
from typing import Any

from django.conf import settings
from rest_framework import serializers

from checkout.connections.rotation import takes_secret
from merchants.models import Connection
from rako.core.wire import FlagField, InstantField, ObjectField, TextField, WireSerializer, instant

Status = Connection.Status
_CAPITAL = re.compile("([A-Z])")
_SECRET_PATH = "POST /v1/connections/{id}/webhook-secret"  # noqa: S105 - an address


class ConnectBody(WireSerializer):
    required_together = ("kind",)
    kind = TextField(
        max_length=20, one_of=("stripe", "hyperswitch", "sandbox"), help_text="`sandbox` in sandbox mode only."
    )
    credentials = ObjectField(
        max_bytes=2048,
        required=False,
        help_text="stripe: {apiKey}, a restricted key. hyperswitch: {apiKey, profileId}. sandbox: none.",
    )
    account_id = TextField(
        max_length=64,
        required=False,
        help_text="stripe: optional, compared with the key's account. hyperswitch: the merchant id.",
    )
    webhook_secret = TextField(
        max_length=300, required=False, help_text="May follow later: until then the connection is pending."
    )


class WebhookSecretBody(WireSerializer):
    required_together = ("webhook_secret",)
    webhook_secret = TextField(max_length=300, help_text="The secret that the processor signs with from now on.")
    drop_old = FlagField(
        required=False, help_text="Forget the secret before it at once, rather than accept both while it is rotated."
    )


class ConnectionReply(WireSerializer):
    id = serializers.CharField()
    kind = serializers.CharField()
    mode = serializers.ChoiceField(choices=["key", "connect"])
    account_id = serializers.CharField()
    is_live = serializers.BooleanField()
    status = serializers.ChoiceField(choices=[str(status) for status in Status])
    webhook_address = serializers.CharField(help_text="Where the processor is to send its events.")
    webhook_secrets = serializers.IntegerField(help_text="How many are accepted: two while one is rotated.")
    connected_at = InstantField()
    disconnected_at = InstantField(required=False)
    next_step = serializers.CharField(required=False, help_text="What is to be done before it sells.")


class ConnectionsReply(WireSerializer):
    connections = ConnectionReply(many=True)
    count = serializers.IntegerField()


def credentials_of(asked: dict[str, Any]) -> dict[str, Any]:
    """The credentials of a ConnectBody under our names; either spelling is accepted, as everywhere."""
    return {_CAPITAL.sub(r"_\1", name).lower(): value for name, value in asked.get("credentials", {}).items()}


def webhook_address(connection: Connection) -> str:
    """Where the processor sends its events: the connection's own address, or the platform's."""
    own = "" if connection.mode == Connection.Mode.CONNECT else f"/{connection.pk}"
    return f"{settings.RAKO_BASE_URL}/v1/webhooks/{connection.kind}{own}"


def connection_wire(connection: Connection) -> dict[str, Any]:
    """A connection for its merchant."""
    reply: dict[str, Any] = {
        "id": connection.pk,
        "kind": connection.kind,
        "mode": connection.mode,
        "accountId": connection.account_id,
        "isLive": connection.is_live,
        "status": connection.status,
        "webhookAddress": webhook_address(connection),
        "webhookSecrets": len(connection.webhook_secrets) if takes_secret(connection) else 0,
        "connectedAt": instant(connection.connected_at),
    }
    if connection.disconnected_at is not None:
        reply["disconnectedAt"] = instant(connection.disconnected_at)
    if step := _next_step(connection):
        reply["nextStep"] = step
    return reply


def _next_step(connection: Connection) -> str:
    if connection.status == Status.PENDING:
        path = _SECRET_PATH.format(id=connection.pk)
        return f"Have the processor send its events to webhookAddress, and give the signing secret it shows to {path}"
    if connection.status == Status.DEGRADED:
        return "The processor refused the key: disconnect and connect anew with a good one, or have staff replace it"
    return ""
