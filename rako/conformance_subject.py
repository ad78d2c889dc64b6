"""Our own server as the conformance suite's subject: what a stranger who tests it would be given."""

from datetime import timedelta
from typing import Any

from django.conf import settings
from django.core.exceptions import ImproperlyConfigured
from django.utils import timezone

from merchants.imports import import_rows, read_offers
from merchants.models import Connection, Merchant, MerchantKey, Offer
from rako.core.api_keys import digest
from rako.core.csv_rows import Row
from rako.demo_data import DEMO_MERCHANT, OFFERS, UNCONNECTED
from rako.demo_keys import DEMO_AGENT_KEY, DEMO_MERCHANT_KEY
from sessions_app.models import Agent, AgentKey, Builder, Session
from sessions_app.recommend import record_recommendation
from sessions_app.search import WINDOW, OfferQuery, create_session

# They pay percentages and hybrid commissions.
_OTHER_MERCHANTS = {"Marloway Airways plc": "Marloway", "Pawsleigh Pet Cover Ltd": "Pawsleigh"}
_OTHER_BUILDER, _LIMITED_AGENT = "Conformance Builder", "Conformance Limits"
_SHOP = {"merchant": "Conformance Shop Ltd", "merchant_url": "https://conformance.example", "provider": "Conformance"}


def subject(base_url: str) -> dict[str, Any]:
    """A configuration of the suite for the demo registry, with new keys for `revoke_keys` to end.

    Raises ImproperlyConfigured in live mode.
    """
    if settings.RAKO_MODE != "sandbox":
        raise ImproperlyConfigured("Only a sandbox is tested: the suite makes sales")
    agent = AgentKey.find(DEMO_AGENT_KEY).agent  # type: ignore[union-attr]  # the demo registry is loaded
    return {
        "base_url": base_url,
        "agent_key": DEMO_AGENT_KEY,
        "merchant_key": DEMO_MERCHANT_KEY,
        "provider": DEMO_MERCHANT,
        "other_agent_key": _agent_key(_OTHER_BUILDER),
        "other_merchants": [
            {"key": _merchant_key(name), "provider": provider} for name, provider in _OTHER_MERCHANTS.items()
        ],
        "limited_key": _agent_key(_LIMITED_AGENT),
        "unconnected_provider": UNCONNECTED.split()[0],
        "link_host": f"{DEMO_MERCHANT.lower()}.example",
        "payment_method": "pm_card_visa",
        "declined_method": "pm_card_declined",
        "payment_form": {"number": "4242 4242 4242 4242", "expiry": "12 / 34", "cvc": "123"},
        "expired": _expired(agent),
        "withdrawn": _withdrawn(agent),
        "webhook": _webhook(),
    }


def revoke_keys(told: dict[str, Any]) -> None:
    """End the keys that were issued for a subject. Repeating is harmless."""
    for model, keys in (
        (AgentKey, [told["other_agent_key"], told["limited_key"]]),
        (MerchantKey, [other["key"] for other in told["other_merchants"]]),
    ):
        for row in model.objects.filter(digest__in=map(digest, keys)):
            row.revoke()


def _agent_key(name: str) -> str:
    builder, _ = Builder.objects.get_or_create(name=name)
    agent, _ = Agent.objects.get_or_create(builder=builder, name=name)
    return AgentKey.issue(name=name, agent=agent)[1]


def _merchant_key(name: str) -> str:
    return MerchantKey.issue(name="Conformance", merchant=Merchant.objects.get(name=name))[1]


def _webhook() -> dict[str, str]:
    connection = Connection.objects.filter(merchant__name=DEMO_MERCHANT, kind="sandbox").latest("connected_at")
    return {
        "path": f"/v1/webhooks/sandbox/{connection.pk}",
        "secret": connection.webhook_secrets[0],
        "account": connection.account_id,
        "header": "Sandbox-Signature",
    }


def _expired(agent: Agent) -> dict[str, str]:
    """A recommendation whose session is moved a window and an hour into the past."""
    chosen = _recommended(agent, Offer.objects.filter(merchant__name=DEMO_MERCHANT, status="active").earliest("pk"))
    opened_at = timezone.now() - WINDOW - timedelta(hours=1)
    Session.objects.filter(pk=chosen["session_id"]).update(created_at=opened_at, expires_at=opened_at + WINDOW)
    return chosen


def _withdrawn(agent: Agent) -> dict[str, str]:
    """A recommendation of an offer that is on the market for this one moment."""
    shop = read_offers(OFFERS)[0].cells | _SHOP | {"url": f"{_SHOP['merchant_url']}/sim"}
    list(import_rows([Row(1, shop | {"status": "active"})]))
    chosen = _recommended(agent, Offer.objects.get(merchant__name=_SHOP["merchant"]))
    list(import_rows([Row(1, shop | {"status": "withdrawn"})]))
    return chosen


def _recommended(agent: Agent, offer: Offer) -> dict[str, str]:
    session, _ = create_session(agent, OfferQuery(vertical=offer.vertical))
    recommendation, _, _ = record_recommendation(agent, session_id=session.pk, offer_id=offer.pk)
    return {"session_id": session.pk, "recommendation_id": recommendation.pk, "offer_id": offer.pk}
