"""Merchants' accounts: opened, closed, and recognised by their key."""

import hmac
import secrets

from django.conf import settings
from django.core.exceptions import ImproperlyConfigured

from checkout.connectors.base import ConnectionRevoked
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


def close_account(account_id: str) -> None:
    """From now on the account's key opens nothing and its pages take no payment; what happened stays."""
    Account.objects.filter(pk=account_id).update(is_closed=True)


def authenticate(account_id: str, secret_key: str) -> Account:
    """The open account that this key belongs to. Raises ConnectionRevoked."""
    account = Account.objects.filter(pk=account_id, is_closed=False).first()
    if account is None or not hmac.compare_digest(account.secret_key.encode(), secret_key.encode()):
        raise ConnectionRevoked()
    return account
