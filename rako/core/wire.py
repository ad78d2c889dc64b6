"""The wire: strict JSON in, compact JSON out, camelCase there and snake_case here (protocol, section 0)."""

import re
from collections.abc import Mapping, Sequence
from datetime import UTC, date, datetime
from typing import Any, ClassVar

import orjson
from django.utils.dateparse import parse_datetime
from rest_framework import serializers
from rest_framework.exceptions import ParseError
from rest_framework.negotiation import BaseContentNegotiation
from rest_framework.parsers import BaseParser
from rest_framework.renderers import BaseRenderer
from rest_framework.request import Request

from rako.core.errors import BadRequest

# \u0000 written as an escape, not as an escaped backslash followed by the letters u0000.
_ESCAPED_NUL = re.compile(rb"(?<!\\)(?:\\\\)*\\u0000")


class JsonParser(BaseParser):
    """A JSON object, strictly: no NaN, no lone surrogate, no invalid UTF-8, no NUL (PostgreSQL text has none)."""

    media_type = "application/json"

    def parse(self, stream: Any, media_type: str | None = None, parser_context: Mapping[str, Any] | None = None) -> Any:
        raw = stream.read()
        try:
            data = orjson.loads(raw)
        except orjson.JSONDecodeError:
            raise ParseError("The body is not valid JSON") from None
        if not isinstance(data, dict):
            raise ParseError("The body must be a JSON object")
        if _ESCAPED_NUL.search(raw):
            raise ParseError("NUL characters are not allowed")
        return data


class JsonRenderer(BaseRenderer):
    """Compact JSON bytes."""

    media_type = "application/json"
    format = "json"
    charset = None

    def render(self, data: Any, accepted_media_type: str | None = None, renderer_context: Any = None) -> bytes:
        return b"" if data is None else orjson.dumps(data)


class JsonOnly(BaseContentNegotiation):
    """JSON whatever `Accept` says: a client that cannot read errors is not helped by 406."""

    def select_parser(self, request: Request, parsers: Any) -> Any:
        media_type = (request.content_type or "").split(";")[0].strip().lower()
        return next((parser for parser in parsers if parser.media_type == media_type), None)

    def select_renderer(self, request: Request, renderers: Any, format_suffix: str | None = None) -> Any:
        return renderers[0], renderers[0].media_type


def camel(name: str) -> str:
    """snake_case to camelCase."""
    head, *tail = name.split("_")
    return head + "".join(part.capitalize() for part in tail)


class WireSerializer(serializers.Serializer[Any]):
    """Fields are declared in snake_case and appear in camelCase; snake_case is accepted in as well.

    `required_together` names the fields whose absence, null or emptiness gives the protocol's one sentence;
    `stands_in` names, for some of them, another field that they may be left out for.
    """

    required_together: ClassVar[tuple[str, ...]] = ()
    stands_in: ClassVar[dict[str, str]] = {}

    def get_fields(self) -> dict[str, Any]:
        fields = {}
        for name, field in super().get_fields().items():
            if camel(name) != name and field.source is None:
                field.source = name
            fields[camel(name)] = field
        return fields

    def to_internal_value(self, data: Any) -> Any:
        # An explicit null for an optional field is the same as leaving it out: the official client sends null.
        known = {camel(key): value for key, value in data.items() if value is not None}
        given = {name for name in known if known[name] != ""}
        if not all(camel(name) in given or self._has_stand_in(name, given) for name in self.required_together):
            raise BadRequest(sentence(self.required_together), code="missing_fields")
        return super().to_internal_value(known)

    def _has_stand_in(self, name: str, given: set[str]) -> bool:
        return camel(self.stands_in.get(name, name)) in given

    @classmethod
    def read(cls, request: Request) -> dict[str, Any]:
        """The validated body of a request. Raises BadRequest with a sentence that names the field."""
        return cls.check(request.data)

    @classmethod
    def check(cls, data: Any) -> dict[str, Any]:
        """The validated fields of a JSON object. Raises BadRequest with a sentence that names the field."""
        return cls().take(data)

    def take(self, data: Any) -> dict[str, Any]:
        """The same by a reader that takes one object after the other, whose fields are set up once."""
        if not isinstance(data, dict):
            raise BadRequest("must be an object", code="invalid_field")
        try:
            return dict(self.run_validation(data))
        except serializers.ValidationError as error:
            problems: Any = error.detail
            field = next(iter(problems))
            raise BadRequest(f"{field} {_first(problems[field])}", code="invalid_field") from None


def sentence(required: Sequence[str]) -> str:
    """The protocol's sentence that fields are required, by their names on the wire."""
    names = [camel(name) for name in required]
    if len(names) == 1:
        return f"{names[0]} is required"
    return f"{', '.join(names[:-1])} and {names[-1]} are required"


def _first(problems: Any) -> str:
    while isinstance(problems, list | dict):
        problems = next(iter(problems.values() if isinstance(problems, dict) else problems), "is invalid")
    return str(problems)


class TextField(serializers.CharField):
    """A JSON string and nothing else: numbers and booleans are not coerced.

    `one_of` tells the schema which texts there are; who knows the rule refuses others, in its own words.
    """

    default_error_messages: ClassVar[dict[str, Any]] = {
        "invalid": "must be a string",
        "max_length": "must have at most {max_length} characters",
        "blank": "must not be empty",
    }

    def __init__(self, *, one_of: Sequence[str] = (), **options: Any) -> None:
        self.one_of = tuple(one_of)
        super().__init__(**{"trim_whitespace": False} | options)

    def to_internal_value(self, data: Any) -> str:
        if not isinstance(data, str):
            self.fail("invalid")
        return str(super().to_internal_value(data))


class FlagField(serializers.BooleanField):
    """A JSON boolean and nothing else."""

    def to_internal_value(self, data: Any) -> bool:
        if not isinstance(data, bool):
            raise serializers.ValidationError("must be true or false")
        return data


class NumberField(serializers.Field[Any, Any, Any, Any]):
    """A JSON number, kept as it came until the currency that gives it its exponent is known.

    `least` tells the schema where the amount begins; it is refused where the currency is known.
    """

    def __init__(self, *, least: float = 0, **options: Any) -> None:
        self.least = least
        super().__init__(**options)

    def to_internal_value(self, data: Any) -> int | float:
        if isinstance(data, bool) or not isinstance(data, int | float):
            raise serializers.ValidationError("must be a number")
        return data

    def to_representation(self, value: Any) -> Any:
        return value


class ObjectField(serializers.Field[Any, Any, Any, Any]):
    """A JSON object of bounded size. `of` tells the schema by what it is read later."""

    def __init__(self, max_bytes: int = 8192, *, of: type[WireSerializer] | None = None, **options: Any) -> None:
        self.max_bytes, self.of = max_bytes, of
        super().__init__(**options)

    def to_internal_value(self, data: Any) -> dict[str, Any]:
        if not isinstance(data, dict):
            raise serializers.ValidationError("must be an object")
        try:
            size = len(orjson.dumps(data))
        except orjson.JSONEncodeError:
            raise serializers.ValidationError("is nested too deeply") from None
        if size > self.max_bytes:
            raise serializers.ValidationError(f"must have at most {self.max_bytes} bytes")
        return data

    def to_representation(self, value: Any) -> Any:
        return value


class InstantField(serializers.Field[Any, Any, Any, Any]):
    """An ISO 8601 time with its offset."""

    def to_internal_value(self, data: Any) -> datetime:
        try:
            moment = parse_datetime(data) if isinstance(data, str) else None
            if moment is None or moment.tzinfo is None:
                raise ValueError
            return moment.astimezone(UTC)
        except (ValueError, OverflowError):
            raise serializers.ValidationError("must be an ISO 8601 time with an offset") from None

    def to_representation(self, value: datetime) -> str:
        return instant(value)


class DateField(serializers.Field[Any, Any, Any, Any]):
    """An ISO 8601 calendar date."""

    def to_internal_value(self, data: Any) -> date:
        try:
            return date.fromisoformat(data)
        except (TypeError, ValueError):
            raise serializers.ValidationError("must be an ISO 8601 date") from None

    def to_representation(self, value: date) -> str:
        return value.isoformat()


def instant(moment: datetime) -> str:
    """ISO 8601 in UTC with milliseconds and `Z`."""
    return moment.astimezone(UTC).isoformat(timespec="milliseconds").replace("+00:00", "Z")
