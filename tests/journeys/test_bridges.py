"""docs/bridges.md is true: its examples are what is sent and answered, its programs run."""

import json
import re

import pytest
from django.conf import settings

from rako.reference.told import by_id
from tests.conftest import Api
from tests.factories import AgentKeyFactory, MerchantKeyFactory, OfferFactory
from tests.schemas import acp

DOC = (settings.BASE_DIR / "docs" / "bridges.md").read_text()


def example(name):
    """The block of the document that follows a mark."""
    return re.search(rf"<!-- {re.escape(name)} -->\n```[a-z]+\n(.+?)```", DOC, re.DOTALL)[1]


def program(name):
    defined = {}
    exec(example(name), defined)  # noqa: S102 - our own document
    return defined


@pytest.fixture
def story(db):
    """An agent, a merchant, and the reply to a recommendation with bridges."""
    merchant = MerchantKeyFactory(merchant=OfferFactory().merchant)
    agent = Api(AgentKeyFactory().secret)
    found = agent.get("/v1/offers").json()
    asked = {"sessionId": found["sessionId"], "offerId": found["offers"][0]["id"], "include": ["acp", "ucp"]}
    return Api(merchant.secret), merchant.merchant, agent.post("/v1/recommend", asked).json()


def test_bridges_look_as_documented(story):
    *_, reply = story

    for name in ("acp", "ucp"):
        documented = json.loads(example(f"bridges.{name}"))
        given = reply["bridges"][name]
        assert {key: list(value) for key, value in given.items()} == {key: list(documented[key]) for key in documented}
    acp.judge("AffiliateAttribution").validate(json.loads(example("bridges.acp"))["affiliate_attribution"])


def test_a_merchant_verifies_here_and_offline_and_redeems(story):
    api, merchant, reply = story
    token = reply["bridges"]["ucp"]["attribution"]["aap_token"]

    claims = program("offline")["verified"](token, api.get("/v1/attribution/keys").json(), merchant.pk)
    verified = api.post("/v1/attribution/verify", {"token": token}).json()
    reported = api.post("/v1/conversions", json.loads(example("report")) | {"attributionToken": token})

    assert list(verified) == list(json.loads(example("verify")))
    assert claims["sub"] == verified["recommendationId"] == reply["recommendationId"]
    assert reported.status_code == 200


def test_a_shop_signs_and_sends_its_order(story):
    api, merchant, reply = story
    token = reply["bridges"]["acp"]["affiliate_attribution"]["token"]
    secret = api.post("/v1/acp/secret").json()["secret"]
    acp.judge("WebhookEvent").validate(json.loads(example("event")))
    body = example("event").replace("<the token>", token).encode()

    shop = Api(None)
    signature = program("sign")["merchant_signature"](body, secret)
    acp.judge("MerchantSignature").validate(signature)
    shop._headers = {"Merchant-Signature": signature}
    answer = shop.send("POST", f"/v1/acp/orders/{merchant.pk}", body).json()

    acp.judge("WebhookReply").validate(answer)
    documented = json.loads(example("reply"))
    assert answer | {"conversionId": "…"} == documented
    assert api.get(f"/v1/conversions/{answer['conversionId']}").json()["verificationLevel"] == "merchant_reported"


def test_the_reference_shows_an_event_that_acp_allows():
    acp.judge("WebhookEvent").validate(by_id()["receiveOrderEvent"].body)
