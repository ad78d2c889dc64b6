"""The five checks, each broken alone; what an attacker with the merchant's dashboard could send."""

import base64
import json
from datetime import timedelta
from decimal import Decimal

import pytest
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat
from django.conf import settings
from django.utils import timezone

from checkout.connectors.registry import connector_for
from checkout.models import Checkout, WebhookReceipt
from checkout.start import checkout_request, claim
from ledger.models import Conversion, Entry
from merchants import keyring
from merchants.models import SigningKey
from rako.core import aap_code
from tests.checkout.psp import checkout_of, deliver, paid_event, pay
from tests.factories import OfferFactory, RecommendationFactory, SessionFactory


def recommendation_made(ago, **more):
    """A recommendation of that age, with a code that was issued then and has expired since."""
    then = timezone.now() - ago
    key = Ed25519PrivateKey.from_private_bytes(base64.b64decode(settings.RAKO_SIGNING_KEYS[0]))
    pem = key.public_key().public_bytes(Encoding.PEM, PublicFormat.SubjectPublicKeyInfo).decode()
    key_id = keyring.key_id_of(key.public_key())
    SigningKey.objects.create(key_id=key_id, public_key=pem, valid_from=then - timedelta(days=1))
    offer = OfferFactory()
    names = (offer.pk, offer.merchant_id, offer.provider, offer.name)
    terms = aap_code.CodeTerms(*names, 10, "GBP", {"type": "cpa", "value": 8})
    code = aap_code.issue(terms, key, issued_at=int(then.timestamp()))
    return RecommendationFactory(offer=offer, created_at=then, aap_code=code, **more)


def credited(response):
    return response.json().get("status"), Conversion.objects.count()


def test_a_payment_that_passes_all_five_checks_is_a_verified_conversion(checkout):
    response = deliver(checkout.connection, paid_event(checkout))

    conversion = Conversion.objects.get()
    assert response.json() == {
        "received": True,
        "status": "conversion_recorded",
        "conversionId": conversion.pk,
        "verification": "verified",
    }


def test_1_an_event_for_another_merchants_checkout_is_refused(recommendation):
    """The attacker's own account sends its own signed event, with metadata that names the victim's checkout while
    its page is only being made."""
    victim, _ = claim(recommendation, recommendation.offer.merchant.connections.get(), mode="checkout")
    other = checkout_of(RecommendationFactory())
    event = paid_event(other, metadata={"aap_checkout_id": victim.pk})
    event["data"]["object"] |= {"id": "cs_forged", "payment_intent": "pi_forged"}

    response = deliver(other.connection, event)

    assert credited(response) == ("rejected", 0)
    assert response.json()["failedCheck"] == "authentic"


def test_a_payment_that_copies_a_known_pages_metadata_is_not_that_pages(checkout):
    event = paid_event(checkout, id="cs_copied", payment_intent="pi_copied")

    assert credited(deliver(checkout.connection, event)) == ("unmatched", 0)


def test_a_payment_of_a_page_whose_answer_was_lost_is_found_by_its_metadata(recommendation):
    checkout, _ = claim(recommendation, recommendation.offer.merchant.connections.get(), mode="checkout")
    link = connector_for(checkout.connection).create_checkout(checkout_request(checkout))
    checkout.psp_id = link.psp_id

    assert credited(deliver(checkout.connection, paid_event(checkout))) == ("conversion_recorded", 1)


def test_5_a_success_whose_payment_is_not_complete_is_refused(checkout):
    event = next(event for event in pay(checkout) if event["type"] == "payment_intent.succeeded")
    event["data"]["object"]["status"] = "processing"

    response = deliver(checkout.connection, event)

    assert credited(response) == ("rejected", 0)
    assert response.json()["failedCheck"] == "payment_status"


@pytest.mark.parametrize(
    ("amount", "status"), [(9_800, "conversion_recorded"), (9_799, "rejected"), (10_201, "rejected")]
)
def test_4_a_flight_may_cost_as_much_more_or_less_as_the_deployment_says(agent, settings, amount, status):
    settings.RAKO_AMOUNT_TOLERANCES = {"flights": Decimal("2")}
    offer = OfferFactory(vertical="flights", price_minor=10_000, terms={"type": "percentage", "rate": 5})
    checkout = checkout_of(RecommendationFactory(session=SessionFactory(agent=agent), offer=offer))

    response = deliver(checkout.connection, paid_event(checkout, amount_total=amount))

    assert response.json()["status"] == status


def test_a_late_payment_of_a_closed_page_is_recorded_although_another_succeeded(checkout):
    late = paid_event(checkout)
    Checkout.objects.filter(pk=checkout.pk).update(state="expired")
    other = checkout_of(RecommendationFactory(session=checkout.session))
    Checkout.objects.filter(pk=other.pk).update(state="succeeded")

    assert credited(deliver(checkout.connection, late)) == ("conversion_recorded", 1)


def test_2_a_code_whose_signature_does_not_hold_is_refused(checkout):
    code = checkout.recommendation.aap_code
    event = paid_event(checkout, metadata={"aap_code": code[:-3] + ("AAA" if code[-3:] != "AAA" else "BBA")})

    response = deliver(checkout.connection, event)

    assert credited(response) == ("rejected", 0)
    assert response.json()["failedCheck"] == "code_signature"


def test_2_a_code_is_judged_at_recommendation_time_not_at_payment_time(agent):
    checkout = checkout_of(recommendation_made(timedelta(days=31), session=SessionFactory(agent=agent)))

    response = deliver(checkout.connection, paid_event(checkout))

    assert credited(response) == ("conversion_recorded", 1)


def test_3_a_valid_code_of_another_offer_is_refused(checkout):
    other = RecommendationFactory(offer__price_minor=1000)

    response = deliver(checkout.connection, paid_event(checkout, metadata={"aap_code": other.aap_code}))

    assert credited(response) == ("rejected", 0)
    assert response.json()["failedCheck"] == "code_agreement"


@pytest.mark.parametrize("name", ["recommendation_id", "session_id", "offer_id", "merchant_id"])
def test_3_metadata_that_disagrees_is_refused(checkout, name):
    event = paid_event(checkout, metadata={f"aap_{name}": "01ARZ3NDEKTSV4RRFFQ69G5FAV"})

    response = deliver(checkout.connection, event)

    assert credited(response) == ("rejected", 0)
    assert response.json()["failedCheck"] == "code_agreement"


@pytest.mark.parametrize("amount", [999, 1001, 1, 100_000_000])
def test_4_another_amount_is_refused(checkout, amount):
    response = deliver(checkout.connection, paid_event(checkout, amount_total=amount))

    assert credited(response) == ("rejected", 0)
    assert response.json()["failedCheck"] == "amount"


def test_4_another_currency_is_refused(checkout):
    response = deliver(checkout.connection, paid_event(checkout, currency="USD"))

    assert credited(response) == ("rejected", 0)
    assert response.json()["failedCheck"] == "amount"


@pytest.mark.parametrize(("card", "status"), [("succeeds-later", "processing"), ("declined", "open")])
def test_5_a_payment_that_is_not_complete_converts_nothing(checkout, card, status):
    replies = [deliver(checkout.connection, event).json()["status"] for event in pay(checkout, card)]

    checkout.refresh_from_db()
    assert (set(replies), Conversion.objects.count(), checkout.state) == ({"ignored"}, 0, status)


def test_a_refusal_says_which_check_failed_and_enters_the_ledger(checkout):
    deliver(checkout.connection, paid_event(checkout, amount_total=999))

    receipt = WebhookReceipt.objects.get()
    assert (receipt.result, receipt.failed_check) == ("rejected", "amount")
    assert receipt.reason == "Paid 9.99 GBP, but the AAP Code says 10 GBP"
    assert Entry.objects.get(stream_id=receipt.pk).kind == "payment.rejected"


def test_a_payment_with_our_metadata_but_no_checkout_of_ours_is_unmatched(checkout):
    event = paid_event(checkout, id="cs_unknown", payment_intent="pi_unknown", metadata={"aap_checkout_id": "x"})

    response = deliver(checkout.connection, event)

    assert credited(response) == ("unmatched", 0)


def test_the_merchants_other_sales_are_none_of_ours(checkout):
    event = paid_event(checkout, id="cs_unknown", payment_intent="pi_unknown")
    event["data"]["object"]["metadata"] = {"basket": "17"}

    assert credited(deliver(checkout.connection, event)) == ("ignored", 0)


def test_metadata_edited_away_does_not_lose_the_sale(checkout):
    event = paid_event(checkout)
    event["data"]["object"]["metadata"] = {}

    assert credited(deliver(checkout.connection, event)) == ("conversion_recorded", 1)


def test_a_second_payment_of_a_session_is_refused(checkout):
    deliver(checkout.connection, paid_event(checkout))
    again = json.loads(bytes(WebhookReceipt.objects.get().body))
    again["id"], again["data"]["object"]["payment_intent"] = "evt_second", "pi_second"

    response = deliver(checkout.connection, again)

    assert credited(response) == ("rejected", 1)
    assert response.json()["failedCheck"] == "already_attributed"
