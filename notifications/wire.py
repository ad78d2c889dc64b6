"""Webhook endpoints and deliveries as they appear on the wire. Secrets go out twice: when made, and when rotated."""

from datetime import datetime
from typing import Any

import orjson
from drf_spectacular.utils import extend_schema_field
from rest_framework import serializers

from notifications.addresses import LONGEST_URL
from notifications.catalogue import EVENT_TYPES
from notifications.models import Attempt, Endpoint, Message
from rako.core.wire import InstantField, TextField, WireSerializer, instant


@extend_schema_field({"type": "array", "items": {"type": "string", "enum": list(EVENT_TYPES)}})
class EventTypesField(serializers.Field[Any, Any, Any, Any]):
    """A list of event types."""

    def to_internal_value(self, data: Any) -> list[str]:
        if not isinstance(data, list) or not all(isinstance(name, str) for name in data):
            raise serializers.ValidationError("must be a list of strings")
        unknown = [name for name in data if name not in EVENT_TYPES]
        if unknown:
            raise serializers.ValidationError(f"{unknown[0][:50]} is no event type")
        return list(dict.fromkeys(data))

    def to_representation(self, value: Any) -> Any:
        return value


@extend_schema_field({"anyOf": [{"type": "string", "format": "date-time"}, {"enum": ["disabled"]}]})
class SinceField(serializers.Field[Any, Any, Any, Any]):
    """`disabled`, or a moment."""

    def to_internal_value(self, data: Any) -> Any:
        if data == "disabled":
            return data
        try:
            moment = datetime.fromisoformat(data)
        except (TypeError, ValueError):
            moment = None
        if moment is None or moment.tzinfo is None:
            raise serializers.ValidationError("must be disabled, or an RFC 3339 time with an offset")
        return moment

    def to_representation(self, value: Any) -> Any:
        return value


class EndpointBody(WireSerializer):
    required_together = ("url",)
    url = TextField(max_length=LONGEST_URL, help_text="https, port 443 or 8443.")
    description = TextField(max_length=200, required=False, allow_blank=True)
    event_types = EventTypesField(required=False, help_text="Empty or left out: all.")


class EndpointChangesBody(WireSerializer):
    url = TextField(max_length=LONGEST_URL, required=False)
    description = TextField(max_length=200, required=False, allow_blank=True)
    event_types = EventTypesField(required=False, help_text="Empty: all.")
    status = serializers.ChoiceField(
        choices=["enabled", "disabled"],
        error_messages={"invalid_choice": "must be enabled or disabled"},
        required=False,
    )

    since = SinceField(
        required=False,
        help_text="With `enabled`: what was recorded since then, or since it was disabled, is queued, too.",
    )

    def validate(self, attrs: dict[str, Any]) -> dict[str, Any]:
        if "since" in attrs and attrs.get("status") != "enabled":
            raise serializers.ValidationError({"since": "goes with status enabled"})
        return attrs


class EndpointReply(WireSerializer):
    id = serializers.CharField()
    url = serializers.CharField()
    description = serializers.CharField()
    event_types = serializers.ListField(child=serializers.CharField(), help_text="Empty: all.")
    status = serializers.ChoiceField(choices=["enabled", "disabled"])
    disabled_reason = serializers.ChoiceField(
        choices=Endpoint.Because.values,
        allow_null=True,
        help_text="`gone`: it answered 410. `failing`: nothing arrived for three days.",
    )
    disabled_at = InstantField(allow_null=True)
    is_catching_up = serializers.BooleanField(help_text="What it missed while it was disabled is being queued.")
    failing_since = InstantField(allow_null=True, help_text="The first failure after the last success.")
    old_secret_until = InstantField(allow_null=True, help_text="Until then the secret before signs, too.")
    created_at = InstantField()


class EndpointWithSecretReply(EndpointReply):
    secret = serializers.CharField(help_text="`whsec_…`, shown this once.")


class EndpointsReply(WireSerializer):
    webhook_endpoints = EndpointReply(many=True)
    count = serializers.IntegerField()


class DeletedReply(WireSerializer):
    id = serializers.CharField()
    deleted = serializers.BooleanField()


class AttemptReply(WireSerializer):
    attempted_at = InstantField()
    status_code = serializers.IntegerField(allow_null=True)
    error = serializers.CharField(allow_null=True, help_text="Why there is no status, as `timed_out`.")
    duration_ms = serializers.IntegerField()


class DeliveryReply(WireSerializer):
    message_id = serializers.CharField(help_text="The `webhook-id`.")
    event_type = serializers.CharField()
    status = serializers.ChoiceField(choices=Message.State.values)
    payload = serializers.DictField()
    attempts = AttemptReply(many=True)
    next_attempt_at = InstantField(allow_null=True)
    created_at = InstantField()


class DeliveriesReply(WireSerializer):
    deliveries = DeliveryReply(many=True)
    count = serializers.IntegerField()
    next_cursor = serializers.CharField(required=False)


def endpoint_wire(endpoint: Endpoint, *, with_secret: bool = False) -> dict[str, Any]:
    """An endpoint for its owner."""
    shown = {
        "id": endpoint.pk,
        "url": endpoint.url,
        "description": endpoint.description,
        "eventTypes": endpoint.event_types,
        "status": endpoint.state,
        "disabledReason": endpoint.disabled_because or None,
        "disabledAt": endpoint.disabled_at and instant(endpoint.disabled_at),
        "isCatchingUp": endpoint.state == Endpoint.State.ENABLED and endpoint.missed_index is not None,
        "failingSince": endpoint.failing_since and instant(endpoint.failing_since),
        "oldSecretUntil": endpoint.old_secret_until and instant(endpoint.old_secret_until),
        "createdAt": instant(endpoint.created_at),
    }
    return shown | ({"secret": endpoint.secret} if with_secret else {})


def delivery_wire(message: Message) -> dict[str, Any]:
    """A message with its attempts. Load it with them."""
    return {
        "messageId": message.wire_id,
        "eventType": message.event_type,
        "status": message.state,
        "payload": orjson.loads(message.payload),
        "attempts": [_attempt_wire(attempt) for attempt in message.attempts.all()],
        "nextAttemptAt": message.due_at and instant(message.due_at),
        "createdAt": instant(message.created_at),
    }


def _attempt_wire(attempt: Attempt) -> dict[str, Any]:
    return {
        "attemptedAt": instant(attempt.attempted_at),
        "statusCode": attempt.status_code,
        "error": attempt.error or None,
        "durationMs": attempt.duration_ms,
    }
