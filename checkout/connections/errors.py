"""Why a merchant is not connected, or a connection not changed. Nothing of what was typed is in these sentences."""

from rako.core.errors import BadRequest, Conflict, NotFound, RakoError


class AlreadyConnected(Conflict):
    code, message = "already_connected", "The merchant has a live connection: disconnect it first"


class AccountTaken(Conflict):
    code, message = "account_taken", "This account is connected to another merchant"


class AccountMismatch(BadRequest):
    code, message = "account_mismatch", "The key opens another account"


class UnknownKind(BadRequest):
    code, message = "unknown_kind", "There is no such payment processor here"


class BadCredentials(BadRequest):
    """What was typed is not what the payment processor asks for."""

    code, message = "bad_credentials", "The credentials are incomplete"


class WrongMode(BadCredentials):
    code = "wrong_mode"


class CredentialsRefused(BadRequest):
    code = "credentials_refused"
    message = "The payment processor does not accept these credentials: mistyped, revoked, or of another environment"


class MissingRights(BadRequest):
    """The key works and may not do what Rako needs."""

    code = "missing_rights"

    def __init__(self, missing: list[str]) -> None:
        super().__init__(f"The key lacks these rights: {', '.join(missing)}")
        self.missing = missing


class ProbeFailed(RakoError):
    status, code = 503, "psp_unreachable"
    message = "The payment processor did not answer as it should: nothing was changed, try again"


class Disconnected(Conflict):
    code, message = "disconnected", "The connection is disconnected: connect the merchant anew"


class NoSecretToGive(Conflict):
    code, message = "no_webhook_secret", "This connection's webhooks are not signed with a secret of the merchant's"


class NoKeyToReplace(Conflict):
    code, message = "no_key", "This connection has no key of the merchant's"


class ConnectionNotFound(NotFound):
    message = "Connection not found"


class OAuthRefused(BadRequest):
    """The way to the payment processor and back led to no connection; the sentence says why."""

    code, message = "oauth_refused", "The merchant was not connected"
