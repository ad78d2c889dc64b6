"""The refusals of the API: HTTP status, family, code.

`{"error": {"type": "invalid_request", "message": "…", "code": "IR_04"}}`; where the body itself cannot be read,
`error_type` stands in place of `type`. Statuses and codes are documented; the messages are ours. Not established: the
code of a locked object (here HE_00 with `lock_timeout`) and of an over-long identifier or metadata (here IR_05 and
IR_06).
"""

from typing import Any


class ApiError(Exception):
    """A refusal as the client sees it."""

    def __init__(self, status: int, family: str, code: str, message: str, family_key: str = "type") -> None:
        super().__init__(message)
        self.status = status
        self.code = code
        self.body: dict[str, Any] = {"error": {family_key: family, "message": message, "code": code}}


def unauthorized() -> ApiError:
    return ApiError(401, "invalid_request", "IR_01", "The API key is missing or not valid")


def unknown_address() -> ApiError:
    return ApiError(404, "invalid_request", "IR_02", "There is nothing at this address")


def wrong_method() -> ApiError:
    return ApiError(405, "invalid_request", "IR_03", "This address does not answer to this method")


def not_modelled(what: str) -> ApiError:
    return ApiError(501, "server_not_available", "IR_00", f"This fake does not model {what}")


def missing(field: str) -> ApiError:
    return ApiError(400, "invalid_request", "IR_04", f"Required and missing: {field}")


def bad_format(field: str, expected: str) -> ApiError:
    return ApiError(422, "invalid_request", "IR_05", f"{field} must be {expected}")


def invalid(message: str) -> ApiError:
    return ApiError(422, "invalid_request", "IR_06", message)


def unreadable(message: str) -> ApiError:
    """A body or query that does not parse: unknown field, wrong type, unknown word of an enumeration."""
    return ApiError(400, "invalid_request", "IR_06", message, family_key="error_type")


def refund_too_large() -> ApiError:
    return ApiError(400, "invalid_request", "IR_13", "The refunds would exceed what was captured")


def unexpected_state(verb: str, status: str, expected: str) -> ApiError:
    return ApiError(
        400, "invalid_request", "IR_14", f"A payment that is {status} cannot be {verb}; it must be {expected}"
    )


def precondition(message: str) -> ApiError:
    return ApiError(400, "invalid_request", "IR_16", message)


def duplicate(what: str) -> ApiError:
    return ApiError(400, "duplicate_request", "HE_01", f"A {what} with this id exists already")


def not_found(what: str) -> ApiError:
    return ApiError(404, "object_not_found", "HE_02", f"There is no such {what}")


def dispute_not_found() -> ApiError:
    return ApiError(404, "object_not_found", "HE_04", "There is no such dispute")


def server_error() -> ApiError:
    return ApiError(500, "server_not_available", "HE_00", "Something went wrong on this side")


def locked() -> ApiError:
    message = "At this moment, access to this object is restricted: another request holds it"
    return ApiError(429, "lock_timeout", "HE_00", message)
