"""Charges of stored methods, and the page for a buyer whose bank wants to see them."""

from typing import Any

import pytest
from pytest_django import Settings

from checkout.connectors.base import (
    ChargeStatus,
    KeyReuseMismatch,
    NotPayable,
    OutcomeType,
    PaymentState,
)
from checkout.connectors.metadata import joined
from checkout.connectors.stripe.connector import StripeConnector
from rako.core.money import Money
from tests.checkout.stripe.conftest import SECRET, Connect, Wire
from tests.checkout.stripe.factories import BROKE_CARD, PRICE, SCA_CARD, attempt, metadata_of, stored_charge
from tests.checkout.stripe.test_webhooks import outcomes_of
from tests.counterparties.fixtures import Shop

PATH = "/v1/payment_intents"


def stored(shop: Shop, card: str = "tok_visa") -> str:
    """What the merchant gave the buyer."""
    made = shop.psp.store_method(shop.account, card)
    return f"{made['customer']}/{made['payment_method']}"


def intents(shop: Shop) -> list[Any]:
    return shop.client().v1.payment_intents.list().data


@pytest.mark.parametrize("is_bare", [False, True], ids=["with customer", "method alone"])
def test_a_stored_method_is_charged(connector: StripeConnector, shop: Shop, wire: Wire, is_bare: bool) -> None:
    method = stored(shop)
    request = stored_charge(method.partition("/")[2] if is_bare else method)

    result = connector.charge_stored_method(request)

    (intent,) = intents(shop)
    (call,) = wire.sent(PATH)
    assert (result.status, result.psp_id, result.confirmation) == (ChargeStatus.SUCCEEDED, intent.id, intent.id)
    assert (intent.amount_received, intent.currency, intent.customer) == (1200, "gbp", method.partition("/")[0])
    assert call.headers["idempotency-key"] == f"rako:test:pu:{request.attempt_id}"
    kept = intent.metadata.to_dict()
    assert kept.pop("aap_checkout_mode") == "autonomous"
    assert joined(kept) == metadata_of(request.attempt_id)


def test_the_same_attempt_gives_the_same_charge(connector: StripeConnector, shop: Shop) -> None:
    request = stored_charge(stored(shop))

    first, again = (connector.charge_stored_method(request) for _ in range(2))

    assert first == again
    assert len(intents(shop)) == 1
    for method, money in ((request.payment_method, Money(1300, "GBP")), (stored(shop), PRICE)):
        with pytest.raises(KeyReuseMismatch):
            connector.charge_stored_method(stored_charge(method, request.attempt_id, money=money))


@pytest.mark.parametrize("card", ["tok_visa", BROKE_CARD, SCA_CARD])
def test_an_offer_that_was_renamed_meanwhile_keeps_its_charge(
    connector: StripeConnector, shop: Shop, card: str
) -> None:
    request = stored_charge(stored(shop, card))
    first = connector.charge_stored_method(request)

    again = connector.charge_stored_method(
        stored_charge(request.payment_method, request.attempt_id, item_name="Another name")
    )

    assert again == first
    assert len(intents(shop)) == 1


@pytest.mark.parametrize(
    ("card", "reason"),
    [
        ("pm_card_visa_chargeDeclinedInsufficientFunds", "insufficient_funds"),
        ("pm_card_chargeDeclinedExpiredCard", "expired_card"),
        ("pm_card_visa_chargeDeclinedLostCard", "generic"),
    ],
)
def test_a_decline_says_no_more_than_may_be_told(
    connector: StripeConnector, shop: Shop, card: str, reason: str
) -> None:
    customer = stored(shop).partition("/")[0]
    request = stored_charge(f"{customer}/{card}")

    first, again = (connector.charge_stored_method(request) for _ in range(2))

    assert (first.status, first.decline_reason, first.next_action_url) == (ChargeStatus.DECLINED, reason, "")
    assert first == again
    assert [intent.id for intent in intents(shop)] == [first.psp_id]


def test_a_bank_that_wants_the_buyer_gets_a_page_in_the_charges_place(
    connector: StripeConnector, shop: Shop, settings: Settings, wire: Wire
) -> None:
    request = stored_charge(stored(shop, SCA_CARD))

    first, again = (connector.charge_stored_method(request) for _ in range(2))

    assert first == again
    assert first.status == ChargeStatus.REQUIRES_ACTION
    assert first.psp_id == first.confirmation
    assert first.psp_id in first.next_action_url
    assert [intent.status for intent in intents(shop)] == ["canceled"]
    page = wire.sent("/v1/checkout/sessions")[0]
    assert page.headers["idempotency-key"] == f"rako:test:su:{request.attempt_id}"
    assert page.params["success_url"] == f"{settings.RAKO_BASE_URL}/checkout/{request.attempt_id}/done"
    assert page.params["cancel_url"] == f"{settings.RAKO_BASE_URL}/checkout/{request.attempt_id}/cancelled"


def test_a_charge_that_became_a_page_is_paid_there(connector: StripeConnector, shop: Shop) -> None:
    request = stored_charge(stored(shop, SCA_CARD))
    page = connector.charge_stored_method(request)
    before = outcomes_of(connector, shop)

    shop.psp.pay(shop.account, page.psp_id)

    assert before == []  # neither the decline nor the cancellation says anything about the attempt
    assert {outcome.type for outcome in outcomes_of(connector, shop)} == {OutcomeType.PAYMENT_SUCCEEDED}
    found = connector.find_attempt(attempt(request.attempt_id))
    assert found is not None
    assert (found.psp_id, found.state, found.money) == (page.psp_id, PaymentState.SUCCEEDED, PRICE)


def test_without_a_page_the_charge_is_declined(connect: Connect, shop: Shop) -> None:
    key = shop.psp.issue_key(shop.account, missing=["rak_checkout_session_write"])

    result = connect(key=key).charge_stored_method(stored_charge(stored(shop, SCA_CARD)))

    assert (result.status, result.decline_reason) == (ChargeStatus.DECLINED, "authentication_required")
    assert result.psp_id.startswith("pi_")


@pytest.mark.parametrize(
    "method",
    ["pm_unknown", "cus_unknown/pm_unknown", "pm_card_visa", "", "tok_visa", "4242424242424242", "pm_1/../x", "pm_é"],
)
def test_a_method_that_nobody_stored_is_not_payable(connector: StripeConnector, shop: Shop, method: str) -> None:
    with pytest.raises(NotPayable):
        connector.charge_stored_method(stored_charge(method))

    assert all(intent.status != "succeeded" for intent in intents(shop))


def test_a_charge_that_was_made_cannot_be_cancelled(connector: StripeConnector, shop: Shop) -> None:
    result = connector.charge_stored_method(stored_charge(stored(shop)))

    assert connector.expire_checkout(result.psp_id) == PaymentState.SUCCEEDED


def test_a_failed_charge_is_cancelled_once_and_for_all(connector: StripeConnector, shop: Shop) -> None:
    result = connector.charge_stored_method(stored_charge(stored(shop, BROKE_CARD)))

    assert [connector.expire_checkout(result.psp_id) for _ in range(2)] == [PaymentState.EXPIRED] * 2


def test_a_failed_charge_is_told_as_failed(connector: StripeConnector, shop: Shop) -> None:
    request = stored_charge(stored(shop, BROKE_CARD))
    result = connector.charge_stored_method(request)

    outcomes = outcomes_of(connector, shop)

    assert [(one.type, one.payment_ref) for one in outcomes] == [(OutcomeType.PAYMENT_FAILED, result.psp_id)]
    assert outcomes[0].metadata == metadata_of(request.attempt_id)
    assert SECRET not in repr(outcomes)
