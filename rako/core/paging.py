"""Lists page by page, newest first: `limit` and `cursor` in, `count` and `nextCursor` out."""

from collections.abc import Callable
from typing import Any, TypeVar

from django.db.models import Model, QuerySet
from rest_framework.request import Request

from rako.core.errors import BadRequest
from rako.core.ids import ID_PATTERN, is_id
from rako.core.openapi import query, whole

_PAGE = 50
_LARGEST_PAGE = 100
M = TypeVar("M", bound=Model)

PAGE_PARAMETERS = [
    query("limit", whole(1, _LARGEST_PAGE, default=_PAGE), "Rows in the reply."),
    query("cursor", {"type": "string", "pattern": f"^({ID_PATTERN})?$"}, "`nextCursor` of the reply before."),
]


def page_of(request: Request) -> tuple[int, str]:
    """The limit and the cursor that a request names. Raises BadRequest."""
    text, cursor = request.query_params.get("limit") or str(_PAGE), request.query_params.get("cursor", "")
    if not (text.isascii() and text.isdigit() and len(text) <= 4 and 1 <= int(text) <= _LARGEST_PAGE):
        raise BadRequest(f"limit must be a whole number from 1 to {_LARGEST_PAGE}", code="invalid_field")
    if cursor and not is_id(cursor):
        raise BadRequest("cursor is not one of ours", code="invalid_field")
    return int(text), cursor


def paged(request: Request, rows: QuerySet[M], name: str, wire: Callable[[M], dict[str, Any]]) -> dict[str, Any]:
    """The reply with one page of rows, by descending id. Raises BadRequest."""
    limit, cursor = page_of(request)
    rows = rows.order_by("-pk")
    page = list((rows.filter(pk__lt=cursor) if cursor else rows)[: limit + 1])
    more, page = len(page) > limit, page[:limit]
    reply: dict[str, Any] = {name: [wire(row) for row in page], "count": len(page)}
    return reply | {"nextCursor": page[-1].pk} if more else reply
