"""The demo registry: realistic offers, a merchant connected to the sandbox PSP, keys that are printed in the docs."""

from pathlib import Path

from django.conf import settings
from django.contrib.auth import get_user_model
from django.core.exceptions import ImproperlyConfigured

from checkout.connections import connect_sandbox
from merchants.imports import import_rows, read_offers
from merchants.models import Merchant, MerchantKey
from rako.core.api_keys import digest
from rako.core.csv_rows import RowResult
from rako.core.rate_limits import Tier
from rako.demo_keys import DEMO_ADMIN, DEMO_AGENT_KEY, DEMO_MERCHANT_KEY
from sessions_app.models import Agent, AgentKey, Builder

OFFERS = Path(__file__).resolve().parent.parent / "merchants" / "demo" / "offers.csv"
DEMO_MERCHANT = "SMARTY"
UNCONNECTED = "Wrenwave Mobile Ltd"  # so that "no connected payment processor" can be seen
DEMO_BUILDER, DEMO_AGENT = "Demo Builder", "Demo Agent"


def load() -> list[RowResult]:
    """Bring the demo registry up to date; repeating changes nothing. Raises ImproperlyConfigured in live mode."""
    if settings.RAKO_MODE != "sandbox":
        raise ImproperlyConfigured("The demo registry exists only in sandbox mode")
    rows = read_offers(OFFERS)
    results = list(import_rows(rows))
    _connect_all({row.cells["merchant"] for row in rows})
    _issue_keys()
    _make_admin()
    return results


def _connect_all(names: set[str]) -> None:
    """Connect the demo's own merchants; one that staff disconnected on purpose stays so."""
    for merchant in Merchant.objects.filter(name__in=names - {UNCONNECTED}, connections=None):
        connect_sandbox(merchant)


def _issue_keys() -> None:
    builder, _ = Builder.objects.get_or_create(name=DEMO_BUILDER, defaults={"email": "builder@demo.example"})
    agent, _ = Agent.objects.get_or_create(builder=builder, name=DEMO_AGENT)
    # Without a limit, so that load can be tried out; those of a demo that is older than limits, too.
    unlimited = {"tier": Tier.ENTERPRISE, "rate_limit": None}
    if not AgentKey.objects.filter(digest=digest(DEMO_AGENT_KEY)).update(**unlimited):
        AgentKey.issue(key=DEMO_AGENT_KEY, name="Published demo key", agent=agent, **unlimited)
    if not MerchantKey.objects.filter(digest=digest(DEMO_MERCHANT_KEY)).update(**unlimited):
        merchant = Merchant.objects.get(name=DEMO_MERCHANT)
        MerchantKey.issue(key=DEMO_MERCHANT_KEY, name="Published demo key", merchant=merchant, **unlimited)


def _make_admin() -> None:
    name, password = DEMO_ADMIN
    users = get_user_model()
    if not users.objects.filter(username=name).exists():
        users.objects.create_superuser(name, "admin@demo.example", password)
