"""Asking the payment processor what credentials are worth, before anything is stored. Never inside a transaction."""

from collections.abc import Mapping

from django.conf import settings

from checkout.calls import calling
from checkout.connections.errors import (
    AccountMismatch,
    BadCredentials,
    CredentialsRefused,
    MissingRights,
    ProbeFailed,
    UnknownKind,
    WrongMode,
)
from checkout.connectors.base import ConnectionHealth, ConnectionRevoked, ConnectorError, PspRejected
from checkout.connectors.registry import Ask, Kind, kinds
from merchants.models import Connection

_LONGEST = 300
_SHORTEST_SECRET = 16


def is_live_here() -> bool:
    """Whether this deployment takes live credentials; it takes no others, and a sandbox takes none of them."""
    return bool(settings.RAKO_MODE == "live")


def kind_of(name: str) -> Kind:
    """The entry of a kind. Raises UnknownKind."""
    if name not in kinds():
        raise UnknownKind(f"kind must be one of: {', '.join(kinds())}")
    return kinds()[name]


def checked_credentials(kind: Kind, given: Mapping[str, object]) -> dict[str, str]:
    """The credentials a kind asks for, and no others. Raises BadCredentials, which names the one that is wrong."""
    asked = [ask.name for ask in kind.credentials]
    if unknown := [name for name, value in given.items() if name not in asked and value not in ("", None)]:
        raise BadCredentials(f"{kind.label} takes no {unknown[0].replace('_', ' ')[:40]}")
    return {ask.name: _checked(ask, given.get(ask.name), 1) for ask in kind.credentials}


def checked_account(kind: Kind, given: str) -> str:
    """The account's id as typed, "" if the key is to tell it. Raises BadCredentials."""
    if kind.account is None or (not given and kind.tells_account):
        return ""
    account = _checked(kind.account, given, 1)
    if len(account) > 64:
        raise BadCredentials("Account is too long")
    return account


def checked_secret(kind: Kind, given: str) -> str:
    """A webhook signing secret. Raises BadCredentials."""
    assert kind.webhook_secret is not None, "kinds without one are asked for none"
    return _checked(kind.webhook_secret, given, _SHORTEST_SECRET)


def _checked(ask: Ask, given: object, shortest: int) -> str:
    text = given.strip() if isinstance(given, str) else ""
    if not text:
        raise BadCredentials(f"{ask.label} is missing")
    if not (shortest <= len(text) <= _LONGEST and text.isascii() and text.isprintable() and " " not in text):
        raise BadCredentials(f"{ask.label} has {shortest} to {_LONGEST} printable characters and no spaces")
    wanted, other = ask.begins[is_live_here()], ask.begins[not is_live_here()]
    if not text.startswith(wanted):
        if text.startswith(other):
            mode = "live" if is_live_here() else "test"
            raise WrongMode(f"{ask.label} is of the other mode: this deployment takes {mode} credentials only")
        raise BadCredentials(f"{ask.label} must begin with {wanted}")
    return text


def probe(candidate: Connection) -> ConnectionHealth:
    """What the payment processor says of a connection that need not be stored.

    Raises CredentialsRefused, the connector's own sentence for a key that it does not take, MissingRights,
    AccountMismatch, WrongMode, or ProbeFailed if the processor did not say.
    """
    try:
        with calling(candidate) as psp:
            health = psp.verify_connection()
    except ConnectionRevoked:
        raise CredentialsRefused() from None
    except ConnectorError as error:
        if isinstance(error, PspRejected) and error.status == 400:
            raise BadCredentials(str(error).rstrip("."), code=error.code) from None
        raise ProbeFailed(retry_after=error.retry_after) from None
    _judge(candidate, health)
    return health


def _judge(candidate: Connection, health: ConnectionHealth) -> None:
    if health.is_live != candidate.is_live:
        mode = "live" if candidate.is_live else "test"
        raise WrongMode(f"The account is of the other mode: this deployment takes {mode} credentials only")
    if health.missing:
        raise MissingRights(list(health.missing))
    if not health.account_id:  # believing what was typed would let anybody claim anybody's account
        raise BadCredentials("The key may not tell its account: give it the right to read that", code="missing_rights")
    if candidate.account_id and health.account_id != candidate.account_id:
        raise AccountMismatch()
