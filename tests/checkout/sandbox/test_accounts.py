"""Accounts, and that the sandbox keeps to itself."""

import ast
from pathlib import Path

import pytest
from django.core.exceptions import ImproperlyConfigured
from pytest_django import Settings

import checkout.connectors.sandbox
from checkout.connectors.base import ConnectionRevoked
from checkout.connectors.sandbox import accounts
from checkout.connectors.sandbox.models import Account

SANDBOX = Path(checkout.connectors.sandbox.__file__).parent
PROJECT = {path.name for path in SANDBOX.parents[2].iterdir() if (path / "__init__.py").exists()}
ALLOWED = ("rako.core", "checkout.connectors.base", "checkout.connectors.sandbox")


def imports_of(path: Path) -> set[str]:
    found = set()
    for node in ast.walk(ast.parse(path.read_text())):
        if isinstance(node, ast.Import):
            found |= {alias.name for alias in node.names}
        elif isinstance(node, ast.ImportFrom):
            found.add(node.module or ".")
    return found


@pytest.mark.parametrize("path", sorted(SANDBOX.rglob("*.py")), ids=lambda path: path.name)
def test_the_sandbox_knows_nothing_of_the_project(path: Path) -> None:
    own = {name for name in imports_of(path) if name.split(".")[0] in PROJECT}

    assert {name for name in own if not name.startswith(ALLOWED)} == set()


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
