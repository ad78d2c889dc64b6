"""Middleware around every request: an id, a size limit, one log line without secrets."""

import logging
import time
from collections.abc import Callable

from django.conf import settings
from django.core.exceptions import DisallowedHost
from django.http import HttpRequest, HttpResponse
from django.utils.encoding import escape_uri_path

from rako.core.errors import BadRequest, BodyTooLarge, LengthRequired, error_reply
from rako.core.ids import new_id

log = logging.getLogger("rako.access")

Handler = Callable[[HttpRequest], HttpResponse]


def request_ids(get_response: Handler) -> Handler:
    """Give each request an id, send it as `X-Request-Id`, and log method, path, status and time.

    If a key came, the reply says where it stands with its limit, and what its owner should know
    (`rako.core.api_views`).

    The query string is left out on purpose: `?api_key=` must never reach a log (protocol, section 0).
    """

    def handle(request: HttpRequest) -> HttpResponse:
        request.rako_id = new_id()  # type: ignore[attr-defined]  # Django's request is an open object
        started = time.perf_counter()
        response = _refusal(request) or get_response(request)
        response["X-Request-Id"] = request.rako_id  # type: ignore[attr-defined]
        for name, value in getattr(request, "rako_headers", {}).items():
            response[name] = value
        if not response.streaming:
            response["Content-Length"] = len(response.content)
        elapsed_ms = (time.perf_counter() - started) * 1000
        log.info(
            "%s %s %s %.1f ms %s",
            request.method,
            escape_uri_path(request.path),
            response.status_code,
            elapsed_ms,
            response["X-Request-Id"],
        )
        return response

    return handle


def _refusal(request: HttpRequest) -> HttpResponse | None:
    """Refuse oversized bodies before they are read, and NUL in the address (PostgreSQL text cannot hold it)."""
    length = request.META.get("CONTENT_LENGTH") or "0"
    if "HTTP_TRANSFER_ENCODING" in request.META and "CONTENT_LENGTH" not in request.META:
        return error_reply(LengthRequired())
    largest = max(settings.RAKO_MAX_BODY_BYTES, settings.RAKO_LARGER_BODIES.get(request.path, 0))
    if not (length.isascii() and length.isdigit() and len(length) <= 12) or int(length) > largest:
        return error_reply(BodyTooLarge())
    try:
        request.get_host()
    except DisallowedHost:
        return error_reply(BadRequest("This host is not served here", code="unknown_host"))
    query = request.META.get("QUERY_STRING", "")
    if "\x00" in request.path or "%00" in query or "\x00" in query:
        return error_reply(BadRequest("NUL is not allowed in the address"))
    return None
