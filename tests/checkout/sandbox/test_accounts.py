"""Accounts: opened with secrets of their own, and closed for good."""

import pytest
from django.core.exceptions import ImproperlyConfigured
from pytest_django import Settings

from checkout.connectors.base import ConnectionRevoked
from checkout.connectors.sandbox import accounts
from checkout.connectors.sandbox.models import Account


def test_accounts_have_secrets_of_their_own(account: Account) -> None:
    other = accounts.open_account("Other", "/hooks/other")

    secrets = {account.secret_key, account.webhook_secret, other.secret_key, other.webhook_secret}
    assert len(secrets) == 4
    assert min(map(len, secrets)) > 40


@pytest.mark.parametrize("path", ["", "hooks", "//elsewhere.example/hooks", "https://elsewhere.example"])
def test_a_webhook_is_a_path_of_ours(db: None, path: str) -> None:
    with pytest.raises(ValueError, match="one slash"):
        accounts.open_account("Northwind Running", path)


def test_there_are_no_accounts_in_live_mode(db: None, settings: Settings) -> None:
    settings.RAKO_MODE = "live"

    with pytest.raises(ImproperlyConfigured):
        accounts.open_account("Northwind Running", "/hooks/northwind")


def test_a_key_opens_its_account_until_that_is_closed(account: Account) -> None:
    assert accounts.authenticate(account.pk, account.secret_key) == account

    accounts.close_account(account.pk)
    with pytest.raises(ConnectionRevoked):
        accounts.authenticate(account.pk, account.secret_key)
