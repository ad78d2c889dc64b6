"""New secrets for a connection that stands: the one its webhooks are signed with, and the key it acts with."""

import logging
from collections.abc import Mapping

from django.db import transaction

from checkout.connections.errors import ConnectionNotFound, Disconnected, NoKeyToReplace, NoSecretToGive
from checkout.connections.probing import checked_credentials, checked_secret, kind_of, probe
from checkout.connections.standing import restore
from checkout.connectors.registry import Kind
from merchants.models import Connection

log = logging.getLogger("rako.connections")

MOST_SECRETS = 2


def takes_secret(connection: Connection) -> bool:
    """Whether its webhooks are signed with a secret of the merchant's, rather than the sandbox's or the platform's."""
    return connection.mode == Connection.Mode.KEY and kind_of(connection.kind).webhook_secret is not None


def takes_key(connection: Connection) -> bool:
    """Whether it acts with a key that the merchant gave."""
    return connection.mode == Connection.Mode.KEY and bool(kind_of(connection.kind).credentials)


@transaction.atomic
def add_webhook_secret(connection: Connection, secret: str, *, drop_old: bool = False) -> Connection:
    """Put a signing secret in front; the newest two are kept, or this one alone with `drop_old`.

    A pending connection sells from now on. The same secret again changes nothing else. Raises BadCredentials,
    NoSecretToGive, Disconnected.
    """
    if not takes_secret(connection):
        raise NoSecretToGive()
    new = checked_secret(_entry(connection), secret)
    own = _locked(connection)
    known = own.webhook_secrets
    secrets = known if new in known else [new, *known]
    own.webhook_secrets = [new] if drop_old else secrets[:MOST_SECRETS]
    if own.status == Connection.Status.PENDING:
        own.status = Connection.Status.ACTIVE
    own.save(update_fields=["webhook_secrets", "status"])
    log.info("connection %s has a new webhook secret, %s in all", own.pk, len(own.webhook_secrets))
    return own


@transaction.atomic
def drop_old_webhook_secret(connection: Connection) -> bool:
    """Keep the newest secret alone; whether there was an older one. Raises Disconnected."""
    own = _locked(connection)
    had_old = len(own.webhook_secrets) > 1
    own.webhook_secrets = own.webhook_secrets[:1]
    own.save(update_fields=["webhook_secrets"])
    return had_old


def replace_key(connection: Connection, credentials: Mapping[str, object]) -> Connection:
    """Act with another key of the same account from now on, once the processor has said that it is good.

    A degraded connection is active again. Not to be called inside a transaction; nothing is changed unless all is
    well. Raises what `connect` does, NoKeyToReplace and Disconnected.
    """
    if not takes_key(connection):
        raise NoKeyToReplace()
    candidate = Connection.objects.get(pk=connection.pk)
    candidate.credentials = checked_credentials(_entry(connection), credentials)
    if candidate.status == Connection.Status.DISCONNECTED:
        raise Disconnected()
    probe(candidate)
    with transaction.atomic():
        own = _locked(connection)
        own.credentials = candidate.credentials
        own.save(update_fields=["credentials"])
        restore(own)
    log.info("connection %s has a new key", own.pk)
    return own


def _entry(connection: Connection) -> Kind:
    return kind_of(connection.kind)


def _locked(connection: Connection) -> Connection:
    """The row as it is now, until the transaction ends. Raises Disconnected."""
    rows = Connection.objects.select_for_update(of=("self",)).select_related("merchant")
    own = rows.filter(pk=connection.pk).first()
    if own is None:
        raise ConnectionNotFound()
    if own.status == Connection.Status.DISCONNECTED:
        raise Disconnected()
    return own
