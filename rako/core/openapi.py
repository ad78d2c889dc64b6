"""What the schema generator cannot see for itself: how a key is sent, and what our own fields are made of."""

from typing import Any

from drf_spectacular.extensions import OpenApiAuthenticationExtension, OpenApiSerializerFieldExtension
from drf_spectacular.openapi import AutoSchema

from rako.core.idempotency import LONGEST


class KeyScheme(OpenApiAuthenticationExtension):  # type: ignore[no-untyped-call]  # the base class is untyped
    """`Authorization: Bearer aap_…`."""

    target_class = "rako.core.api_views.KeyAuthentication"
    name = "key"

    def get_security_definition(self, auto_schema: AutoSchema) -> dict[str, Any]:
        return {"type": "http", "scheme": "bearer", "bearerFormat": "aap_…"}


class _FieldSchema(OpenApiSerializerFieldExtension):  # type: ignore[no-untyped-call]  # the base class is untyped
    """A field of ours as JSON Schema; subclasses name the field and the schema."""

    schema: dict[str, Any]

    def map_serializer_field(self, auto_schema: AutoSchema, direction: str) -> dict[str, Any]:
        return dict(self.schema)


class NumberSchema(_FieldSchema):  # type: ignore[no-untyped-call]  # as above
    target_class = "rako.core.wire.NumberField"
    schema = {"type": "number"}


class InstantSchema(_FieldSchema):  # type: ignore[no-untyped-call]  # as above
    target_class = "rako.core.wire.InstantField"
    schema = {"type": "string", "format": "date-time"}


class DateSchema(_FieldSchema):  # type: ignore[no-untyped-call]  # as above
    target_class = "rako.core.wire.DateField"
    schema = {"type": "string", "format": "date"}


class ObjectSchema(_FieldSchema):  # type: ignore[no-untyped-call]  # as above
    target_class = "rako.core.wire.ObjectField"
    schema = {"type": "object", "additionalProperties": True}


_RATE = {
    "X-RateLimit-Limit": "Requests a minute that the key may make.",
    "X-RateLimit-Remaining": "How many of them are left.",
    "X-RateLimit-Reset": "When all of them are there again, in Unix seconds.",
}
_ERROR = {
    "type": "object",
    "properties": {"error": {"type": "string"}},
    "required": ["error"],
    "additionalProperties": False,
}
_IDEMPOTENCY_KEY = {
    "name": "Idempotency-Key",
    "in": "header",
    "schema": {"type": "string", "minLength": 1, "maxLength": LONGEST, "pattern": "^[!-~]+$"},
    "description": "Sent again with the same body, within 24 hours: the first reply, with `Idempotent-Replayed: true`.",
}
_REFUSALS = {
    "RateLimited": ("Beyond the key's limit: come again after `Retry-After` seconds.", "Rate limit exceeded"),
    "InFlight": (
        "In conflict with what is recorded; or, with `Retry-After`, an equal request is still in flight.",
        "The first request with this Idempotency-Key is still in flight",
    ),
    "KeyReused": (
        "The Idempotency-Key came with another body before.",
        "This Idempotency-Key was used for another request",
    ),
}


def add_limits(result: dict[str, Any], **_: Any) -> dict[str, Any]:
    """Hook of drf-spectacular: what every request with a key has to do with, its rate and its Idempotency-Key."""
    components = result.setdefault("components", {})
    components.setdefault("schemas", {})["Error"] = _ERROR
    components["headers"] = {
        name: {"schema": {"type": "integer"}, "description": text} for name, text in _RATE.items()
    } | {"Retry-After": {"schema": {"type": "integer"}, "description": "Seconds."}}
    components["parameters"] = {"IdempotencyKey": _IDEMPOTENCY_KEY}
    components["responses"] = {name: _refusal(*texts) for name, texts in _REFUSALS.items()}
    for path in result["paths"].values():
        for method, operation in path.items():
            if any("key" in scheme for scheme in operation.get("security", [])):
                _add_to(operation, is_post=method == "post")
    return result


def _refusal(description: str, error: str) -> dict[str, Any]:
    content = {"schema": {"$ref": "#/components/schemas/Error"}, "example": {"error": error}}
    headers = {name: {"$ref": f"#/components/headers/{name}"} for name in ("Retry-After", *_RATE)}
    return {"description": description, "headers": headers, "content": {"application/json": content}}


def _add_to(operation: dict[str, Any], *, is_post: bool) -> None:
    for response in operation["responses"].values():
        response.setdefault("headers", {}).update({name: {"$ref": f"#/components/headers/{name}"} for name in _RATE})
    refusals = {"429": "RateLimited"}
    if is_post:
        operation.setdefault("parameters", []).append({"$ref": "#/components/parameters/IdempotencyKey"})
        refusals |= {"409": "InFlight", "422": "KeyReused"}
    for status, name in refusals.items():
        operation["responses"].setdefault(status, {"$ref": f"#/components/responses/{name}"})
