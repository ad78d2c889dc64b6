"""Replies carry what an agent hands on to merchants that speak ACP or UCP, if they are asked to."""

import base64
import json
from datetime import UTC, datetime, timedelta

import jwt
import pytest
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from django.test import override_settings
from django.utils import timezone
from ucp_sdk.models.schemas.shopping.checkout_complete_request import CheckoutCompleteRequest
from ucp_sdk.models.schemas.shopping.checkout_create_request import CheckoutCreateRequest

from rako.core import base64url
from sessions_app import attribution_token
from sessions_app.models import AttributionKey
from tests.factories import OfferFactory, RecommendationFactory, SessionFactory
from tests.schemas import acp

# What an agent sends of its own: a first touch, and a last one.
CREATED = {"line_items": [{"id": "item_1"}], "currency": "gbp", "capabilities": {}}
CREDENTIAL = {"type": "spt", "token": "spt_1"}
COMPLETED = {"payment_data": {"handler_id": "card_1", "instrument": {"type": "card", "credential": CREDENTIAL}}}


@pytest.fixture
def recommend(as_agent, agent):
    """Recommends an offer, with changes to the body."""
    offer, session = OfferFactory(), SessionFactory(agent=agent)

    def post(**changes):
        return as_agent.post("/v1/recommend", {"sessionId": session.pk, "offerId": offer.pk} | changes)

    return post


@pytest.fixture
def token(recommendation):
    return attribution_token.issue(recommendation, merchant_id=recommendation.offer.merchant_id)[0]


@pytest.fixture
def recommendation(db):
    return RecommendationFactory()


def claims_of(token):
    return json.loads(base64.urlsafe_b64decode(token.split(".")[1] + "=="))


def test_replies_stay_as_they_were_unless_asked(recommend):
    reply = recommend()

    assert list(reply.json()) == ["recommendationId", "fallbackUrl", "attributionRecorded", "offer", "receipt"]
    assert list(recommend(include=[]).json()) == list(reply.json()) == list(recommend(include=None).json())


@pytest.mark.parametrize("include", [["acp"], ["ucp"], ["ucp", "acp"]])
def test_a_reply_carries_what_was_asked_for(recommend, include):
    assert list(recommend(include=include).json()["bridges"]) == sorted(include)


@pytest.mark.parametrize("include", ["acp", ["aap"], ["acp", "ucp", "acp"], [1], [["acp"]], {}])
def test_an_unknown_bridge_is_refused(recommend, include):
    reply = recommend(include=include)

    assert (reply.status_code, reply.json()) == (400, {"error": "include must be a list of acp and ucp"})


def test_the_claim_for_acp_is_as_its_schema_has_it(recommend):
    claim = recommend(include=["acp"]).json()["bridges"]["acp"]["affiliate_attribution"]

    acp.judge("AffiliateAttribution").validate(claim)

    assert list(claim) == ["provider", "token", "issued_at", "expires_at"]
    assert claim["provider"] == "rako.sh"


@pytest.mark.parametrize(
    ("request_name", "body", "touchpoint"),
    [("CheckoutSessionCreateRequest", CREATED, "first"), ("CheckoutSessionCompleteRequest", COMPLETED, "last")],
    ids=["create", "complete"],
)
def test_it_is_merged_into_what_creates_or_completes_an_acp_session(recommend, request_name, body, touchpoint):
    bridge = recommend(include=["acp"]).json()["bridges"]["acp"]

    acp.judge(request_name).validate(body | bridge)
    bridge["affiliate_attribution"]["touchpoint"] = touchpoint
    acp.judge(request_name).validate(body | bridge)


def test_acp_has_no_place_for_it_in_what_updates_a_session(recommend):
    update = acp.judge("CheckoutSessionUpdateRequest")

    assert update.is_valid({"coupons": []})
    assert not update.is_valid(recommend(include=["acp"]).json()["bridges"]["acp"])


def test_the_map_for_ucp_is_as_its_models_have_it(recommend):
    bridge = recommend(include=["ucp"]).json()["bridges"]["ucp"]

    created = CheckoutCreateRequest.model_validate({"line_items": []} | bridge)
    completed = CheckoutCompleteRequest.model_validate({"payment": {"instruments": []}} | bridge)

    assert created.attribution == completed.attribution == bridge["attribution"]
    assert bridge["attribution"].keys() == {"utm_source", "utm_medium", "aap_ref", "aap_token"}


def test_a_checkout_carries_them_too(as_agent, agent):
    recommendation = RecommendationFactory(session=SessionFactory(agent=agent))
    body = {"sessionId": recommendation.session_id, "recommendationId": recommendation.pk}

    plain = as_agent.post("/v1/checkout", body).json()
    asked = as_agent.post("/v1/checkout", body | {"include": ["acp", "ucp"]}).json()

    token = asked.pop("bridges")["acp"]["affiliate_attribution"]["token"]
    assert asked == plain
    assert claims_of(token)["sub"] == recommendation.pk


def test_a_token_is_of_one_recommendation_for_one_merchant_and_its_window(token, recommendation):
    claims = claims_of(token)

    nonce, issued_at = claims.pop("jti"), claims.pop("iat")
    assert claims == {
        "iss": "rako.sh",
        "aud": recommendation.offer.merchant_id,
        "sub": recommendation.pk,
        "off": recommendation.offer_id,
        "exp": int(recommendation.session.expires_at.timestamp()),
    }
    assert len(nonce) == 22
    assert abs(issued_at - timezone.now().timestamp()) < 60
    assert len(token) <= attribution_token.LONGEST


def test_no_two_tokens_are_alike(recommendation):
    made = {attribution_token.issue(recommendation, merchant_id=recommendation.offer.merchant_id)[0] for _ in range(9)}

    assert len(made) == 9


def test_a_foreign_library_verifies_it_under_the_published_key(token, recommendation, as_stranger):
    keys = jwt.PyJWKSet.from_dict(as_stranger.get("/v1/attribution/keys").json())
    key = keys[jwt.get_unverified_header(token)["kid"]]

    claims = jwt.decode(token, key, algorithms=["EdDSA"], audience=recommendation.offer.merchant_id, issuer="rako.sh")

    assert claims == claims_of(token)


def test_its_key_is_no_other_key_of_ours(token, as_stranger):
    codes = {key["x"] for key in as_stranger.get("/.well-known/jwks.json").json()["keys"]}

    assert codes.isdisjoint(attribution_token.published().values())


def test_tokens_stay_good_when_the_secret_key_is_replaced(recommendation, monkeypatch):
    monkeypatch.setattr(attribution_token, "_stored", set())
    merchant_id = recommendation.offer.merchant_id
    text, _ = attribution_token.issue(recommendation, merchant_id=merchant_id)

    with override_settings(SECRET_KEY="another-secret-key-of-fifty-characters-and-some-more"):
        attribution_token.issue(recommendation, merchant_id=merchant_id)
        found, _ = attribution_token.find_recommendation(text, merchant_id=merchant_id)
        published = attribution_token.published()

    assert found == recommendation
    assert len(published) == AttributionKey.objects.count() == 2


def forged(token, **changes):
    """A token with other claims, signed by a key of one's own under the header of a good one."""
    header, claims, _ = token.split(".")
    claims = base64url.encode(json.dumps(claims_of(token) | changes).encode())
    return f"{header}.{claims}.{base64url.encode(Ed25519PrivateKey.generate().sign(f'{header}.{claims}'.encode()))}"


def with_header(token, **changes):
    header = base64url.encode(
        json.dumps({"alg": "EdDSA", "typ": "rako-attribution+jwt", "kid": "0" * 16} | changes).encode()
    )
    return ".".join([header, *token.split(".")[1:]])


@pytest.mark.parametrize(
    "spoil",
    [
        lambda token: token[:-1],
        lambda token: token + "=",
        lambda token: token.swapcase(),
        lambda token: token.replace(".", ":"),
        lambda token: token + "." + token,
        lambda token: "x" * 100_000,
        lambda token: "..",
        lambda token: "é" * 90,
        forged,
        lambda token: forged(token, exp=2**62),
        with_header,
        lambda token: with_header(token, alg="none"),
        lambda token: with_header(token, kid=None),
        lambda token: with_header(token, kid=["x"]),
    ],
    ids=[
        *("cut", "padded", "swapped", "colons", "twice", "long", "dots", "not ascii", "forged", "forged for ever"),
        *("unknown key", "none", "no key", "key of another type"),
    ],
)
def test_what_we_did_not_sign_is_no_token(token, recommendation, spoil):
    with pytest.raises(attribution_token.InvalidToken):
        attribution_token.find_recommendation(spoil(token), merchant_id=recommendation.offer.merchant_id)


def test_another_merchants_token_is_none(token):
    with pytest.raises(attribution_token.InvalidToken):
        attribution_token.find_recommendation(token, merchant_id=OfferFactory().merchant_id)


def test_a_token_that_says_what_is_not_recorded_is_none(recommendation):
    merchant_id = recommendation.offer.merchant_id
    recommendation.session.expires_at += timedelta(days=300)

    text, token = attribution_token.issue(recommendation, merchant_id=merchant_id)

    assert datetime.fromtimestamp(token.expires_at, UTC) > timezone.now() + timedelta(days=299)
    with pytest.raises(attribution_token.InvalidToken):
        attribution_token.find_recommendation(text, merchant_id=merchant_id)
