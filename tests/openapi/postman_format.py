"""What Postman needs of a collection in its format 2.1, of the parts that ours has, as JSON Schema."""

from typing import Any

_TEXT = {"type": "string"}


def _object(required: list[str], **properties: Any) -> dict[str, Any]:
    return {"type": "object", "required": required, "properties": properties, "additionalProperties": False}


def _list(of: dict[str, Any]) -> dict[str, Any]:
    return {"type": "array", "items": of}


_PAIR = _object(
    ["key", "value"],
    key={"type": "string", "minLength": 1},
    value=_TEXT,
    type=_TEXT,
    description=_TEXT,
    disabled={"type": "boolean"},
)
_URL = _object(
    ["raw", "host", "path"],
    raw={"type": "string", "pattern": r"^\{\{baseUrl\}\}/"},
    host=_list(_TEXT),
    path=_list({"type": "string", "pattern": "^[^{}/]+$"}),
    query=_list(_PAIR),
    variable=_list(_PAIR),
)
_REQUEST = _object(
    ["method", "url", "header"],
    method={"enum": ["GET", "POST", "PUT", "PATCH", "DELETE"]},
    url=_URL,
    header=_list(_PAIR),
    description=_TEXT,
    auth=_object(["type"], type={"enum": ["bearer", "noauth"]}, bearer=_list(_PAIR)),
    body=_object(["mode", "raw"], mode={"enum": ["raw"]}, raw=_TEXT, options={"type": "object"}),
)
_RESPONSE = _object(
    ["name", "originalRequest", "code"],
    name=_TEXT,
    originalRequest=_REQUEST,
    code={"type": "integer", "minimum": 200, "maximum": 599},
    header=_list(_PAIR),
    body=_TEXT,
)
_ITEM = _object(["name", "request"], name=_TEXT, request=_REQUEST, response=_list(_RESPONSE))
_FOLDER = _object(["name", "item"], name=_TEXT, description=_TEXT, item=_list(_ITEM))
_INFO = _object(
    ["name", "schema"],
    name=_TEXT,
    description=_TEXT,
    version=_TEXT,
    schema={"const": "https://schema.getpostman.com/json/collection/v2.1.0/collection.json"},
)
FORMAT = _object(["info", "item"], info=_INFO, item=_list(_FOLDER), variable=_list(_PAIR))
