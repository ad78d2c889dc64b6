import pytest
from cryptography.fernet import Fernet
from django.core.exceptions import ImproperlyConfigured
from django.db import connection as database

from merchants.models import Connection
from rako.core.encryption import UndecipherableError, decrypt, encrypt
from tests.factories import MerchantFactory

OLD, NEW = Fernet.generate_key().decode(), Fernet.generate_key().decode()


def stored(row: Connection) -> tuple[str, ...]:
    """The two secrets as the database has them."""
    with database.cursor() as cursor:
        cursor.execute("SELECT credentials, webhook_secrets FROM merchants_connection WHERE id = %s", [row.pk])
        return cursor.fetchone()


@pytest.mark.parametrize("value", [{"secret_key": "sk"}, ["new", "old"], "é\u2028", 1, None, {}, {"nested": [1, {}]}])
def test_what_was_encrypted_comes_back(value):
    assert decrypt(encrypt(value)) == value


def test_the_same_data_never_gives_the_same_token():
    assert encrypt({"a": 1}) != encrypt({"a": 1})


def test_the_first_key_encrypts(settings):
    settings.RAKO_CREDENTIAL_KEYS = [NEW, OLD]

    assert Fernet(NEW).decrypt(encrypt("secret")) == b'"secret"'


def test_every_key_decrypts(settings):
    settings.RAKO_CREDENTIAL_KEYS = [OLD]
    token = encrypt("secret")
    settings.RAKO_CREDENTIAL_KEYS = [NEW, OLD]

    assert decrypt(token) == "secret"


def test_a_token_of_a_dropped_key_is_undecipherable_and_stays_unseen(settings):
    settings.RAKO_CREDENTIAL_KEYS = [OLD]
    token = encrypt("secret")
    settings.RAKO_CREDENTIAL_KEYS = [NEW]

    with pytest.raises(UndecipherableError) as raised:
        decrypt(token)
    assert token not in repr(raised.getrepr(style="long", showlocals=False))
    assert token not in str(raised.value)


@pytest.mark.parametrize("spoiled", ["", "not a token", "gAAAAA", "x" * 200])
def test_what_is_no_token_is_undecipherable(spoiled):
    with pytest.raises(UndecipherableError):
        decrypt(spoiled)


def test_a_changed_token_is_undecipherable():
    token = encrypt("secret")
    middle = len(token) // 2

    with pytest.raises(UndecipherableError):
        decrypt(token[:middle] + ("A" if token[middle] != "A" else "B") + token[middle + 1 :])


@pytest.mark.parametrize("keys", [["malformed-key-5ecret"], [], [NEW, "malformed-key-5ecret"]])
def test_malformed_keys_are_reported_without_being_shown(settings, keys):
    settings.RAKO_CREDENTIAL_KEYS = keys

    with pytest.raises(ImproperlyConfigured, match="RAKO_CREDENTIAL_KEYS") as raised:
        encrypt("secret")
    assert "5ecret" not in str(raised.value)


@pytest.mark.django_db
def test_the_database_sees_no_plaintext():
    row = MerchantFactory().connections.get()

    raw = " ".join(stored(row))

    assert row.credentials["secret_key"].startswith("sandbox_sk_")
    assert not any(secret in raw for secret in (row.credentials["secret_key"], row.webhook_secrets[0], "sandbox"))


@pytest.mark.django_db
def test_stored_secrets_come_back_from_the_database():
    row = MerchantFactory().connections.get()

    found = Connection.objects.get(pk=row.pk)

    assert (found.credentials, found.webhook_secrets) == (row.credentials, row.webhook_secrets)
