"""JSON Schema of our replies, made from the serializers that describe them to the REST API, too."""

from typing import Any

from rest_framework import serializers

from rako.core.wire import InstantField

Schema = dict[str, Any]

_KINDS: tuple[tuple[type[Any], Schema], ...] = (
    (serializers.BooleanField, {"type": "boolean"}),
    (serializers.IntegerField, {"type": "integer"}),
    (serializers.FloatField, {"type": "number"}),
    (InstantField, {"type": "string", "format": "date-time"}),
    (serializers.DictField, {"type": "object"}),
    (serializers.CharField, {"type": "string"}),
)


def schema_of(field: Any) -> Schema:
    """The schema of a serializer or a field. Further properties are allowed: replies may grow."""
    schema = _kind_of(field)
    if field.allow_null:
        schema |= {"type": [schema["type"], "null"]}
    return schema | {"description": str(field.help_text)} if field.help_text else schema


def _kind_of(field: Any) -> Schema:
    if isinstance(field, serializers.ListSerializer | serializers.ListField):
        return {"type": "array", "items": schema_of(field.child)}
    if isinstance(field, serializers.Serializer):
        required = [name for name, part in field.fields.items() if part.required]
        properties = {name: schema_of(part) for name, part in field.fields.items()}
        return {"type": "object", "properties": properties, "required": required}
    if isinstance(field, serializers.ChoiceField):
        return {"type": "string", "enum": list(field.choices)}
    return dict(next(schema for kind, schema in _KINDS if isinstance(field, kind)))
