"""Charges without the buyer, refunds and disputes at Stripe's counterparty, seen through the real library."""

import time

import pytest
import stripe

from tests.counterparties import openapi
from tests.counterparties.sales import charge, open_session, told


def test_a_stored_method_is_charged_without_the_buyer(shop):
    stored = shop.psp.store_method(shop.account)

    intent = charge(shop, stored["payment_method"], customer=stored["customer"], expand=["latest_charge"])

    assert (intent.status, intent.latest_charge.captured, intent.amount_received) == ("succeeded", True, 4990)


def test_a_decline_names_its_reason_and_its_intent(shop):
    with pytest.raises(stripe.CardError) as declined:
        charge(shop, "pm_card_visa_chargeDeclinedInsufficientFunds")

    error = declined.value
    assert (error.http_status, error.code, error.error.decline_code) == (402, "card_declined", "insufficient_funds")
    assert error.error.payment_intent.status == "requires_payment_method"
    assert told(shop) == ["payment_intent.created", "charge.failed", "payment_intent.payment_failed"]


def test_a_bank_that_wants_its_holder_declines_off_session(shop):
    stored = shop.psp.store_method(shop.account, "4000002500003155")

    with pytest.raises(stripe.CardError) as declined:
        charge(shop, stored["payment_method"], customer=stored["customer"])

    assert declined.value.code == "authentication_required"


def test_an_intent_that_waits_for_its_buyer_can_be_cancelled(shop):
    waiting = charge(shop, "pm_card_authenticationRequired", off_session=False)

    cancelled = shop.client().v1.payment_intents.cancel(waiting.id)

    assert (waiting.status, cancelled.status) == ("requires_action", "canceled")
    assert told(shop)[-1] == "payment_intent.canceled"


def test_the_same_key_charges_once_and_another_body_is_refused(shop):
    first, again = (charge(shop, key="attempt-1") for _ in range(2))

    assert (again.id, again.last_response.headers["idempotent-replayed"]) == (first.id, "true")
    with pytest.raises(stripe.IdempotencyError):
        charge(shop, key="attempt-1", amount=5000)
    assert len(shop.client().v1.payment_intents.list().data) == 1


@pytest.mark.parametrize(
    ("changes", "code"),
    [
        ({"amount": 49}, "amount_too_small"),
        ({"amount": 10**8}, "amount_too_large"),
        ({"currency": "zzz"}, None),
        ({"metadata": {"a": "x" * 501}}, None),
        ({"payment_method": "pm_unknown"}, "resource_missing"),
    ],
)
def test_a_charge_that_cannot_be_made_is_refused(shop, changes, code):
    with pytest.raises(stripe.InvalidRequestError) as refused:
        charge(shop, **changes)

    assert refused.value.code == code


def test_refunds_add_up_and_never_exceed_what_was_paid(shop):
    intent, client = charge(shop), shop.client()

    client.v1.refunds.create(params={"payment_intent": intent.id, "amount": 990})
    with pytest.raises(stripe.InvalidRequestError, match="greater than unrefunded"):
        client.v1.refunds.create(params={"payment_intent": intent.id, "amount": 4001})
    rest = shop.psp.refund(shop.account, intent.id)

    paid = client.v1.charges.retrieve(intent.latest_charge)
    assert (rest["amount"], paid.amount_refunded, paid.refunded) == (4000, 4990, True)
    assert told(shop)[3:] == ["refund.created", "charge.refunded"] * 2


def test_a_refund_that_succeeded_can_fail_days_later(shop):
    intent = charge(shop)
    refund = shop.psp.refund(shop.account, intent.id, 990)

    shop.psp.fail_refund(shop.account, refund["id"])

    failed = shop.client().v1.refunds.retrieve(refund["id"])
    assert (failed.status, failed.failure_reason) == ("failed", "lost_or_stolen_card")
    assert shop.client().v1.charges.retrieve(intent.latest_charge).amount_refunded == 0
    assert told(shop)[-3:] == ["refund.updated", "refund.failed", "charge.refund.updated"]


def test_a_pending_refund_arrives_later(shop):
    session = open_session(shop)
    paid = shop.psp.pay(shop.account, session.id, "4000000000007726")
    refund = shop.psp.refund(shop.account, paid.payment_intent, 990)

    shop.psp.settle_refund(shop.account, refund["id"])

    assert refund["status"] == "pending"
    assert shop.client().v1.refunds.retrieve(refund["id"]).status == "succeeded"
    assert told(shop)[-1] == "charge.refunded"


@pytest.mark.parametrize("outcome", ["won", "lost"])
def test_a_dispute_is_opened_and_decided(shop, outcome):
    intent = charge(shop)

    dispute = shop.psp.dispute(shop.account, intent.id)
    shop.psp.resolve_dispute(shop.account, dispute["id"], outcome)

    decided = shop.client().v1.disputes.retrieve(dispute["id"])
    assert (dispute["status"], decided.status, decided.payment_intent) == ("needs_response", outcome, intent.id)
    names = told(shop)
    assert names[3:5] == ["charge.dispute.created", "charge.dispute.funds_withdrawn"]
    assert ("charge.dispute.funds_reinstated" in names, names[-1]) == (outcome == "won", "charge.dispute.closed")


def test_an_inquiry_withdraws_no_funds_and_can_be_closed(shop):
    dispute = shop.psp.dispute(shop.account, charge(shop).id, inquiry=True)

    closed = shop.psp.resolve_dispute(shop.account, dispute["id"], "closed")

    assert (dispute["status"], closed["status"]) == ("warning_needs_response", "warning_closed")
    assert closed["balance_transactions"] == []
    assert told(shop)[3:] == ["charge.dispute.created", "charge.dispute.closed"]


def test_an_inquiry_can_become_a_chargeback(shop):
    dispute = shop.psp.dispute(shop.account, charge(shop).id, inquiry=True)

    escalated = shop.psp.resolve_dispute(shop.account, dispute["id"], "escalated")

    assert (escalated["status"], told(shop)[-1]) == ("needs_response", "charge.dispute.funds_withdrawn")


def test_every_list_is_paged_by_the_library(shop):
    intents = [charge(shop) for _ in range(3)]
    for intent in intents:
        shop.psp.refund(shop.account, intent.id, 100)
        shop.psp.dispute(shop.account, intent.id)
    client, since = shop.client(), {"limit": 2, "created": {"gte": int(time.time()) - 60}}

    listed = {
        "intents": list(client.v1.payment_intents.list(params=since).auto_paging_iter()),
        "charges": list(client.v1.charges.list(params=since).auto_paging_iter()),
        "refunds": list(client.v1.refunds.list(params=since).auto_paging_iter()),
        "disputes": list(client.v1.disputes.list(params=since).auto_paging_iter()),
        "events": list(client.v1.events.list(params={**since, "types": ["charge.refunded"]}).auto_paging_iter()),
    }

    assert {name: len(found) for name, found in listed.items()} == dict.fromkeys(listed, 3)
    assert [intent.id for intent in listed["intents"]] == [intent.id for intent in reversed(intents)]
    assert client.v1.payment_intents.list(params={"created": {"lt": int(time.time()) - 60}}).data == []


def test_all_that_happens_looks_as_stripe_describes_it(shop):
    session = open_session(shop)
    shop.psp.pay(shop.account, session.id, "tok_visa_chargeDeclined")
    paid = shop.psp.pay(shop.account, session.id)
    shop.psp.fail_refund(shop.account, shop.psp.refund(shop.account, paid.payment_intent, 990)["id"])
    dispute = shop.psp.dispute(shop.account, paid.payment_intent)
    shop.psp.resolve_dispute(shop.account, dispute["id"], "won")
    delayed = open_session(shop)
    shop.psp.pay(shop.account, delayed.id, "sepa_debit")
    shop.psp.settle(shop.account, delayed.id, succeeds=False)

    events = shop.psp.events(shop.account)

    things = [event["data"]["object"] for event in events]
    assert [openapi.problems_of_object("event", event) for event in events] == [[]] * len(events)
    assert [openapi.problems_of_object(thing["object"], thing) for thing in things] == [[]] * len(things)
