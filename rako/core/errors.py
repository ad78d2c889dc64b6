"""Failures a caller may meet, each with its HTTP status and machine code, and the one place that renders them.

Every error body is exactly `{"error": "<text>"}`; the code travels in `X-Error-Code` (protocol, section 0).
"""

import logging
from collections.abc import Callable
from functools import wraps
from typing import Any

from django.core.exceptions import PermissionDenied
from django.db import InterfaceError, OperationalError
from django.http import Http404, HttpRequest, HttpResponse, JsonResponse
from django.http.response import HttpResponseBase
from django.utils.encoding import escape_uri_path
from django.views.decorators.csrf import csrf_exempt
from rest_framework import exceptions as drf
from rest_framework.response import Response

log = logging.getLogger("rako.errors")

View = Callable[..., HttpResponseBase]


class RakoError(Exception):
    """A failure with a documented answer. Subclasses set the three class attributes."""

    status = 400
    code = "bad_request"
    message = "Bad request"

    def __init__(self, message: str | None = None, *, code: str | None = None, retry_after: int | None = None) -> None:
        super().__init__(message or self.message)
        self.code = code or self.code
        self.retry_after = retry_after


# What a view says that it refuses: a class, or an instance for another code or text.
Refusal = RakoError | type[RakoError]


class BadRequest(RakoError):
    """The request is malformed or incomplete."""


class Unauthorized(RakoError):
    status, code, message = 401, "unauthorized", "Missing or invalid API key"


class Forbidden(RakoError):
    status, code, message = 403, "wrong_key_kind", "This endpoint needs another kind of key"


class NotFound(RakoError):
    status, code, message = 404, "not_found", "Not found"


class Conflict(RakoError):
    status, code, message = 409, "conflict", "Conflict"


class Gone(RakoError):
    status, code, message = 410, "gone", "Gone"


class MethodNotAllowed(RakoError):
    status, code, message = 405, "method_not_allowed", "Method not allowed"


class LengthRequired(RakoError):
    status, code, message = 411, "length_required", "The body needs a Content-Length"


class BodyTooLarge(RakoError):
    status, code, message = 413, "body_too_large", "Request body too large"


class Unavailable(RakoError):
    status, code, message = 503, "unavailable", "Service temporarily unavailable"


def error_reply(error: RakoError) -> HttpResponse:
    """The documented answer to a RakoError, for plain Django views and middleware."""
    reply = JsonResponse({"error": str(error)}, status=error.status)
    for name, value in _headers(error).items():
        reply[name] = value
    return reply


def only(*methods: str) -> Callable[[View], View]:
    """Decorator of a plain view: other methods are refused as the protocol has it. Such a view checks no CSRF token."""

    def decorate(view: View) -> View:
        @csrf_exempt
        @wraps(view)
        def handle(request: HttpRequest, *args: Any, **names: Any) -> HttpResponseBase:
            if request.method in methods:
                return view(request, *args, **names)
            reply = error_reply(MethodNotAllowed())
            reply["Allow"] = ", ".join(methods)
            return reply

        return handle

    return decorate


def exception_handler(exc: Exception, context: dict[str, Any]) -> Response | None:
    """Django REST framework's hook. None means a bug: it is logged and answered 500 by `server_error`."""
    error = exc if isinstance(exc, RakoError) else _translate(exc)
    if error is None:
        return None
    return Response({"error": str(error)}, status=error.status, headers=_headers(error))


def _headers(error: RakoError) -> dict[str, str]:
    headers = {"X-Error-Code": error.code}
    if error.status == 401:
        headers["WWW-Authenticate"] = "Bearer"
    if error.retry_after is not None:
        headers["Retry-After"] = str(error.retry_after)
    return headers


def _translate(exc: Exception) -> RakoError | None:
    if isinstance(exc, Http404):
        return NotFound()
    if isinstance(exc, PermissionDenied):
        return Forbidden()
    if isinstance(exc, OperationalError | InterfaceError):
        log.error("database unavailable: %s", exc.__class__.__name__, exc_info=exc)
        return Unavailable(retry_after=2)
    if isinstance(exc, drf.APIException):
        return _from_drf(exc)
    return None


def _from_drf(exc: drf.APIException) -> RakoError:
    detail: Any = exc.detail
    while isinstance(detail, list | dict):  # a tree of field errors: the first one, as a sentence
        detail = next(iter(detail.values() if isinstance(detail, dict) else detail), "Bad request")
    error = RakoError(str(detail), code=str(exc.default_code))
    error.status = exc.status_code
    return error


def bad_request(request: HttpRequest, exception: Exception) -> HttpResponse:
    """Django's handler400."""
    return error_reply(BadRequest())


def forbidden(request: HttpRequest, exception: Exception) -> HttpResponse:
    """Django's handler403."""
    return error_reply(Forbidden("Forbidden", code="forbidden"))


def not_found(request: HttpRequest, exception: Exception) -> HttpResponse:
    """Django's handler404."""
    return error_reply(NotFound())


def server_error(request: HttpRequest) -> HttpResponse:
    """Django's handler500: says nothing of the cause. The log has the traceback, and this line with its request id."""
    log.error(
        "request %s failed: %s %s", getattr(request, "rako_id", "?"), request.method, escape_uri_path(request.path)
    )
    error = RakoError("Internal server error", code="internal_error")
    error.status = 500
    return error_reply(error)
