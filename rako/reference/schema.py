"""What the schema as a whole needs once its operations are told: tags, null for optional fields, examples, links."""

import re
from collections.abc import Iterator
from typing import Any

from rako.reference import examples
from rako.reference.links import LINKS

# In the order in which a reader meets them. An operation belongs to the first prefix that its path begins with.
TAGS = {
    "Offers": (("/v1/offers",), "Search signed offers by price; each search opens a session of 24 hours."),
    "Recommendations": (("/v1/recommend", "/v1/sessions", "/r/"), "The attribution event, its session and its link."),
    "Checkout": (("/v1/checkout", "/v1/purchase"), "Hand the buyer over to the merchant's own payment processor."),
    "Conversions": (("/v1/conversions",), "Sales, what proves them, and what merchants report of them."),
    "Disputes": (("/v1/disputes",), "Contest a sale, or claim one that was never recorded."),
    "Money": (
        ("/v1/earnings", "/v1/payouts", "/v1/invoices", "/v1/statements", "/v1/settlements"),
        "What was earned, what is owed, and the documents of closed months.",
    ),
    "AAP Codes": (("/v1/codes", "/.well-known/jwks.json"), "Signed terms of an offer: issue, verify, public keys."),
    "Ledger": (("/v1/ledger",), "The transparency log: checkpoints, tiles, proofs."),
    "Connections": (("/v1/connections",), "A merchant's payment processors."),
    "Attribution tokens": (
        ("/v1/attribution", "/v1/acp"),
        "For merchants that speak ACP or UCP: verify tokens, and send signed order events.",
    ),
    "Webhook endpoints": (("/v1/webhook-endpoints",), "Be told what happens: signed webhooks of ours to you."),
    "Payment events": (("/v1/webhooks/",), "What payment processors send, authenticated by their signatures."),
    "Service": (("/health",), "Whether the service is up."),
}
_ADDRESS = re.compile(r"(?:GET|POST)[^:(]*(?:: )?")
VERBS = ("get", "post", "put", "patch", "delete")


def operations(schema: dict[str, Any]) -> Iterator[tuple[str, str, dict[str, Any]]]:
    """Path, verb and operation of each endpoint."""
    for path, item in schema["paths"].items():
        yield from ((path, verb, item[verb]) for verb in VERBS if verb in item)


def complete(result: dict[str, Any], **_: Any) -> dict[str, Any]:
    """Hook of the generator: the schema with all that this module adds."""
    schemas = result["components"]["schemas"]
    _allow_null(result, schemas)
    for path, _verb, operation in operations(result):
        operation["tags"] = [tag for tag, (prefixes, _) in TAGS.items() if path.startswith(prefixes)][:1]
        operation["description"] = _told(operation.get("description", "")) or operation["summary"] + "."
        if not operation.get("security"):
            operation["security"] = []  # said outright: no key is needed
        examples.fill(operation, schemas)
    _link(result)
    order = {tag: place for place, tag in enumerate(TAGS)}
    result["paths"] = dict(sorted(result["paths"].items(), key=lambda item: _place(item[1], order)))
    result["tags"] = [{"name": tag, "description": text} for tag, (_, text) in TAGS.items()]
    return result


def _told(docstring: str) -> str:
    """What a view's docstring says beyond its address."""
    text = _ADDRESS.sub("", docstring).strip()
    return text[:1].upper() + text[1:]


def _place(item: dict[str, Any], order: dict[str, int]) -> int:
    tags = next(iter(item.values()))["tags"]
    return order[tags[0]] if tags else len(order)


def _link(schema: dict[str, Any]) -> None:
    known = {operation["operationId"]: operation for _, _, operation in operations(schema)}
    for link in LINKS:
        if link.source not in known or link.target not in known:
            raise KeyError(f"rako.reference.links names an unknown operation: {link.source} or {link.target}")
        told: dict[str, Any] = {"operationId": link.target}
        if link.path:
            told["parameters"] = link.path
        if link.body:
            told["requestBody"] = link.body
        known[link.source]["responses"]["200"].setdefault("links", {})[link.target] = told


def _allow_null(result: dict[str, Any], schemas: dict[str, Any]) -> None:
    """An explicit null for an optional field of a body counts as leaving it out (protocol, section 0)."""
    waiting = [part["schema"] for _, _, op in operations(result) for part in _bodies(op)]
    seen: set[str] = set()
    while waiting:
        schema = waiting.pop()
        name = schema.get("$ref", "").rpartition("/")[2]
        if name in seen:
            continue
        if name:
            seen.add(name)
            schema = schemas[name]
        waiting += [*schema.get("oneOf", ()), *schema.get("allOf", ()), *schema.get("anyOf", ())]
        waiting += [*schema.get("properties", {}).values(), *([schema["items"]] if "items" in schema else [])]
        for field, value in schema.get("properties", {}).items():
            if field not in schema.get("required", ()):
                schema["properties"][field] = _nullable(value)


def _bodies(operation: dict[str, Any]) -> list[dict[str, Any]]:
    return [part for part in operation.get("requestBody", {}).get("content", {}).values() if "schema" in part]


def _nullable(schema: dict[str, Any]) -> dict[str, Any]:
    if isinstance(schema.get("type"), str):
        allowed = {"enum": [*schema["enum"], None]} if "enum" in schema else {}
        return schema | {"type": [schema["type"], "null"]} | allowed
    about = {name: schema[name] for name in ("description",) if name in schema}
    rest = {name: value for name, value in schema.items() if name not in about}
    return {"anyOf": [rest, {"type": "null"}]} | about
