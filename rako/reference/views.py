"""The reference over HTTP: a page an operation, llms.txt, the Postman collection."""

import json
from collections.abc import Iterator
from typing import Any

from django.conf import settings
from django.http import HttpRequest, HttpResponse, JsonResponse
from django.shortcuts import render

from rako.core.errors import NotFound, error_reply, only
from rako.reference import postman
from rako.reference.curl import script
from rako.reference.told import Operation, by_id, by_tag, resolved

safe = only("GET", "HEAD")


@safe
def index(request: HttpRequest) -> HttpResponse:
    """GET /docs/api"""
    return render(request, "reference/index.html", {"tags": list(by_tag()), "sandbox": _is_sandbox()})


@safe
def page(request: HttpRequest, operation_id: str) -> HttpResponse:
    """GET /docs/api/{operationId}"""
    operation = by_id().get(operation_id)
    if operation is None:
        return error_reply(NotFound())
    replies = [_reply(status, told) for status, told in operation.told["responses"].items()]
    context = {
        "operation": operation,
        "has_description": operation.told["description"] != operation.told["summary"] + ".",
        "parameters": [*operation.parameters("path"), *operation.parameters("query")],
        "fields": _fields(operation),
        "script": script(operation, settings.RAKO_BASE_URL),
        "done": [reply for reply in replies if reply["status"] < "400"],
        "refusals": [reply for reply in replies if reply["status"] >= "400"],
        "leads_to": sorted(operation.told["responses"].get("200", {}).get("links", {})),
        "sandbox": _is_sandbox(),
    }
    return render(request, "reference/operation.html", context)


@safe
def llms(request: HttpRequest) -> HttpResponse:
    """GET /llms.txt, in the form of llmstxt.org"""
    context = {"base_url": settings.RAKO_BASE_URL, "tags": list(by_tag()), "sandbox": _is_sandbox()}
    return render(request, "reference/llms.txt", context, content_type="text/plain; charset=utf-8")


@safe
def postman_collection(request: HttpRequest) -> HttpResponse:
    """GET /postman.json"""
    reply = JsonResponse(postman.collection(), json_dumps_params={"ensure_ascii": False, "indent": 1})
    reply["Content-Disposition"] = 'attachment; filename="rako.postman_collection.json"'
    return reply


def _is_sandbox() -> bool:
    return bool(settings.RAKO_MODE == "sandbox")


def _reply(status: str, told: dict[str, Any]) -> dict[str, Any]:
    """What the page shows of a reply: its JSON if it has one, and for a refusal each code with its text."""
    content = told.get("content", {})
    shown: dict[str, Any] = content.get("application/json") or next(iter(content.values()), {})
    examples = {code: each["value"]["error"] for code, each in shown.get("examples", {}).items()}
    text = shown.get("example")
    return {
        "status": status,
        "description": told["description"].partition(":")[0],
        "codes": examples,
        "kinds": list(content),
        "example": text if isinstance(text, str | None) else json.dumps(text, ensure_ascii=False, indent=2),
    }


def _fields(operation: Operation) -> list[dict[str, Any]]:
    """The fields of an operation's body, each form's after the other."""
    content: dict[str, Any] = next(iter(operation.told.get("requestBody", {}).get("content", {}).values()), {})
    body = resolved(content.get("schema", {}))
    found: dict[str, Any] = {}
    for form in [resolved(each) for each in body.get("oneOf", ())] or [body]:
        found |= {row["name"]: row for row in _rows(form)}
    return list(found.values())


def _rows(form: dict[str, Any], within: str = "") -> Iterator[dict[str, Any]]:
    """The fields of an object, each followed by its own."""
    for name, field in form.get("properties", {}).items():
        yield {"name": within + name, "required": name in form.get("required", ()), "schema": field}
        for part in (field, *field.get("anyOf", ()), *field.get("allOf", ())):
            if "$ref" in part:
                yield from _rows(resolved(part), f"{within}{name}.")
