"""What the schema generator cannot see for itself: kinds of key, refusals, and what our own fields are made of.

A view declares the refusals of its own with `raises`; those that come of its kind – its keys, its path, its body – are
added here, so that no view lists them.
"""

from collections.abc import Callable, Iterator
from typing import Any, TypeVar

from drf_spectacular.extensions import OpenApiAuthenticationExtension, OpenApiSerializerFieldExtension
from drf_spectacular.openapi import AutoSchema
from drf_spectacular.plumbing import ResolvedComponent
from drf_spectacular.utils import OpenApiParameter

from rako.core.api_keys import NOTICE
from rako.core.errors import (
    BadRequest,
    BodyTooLarge,
    Forbidden,
    LengthRequired,
    MethodNotAllowed,
    NotFound,
    RakoError,
    Refusal,
    Unauthorized,
    Unavailable,
)
from rako.core.idempotency import LONGEST, InFlight, KeyReused
from rako.core.money import MAX_MINOR
from rako.core.rate_limits import RateLimited
from rako.core.wire import sentence

# What the names of schemes end in whose key is in the query.
IN_QUERY = "InQuery"
M = TypeVar("M", bound=Callable[..., Any])
_ERROR = {
    "type": "object",
    "required": ["error"],
    "properties": {
        "error": {"type": "string", "description": "For people; for programs, X-Error-Code.", "minLength": 1}
    },
    "additionalProperties": False,
}
_REQUEST_ID = {
    "description": "Names this request in our log.",
    "required": True,
    "schema": {"type": "string"},
    "example": "01KA3E0Q8Z5T7W9XBCDFGHJKMN",
}
_RETRY_AFTER = {"description": "Seconds after which to ask again.", "schema": {"type": "integer"}, "example": 2}
_RATE = {
    "X-RateLimit-Limit": ("Requests a minute that the key may make.", 60),
    "X-RateLimit-Remaining": ("How many of them are left.", 59),
    "X-RateLimit-Reset": ("When all of them are there again, in Unix seconds.", 1795600000),
}
_NOTICE = {
    "description": "Something that needs the key's owner: `webhook-endpoint-disabled`, and where to see to it.",
    "schema": {"type": "string"},
    "example": 'webhook-endpoint-disabled; see="/v1/webhook-endpoints"',
}
_IDEMPOTENCY_KEY = {
    "name": "Idempotency-Key",
    "in": "header",
    "schema": {"type": "string", "minLength": 1, "maxLength": LONGEST, "pattern": "^[!-~]+$"},
    "description": "Sent again with the same body, within 24 hours: the first reply, with `Idempotent-Replayed: true`.",
}
_REASONS = {
    400: "Malformed or incomplete",
    401: "No key, or not a usable one",
    402: "The payment was declined",
    403: "Not with this key",
    404: "Unknown, or another party's",
    405: "Another method",
    409: "The state of things does not allow it",
    410: "Gone",
    411: "A body without its length",
    413: "The body is too large",
    415: "The body is not JSON",
    422: "Not the same request",
    429: "Too many requests",
    500: "A fault of ours",
    502: "The payment processor refused or failed",
    503: "Not at the moment",
    504: "The payment processor did not answer in time",
}


def raises(*refusals: Refusal) -> Callable[[M], M]:
    """Decorator of a view's method: the refusals of its own, as classes, or as instances for another code or text."""

    def mark(method: M) -> M:
        method.refusals = refusals  # type: ignore[attr-defined]  # read by RakoSchema
        return method

    return mark


def query(name: str, schema: dict[str, Any], text: str = "", *, required: bool = False) -> OpenApiParameter:
    """A parameter of the query string, by its JSON Schema."""
    return OpenApiParameter(name, schema, OpenApiParameter.QUERY, description=text, required=required)


def whole(least: int, most: int | None = None, **more: Any) -> dict[str, Any]:
    """The JSON Schema of a whole number."""
    return {"type": "integer", "minimum": least} | ({} if most is None else {"maximum": most}) | more


class RakoSchema(AutoSchema):
    """An operation with every refusal it can give and the headers of every reply."""

    def get_operation(self, *args: Any, **options: Any) -> dict[str, Any] | None:
        operation: dict[str, Any] | None = super().get_operation(*args, **options)
        if operation is None:
            return None
        self._register("schemas", "Error", _ERROR)
        self._register("headers", "RequestId", _REQUEST_ID)
        self._register("headers", "RetryAfter", _RETRY_AFTER)
        replies = operation["responses"]
        for status, refusals in self._refusals(operation).items():
            replies[str(status)] = _refused(status, refusals)
        headers = {"X-Request-Id": {"$ref": "#/components/headers/RequestId"}}
        if operation.get("security"):
            operation["security"] = _or_in_query(operation["security"])
            headers |= self._key_headers()
            if self.method == "POST":
                operation.setdefault("parameters", []).append(dict(_IDEMPOTENCY_KEY))
        for reply in replies.values():
            reply["description"] = reply["description"] or "Done"
            reply["headers"] = headers | reply.get("headers", {})
        operation["responses"] = dict(sorted(replies.items()))
        return operation

    def _key_headers(self) -> dict[str, dict[str, str]]:
        for name, (text, example) in _RATE.items():
            header = {"description": text, "schema": {"type": "integer"}, "example": example}
            self._register("headers", name, header)
        self._register("headers", NOTICE, _NOTICE)
        return {name: {"$ref": f"#/components/headers/{name}"} for name in (*_RATE, NOTICE)}

    def _register(self, kind: str, name: str, schema: dict[str, Any]) -> None:
        component = ResolvedComponent(name, kind, schema, name)  # type: ignore[no-untyped-call]
        self.registry.register_on_missing(component)

    def _refusals(self, operation: dict[str, Any]) -> dict[int, list[RakoError]]:
        """Refusals by status; the view's own come first."""
        handler = getattr(self.view, self.method.lower())
        found: dict[int, list[RakoError]] = {}
        for refusal in (*getattr(handler, "refusals", ()), *self._of_kind(operation)):
            known = refusal() if isinstance(refusal, type) else refusal
            same = found.setdefault(known.status, [])
            if known.code not in {other.code for other in same}:
                same.append(known)
        return found

    def _of_kind(self, operation: dict[str, Any]) -> Iterator[Refusal]:
        """What any view of this kind may refuse."""
        places = {parameter["in"] for parameter in operation.get("parameters", ())}
        if operation.get("security"):
            yield from (Unauthorized, Forbidden, RateLimited(retry_after=60))
            if self.method == "POST":
                text = f"Idempotency-Key must be 1 to {LONGEST} visible ASCII characters"
                yield from (InFlight(), KeyReused, BadRequest(text, code="invalid_idempotency_key"))
        if "path" in places:
            yield NotFound
        if "query" in places:
            yield BadRequest("limit must be a whole number from 1 to 100", code="invalid_field")
        if "requestBody" in operation:
            yield from _of_body(self.get_request_serializer())
        if self.method == "POST":
            yield LengthRequired
            yield BodyTooLarge
        yield from (BadRequest, MethodNotAllowed, _as(500, "internal_error", "Internal server error"))
        yield Unavailable(retry_after=2)


def _of_body(reader: Any) -> Iterator[RakoError]:
    reader = next(iter(getattr(reader, "serializers", ())), reader)  # of several forms the first
    names: tuple[str, ...] = getattr(reader, "required_together", ())
    if names:
        yield BadRequest(sentence(names), code="missing_fields")
    yield BadRequest(f"{sentence(names[:1]).split()[0] if names else 'body'} must be a string", code="invalid_field")
    yield BadRequest("The body is not valid JSON", code="parse_error")
    yield _as(415, "unsupported_media_type", 'Unsupported media type "text/plain" in request.')


def _or_in_query(security: list[dict[str, list[str]]]) -> list[dict[str, list[str]]]:
    # A new list: a view that declares its own has that one for the whole process.
    return security + [{f"{name}{IN_QUERY}": []} for choice in security for name in choice]


def _as(status: int, code: str, message: str) -> RakoError:
    error = RakoError(message, code=code)
    error.status = status
    return error


def _refused(status: int, refusals: list[RakoError]) -> dict[str, Any]:
    codes = [error.code for error in refusals]
    code = {"description": "For programs.", "required": True, "schema": {"type": "string", "enum": codes}}
    headers: dict[str, Any] = {"X-Error-Code": code}
    if any(error.retry_after for error in refusals):
        headers["Retry-After"] = {"$ref": "#/components/headers/RetryAfter"}
    examples = {error.code: {"value": {"error": str(error)}} for error in refusals}
    body = {"schema": {"$ref": "#/components/schemas/Error"}, "examples": examples}
    reason = f"{_REASONS.get(status, 'Refused')}: {', '.join(f'`{code}`' for code in codes)}"
    return {"description": reason, "headers": headers, "content": {"application/json": body}}


class KeyScheme(OpenApiAuthenticationExtension):  # type: ignore[no-untyped-call]  # the base class is untyped
    """`Authorization: Bearer aap_…`, of the kinds that the view takes; RakoSchema adds those in the query."""

    target_class = "rako.core.api_views.KeyAuthentication"
    name = ["agentKey", "merchantKey", f"agentKey{IN_QUERY}", f"merchantKey{IN_QUERY}"]

    def get_security_requirement(self, auto_schema: AutoSchema) -> list[dict[str, list[str]]]:
        view: Any = auto_schema.view
        return [{f"{kind}Key": []} for kind in view.key_kinds]

    def get_security_definition(self, auto_schema: AutoSchema) -> list[dict[str, Any]]:
        whose = ("an agent: it searches, recommends and buys", "a merchant: it reports its sales")
        in_header = {"type": "http", "scheme": "bearer", "bearerFormat": "aap_…"}
        in_query = {"type": "apiKey", "in": "query", "name": "api_key"}
        return [in_header | {"description": f"The key of {whom}."} for whom in whose] + [
            in_query | {"description": f"The key of {whom}. The header wins; the key reaches no log."} for whom in whose
        ]


class TextSchema(OpenApiSerializerFieldExtension):  # type: ignore[no-untyped-call]  # the base class is untyped
    target_class = "rako.core.wire.TextField"

    def map_serializer_field(self, auto_schema: AutoSchema, direction: str) -> dict[str, Any]:
        if self.target.one_of:
            return {"type": "string", "enum": list(self.target.one_of)}
        mapped: Any = auto_schema._map_serializer_field
        schema: dict[str, Any] = mapped(self.target, direction, bypass_extensions=True)
        if "pattern" in schema:  # JSON Schema's dialect has no \Z
            schema["pattern"] = f"^{schema['pattern'].removesuffix(chr(92) + 'Z').removesuffix('$')}$"
        return schema if self.target.allow_blank else {"minLength": 1} | schema


class NumberSchema(OpenApiSerializerFieldExtension):  # type: ignore[no-untyped-call]  # as above
    """All numbers that are sent to us are amounts of money, and each of our currencies has two places."""

    target_class = "rako.core.wire.NumberField"

    def map_serializer_field(self, auto_schema: AutoSchema, direction: str) -> dict[str, Any]:
        return {"type": "number", "minimum": self.target.least, "maximum": MAX_MINOR // 100, "multipleOf": 0.01}


class ObjectSchema(OpenApiSerializerFieldExtension):  # type: ignore[no-untyped-call]  # as above
    target_class = "rako.core.wire.ObjectField"

    def map_serializer_field(self, auto_schema: AutoSchema, direction: str) -> dict[str, Any]:
        if self.target.of is not None:
            schema: Any = auto_schema
            return dict(schema.resolve_serializer(self.target.of, direction).ref)
        size = f"At most {self.target.max_bytes:,} bytes of JSON."
        return {"type": "object", "additionalProperties": True, "description": size}


class _FieldSchema(OpenApiSerializerFieldExtension):  # type: ignore[no-untyped-call]  # as above
    """A field of ours as JSON Schema; subclasses name the field and the schema."""

    schema: dict[str, Any]

    def map_serializer_field(self, auto_schema: AutoSchema, direction: str) -> dict[str, Any]:
        return dict(self.schema)


class InstantSchema(_FieldSchema):  # type: ignore[no-untyped-call]  # as above
    target_class = "rako.core.wire.InstantField"
    schema = {"type": "string", "format": "date-time"}


class DateSchema(_FieldSchema):  # type: ignore[no-untyped-call]  # as above
    target_class = "rako.core.wire.DateField"
    schema = {"type": "string", "format": "date"}
