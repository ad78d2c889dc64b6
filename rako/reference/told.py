"""The schema as programs of ours read it: made once a process, with `$ref`s followed on demand."""

from collections.abc import Iterator
from dataclasses import dataclass
from functools import lru_cache
from typing import Any

from drf_spectacular.generators import SchemaGenerator

from rako.core.openapi import IN_QUERY
from rako.reference.schema import operations


@dataclass(frozen=True, slots=True)
class Operation:
    """One endpoint: `told` is what the schema says of it."""

    path: str
    method: str
    told: dict[str, Any]

    @property
    def id(self) -> str:
        return str(self.told["operationId"])

    @property
    def tag(self) -> str:
        return str(next(iter(self.told["tags"]), "Other"))

    @property
    def keys(self) -> list[str]:
        """The schemes that open it: agentKey, merchantKey; none for a public one."""
        return [name for choice in self.told["security"] for name in choice if not name.endswith(IN_QUERY)]

    @property
    def body(self) -> Any:
        """The example of its request; None if it takes none."""
        content = self.told.get("requestBody", {}).get("content", {}).values()
        return next((part.get("example") for part in content), None)

    def parameters(self, place: str) -> list[dict[str, Any]]:
        """Those of its path or its query."""
        return [parameter for parameter in self.told.get("parameters", ()) if parameter["in"] == place]


@lru_cache(maxsize=1)
def schema() -> dict[str, Any]:
    """The whole schema. Not to be changed."""
    generator = SchemaGenerator()  # type: ignore[no-untyped-call]  # the library is untyped
    made: dict[str, Any] = generator.get_schema(request=None, public=True)  # type: ignore[no-untyped-call]
    return made


@lru_cache(maxsize=1)
def by_id() -> dict[str, Operation]:
    """All operations in the schema's order, by their ids."""
    found = (Operation(path, verb.upper(), told) for path, verb, told in operations(schema()))
    return {operation.id: operation for operation in found}


def by_tag() -> Iterator[tuple[dict[str, str], list[Operation]]]:
    """Each tag with its operations."""
    for tag in schema()["tags"]:
        yield tag, [operation for operation in by_id().values() if operation.tag == tag["name"]]


def resolved(part: dict[str, Any]) -> dict[str, Any]:
    """What a `$ref` names; anything else as it is."""
    if "$ref" not in part:
        return part
    found: Any = schema()
    for name in part["$ref"].removeprefix("#/").split("/"):
        found = found[name]
    return dict(found)
