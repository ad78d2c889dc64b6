"""How the reference shows a JSON Schema in words."""

from typing import Any

from django import template
from django.utils.html import format_html_join
from django.utils.safestring import SafeString

from rako.reference.told import resolved

register = template.Library()
_LIMITS = {
    "minimum": "at least {}", "maximum": "at most {}", "minLength": "at least {} characters",
    "maxLength": "at most {} characters", "minItems": "at least {}", "maxItems": "at most {}",
    "multipleOf": "in steps of {}", "default": "{} unless told",
}  # fmt: skip


@register.filter
def in_words(schema: dict[str, Any]) -> str:
    """Type and limits of a field: `whole number, at least 1, at most 100`."""
    schema = resolved(schema)
    parts = [_type(schema)]
    if "enum" in schema:
        parts.append("one of " + ", ".join(str(value) for value in schema["enum"] if value is not None))
    parts += [text.format(schema[name]) for name, text in _LIMITS.items() if name in schema and _says(name, schema)]
    return ", ".join(parts)


@register.filter
def ticked(text: str) -> SafeString:
    """A description with what stands in backticks as code."""
    parts = text.split("`")
    return format_html_join("", "{}", ((_code(part) if place % 2 else part,) for place, part in enumerate(parts)))


def _code(text: str) -> SafeString:
    return format_html_join("", "<code>{}</code>", [(text,)])


def _says(name: str, schema: dict[str, Any]) -> bool:
    return (name, schema[name]) != ("minLength", 1)  # every text that is required is not empty


def _type(schema: dict[str, Any]) -> str:
    if options := schema.get("anyOf") or schema.get("oneOf"):
        kinds = dict.fromkeys(
            _type(resolved(option)) for option in options if "type" in resolved(option) and option.get("type") != "null"
        )
        return " or ".join(kinds)
    kinds = schema.get("type", "any")
    kind = next((each for each in kinds if each != "null"), "null") if isinstance(kinds, list) else kinds
    named = {"integer": "whole number", "string": "text", "array": "list", "boolean": "true or false"}
    return {"date-time": "ISO 8601 time", "date": "ISO 8601 date"}.get(schema.get("format", ""), named.get(kind, kind))
