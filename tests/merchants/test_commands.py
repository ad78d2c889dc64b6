import base64
import json
from io import StringIO

import pytest
from cryptography.fernet import Fernet
from django.core.management import call_command
from django.core.management.base import CommandError

from merchants import keyring
from merchants.models import Connection, SigningKey
from rako.core.encryption import UndecipherableError
from tests.factories import MerchantFactory

pytestmark = pytest.mark.django_db
OLD, NEW = Fernet.generate_key().decode(), Fernet.generate_key().decode()


def printed(*command):
    out = StringIO()
    call_command(*command, stdout=out)
    return out.getvalue().strip()


def test_after_reencryption_the_old_key_can_be_dropped(settings):
    settings.RAKO_CREDENTIAL_KEYS = [OLD]
    secrets = [MerchantFactory().connections.get().credentials for _ in range(3)]

    settings.RAKO_CREDENTIAL_KEYS = [NEW, OLD]
    told = printed("reencrypt_credentials")
    settings.RAKO_CREDENTIAL_KEYS = [NEW]

    assert told == "3 re-encrypted, 0 undecipherable"
    assert [row.credentials for row in Connection.objects.order_by("connected_at")] == secrets


def test_without_reencryption_it_cannot(settings):
    settings.RAKO_CREDENTIAL_KEYS = [OLD]
    MerchantFactory()
    settings.RAKO_CREDENTIAL_KEYS = [NEW]

    with pytest.raises(UndecipherableError):
        Connection.objects.get()


def test_undecipherable_credentials_are_named_and_hold_up_no_other(settings):
    settings.RAKO_CREDENTIAL_KEYS = [OLD]
    lost = MerchantFactory().connections.get()
    settings.RAKO_CREDENTIAL_KEYS = [NEW]
    MerchantFactory()
    out = StringIO()

    with pytest.raises(CommandError, match=lost.pk) as raised:
        call_command("reencrypt_credentials", stdout=out)
    assert (out.getvalue().strip(), raised.value.returncode) == ("1 re-encrypted, 1 undecipherable", 3)


def test_reencryption_can_be_repeated():
    MerchantFactory()

    assert printed("reencrypt_credentials") == printed("reencrypt_credentials") == "1 re-encrypted, 0 undecipherable"


def test_a_generated_seed_is_a_signing_key_and_nothing_is_published(settings):
    seed = printed("rotate_signing_key", "--generate")
    settings.RAKO_SIGNING_KEYS = [seed]

    keyring.check_environment()
    assert (len(base64.b64decode(seed)), SigningKey.objects.count()) == (32, 0)


def test_generated_seeds_differ():
    assert printed("rotate_signing_key", "--generate") != printed("rotate_signing_key", "--generate")


def test_rotating_tells_the_key_and_its_time(settings, tmp_path):
    settings.RAKO_SIGNING_KEYS, settings.RAKO_DATA_DIR = [], tmp_path
    keyring.published()

    facts = json.loads(printed("rotate_signing_key", "--json"))

    newest = keyring.published()[0]
    assert facts == {"keyId": newest.key_id, "validFrom": facts["validFrom"]}
    assert SigningKey.objects.count() == 2


def test_rotating_for_people(settings, tmp_path):
    settings.RAKO_SIGNING_KEYS, settings.RAKO_DATA_DIR = [], tmp_path

    told = printed("rotate_signing_key")

    assert told.startswith(f"key {SigningKey.objects.get().pk} signs from 20")


def test_rotating_without_a_new_seed_fails():
    keyring.published()

    with pytest.raises(CommandError, match="put a new one first"):
        call_command("rotate_signing_key")
