"""Rows for tests. An offer comes with a merchant on the sandbox PSP and commission terms unless told otherwise."""

from datetime import timedelta
from typing import Any

import factory
from django.utils import timezone
from factory.django import DjangoModelFactory

from checkout.connections import connect_sandbox
from merchants.catalogue import find_offer
from merchants.codes import code_for
from merchants.models import CommissionTerms, Merchant, MerchantKey, Offer
from rako.core.api_keys import digest
from sessions_app.models import Agent, AgentKey, Builder, Recommendation, Session

SIM = {
    "data_gb": 30,
    "minutes": "unlimited",
    "texts": "unlimited",
    "contract_months": 0,
    "network": "Three",
    "requires_credit_check": False,
    "5g": True,
    "eu_roaming_included": True,
}
FLIGHT = {
    "origin": "LHR",
    "destination": "JFK",
    "airline": "Skylark",
    "cabin": "economy",
    "stops": 0,
    "checked_bags": 1,
    "refundable": False,
}


class MerchantFactory(DjangoModelFactory):
    class Meta:
        model = Merchant
        skip_postgeneration_save = True

    name = factory.Sequence(lambda n: f"Merchant {n}")
    hosts = ["shop.example"]

    @factory.post_generation
    def connected(self: Any, create: bool, wanted: bool | None, **_: Any) -> None:
        if create and wanted is not False:
            connect_sandbox(self)


class OfferFactory(DjangoModelFactory):
    class Meta:
        model = Offer
        skip_postgeneration_save = True

    merchant = factory.SubFactory(MerchantFactory)
    vertical = "sim"
    provider = "SMARTY"
    name = factory.Sequence(lambda n: f"SMARTY 30GB {n}")
    price_minor = 1000
    criteria = factory.LazyAttribute(lambda offer: SIM if offer.vertical == "sim" else FLIGHT)
    url = "https://shop.example/plans/30gb?colour=blue"

    @factory.post_generation
    def terms(self: Any, create: bool, given: dict[str, Any] | None, **_: Any) -> None:
        """`terms={"type": …}` sets them; `terms={}` leaves the offer without; the default is a CPA of 8.00."""
        content = {"type": "cpa", "amount_minor": 800} if given is None else given
        if create and content:
            past = timezone.now() - timedelta(days=1)
            CommissionTerms.objects.create(offer=self, **{"effective_from": past} | content)


class BuilderFactory(DjangoModelFactory):
    class Meta:
        model = Builder

    name = factory.Sequence(lambda n: f"Builder {n}")


class AgentFactory(DjangoModelFactory):
    class Meta:
        model = Agent

    builder = factory.SubFactory(BuilderFactory)
    name = factory.Sequence(lambda n: f"Agent {n}")


class _KeyFactory(DjangoModelFactory):
    """A key row that carries its key as `.secret`, which the database does not have."""

    class Meta:
        abstract = True

    name = "Test key"
    prefix = "aap_test"
    tier = "enterprise"  # without a limit: tests of other things may call as often as they like

    @classmethod
    def _create(cls, model: Any, *args: Any, **values: Any) -> Any:
        secret = values.pop("secret")
        row = super()._create(model, *args, **values | {"digest": digest(secret)})
        row.secret = secret
        return row


class AgentKeyFactory(_KeyFactory):
    class Meta:
        model = AgentKey

    agent = factory.SubFactory(AgentFactory)
    secret = factory.Sequence(lambda n: f"aap_agent_test_key_{n}")


class MerchantKeyFactory(_KeyFactory):
    class Meta:
        model = MerchantKey

    merchant = factory.SubFactory(MerchantFactory)
    secret = factory.Sequence(lambda n: f"aap_merchant_test_key_{n}")


class SessionFactory(DjangoModelFactory):
    class Meta:
        model = Session

    agent = factory.SubFactory(AgentFactory)
    created_at = factory.LazyFunction(timezone.now)
    expires_at = factory.LazyAttribute(lambda session: session.created_at + timedelta(hours=24))


class RecommendationFactory(DjangoModelFactory):
    """A recommendation with the offer's real, signed code."""

    class Meta:
        model = Recommendation

    session = factory.SubFactory(SessionFactory)
    agent = factory.SelfAttribute("session.agent")
    offer = factory.SubFactory(OfferFactory)
    fallback_url = "http://127.0.0.1:3456/r/x"

    @factory.lazy_attribute
    def aap_code(self) -> str:
        return code_for(find_offer(self.offer.pk))
