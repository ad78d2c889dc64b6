"""Merchants' accounts: opened, closed, and recognised by their key."""

import hmac
import secrets

from django.conf import settings
from django.core.exceptions import ImproperlyConfigured
from django.db import transaction

from checkout.connectors.base import ConnectionRevoked
from checkout.connectors.sandbox import events
from checkout.connectors.sandbox.intake import is_storable
from checkout.connectors.sandbox.models import Account


def open_account(display_name: str, webhook_path: str) -> Account:
    """A new account with fresh secrets; its events go to RAKO_BASE_URL + `webhook_path`.

    Raises ImproperlyConfigured outside sandbox mode, ValueError for a path that does not start with one slash.
    """
    if settings.RAKO_MODE != "sandbox":
        raise ImproperlyConfigured("The sandbox PSP exists only in sandbox mode")
    if not webhook_path.startswith("/") or webhook_path.startswith("//"):
        raise ValueError("webhook_path must start with one slash")
    return Account.objects.create(
        display_name=display_name,
        webhook_path=webhook_path,
        secret_key=f"sandbox_sk_{secrets.token_urlsafe(32)}",
        webhook_secret=f"sandbox_whsec_{secrets.token_urlsafe(32)}",
    )


@transaction.atomic
def close_account(account_id: str) -> bool:
    """From now on the account's key opens nothing and its pages take no payment; what happened stays.

    Whoever listens is told, once. Returns whether the account was open until now.
    """
    was_open = bool(Account.objects.filter(pk=account_id, is_closed=False).update(is_closed=True))
    if was_open:
        events.tell_deauthorized(Account.objects.get(pk=account_id))
    return was_open


def authenticate(account_id: str, secret_key: str) -> Account:
    """The open account that this key belongs to. Raises ConnectionRevoked."""
    account = Account.objects.filter(pk=account_id, is_closed=False).first()
    if account is None or not hmac.compare_digest(account.secret_key.encode(), secret_key.encode()):
        raise ConnectionRevoked()
    return account


def owner_of(secret_key: str) -> Account:
    """The open account that this key opens, whichever that is. Raises ConnectionRevoked."""
    own = Account.objects.filter(secret_key=secret_key, is_closed=False).first() if is_storable(secret_key) else None
    if own is None:
        raise ConnectionRevoked()
    return own
