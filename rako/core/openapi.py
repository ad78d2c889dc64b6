"""What the schema generator cannot see for itself: how a key is sent, and what our own fields are made of."""

from typing import Any

from drf_spectacular.extensions import OpenApiAuthenticationExtension, OpenApiSerializerFieldExtension
from drf_spectacular.openapi import AutoSchema


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
