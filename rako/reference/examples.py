"""Examples of every request and reply, made of one realistic value a field. A field that is none of these says its own.

The values are in `examples.json`, by the field's name, or by `Component.field` (for a parameter
`operationId.name`) where one name means several things.
"""

import contextlib
import json
from collections.abc import Callable, Iterator
from functools import partial
from pathlib import Path
from typing import Any

_TOLD = json.loads(Path(__file__).with_suffix(".json").read_text())
VALUES: dict[str, Any] = _TOLD["values"]
# Optional fields that a typical request or reply does without.
_LEFT_OUT: dict[str, list[str]] = _TOLD["leftOut"]
# What has no fields to make it of, by operation.
_BODIES, _REPLIES, _TEXTS = _TOLD["bodies"], _TOLD["replies"], _TOLD["texts"]


class NoExample(LookupError):
    """A field without an example: see CONTRIBUTING, "Add an endpoint"."""


def fill(operation: dict[str, Any], schemas: dict[str, Any]) -> None:
    """Give an operation examples of its parameters, its request and its replies, where a view has none of its own.

    Where a field has none, it goes without: the schema is served all the same, and the tests say what is missing.
    """
    for place, made in wanting(operation, schemas):
        if "example" in place or "examples" in place:
            continue
        with contextlib.suppress(NoExample):
            place["example"] = made()


def wanting(operation: dict[str, Any], schemas: dict[str, Any]) -> Iterator[tuple[dict[str, Any], Callable[[], Any]]]:
    """The parts of an operation that show an example, and what makes it. That raises NoExample."""
    name = operation["operationId"]
    for parameter in operation.get("parameters", ()):
        yield parameter, partial(_parameter, name, parameter)
    for content in operation.get("requestBody", {}).get("content", {}).values():
        yield content, partial(_body, name, content["schema"], schemas)
    for reply in operation["responses"].values():
        for kind, content in reply.get("content", {}).items():
            yield content, partial(_reply, name, kind, content["schema"], schemas)


def _body(name: str, schema: dict[str, Any], schemas: dict[str, Any]) -> Any:
    return _BODIES.get(name) or example(schema, schemas)


def _reply(name: str, kind: str, schema: dict[str, Any], schemas: dict[str, Any]) -> Any:
    if kind == "application/json":
        return _REPLIES.get(name) or example(schema, schemas)
    return _TEXTS.get(name, f"({kind})")


def _parameter(operation_id: str, parameter: dict[str, Any]) -> Any:
    name = parameter["name"]
    head, *tail = name.split("_")
    camel = head + "".join(part.capitalize() for part in tail)
    for key in (f"{operation_id}.{name}", name, camel):
        if key in VALUES:
            return VALUES[key]
    return _of_schema(parameter["schema"], {}, f"{operation_id}.{name}")


def example(schema: dict[str, Any], schemas: dict[str, Any], component: str = "") -> Any:
    """An example of a schema. Raises NoExample where a field has none."""
    if "$ref" in schema:
        component = schema["$ref"].rpartition("/")[2]
        return example(schemas[component], schemas, component)
    if "properties" not in schema:
        return _of_schema(schema, schemas, component)
    left_out = _LEFT_OUT.get(component, ())
    return {
        name: _field(component, name, field, schemas)
        for name, field in schema["properties"].items()
        if name not in left_out
    }


def _field(component: str, name: str, schema: dict[str, Any], schemas: dict[str, Any]) -> Any:
    if "example" in schema:
        return schema["example"]
    if (key := f"{component}.{name}") in VALUES:
        return VALUES[key]
    if name in VALUES and not _is_nested(schema):
        value = VALUES[name]
        if "enum" not in schema or value in schema["enum"]:
            return value
    return _of_schema(schema, schemas, f"{component}.{name}")


def _is_nested(schema: dict[str, Any]) -> bool:
    parts = [schema, *schema.get("anyOf", ()), *schema.get("allOf", ()), schema.get("items", {})]
    return any("$ref" in part or "properties" in part for part in parts)


def _of_schema(schema: dict[str, Any], schemas: dict[str, Any], where: str) -> Any:
    if "example" in schema:
        return schema["example"]
    for part in (*schema.get("oneOf", ()), *schema.get("anyOf", ()), *schema.get("allOf", ())):
        return example(part, schemas, where)
    if "$ref" in schema or "properties" in schema:
        return example(schema, schemas, where)
    if "enum" in schema:
        return schema["enum"][0]
    if schema.get("type") == "array":
        return [example(schema["items"], schemas, where)]
    if schema.get("type") == "boolean":
        return True
    raise NoExample(f"{where} has no example: put one into rako/reference/examples.json")
