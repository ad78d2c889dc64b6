import json

import pytest
from django.core.exceptions import PermissionDenied
from django.db import InterfaceError, OperationalError, ProgrammingError
from django.http import Http404
from django.test import RequestFactory
from rest_framework import exceptions as drf

from rako.core import errors
from rako.core.errors import RakoError, error_reply, exception_handler

REQUEST = RequestFactory().get("/")


def body_of(reply):
    return json.loads(reply.content)


@pytest.mark.parametrize(
    ("error", "status", "text", "code"),
    [
        (errors.BadRequest("x is required"), 400, "x is required", "bad_request"),
        (errors.BadRequest("x is required", code="missing_fields"), 400, "x is required", "missing_fields"),
        (errors.Unauthorized(), 401, "Missing or invalid API key", "unauthorized"),
        (errors.Forbidden(), 403, "This endpoint needs another kind of key", "wrong_key_kind"),
        (errors.NotFound(), 404, "Not found", "not_found"),
        (errors.Conflict(), 409, "Conflict", "conflict"),
        (errors.Gone(), 410, "Gone", "gone"),
        (errors.BodyTooLarge(), 413, "Request body too large", "body_too_large"),
        (errors.Unavailable(), 503, "Service temporarily unavailable", "unavailable"),
    ],
)
def test_both_renderers_give_exactly_the_text_and_the_code(error, status, text, code):
    plain, api = error_reply(error), exception_handler(error, {})

    assert (plain.status_code, body_of(plain), plain["X-Error-Code"]) == (status, {"error": text}, code)
    assert (api.status_code, api.data, api.headers["X-Error-Code"]) == (status, {"error": text}, code)


def test_only_a_missing_key_is_asked_for():
    assert error_reply(errors.Unauthorized())["WWW-Authenticate"] == "Bearer"
    assert "WWW-Authenticate" not in error_reply(errors.Forbidden())


@pytest.mark.parametrize(("seconds", "header"), [(2, "2"), (0, "0"), (None, None)])
def test_when_to_try_again_is_a_header(seconds, header):
    assert error_reply(errors.Conflict(retry_after=seconds)).get("Retry-After") == header


@pytest.mark.parametrize(
    ("raised", "status", "text"),
    [
        (Http404("secret path"), 404, "Not found"),
        (PermissionDenied("secret reason"), 403, "This endpoint needs another kind of key"),
        (drf.MethodNotAllowed("PUT"), 405, 'Method "PUT" not allowed.'),
        (drf.UnsupportedMediaType("text/plain"), 415, 'Unsupported media type "text/plain" in request.'),
        (drf.ParseError("The body is not valid JSON"), 400, "The body is not valid JSON"),
        (drf.ValidationError({"a": [{"b": ["is wrong"]}]}), 400, "is wrong"),
        (drf.ValidationError([]), 400, "Bad request"),
    ],
)
def test_foreign_errors_become_ours(raised, status, text):
    reply = exception_handler(raised, {})

    assert (reply.status_code, reply.data) == (status, {"error": text})


@pytest.mark.parametrize("raised", [OperationalError("host=db password=x"), InterfaceError("closed")])
def test_a_lost_database_is_unavailable_and_says_no_more(raised):
    reply = exception_handler(raised, {})

    assert (reply.status_code, reply.data) == (503, {"error": "Service temporarily unavailable"})
    assert reply.headers["Retry-After"] == "2"


@pytest.mark.parametrize("bug", [KeyError("x"), ProgrammingError("no such column"), AssertionError()])
def test_bugs_stay_bugs(bug):
    assert exception_handler(bug, {}) is None


@pytest.mark.parametrize(
    ("handler", "arguments", "status", "text"),
    [
        (errors.bad_request, (Exception("secret"),), 400, "Bad request"),
        (errors.forbidden, (Exception("secret"),), 403, "Forbidden"),
        (errors.not_found, (Exception("secret"),), 404, "Not found"),
        (errors.server_error, (), 500, "Internal server error"),
    ],
)
def test_djangos_own_errors_are_json_too(handler, arguments, status, text):
    reply = handler(REQUEST, *arguments)

    assert (reply.status_code, body_of(reply)) == (status, {"error": text})


def test_an_error_class_is_not_changed_by_its_instances():
    RakoError("other", code="other")

    assert (RakoError().code, str(RakoError())) == ("bad_request", "Bad request")
