from datetime import timedelta

import pytest
from django.utils import timezone

from merchants import keyring
from merchants.codes import OfferUnavailable, issue_for, verify
from merchants.models import Offer
from rako.core.aap_code import LIFE_SECONDS, CodeTerms, InvalidCode, issue
from rako.core.ids import new_id
from tests.conftest import Api
from tests.factories import MerchantFactory, OfferFactory

pytestmark = pytest.mark.django_db


def signed_at(seconds_ago):
    """A code that was signed earlier, by today's key."""
    key = keyring.private_key_for(timezone.now())
    issued_at = int(timezone.now().timestamp()) - seconds_ago
    return issue(CodeTerms("o", "m", "p", "n", 6, "GBP", {}), key, issued_at=issued_at)


def test_a_code_carries_the_offers_terms():
    offer = OfferFactory(price_minor=600)

    payload = issue_for(offer.pk).payload

    assert (payload["off"], payload["mer"], payload["prc"]) == (offer.pk, offer.merchant_id, 6)
    assert payload["com"] == {"type": "cpa", "value": 8}


def test_an_issued_code_verifies():
    code = issue_for(OfferFactory().pk)

    assert verify(code.text, at=timezone.now()) == code


def test_the_code_is_the_same_for_every_agent():
    offer = OfferFactory()

    assert issue_for(offer.pk).text == issue_for(offer.pk).text


@pytest.mark.parametrize(
    "change", [{"price_minor": 1100}, {"name": "Other"}, {"provider": "Other"}, {"currency": "EUR"}]
)
def test_a_changed_offer_gets_another_code_at_once(change):
    offer = OfferFactory()
    before = issue_for(offer.pk)

    Offer.objects.filter(pk=offer.pk).update(**change)

    assert issue_for(offer.pk).payload != before.payload


@pytest.mark.parametrize(
    "make",
    [
        lambda: OfferFactory(status="withdrawn"),
        lambda: OfferFactory(merchant=MerchantFactory(status="suspended")),
        lambda: OfferFactory(merchant=MerchantFactory(status="closed")),
        lambda: OfferFactory(terms={}),
    ],
    ids=["withdrawn", "suspended", "closed", "without-terms"],
)
def test_unavailable_offers_get_no_code(make):
    with pytest.raises(OfferUnavailable):
        issue_for(make().pk)


@pytest.mark.parametrize(
    ("later", "is_valid"), [(0, True), (LIFE_SECONDS - 5, True), (LIFE_SECONDS + 5, False), (-60, False)]
)
def test_a_code_is_judged_at_the_given_time(later, is_valid):
    code = issue_for(OfferFactory().pk)

    if is_valid:
        assert verify(code.text, at=timezone.now() + timedelta(seconds=later))
    else:
        with pytest.raises(InvalidCode):
            verify(code.text, at=timezone.now() + timedelta(seconds=later))


def test_no_key_answers_for_a_time_before_the_first():
    with pytest.raises(InvalidCode, match="no key was published"):
        verify(signed_at(LIFE_SECONDS - 100), at=timezone.now())


@pytest.mark.parametrize("iat", [-(10**18), 10**18, 2**63, -62_135_596_801])
def test_absurd_times_are_invalid_not_errors(iat):
    key = keyring.private_key_for(timezone.now())

    with pytest.raises(InvalidCode):
        verify(issue(CodeTerms("o", "m", "p", "n", 6, "GBP", {}), key, issued_at=iat), at=timezone.now())


def test_issuing_over_http(as_agent):
    offer = OfferFactory(price_minor=600, provider="SMARTY", name="SMARTY 1GB")

    reply = as_agent.post("/v1/codes/issue", {"offerId": offer.pk})

    code = issue_for(offer.pk)
    body = {"aapCode": code.text, "payload": code.payload, "expiresAt": reply.json()["expiresAt"]}
    assert (reply.status_code, reply.json()) == (200, body)
    assert reply.json()["expiresAt"].endswith(".000Z")


def test_a_merchant_may_issue_too(as_merchant):
    offer = OfferFactory()

    assert as_merchant(offer.merchant).post("/v1/codes/issue", {"offerId": offer.pk}).status_code == 200


@pytest.mark.parametrize(
    ("body", "status", "text"),
    [
        ({}, 400, "offerId is required"),
        ({"offerId": ""}, 400, "offerId is required"),
        ({"offerId": 5}, 400, "offerId must be a string"),
        ({"offerId": "nonsense"}, 404, "Offer not found"),
        ({"offerId": new_id()}, 404, "Offer not found"),
    ],
)
def test_issuing_names_what_is_wrong(as_agent, body, status, text):
    reply = as_agent.post("/v1/codes/issue", body)

    assert (reply.status_code, reply.json()) == (status, {"error": text})


def test_issuing_needs_a_key(as_stranger):
    assert as_stranger.post("/v1/codes/issue", {"offerId": OfferFactory().pk}).status_code == 401


def test_anybody_may_verify(as_stranger):
    offer = OfferFactory(price_minor=600, provider="SMARTY", name="SMARTY 1GB")

    shown = as_stranger.post("/v1/codes/verify", {"code": issue_for(offer.pk).text}).json()

    times = {name: shown.pop(name) for name in ("issuedAt", "expiresAt")}
    assert shown == {
        "valid": True,
        "issuer": "rako.sh",
        "offer": {"id": offer.pk, "provider": "SMARTY", "product": "SMARTY 1GB", "price": 6, "currency": "GBP"},
        "commission": {"type": "cpa", "value": 8},
    }
    assert all(moment.endswith(".000Z") for moment in times.values())


@pytest.mark.parametrize("spoil", [lambda text: text[:-1] + ("A" if text[-1] != "A" else "Q"), lambda text: "x" * 5000])
def test_a_bad_code_is_a_good_answer(as_stranger, spoil):
    code = spoil(issue_for(OfferFactory().pk).text)

    reply = as_stranger.post("/v1/codes/verify", {"code": code})

    assert (reply.status_code, reply.json()) == (200, {"valid": False, "error": "Invalid or expired AAP Code."})


@pytest.mark.parametrize(
    ("body", "text"),
    [({}, "code is required"), ({"code": ""}, "code is required"), ({"code": 1}, "code must be a string")],
)
def test_verifying_needs_a_code(as_stranger, body, text):
    reply = as_stranger.post("/v1/codes/verify", body)

    assert (reply.status_code, reply.json()) == (400, {"error": text})


def test_a_key_sent_with_it_is_ignored():
    assert Api("aap_unknown").post("/v1/codes/verify", {"code": "x"}).json()["valid"] is False
