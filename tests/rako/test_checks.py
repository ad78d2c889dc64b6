"""What must hold before live traffic is served; each refusal has its id."""

import os
import subprocess
import sys
from pathlib import Path

import pytest
from cryptography.fernet import Fernet
from django.contrib.auth import get_user_model
from django.core.exceptions import ImproperlyConfigured
from django.db import connection

from merchants.models import MerchantKey
from rako import demo_data
from rako.checks import check_configuration, check_demo_keys, refuse_unsafe_start
from rako.demo_keys import DEMO_ADMIN, DEMO_KEYS
from sessions_app.models import AgentKey
from tests.factories import AgentFactory, MerchantFactory

ROOT = Path(__file__).resolve().parents[2]
SEED = "bGl2ZS10ZXN0LXNlZWQtb2YtMzItYnl0ZXMtbG9uZyE="
LIVE = {
    "RAKO_MODE": "live",
    "RAKO_SECRET_KEY": "x" * 50,
    "RAKO_CREDENTIAL_KEYS": Fernet.generate_key().decode(),
    "RAKO_SIGNING_KEYS": SEED,
    "RAKO_BASE_URL": "https://rako.example",
}


@pytest.fixture
def live(settings, tmp_path):
    """A live configuration without fault."""
    settings.RAKO_MODE, settings.SECRET_KEY, settings.RAKO_DATA_DIR = "live", "x" * 50, tmp_path
    settings.RAKO_CREDENTIAL_KEYS = [Fernet.generate_key().decode()]
    settings.RAKO_BASE_URL, settings.RAKO_SIGNING_KEYS = "https://rako.example", [SEED]
    return settings


def ids(messages):
    return [message.id for message in messages]


def test_a_good_live_configuration_has_no_findings(live):
    assert check_configuration() == []


@pytest.mark.parametrize(
    ("name", "value", "found"),
    [
        ("SECRET_KEY", "sandbox-only-secret-key-that-is-published-with-the-source", "rako.E001"),
        ("SECRET_KEY", "x" * 49, "rako.E001"),
        ("RAKO_CREDENTIAL_KEYS", ["c2FuZGJveC1vbmx5LXB1Ymxpc2hlZC1rZXktMzItYj0="], "rako.E002"),
        ("RAKO_SIGNING_KEYS", [], "rako.E003"),
        ("RAKO_BASE_URL", "http://rako.example", "rako.E004"),
        ("RAKO_SIGNING_KEYS", ["short"], "rako.E005"),
        ("RAKO_CREDENTIAL_KEYS", ["short"], "rako.E006"),
        ("RAKO_CREDENTIAL_KEYS", [], "rako.E006"),
    ],
)
def test_each_unsafe_setting_is_refused_by_its_id(live, name, value, found):
    setattr(live, name, value)

    assert ids(check_configuration()) == [found]


def test_the_published_credential_key_is_refused_among_others_too(live):
    live.RAKO_CREDENTIAL_KEYS = [*live.RAKO_CREDENTIAL_KEYS, live.SANDBOX_CREDENTIAL_KEY]

    assert ids(check_configuration()) == ["rako.E002"]


def test_a_signing_key_in_a_file_will_do(live, tmp_path):
    live.RAKO_SIGNING_KEYS = []
    (tmp_path / "keys").mkdir()
    (tmp_path / "keys" / "aap_code_0123456789abcdef.pem").touch()

    assert check_configuration() == []


@pytest.mark.parametrize(
    ("name", "value", "found"),
    [("RAKO_SIGNING_KEYS", ["x"], "rako.E005"), ("RAKO_CREDENTIAL_KEYS", ["x"], "rako.E006")],
)
def test_malformed_keys_are_refused_in_the_sandbox_too(settings, name, value, found):
    setattr(settings, name, value)

    assert ids(check_configuration()) == [found]


def issue_demo_key(kind):
    if kind == "agent":
        return AgentKey.issue(key=DEMO_KEYS[kind], name="Demo", agent=AgentFactory())[0]
    return MerchantKey.issue(key=DEMO_KEYS[kind], name="Demo", merchant=MerchantFactory(connected=False))[0]


@pytest.mark.django_db
@pytest.mark.parametrize("kind", ["agent", "merchant"])
def test_usable_demo_keys_are_refused_live(live, kind):
    key = issue_demo_key(kind)
    before = ids(check_demo_keys(databases=["default"]))

    key.revoke()

    assert (before, check_demo_keys(databases=["default"])) == (["rako.E007"], [])


@pytest.mark.django_db
def test_demo_keys_are_welcome_in_the_sandbox():
    issue_demo_key("agent")

    assert check_demo_keys(databases=["default"]) == []


@pytest.mark.django_db
def test_the_published_admin_password_is_refused_live(live):
    get_user_model().objects.create_superuser(DEMO_ADMIN[0], "admin@demo.example", DEMO_ADMIN[1])

    assert ids(check_demo_keys(databases=["default"])) != []


@pytest.mark.django_db
def test_a_server_refuses_to_start_with_every_reason(live):
    live.SECRET_KEY, live.RAKO_BASE_URL = "short", "http://rako.example"
    issue_demo_key("agent")

    with pytest.raises(ImproperlyConfigured, match=r"rako.E001: .*; rako.E004: .*; rako.E007: "):
        refuse_unsafe_start()


@pytest.mark.django_db
def test_the_demo_registry_cannot_be_loaded_live(live):
    with pytest.raises(ImproperlyConfigured, match="sandbox"):
        demo_data.load()


def run(*command, **environment):
    """One of our commands against the tests' database, in an environment of nothing but this."""
    params = connection.get_connection_params()
    clean = {"PATH": os.environ["PATH"], "RAKO_LOG_LEVEL": "ERROR", "PGHOST": params["host"], "PGUSER": params["user"]}
    clean |= {"DATABASE_URL": f"postgres:///{params['dbname']}", "RAKO_DATA_DIR": "/nonexistent/rako"}
    return subprocess.run(
        [sys.executable, *command], cwd=ROOT, env=clean | environment, capture_output=True, text=True, check=False
    )


CHECK = ("manage.py", "check", "--deploy", "--database", "default")
WSGI = ("-c", "import rako.wsgi")


@pytest.mark.django_db
@pytest.mark.parametrize(
    "command", [CHECK, WSGI, ("manage.py", "serve", "--port", "1")], ids=["check", "wsgi", "serve"]
)
def test_live_mode_does_not_start_on_the_sandboxs_defaults(command):
    refusal = run(*command, RAKO_MODE="live")

    assert refusal.returncode == 1
    assert [number for number in (1, 2, 3, 4) if f"rako.E00{number}" not in refusal.stderr] == []


@pytest.mark.django_db
@pytest.mark.parametrize("command", [CHECK, WSGI], ids=["check", "wsgi"])
def test_live_mode_starts_on_a_good_configuration(command):
    start = run(*command, **LIVE)

    assert (start.returncode, "rako." in start.stderr) == (0, False)


@pytest.mark.parametrize("command", [CHECK, WSGI], ids=["check", "wsgi"])
def test_live_mode_does_not_start_with_usable_demo_keys(transactional_db, command):
    issue_demo_key("merchant")

    refusal = run(*command, **LIVE)

    assert (refusal.returncode, "rako.E007" in refusal.stderr) == (1, True)
