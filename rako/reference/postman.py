"""The schema as a Postman collection, format 2.1: a folder a tag, keys and address as variables."""

import json
from typing import Any

from django.conf import settings

from rako.demo_keys import DEMO_AGENT_KEY, DEMO_MERCHANT_KEY
from rako.reference.told import Operation, by_tag, schema

_FORMAT = "https://schema.getpostman.com/json/collection/v2.1.0/collection.json"


def collection() -> dict[str, Any]:
    """The collection. Outside the sandbox the keys are left for their owner to fill in."""
    told = schema()["info"]
    keys = {"agentKey": DEMO_AGENT_KEY, "merchantKey": DEMO_MERCHANT_KEY}
    if settings.RAKO_MODE != "sandbox":
        keys = dict.fromkeys(keys, "")
    return {
        "info": {
            "name": told["title"],
            "description": told["description"],
            "version": told["version"],
            "schema": _FORMAT,
        },
        "variable": [
            {"key": name, "value": value, "type": "string"}
            for name, value in ({"baseUrl": settings.RAKO_BASE_URL} | keys).items()
        ],
        "item": [
            {"name": tag["name"], "description": tag["description"], "item": [_item(each) for each in found]}
            for tag, found in by_tag()
        ],
    }


def _item(operation: Operation) -> dict[str, Any]:
    asked = _request(operation)
    replies = [_reply(status, told, asked) for status, told in operation.told["responses"].items()]
    return {"name": operation.told["summary"], "request": asked, "response": replies}


def _request(operation: Operation) -> dict[str, Any]:
    request: dict[str, Any] = {
        "method": operation.method,
        "description": operation.told["description"],
        "url": _url(operation),
        "header": [],
        "auth": _auth(operation),
    }
    if operation.body is not None:
        request["header"] = [{"key": "Content-Type", "value": "application/json"}]
        request["body"] = {"mode": "raw", "raw": _text(operation.body), "options": {"raw": {"language": "json"}}}
    return request


def _auth(operation: Operation) -> dict[str, Any]:
    if not operation.keys:
        return {"type": "noauth"}
    return {"type": "bearer", "bearer": [{"key": "token", "value": f"{{{{{operation.keys[0]}}}}}", "type": "string"}]}


def _url(operation: Operation) -> dict[str, Any]:
    parts = [part.replace("{", ":").replace("}", "") for part in operation.path.strip("/").split("/")]
    query = [
        {
            "key": each["name"],
            "value": str(each["example"]),
            "description": each.get("description", ""),
            "disabled": not each.get("required", False),
        }
        for each in operation.parameters("query")
    ]
    variables = [{"key": each["name"], "value": str(each["example"])} for each in operation.parameters("path")]
    raw = "{{baseUrl}}/" + "/".join(parts)
    return {"raw": raw, "host": ["{{baseUrl}}"], "path": parts, "query": query, "variable": variables}


def _reply(status: str, told: dict[str, Any], asked: dict[str, Any]) -> dict[str, Any]:
    kind: str = next(iter(told.get("content", ())), "")
    content: dict[str, Any] = told.get("content", {}).get(kind, {})
    first: dict[str, Any] = next(iter(content.get("examples", {}).values()), {})
    shown = content.get("example", first.get("value"))
    return {
        "name": f"{status} {told['description']}",
        "originalRequest": asked,
        "code": int(status),
        "header": [{"key": "Content-Type", "value": kind}] if kind else [],
        "body": "" if shown is None else _text(shown),
    }


def _text(value: Any) -> str:
    return value if isinstance(value, str) else json.dumps(value, ensure_ascii=False, indent=2)
