"""Django settings. Everything that differs between deployments comes from the environment: see .env.example."""

from pathlib import Path
from urllib.parse import urlsplit

from rako.core import embedded_postgres
from rako.core.env import (
    base_url,
    bic,
    database,
    each_shaped,
    folder,
    iban,
    load_env_file,
    log_origin,
    one_of,
    percent,
    setting,
    shaped,
    text,
    whole_number,
    witnesses,
    words,
)
from rako.demo_keys import DEMO_AGENT_KEY

BASE_DIR = Path(__file__).resolve().parent.parent
load_env_file(BASE_DIR / ".env")

RAKO_VERSION = "0.1.0"
RAKO_MODE = setting("RAKO_MODE", one_of("sandbox", "live"), "sandbox")
RAKO_DATA_DIR = (BASE_DIR / setting("RAKO_DATA_DIR", folder, ".rako")).resolve()

# Defaults that only the sandbox may keep; rako.checks refuses to start live with them.
SANDBOX_SECRET_KEY = "sandbox-only-secret-key-that-is-published-with-the-source"  # noqa: S105
SANDBOX_CREDENTIAL_KEY = "c2FuZGJveC1vbmx5LXB1Ymxpc2hlZC1rZXktMzItYj0="

SECRET_KEY = setting("RAKO_SECRET_KEY", text, SANDBOX_SECRET_KEY)
RAKO_CREDENTIAL_KEYS = setting("RAKO_CREDENTIAL_KEYS", words, SANDBOX_CREDENTIAL_KEY)
RAKO_SIGNING_KEYS = setting("RAKO_SIGNING_KEYS", words, "")

RAKO_BASE_URL = setting("RAKO_BASE_URL", base_url, "http://127.0.0.1:3456")
RAKO_LINK_BASE = setting("RAKO_LINK_BASE", base_url, RAKO_BASE_URL)
RAKO_CHECKOUT_BACKEND = setting("RAKO_CHECKOUT_BACKEND", one_of("orchestrated", "direct"), "orchestrated")
RAKO_REQUIRE_AUTHORIZATION = setting("RAKO_REQUIRE_AUTHORIZATION", one_of("yes", "no"), "no") == "yes"
# How far a payment may differ from the AAP Code's price, in percent; none anywhere else (protocol, section 3).
RAKO_AMOUNT_TOLERANCES = {
    "flights": setting("RAKO_AMOUNT_TOLERANCE_FLIGHTS", percent, "0"),
    "hotels": setting("RAKO_AMOUNT_TOLERANCE_HOTELS", percent, "0"),
}
# Who writes invoices, as they name it; lines of the address are separated by "|". Live: no month is closed without.
_seller = ("", "") if RAKO_MODE == "live" else ("Rako sandbox", "1 Sandbox Street|London|United Kingdom")
RAKO_INVOICE_SELLER = {
    "name": setting("RAKO_INVOICE_NAME", str, _seller[0]),
    "address": setting("RAKO_INVOICE_ADDRESS", str, _seller[1]).replace("|", "\n"),
    "vat_number": setting("RAKO_INVOICE_VAT_NUMBER", str, ""),
}
# Who pays builders, and from which account. What is published with the source, only the sandbox may use.
_payouts = ["bank_file"] if RAKO_MODE == "live" else ["sandbox", "bank_file"]
RAKO_PAYOUT_PROVIDER = setting("RAKO_PAYOUT_PROVIDER", one_of(*_payouts), _payouts[0])
_debtor = ("", "", "") if RAKO_MODE == "live" else ("Rako sandbox", "GB33BUKB20201555555555", "BUKBGB22")
RAKO_PAYOUT_DEBTOR_NAME = setting("RAKO_PAYOUT_DEBTOR_NAME", str, _debtor[0])
RAKO_PAYOUT_DEBTOR_IBAN = setting("RAKO_PAYOUT_DEBTOR_IBAN", iban, _debtor[1])
RAKO_PAYOUT_DEBTOR_BIC = setting("RAKO_PAYOUT_DEBTOR_BIC", bic, _debtor[2])
# The transparency log: its name, its signer's own folder (best on another disk), who watches it, who keeps copies.
RAKO_LEDGER_ORIGIN = setting("RAKO_LEDGER_ORIGIN", log_origin, "rako.sh/ledger")
RAKO_SIGNER_DIR = (BASE_DIR / setting("RAKO_SIGNER_DIR", folder, str(RAKO_DATA_DIR / "signer"))).resolve()
RAKO_WITNESSES = setting("RAKO_WITNESSES", witnesses, "")
RAKO_CHECKPOINT_EXPORT = setting("RAKO_CHECKPOINT_EXPORT", str, "")
# Where real PSPs are, never taken from a merchant's row. Connect, Stripe's OAuth, is there where a client id is set.
RAKO_STRIPE_API_BASE = setting("RAKO_STRIPE_API_BASE", base_url, "https://api.stripe.com")
RAKO_STRIPE_CONNECT_BASE = setting("RAKO_STRIPE_CONNECT_BASE", base_url, "https://connect.stripe.com")
RAKO_STRIPE_CLIENT_ID = setting("RAKO_STRIPE_CLIENT_ID", shaped("ca_"), "")
RAKO_STRIPE_PLATFORM_KEY = setting(
    "RAKO_STRIPE_PLATFORM_KEY", shaped("sk_test_" if RAKO_MODE == "sandbox" else "sk_live_"), ""
)
RAKO_STRIPE_PLATFORM_WEBHOOK_SECRETS = setting("RAKO_STRIPE_PLATFORM_WEBHOOK_SECRETS", each_shaped("whsec_"), "")
_hyperswitch = "https://sandbox.hyperswitch.io" if RAKO_MODE == "sandbox" else "https://api.hyperswitch.io"
RAKO_HYPERSWITCH_API_BASE = setting("RAKO_HYPERSWITCH_API_BASE", base_url, _hyperswitch)
# How long one call to a PSP may take to connect and to answer, in milliseconds; it is tried twice.
RAKO_PSP_CONNECT_MS = setting("RAKO_PSP_CONNECT_MS", whole_number(10, 10_000), "2000")
RAKO_PSP_READ_MS = setting("RAKO_PSP_READ_MS", whole_number(10, 10_000), "8000")
# How many calendar days a side of a dispute has to answer (seven hold five working days), and staff to decide.
RAKO_DISPUTE_ANSWER_DAYS = setting("RAKO_DISPUTE_ANSWER_DAYS", whole_number(1, 90), "7")
RAKO_DISPUTE_REVIEW_DAYS = setting("RAKO_DISPUTE_REVIEW_DAYS", whole_number(1, 90), "14")
# Whether webhooks may go to this machine itself, also without TLS: never in live mode, and unless told only where
# nobody else reaches us.
_is_local = urlsplit(RAKO_BASE_URL).hostname in ("localhost", "127.0.0.1", "::1")
_loopback = ["no"] if RAKO_MODE == "live" else ["yes", "no"] if _is_local else ["no", "yes"]
RAKO_WEBHOOK_LOOPBACK = setting("RAKO_WEBHOOK_LOOPBACK", one_of(*_loopback), _loopback[0]) == "yes"
RAKO_MAX_BODY_BYTES = setting("RAKO_MAX_BODY_BYTES", whole_number(1024, 16_777_216), "262144")
# Where a larger body than that is taken: batches of reports.
RAKO_LARGER_BODIES = {"/v1/conversions": 1_048_576}
RAKO_SANDBOX_DELAY_SECONDS = setting("RAKO_SANDBOX_DELAY_SECONDS", whole_number(0, 86_400), "10")

# `manage.py mcp`, by the names that the protocol gives them (section 5): whom it serves as, and through which server.
AAP_API_KEY = setting("AAP_API_KEY", str, DEMO_AGENT_KEY if RAKO_MODE == "sandbox" else "")
AAP_API_URL = setting("AAP_API_URL", lambda raw: base_url(raw) if raw else "", "")

DEBUG = False
ALLOWED_HOSTS = [*setting("RAKO_ALLOWED_HOSTS", words, "127.0.0.1,localhost,[::1]"), urlsplit(RAKO_BASE_URL).hostname]
CSRF_TRUSTED_ORIGINS = [RAKO_BASE_URL]
DATA_UPLOAD_MAX_MEMORY_SIZE = RAKO_MAX_BODY_BYTES
APPEND_SLASH = False
ROOT_URLCONF = "rako.urls"
WSGI_APPLICATION = "rako.wsgi.application"

INSTALLED_APPS = [
    "django.contrib.admin",
    "django.contrib.auth",
    "django.contrib.contenttypes",
    "django.contrib.sessions",
    "django.contrib.messages",
    "django.contrib.staticfiles",
    "django.contrib.postgres",
    "rest_framework",
    "drf_spectacular",
    "drf_spectacular_sidecar",
    "procrastinate.contrib.django",
    "rako",
    "merchants",
    "sessions_app",
    "ledger",
    "settlement",
    "checkout",
    "checkout.connectors.sandbox",
    "notifications",
    "mcp_server",
]

# Sessions, messages and CSRF cost queries and serve only pages that people see: rako.urls adds nothing of
# theirs to /v1, and none of these touches the database unless a page asks for the user or the session.
MIDDLEWARE = [
    "rako.core.requests.request_ids",
    "django.middleware.security.SecurityMiddleware",
    "whitenoise.middleware.WhiteNoiseMiddleware",
    "django.contrib.sessions.middleware.SessionMiddleware",
    "django.middleware.csrf.CsrfViewMiddleware",
    "django.contrib.auth.middleware.AuthenticationMiddleware",
    "django.contrib.messages.middleware.MessageMiddleware",
    "django.middleware.clickjacking.XFrameOptionsMiddleware",
]

TEMPLATES = [
    {
        "BACKEND": "django.template.backends.django.DjangoTemplates",
        "DIRS": [BASE_DIR / "templates"],
        "APP_DIRS": True,
        "OPTIONS": {
            "context_processors": [
                "django.template.context_processors.request",
                "django.contrib.auth.context_processors.auth",
                "django.contrib.messages.context_processors.messages",
            ]
        },
    }
]

_pool_size = setting("RAKO_DB_POOL_SIZE", whole_number(0, 200), "8")
_database = setting("DATABASE_URL", database, "") or {
    "ENGINE": "rako.core.postgres_backend",
    "NAME": "rako",
    "USER": "rako",
    "HOST": str(embedded_postgres.socket_dir(RAKO_DATA_DIR)),
}
# From the fifth time on: for `prepared_cursor` alone, for Django's own cursors write values into each statement's text.
_database["OPTIONS"] = (
    {"prepare_threshold": 5}
    | _database.get("OPTIONS", {})
    | (
        # Threads wait for a connection rather than open more than the server allows.
        {"pool": {"min_size": 0, "max_size": _pool_size, "timeout": 10}} if _pool_size else {}
    )
)
DATABASES = {"default": _database}
DEFAULT_AUTO_FIELD = "django.db.models.BigAutoField"

AUTH_PASSWORD_VALIDATORS = [
    {"NAME": f"django.contrib.auth.password_validation.{name}"}
    for name in ("UserAttributeSimilarityValidator", "MinimumLengthValidator", "CommonPasswordValidator")
]

LANGUAGE_CODE = "en-gb"
TIME_ZONE = "UTC"
USE_TZ = True

STATIC_URL = "/static/"
WHITENOISE_USE_FINDERS = True

_secure = RAKO_BASE_URL.startswith("https://")
SESSION_COOKIE_SECURE = CSRF_COOKIE_SECURE = _secure
SECURE_HSTS_SECONDS = 31_536_000 if _secure else 0
SECURE_PROXY_SSL_HEADER = ("HTTP_X_FORWARDED_PROTO", "https") if _secure else None
SECURE_REFERRER_POLICY = "same-origin"
X_FRAME_OPTIONS = "DENY"

REST_FRAMEWORK = {
    "DEFAULT_AUTHENTICATION_CLASSES": [],
    "DEFAULT_PERMISSION_CLASSES": [],
    "DEFAULT_PARSER_CLASSES": ["rako.core.wire.JsonParser"],
    "DEFAULT_RENDERER_CLASSES": ["rako.core.wire.JsonRenderer"],
    "DEFAULT_CONTENT_NEGOTIATION_CLASS": "rako.core.wire.JsonOnly",
    "DEFAULT_SCHEMA_CLASS": "rako.core.openapi.RakoSchema",
    "EXCEPTION_HANDLER": "rako.core.errors.exception_handler",
    "UNAUTHENTICATED_USER": None,
    "UNAUTHENTICATED_TOKEN": None,
}

SPECTACULAR_SETTINGS = {
    "TITLE": "Rako: Agent Attribution Protocol v1",
    "DESCRIPTION": (
        "Agents search signed offers, record a recommendation and hand the buyer to the merchant's own payment page; "
        "the ledger records the conversion when the payment proves it. Ids are opaque, amounts in major units, "
        "times in UTC; NUL characters are refused everywhere."
        + (" Authorize with `aap_demo_key` (agent) or `aap_demo_merchant_key`." if RAKO_MODE == "sandbox" else "")
    ),
    "VERSION": RAKO_VERSION,
    "OAS_VERSION": "3.1.0",
    "SERVE_INCLUDE_SCHEMA": False,
    "SERVERS": [{"url": RAKO_BASE_URL}],
    "POSTPROCESSING_HOOKS": [
        "drf_spectacular.hooks.postprocess_schema_enum_id_removal",
        "rako.reference.schema.complete",
    ],
    "SWAGGER_UI_DIST": "SIDECAR",
    "SWAGGER_UI_FAVICON_HREF": "SIDECAR",
}

LOGGING = {
    "version": 1,
    "disable_existing_loggers": False,
    "formatters": {"line": {"format": "%(asctime)s %(levelname)s %(name)s %(message)s"}},
    "handlers": {"stderr": {"class": "logging.StreamHandler", "formatter": "line"}},
    "root": {
        "handlers": ["stderr"],
        "level": setting("RAKO_LOG_LEVEL", one_of("DEBUG", "INFO", "WARNING", "ERROR"), "INFO"),
    },
    "loggers": {
        # Refusals are answers, not faults; each already has its line in rako.access.
        "django.request": {"level": "ERROR"},
        "django.security": {"level": "ERROR"},
        "procrastinate": {"level": "WARNING"},
    },
}
