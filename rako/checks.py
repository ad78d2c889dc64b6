"""System checks: what must hold before Rako serves live traffic. The sandbox may keep its published defaults."""

from typing import Any

from cryptography.fernet import Fernet
from django.conf import settings
from django.contrib.auth import get_user_model
from django.core import checks
from django.core.checks import CheckMessage, Error, Tags, register
from django.core.exceptions import ImproperlyConfigured
from django.db import DatabaseError

from merchants import keyring
from merchants.models import MerchantKey
from rako.core.api_keys import digest
from rako.demo_keys import DEMO_ADMIN, DEMO_KEYS
from sessions_app.models import AgentKey


@register(Tags.security)
def check_configuration(**options: Any) -> list[CheckMessage]:
    """Malformed keys in any mode (E005, E006), and in live mode whatever is default or unsafe (E001 to E004, E008)."""
    return _malformed() + (_unsafe() if settings.RAKO_MODE == "live" else [])


def _malformed() -> list[CheckMessage]:
    found: list[CheckMessage] = []
    try:
        keyring.check_environment()
    except ImproperlyConfigured as error:
        found.append(Error(str(error), id="rako.E005"))
    try:
        [Fernet(key) for key in settings.RAKO_CREDENTIAL_KEYS]
    except ValueError:
        found.append(Error("RAKO_CREDENTIAL_KEYS is malformed: Fernet keys are expected", id="rako.E006"))
    if not settings.RAKO_CREDENTIAL_KEYS:
        found.append(Error("RAKO_CREDENTIAL_KEYS is empty: one key at least is needed", id="rako.E006"))
    return found


def _unsafe() -> list[CheckMessage]:
    found: list[CheckMessage] = []
    if settings.SECRET_KEY == settings.SANDBOX_SECRET_KEY or len(settings.SECRET_KEY) < 50:
        found.append(Error("RAKO_SECRET_KEY must be set to 50 random characters or more", id="rako.E001"))
    if settings.SANDBOX_CREDENTIAL_KEY in settings.RAKO_CREDENTIAL_KEYS:
        found.append(Error("RAKO_CREDENTIAL_KEYS must not hold the published sandbox key", id="rako.E002"))
    if not settings.RAKO_SIGNING_KEYS and not any((settings.RAKO_DATA_DIR / "keys").glob("aap_code_*.pem")):
        found.append(Error("RAKO_SIGNING_KEYS must hold the AAP Code signing key", id="rako.E003"))
    if not settings.RAKO_BASE_URL.startswith("https://"):
        found.append(Error("RAKO_BASE_URL must be an https address", id="rako.E004"))
    addresses = ("RAKO_STRIPE_API_BASE", "RAKO_STRIPE_CONNECT_BASE", "RAKO_HYPERSWITCH_API_BASE")
    plain = [name for name in addresses if not getattr(settings, name).startswith("https://")]
    return found + [Error(f"{name} must be an https address", id="rako.E008") for name in plain]


@register(Tags.database)
def check_demo_keys(*, databases: Any = None, **options: Any) -> list[CheckMessage]:
    """Published demo keys and the demo admin must not open a live system (E007)."""
    if settings.RAKO_MODE != "live" or not databases:
        return []
    digests = [digest(key) for key in DEMO_KEYS.values()]
    name, password = DEMO_ADMIN
    try:
        usable = any(keys.objects.usable().filter(digest__in=digests).exists() for keys in (AgentKey, MerchantKey))
        admin = get_user_model().objects.filter(username=name, is_active=True).first()
    except DatabaseError as error:
        return [checks.Warning(f"The demo keys could not be looked for: {error.__class__.__name__}", id="rako.W001")]
    if usable or (admin is not None and admin.check_password(password)):
        return [Error("The published demo keys or admin login are usable: revoke them", id="rako.E007")]
    return []


def refuse_unsafe_start() -> None:
    """Raises ImproperlyConfigured with every error of the checks above, for servers that run no checks of their own."""
    problems = check_configuration() + check_demo_keys(databases=["default"])
    errors = [f"{problem.id}: {problem.msg}" for problem in problems if problem.is_serious()]
    if errors:
        raise ImproperlyConfigured("; ".join(errors))
