"""A malformed environment is refused at start, by name; every name is in .env.example."""

import os
import re
import subprocess
import sys
from pathlib import Path

import pytest
from django.conf import settings

ROOT = Path(__file__).resolve().parents[2]
MALFORMED = {
    "RAKO_MODE": "production",
    "RAKO_DATA_DIR": "",
    "RAKO_SECRET_KEY": "",
    "RAKO_CREDENTIAL_KEYS": "not-a-fernet-key",
    "RAKO_SIGNING_KEYS": "not-a-seed",
    "RAKO_BASE_URL": "rako.example",
    "RAKO_LINK_BASE": "ftp://rako.example",
    "RAKO_CHECKOUT_BACKEND": "stripe",
    "RAKO_REQUIRE_AUTHORIZATION": "true",
    "RAKO_AMOUNT_TOLERANCE_FLIGHTS": "101",
    "RAKO_AMOUNT_TOLERANCE_HOTELS": "-1",
    "RAKO_LEDGER_ORIGIN": "https://rako.example/ledger",
    "RAKO_SIGNER_DIR": "",
    "RAKO_WITNESSES": "witness.example+00000000+AAAA https://witness.example",
    "RAKO_STRIPE_API_BASE": "api.stripe.com",
    "RAKO_STRIPE_CONNECT_BASE": "connect.stripe.com",
    "RAKO_STRIPE_CLIENT_ID": "acct_1",
    "RAKO_STRIPE_PLATFORM_KEY": "sk_live_of_another_mode",
    "RAKO_STRIPE_PLATFORM_WEBHOOK_SECRETS": "whsec_1,secret",
    "RAKO_HYPERSWITCH_API_BASE": "sandbox.hyperswitch.io",
    "RAKO_PAYOUT_PROVIDER": "paypal",
    "RAKO_PAYOUT_DEBTOR_IBAN": "GB33BUKB20201555555556",
    "RAKO_PAYOUT_DEBTOR_BIC": "BUKB",
    "RAKO_PSP_CONNECT_MS": "2s",
    "RAKO_WEBHOOK_LOOPBACK": "maybe",
    "RAKO_PSP_READ_MS": "0",
    "RAKO_MAX_BODY_BYTES": "1MB",
    "RAKO_DISPUTE_ANSWER_DAYS": "a week",
    "RAKO_DISPUTE_REVIEW_DAYS": "0",
    "RAKO_SANDBOX_DELAY_SECONDS": "-1",
    "RAKO_DB_POOL_SIZE": "201",
    "RAKO_LOG_LEVEL": "LOUD",
    "AAP_API_URL": "localhost:3456",
    "DATABASE_URL": "postgres://rako@localhost:port/rako",
}
ANYTHING_GOES = {
    *("RAKO_ALLOWED_HOSTS", "RAKO_PAYOUT_DEBTOR_NAME", "RAKO_CHECKPOINT_EXPORT"),
    *("RAKO_INVOICE_NAME", "RAKO_INVOICE_ADDRESS", "RAKO_INVOICE_VAT_NUMBER", "AAP_API_KEY"),
}


def names_read():
    return set(re.findall(r'setting\(\s*"([A-Z_]+)"', (ROOT / "rako" / "settings.py").read_text()))


def checked(*arguments, **environment):
    """`manage.py check`, or Python with other arguments, in an environment of nothing but this."""
    clean = {"PATH": os.environ["PATH"], "RAKO_DATA_DIR": str(settings.RAKO_DATA_DIR)}
    return subprocess.run(
        [sys.executable, *(arguments or ("manage.py", "check"))],
        cwd=ROOT,
        env=clean | environment,
        capture_output=True,
        text=True,
        check=False,
    )


def test_every_setting_is_tried():
    assert set(MALFORMED) | ANYTHING_GOES == names_read()


@pytest.mark.parametrize("name", MALFORMED)
def test_a_malformed_setting_is_named_at_start(name):
    run = checked(**{name: MALFORMED[name]})

    assert run.returncode != 0
    assert f"{name} is" in run.stderr


def test_an_empty_environment_is_a_sandbox_without_complaints():
    run = checked()

    assert (run.returncode, run.stdout + run.stderr) == (0, "System check identified no issues (0 silenced).\n")


def test_live_webhooks_never_go_to_this_machine():
    assert "RAKO_WEBHOOK_LOOPBACK is malformed" in checked(RAKO_MODE="live", RAKO_WEBHOOK_LOOPBACK="yes").stderr


@pytest.mark.parametrize(
    ("environment", "is_sent_to"),
    [
        ({}, "True"),
        ({"RAKO_BASE_URL": "http://[::1]:3456"}, "True"),
        ({"RAKO_BASE_URL": "https://rako.example"}, "False"),
        ({"RAKO_BASE_URL": "http://192.168.0.2:3456"}, "False"),
        ({"RAKO_BASE_URL": "https://rako.example", "RAKO_WEBHOOK_LOOPBACK": "yes"}, "True"),
        ({"RAKO_WEBHOOK_LOOPBACK": "no"}, "False"),
    ],
)
def test_webhooks_go_to_this_machine_by_themselves_only_where_all_of_rako_is_there(environment, is_sent_to):
    asked = "from rako import settings; print(settings.RAKO_WEBHOOK_LOOPBACK)"

    assert checked("-c", asked, **environment).stdout == f"{is_sent_to}\n"


def test_another_database_than_postgresql_is_refused():
    assert "DATABASE_URL is malformed" in checked(DATABASE_URL="mysql://localhost/rako").stderr


def test_the_example_lists_exactly_the_settings_that_are_read():
    listed = re.findall(r"^#?\s*([A-Z][A-Z0-9_]+)=", (ROOT / ".env.example").read_text(), re.MULTILINE)

    assert sorted(listed) == sorted(names_read())


def test_nothing_is_debugged():
    assert settings.DEBUG is False
