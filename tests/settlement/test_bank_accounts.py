"""Bank accounts are checked, encrypted, and shown nowhere but in the file for the bank."""

import io
import logging

import pytest
from cryptography.fernet import Fernet
from django.core.management import call_command

from rako.core.errors import BadRequest
from settlement.models import BankAccount, PayoutFile
from settlement.payouts import send_payouts
from tests import staff
from tests.checkout.onboarding import everything_stored
from tests.checkout.test_connection_secrets import Told
from tests.factories import BuilderFactory, MerchantFactory
from tests.settlement.payouts import BIC, GERMAN, IBAN, account, ordered, payout

pytestmark = pytest.mark.django_db


@pytest.mark.parametrize(
    "typed", [IBAN, "GB29 NWBK 6016 1331 9268 19", "gb29nwbk60161331926819"], ids=["plain", "spaced", "small"]
)
def test_an_account_is_stored_in_one_form(typed):
    builder = BuilderFactory()

    account(builder, iban=typed)

    row = BankAccount.objects.get()
    assert (row.account, row.hint) == ({"iban": IBAN, "bic": BIC}, "6819")


@pytest.mark.parametrize(
    "changes",
    [
        {"iban": "GB29NWBK60161331926818"},
        {"iban": IBAN[:-1]},
        {"iban": "XX" + IBAN[2:]},
        {"iban": "'; DROP TABLE"},
        {"bic": "NWBK"},
        {"bic": ""},
    ],
    ids=["check digits", "length", "country", "shape", "BIC", "no BIC for pounds"],
)
def test_a_wrong_account_is_refused_and_not_repeated(changes):
    with pytest.raises(BadRequest) as refusal:
        account(BuilderFactory(), **changes)

    assert not any(value and value in str(refusal.value) for value in changes.values())
    assert not BankAccount.objects.exists()


def test_euros_need_no_bic():
    account(BuilderFactory(), "EUR", iban=GERMAN, bic="")

    assert BankAccount.objects.get().account == {"iban": GERMAN, "bic": ""}


def test_a_new_account_takes_the_place_of_the_old():
    builder = BuilderFactory()
    account(builder)
    account(builder, iban=GERMAN)

    assert BankAccount.objects.get().hint == "3000"


def test_keys_can_be_changed_for_accounts_and_files(settings):
    row = payout()
    send_payouts()
    old, new = settings.RAKO_CREDENTIAL_KEYS[0], Fernet.generate_key().decode()
    settings.RAKO_CREDENTIAL_KEYS = [new, old]
    call_command("reencrypt_credentials", stdout=io.StringIO())
    settings.RAKO_CREDENTIAL_KEYS = [new]

    assert BankAccount.objects.get().account["iban"] == IBAN
    assert row.pk in PayoutFile.objects.get().content


def test_an_account_is_shown_nowhere(caplog, as_merchant, monkeypatch):
    monkeypatch.setattr("tests.checkout.test_connection_secrets.APPS", ("settlement", "sessions_app", "admin"))
    caplog.set_level(logging.DEBUG)
    told, builder = Told(staff.superuser(), as_merchant(MerchantFactory())), BuilderFactory()
    typed = {"builder": builder.pk, "currency": "GBP", "holder": "Ada", "iban": GERMAN, "bic": "x"}
    told.post(staff.page(BankAccount, "add"), **typed)
    told.post(staff.page(BankAccount, "add"), **typed | {"iban": IBAN, "bic": BIC})
    ordered(builder)
    send_payouts()
    told.every_page()

    found = "\n".join(told.texts) + caplog.text + everything_stored()

    assert BankAccount.objects.count() == PayoutFile.objects.count() == 1
    assert [secret for secret in (IBAN, GERMAN, BIC) if secret in found] == []
