"""What Stripe says when it refuses, in its JSON."""

from typing import Any

from tests.counterparties.openapi import Problem

DOCS = "https://stripe.com/docs/error-codes/"


class Refusal(Exception):
    """A request that Stripe does not carry out: `status` and the `body` of its answer."""

    def __init__(self, status: int, message: str, *, kind: str = "invalid_request_error", **fields: Any) -> None:
        super().__init__(message)
        error = {"type": kind, "message": message} | {name: value for name, value in fields.items() if value}
        if "code" in error and kind != "idempotency_error":
            error["doc_url"] = DOCS + str(error["code"]).replace("_", "-")
        self.status = status
        self.body: dict[str, Any] = {"error": error}


class OAuthRefusal(Refusal):
    """Connect's OAuth answers in its own, flat form: an `error` and an `error_description`."""

    def __init__(self, status: int, error: str, description: str) -> None:
        super().__init__(status, description)
        self.body = {"error": error, "error_description": description}


class ControlError(Exception):
    """A test asked for something that cannot happen, such as a second payment of a paid session."""


def of_problem(problem: Problem) -> Refusal:
    """Stripe's 400 for a parameter that its description does not allow."""
    words = {
        "unknown": (f"Received unknown parameter: {problem.param}", "parameter_unknown"),
        "missing": (f"Missing required param: {problem.param}.", "parameter_missing"),
        "integer": (f"Invalid integer: {problem.value}", "parameter_invalid_integer"),
        "boolean": (f"Invalid boolean: {problem.value}", ""),
        "object": ("Invalid object", ""),
        "array": ("Invalid array", ""),
        "empty": (f"You passed an empty string for '{problem.param}'.", "parameter_invalid_empty"),
    }
    message, code = words.get(problem.kind, (f"Invalid {problem.param}: {problem.detail}", ""))
    return Refusal(400, message, code=code, param=problem.param)


def missing(kind: str, key: str, param: str) -> Refusal:
    """404: no such object in this account."""
    return Refusal(404, f"No such {kind}: '{key}'", code="resource_missing", param=param)


def no_key() -> Refusal:
    return Refusal(401, "You did not provide an API key. Send it as a Bearer token in the Authorization header.")


def unknown_key(key: str) -> Refusal:
    return Refusal(401, f"Invalid API Key provided: {masked(key)}")


def expired_key(key: str) -> Refusal:
    return Refusal(401, f"Expired API Key provided: {masked(key)}", code="api_key_expired")


def no_access(key: str, account: str) -> Refusal:
    message = (
        f"The provided key '{masked(key)}' does not have access to account '{account}' (or that account does not "
        "exist). Application access may have been revoked."
    )
    return Refusal(403, message, code="account_invalid")


def no_permission(key: str, account: str, permission: str) -> Refusal:
    message = (
        f"The provided key '{masked(key)}' does not have the required permissions for this endpoint on account "
        f"'{account}'. Having the '{permission}' permission would allow this request to continue."
    )
    return Refusal(403, message)


def key_reused(key: str) -> Refusal:
    message = (
        "Keys for idempotent requests can only be used with the same parameters they were first used with. Try using "
        f"a key other than '{key}' if you meant to execute a different request."
    )
    return Refusal(400, message, kind="idempotency_error")


def key_in_use() -> Refusal:
    message = "There is currently another in-progress request using this Idempotent Key"
    return Refusal(409, message, kind="idempotency_error", code="idempotency_key_in_use")


def masked(key: str) -> str:
    """A key as Stripe shows it: its kind and its last four characters."""
    head, tail = key[:8], key[8:]
    return head + "*" * max(len(tail) - 4, 0) + tail[-4:]
