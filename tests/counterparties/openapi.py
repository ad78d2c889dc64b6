"""Stripe's own OpenAPI description as a judge of requests and objects.

`problems_of_request("POST", "/v1/refunds", body="amount=x")` lists what Stripe would refuse, `problems_of_object(
"refund", {...})` what a Stripe object could not look like; empty lists mean that all is well. The description knows
names, types, choices and lengths; it does not know rules such as the limits of metadata.
"""

import json
import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from functools import cache
from typing import Any
from urllib.parse import parse_qsl

import referencing
from jsonschema import Draft7Validator, ValidationError  # type: ignore[import-untyped]
from referencing.jsonschema import DRAFT7

from tests.counterparties.install import folder

Schema = dict[str, Any]
MANY = 12  # choices that are worth naming
_SCHEME = "stripe:"
_NOT_FOR_JUDGING = ("description", "title", "format", "example", "nullable")


@dataclass(frozen=True, slots=True)
class Problem:
    """One thing that is wrong. `param` is spelt as on the wire (`line_items[0][quantity]`), empty for the whole;
    `kind` is unknown, missing, integer, boolean, object, array, empty or invalid."""

    param: str
    kind: str
    detail: str
    value: object = None

    def __str__(self) -> str:
        return f"{self.param or 'the whole'}: {self.detail}"


@dataclass(frozen=True, slots=True)
class Reading:
    """A request as Stripe reads it: its parameters with their types, and what is wrong with them."""

    params: dict[str, Any]
    problems: list[Problem]


@cache
def description() -> Schema:
    """The description as published."""
    loaded: Schema = json.loads((folder() / "openapi.json").read_text())
    return loaded


def read_request(method: str, path: str, query: str = "", body: str = "") -> Reading:
    """Read a form-encoded request. Raises LookupError for a path or method that Stripe's API does not have."""
    schema = _request_schema(*operation(method, path))
    params: dict[str, Any] = _coerced(schema, unfold(f"{query}&{body}" if query and body else query or body))
    return Reading(params, _problems(schema, params))


def problems_of_request(method: str, path: str, query: str = "", body: str = "") -> list[Problem]:
    """What Stripe would refuse in a request. Raises LookupError for a path that it does not have."""
    return read_request(method, path, query, body).problems


def problems_of_response(method: str, path: str, content: object) -> list[Problem]:
    """What is wrong with the answer to a request that succeeded."""
    method, template = operation(method, path)
    answer = description()["paths"][template][method]["responses"]["200"]
    return _problems(_converted(answer["content"]["application/json"]["schema"]), content)


def problems_of_object(name: str, thing: object) -> list[Problem]:
    """What is wrong with an object of a kind: `checkout.session`, `payment_intent`, `refund`, `dispute`, `event`…"""
    return _problems({"$ref": _SCHEME + name}, thing)


@cache
def operation(method: str, path: str) -> tuple[str, str]:
    """The method (lower case) and path template of a request. Raises LookupError if there is none."""
    for template, pattern in _templates():
        if pattern.fullmatch(path) and method.lower() in description()["paths"][template]:
            return method.lower(), template
    raise LookupError(f"Stripe's API has no {method.upper()} {path}")


def unfold(text: str) -> dict[str, Any]:
    """`a[b][0][c]=v` as nested dictionaries of strings; a list is one with the keys `0`, `1`…"""
    root: dict[str, Any] = {}
    for name, value in parse_qsl(text, keep_blank_values=True):
        parts = re.findall(r"[^\[\]]+|(?<=\[)(?=\])", name)
        node = root
        for part in parts[:-1]:
            node = node.setdefault(part or str(len(node)), {})
        node[parts[-1] or str(len(node))] = value
    return root


@cache
def _templates() -> list[tuple[str, re.Pattern[str]]]:
    """Fixed paths come before those with a placeholder in the same place."""
    paths = sorted(description()["paths"], key=lambda path: path.count("{"))
    return [(path, re.compile(re.sub(r"\\{[^}]+\\}", "[^/]+", re.escape(path)))) for path in paths]


@cache
def _request_schema(method: str, template: str) -> Schema:
    """One closed object of what is read from the query and what is read from the form."""
    told = description()["paths"][template][method]
    form = told.get("requestBody", {}).get("content", {}).get("application/x-www-form-urlencoded", {}).get("schema", {})
    queried = [param for param in told.get("parameters", ()) if param["in"] == "query"]
    properties = {param["name"]: param["schema"] for param in queried} | form.get("properties", {})
    required = [param["name"] for param in queried if param.get("required")] + form.get("required", [])
    whole = {"type": "object", "properties": properties, "required": required}
    schema: Schema = _converted(whole, is_request=True)
    return schema


def _converted(node: Any, *, is_request: bool = False) -> Any:
    """JSON Schema of an OpenAPI schema. A request's objects are closed: Stripe refuses every name it does not know."""
    if isinstance(node, list):
        return [_converted(item, is_request=is_request) for item in node]
    if not isinstance(node, dict):
        return node
    if "$ref" in node:
        return {"$ref": _SCHEME + node["$ref"].removeprefix("#/components/schemas/")}
    kept = {name: value for name, value in node.items() if name not in _NOT_FOR_JUDGING and not name.startswith("x-")}
    schema = {name: _converted(value, is_request=is_request) for name, value in kept.items() if name != "properties"}
    if "properties" in node:
        found = node["properties"].items()
        schema["properties"] = {name: _converted(value, is_request=is_request) for name, value in found}
        if is_request:
            schema.setdefault("additionalProperties", False)
            _refuse_empty(schema["properties"])
    return {"anyOf": [schema, {"type": "null"}]} if node.get("nullable") else schema


def _refuse_empty(properties: dict[str, Schema]) -> None:
    """Stripe takes an empty text for a wish to unset, and most parameters cannot be unset."""
    for schema in properties.values():
        if schema.get("type") == "string" and "enum" not in schema:
            schema["minLength"] = 1


@cache
def _resource(uri: str) -> referencing.Resource[Any]:
    schemas = description()["components"]["schemas"]
    return DRAFT7.create_resource(_converted(schemas[uri.removeprefix(_SCHEME)]))


_REGISTRY: referencing.Registry[Any] = referencing.Registry(retrieve=_resource)  # type: ignore[call-arg]


def _problems(schema: Schema, thing: object) -> list[Problem]:
    errors = Draft7Validator(schema, registry=_REGISTRY).iter_errors(thing)
    return [problem for error in errors for problem in _told(_deepest(error))]


def _deepest(error: ValidationError) -> ValidationError:
    """Of alternatives that all fail, the one that failed furthest in: it is the one that was meant."""
    while error.context:
        error = max(error.context, key=lambda inner: (len(inner.absolute_path), inner.validator != "type"))
    return error


def _told(error: ValidationError) -> Iterator[Problem]:
    at = [str(part) for part in error.absolute_path]
    if error.validator == "additionalProperties":
        for name in sorted(set(error.instance) - set(error.schema["properties"])):
            yield Problem(_spelt([*at, name]), "unknown", "is not a parameter")
    elif error.validator == "required":
        for name in error.validator_value:
            if name not in error.instance:
                yield Problem(_spelt([*at, name]), "missing", "is required")
    else:
        kind = "empty" if error.instance == "" else str(error.validator_value) if error.validator == "type" else ""
        known = kind in ("integer", "boolean", "object", "array", "empty")
        yield Problem(_spelt(at), kind if known else "invalid", _short(error), error.instance)


def _short(error: ValidationError) -> str:
    if error.validator == "enum":
        choices = [str(choice) for choice in error.validator_value]
        return f"must be one of {', '.join(choices[:MANY])}" + (" and others" if len(choices) > MANY else "")
    return str(error.message)[-200:]


def _spelt(path: list[str]) -> str:
    return path[0] + "".join(f"[{part}]" for part in path[1:]) if path else ""


def _coerced(schema: Schema, value: Any) -> Any:
    """The value with the types that its schema asks for; what does not fit stays as it came."""
    for alternative in schema.get("anyOf", ()):
        tried = _coerced(alternative, value)
        if Draft7Validator(alternative, registry=_REGISTRY).is_valid(tried):
            return tried
    if "anyOf" in schema:
        return _coerced(next((one for one in schema["anyOf"] if _is_alike(one, value)), {}), value)
    if isinstance(value, str):
        return _typed(schema.get("type"), value)
    if schema.get("type") == "array" and all(name.isdigit() for name in value):
        return [_coerced(schema["items"], value[name]) for name in sorted(value, key=int)]
    return {name: _coerced(_member(schema, name), item) for name, item in value.items()}


def _is_alike(schema: Schema, value: object) -> bool:
    return isinstance(value, dict) and schema.get("type") in ("object", "array")


def _member(schema: Schema, name: str) -> Schema:
    rest = schema.get("additionalProperties")
    found: Mapping[str, Schema] = schema.get("properties", {})
    return found.get(name) or (rest if isinstance(rest, dict) else {})


def _typed(kind: str | None, value: str) -> object:
    if kind == "integer" and re.fullmatch(r"-?\d+", value):
        return int(value)
    if kind == "number" and re.fullmatch(r"-?\d+(\.\d+)?", value):
        return float(value)
    return value == "true" if kind == "boolean" and value in ("true", "false") else value
