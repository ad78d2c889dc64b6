"""Connecting a merchant to a payment processor, and letting go of it."""

import logging
from collections.abc import Mapping
from datetime import datetime

from django.conf import settings
from django.db import IntegrityError, transaction

from checkout.connections.errors import AccountTaken, AlreadyConnected, NoSecretToGive
from checkout.connections.probing import (
    checked_account,
    checked_credentials,
    checked_secret,
    is_live_here,
    kind_of,
    probe,
)
from checkout.connections.standing import end
from checkout.connectors.base import ConnectorError
from checkout.connectors.sandbox import accounts
from checkout.connectors.stripe import oauth
from merchants.models import Connection, Merchant
from rako.core.errors import Forbidden
from rako.core.ids import new_id

log = logging.getLogger("rako.connections")


def connect(
    merchant: Merchant,
    *,
    kind: str,
    credentials: Mapping[str, object],
    account_id: str = "",
    webhook_secret: str = "",
) -> Connection:
    """Connect a merchant by credentials of its own, once the processor has said that they are good for all we need.

    Without a webhook secret the connection is `pending` until `add_webhook_secret`: it sells nothing before. Not to be
    called inside a transaction, and nothing is stored unless all is well. Raises the errors of `errors` and `probing`.
    """
    entry = kind_of(kind)
    if entry.webhook_secret is None and webhook_secret:
        raise NoSecretToGive()
    asked = checked_credentials(entry, credentials)
    account = checked_account(entry, account_id)
    secret = checked_secret(entry, webhook_secret) if webhook_secret else ""
    if merchant.connections.exclude(status="disconnected").exists():
        raise AlreadyConnected()
    if kind == "sandbox":
        return connect_sandbox(merchant)
    candidate = Connection(
        merchant=merchant,
        kind=kind,
        account_id=account,
        is_live=is_live_here(),
        status="active" if secret else "pending",
        credentials=asked,
        webhook_secrets=[secret] if secret else [],
    )
    candidate.account_id = probe(candidate).account_id
    return keep(candidate)


@transaction.atomic
def connect_sandbox(merchant: Merchant) -> Connection:
    """Open an account at the sandbox PSP and connect the merchant to it. Raises AlreadyConnected."""
    if settings.RAKO_MODE != "sandbox":
        raise Forbidden("The sandbox PSP exists only in sandbox mode")
    connection_id = new_id()
    account = accounts.open_account(merchant.name, f"/v1/webhooks/sandbox/{connection_id}")
    return keep(
        Connection(
            id=connection_id,
            merchant=merchant,
            kind="sandbox",
            account_id=account.pk,
            credentials={"secret_key": account.secret_key},
            webhook_secrets=[account.webhook_secret],
        )
    )


def keep(candidate: Connection) -> Connection:
    """Store a connection. Raises AlreadyConnected or AccountTaken if its merchant or its account has another."""
    try:
        with transaction.atomic():
            candidate.save(force_insert=True)
    except IntegrityError as error:
        raise clash(error) from None
    log.info("connection %s: merchant %s on %s", candidate.pk, candidate.merchant_id, candidate.kind)
    return candidate


def clash(error: IntegrityError) -> AlreadyConnected | AccountTaken:
    """Which of the two promises PostgreSQL kept; anything else is a bug and raised as it is."""
    broken = getattr(getattr(error.__cause__, "diag", None), "constraint_name", "")
    if broken == "connection_one_standing_per_merchant":
        return AlreadyConnected()
    if broken == "connection_one_per_account":
        return AccountTaken()
    raise error


def disconnect(connection: Connection, *, revoked_at: datetime | None = None) -> None:
    """Start no more checkouts through it. Its webhooks are still heard: open pages may yet be paid, and must count."""
    end(connection, revoked_at=revoked_at)


def disconnect_and_leave(connection: Connection) -> bool:
    """Disconnect, and give back at Stripe what the merchant granted by OAuth. Not to be called inside a transaction.

    Returns whether nothing is left there. If Stripe cannot be told, the connection is disconnected all the same.
    """
    disconnect(connection)
    return connection.mode != Connection.Mode.CONNECT or leave_account(connection.account_id)


def leave_account(account_id: str) -> bool:
    """Have Stripe take back the platform's access, unless a standing connection needs it; whether it is given up."""
    standing = Connection.objects.filter(kind="stripe", mode=Connection.Mode.CONNECT, account_id=account_id)
    if standing.exclude(status="disconnected").exists():
        return True
    try:
        oauth.deauthorize(account_id)
    except ConnectorError as error:
        log.warning("Stripe account %s was not left: %s", account_id, error.code)
        return False
    return True
