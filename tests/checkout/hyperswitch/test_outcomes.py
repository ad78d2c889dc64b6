"""Every event of Hyperswitch in Rako's words, and silence for the rest."""

import json

import pytest

from checkout.connectors.base import MalformedEvent, OutcomeType
from rako.core.money import Money
from tests.checkout.hyperswitch import factories
from tests.checkout.hyperswitch.deliveries import connector, outcomes_of
from tests.checkout.hyperswitch.factories import DISPUTE, PAYMENT, REFUND
from tests.counterparties.hyperswitch import HyperswitchCounterparty

FULL, PART = Money(4990, "EUR"), Money(1000, "EUR")


@pytest.mark.parametrize(
    ("event_type", "status", "received", "outcome", "money", "is_complete"),
    [
        ("payment_succeeded", "succeeded", 4990, OutcomeType.PAYMENT_SUCCEEDED, FULL, True),
        ("payment_succeeded", "succeeded", 1000, OutcomeType.PAYMENT_SUCCEEDED, PART, False),
        ("payment_succeeded", "processing", None, OutcomeType.PAYMENT_PENDING, FULL, False),
        ("payment_succeeded", "succeeded_maybe", 4990, OutcomeType.PAYMENT_PENDING, FULL, False),
        ("payment_captured", "partially_captured", 1000, OutcomeType.PAYMENT_SUCCEEDED, PART, False),
        ("payment_captured", "partially_captured", 4990, OutcomeType.PAYMENT_SUCCEEDED, FULL, False),
        ("payment_captured", "partially_captured_and_capturable", 1000, OutcomeType.PAYMENT_SUCCEEDED, PART, False),
        ("payment_captured", "succeeded", 4990, OutcomeType.PAYMENT_SUCCEEDED, FULL, True),
        ("payment_processing", "processing", None, OutcomeType.PAYMENT_PENDING, FULL, False),
        ("payment_authorized", "requires_capture", None, OutcomeType.PAYMENT_PENDING, FULL, False),
        ("payment_cancelled", "cancelled", None, OutcomeType.PAYMENT_FAILED, FULL, False),
        ("payment_expired", "expired", None, OutcomeType.CHECKOUT_EXPIRED, FULL, False),
    ],
)
def test_a_payments_event(event_type, status, received, outcome, money, is_complete):
    (told,) = outcomes_of(event_type, PAYMENT | {"status": status, "amount_received": received})

    assert (told.type, told.money, told.is_complete, told.status) == (outcome, money, is_complete, status)
    assert (told.payment_ref, told.psp_ids) == (PAYMENT["payment_id"], [PAYMENT["payment_id"]])
    assert (told.account_id, told.is_live, told.related_ref) == ("merchant_1", False, "")
    assert (told.metadata, told.occurred_at.isoformat()) == (PAYMENT["metadata"], "2026-03-01T12:00:01+00:00")


def test_a_declined_charge_has_failed():
    (told,) = outcomes_of("payment_failed", PAYMENT | {"status": "failed", "off_session": True})

    assert (told.type, told.money) == (OutcomeType.PAYMENT_FAILED, FULL)


@pytest.mark.parametrize(
    ("event_type", "status"), [("action_required", "requires_customer_action"), ("payment_failed", "failed")]
)
def test_a_page_that_can_still_be_paid_says_nothing(event_type, status):
    assert outcomes_of(event_type, PAYMENT | {"status": status}) == []


def test_a_payment_cancelled_after_its_capture_is_refunded_in_full():
    (told,) = outcomes_of("payment_cancelled_post_capture", PAYMENT | {"status": "cancelled_post_capture"})

    assert (told.type, told.money, told.related_ref) == (OutcomeType.REFUND_SUCCEEDED, FULL, PAYMENT["payment_id"])
    assert not told.is_complete


@pytest.mark.parametrize(
    ("event_type", "status", "outcome"),
    [
        ("refund_succeeded", "succeeded", OutcomeType.REFUND_SUCCEEDED),
        ("refund_succeeded", "pending", OutcomeType.REFUND_PENDING),
        ("refund_failed", "failed", OutcomeType.REFUND_FAILED),
        ("refund_review", "review", OutcomeType.REFUND_PENDING),
    ],
)
def test_a_refunds_event_names_its_payment_and_none_of_its_metadata(event_type, status, outcome):
    (told,) = outcomes_of(event_type, REFUND | {"status": status})

    assert (told.type, told.money, told.related_ref, told.status) == (outcome, PART, "ref_1", status)
    assert (told.payment_ref, told.psp_ids) == (PAYMENT["payment_id"], [PAYMENT["payment_id"], "ref_1"])
    assert (told.metadata, told.is_complete) == ({}, False)


@pytest.mark.parametrize(
    ("event_type", "stage", "outcome"),
    [
        ("dispute_opened", "dispute", OutcomeType.DISPUTE_OPENED),
        ("dispute_opened", "pre_arbitration", OutcomeType.DISPUTE_OPENED),
        ("dispute_opened", "pre_dispute", OutcomeType.DISPUTE_INQUIRY),
        ("dispute_lost", "dispute", OutcomeType.DISPUTE_LOST),
        ("dispute_accepted", "dispute", OutcomeType.DISPUTE_LOST),
        ("dispute_expired", "dispute", OutcomeType.DISPUTE_LOST),
        ("dispute_won", "dispute", OutcomeType.DISPUTE_RELEASED),
        ("dispute_cancelled", "pre_dispute", OutcomeType.DISPUTE_RELEASED),
    ],
)
def test_a_disputes_event(event_type, stage, outcome):
    (told,) = outcomes_of(event_type, DISPUTE | {"dispute_stage": stage, "dispute_status": event_type})

    assert (told.type, told.money, told.related_ref, told.status) == (outcome, FULL, "dp_1", event_type)
    assert (told.payment_ref, told.psp_ids) == (PAYMENT["payment_id"], [PAYMENT["payment_id"], "dp_1"])


@pytest.mark.parametrize(
    ("event_type", "subject"),
    [
        ("dispute_challenged", DISPUTE),
        ("mandate_active", {"mandate_id": "man_1"}),
        ("payout_success", {"payout_id": "po_1"}),
        ("invented_tomorrow", {}),
        ("payment_succeeded", PAYMENT | {"amount": 0, "amount_received": None}),
        ("payment_cancelled", PAYMENT | {"status": "cancelled", "cancellation_reason": "replaced by a payment link"}),
    ],
)
def test_what_says_nothing_about_a_sale_is_silence(event_type, subject):
    assert outcomes_of(event_type, subject) == []


def test_a_link_in_a_charges_place_names_both():
    (told,) = outcomes_of("payment_succeeded", PAYMENT | {"payment_id": "stp_01JEXAMP0E0000000000000000"})

    assert told.payment_ref == "stp_01JEXAMP0E0000000000000000"
    assert told.psp_ids == [told.payment_ref, "pay_01JEXAMP0E0000000000000000"]


def test_amounts_are_in_our_minor_units():
    (paid,) = outcomes_of("payment_succeeded", PAYMENT | {"currency": "ISK", "amount": 1500, "amount_received": 1500})
    (disputed,) = outcomes_of("dispute_opened", DISPUTE | {"currency": "ugx", "amount": "700"})

    assert (paid.money, disputed.money) == (Money(15, "ISK"), Money(700, "UGX"))


def test_metadata_is_put_together_and_only_texts_are_kept():
    parts = {"aap_code": "x" * 500, "aap_code_2": "yz", "n": 5, "o": {"a": 1}, "null": None}

    (told,) = outcomes_of("payment_succeeded", PAYMENT | {"metadata": parts})
    (bare,) = outcomes_of("payment_succeeded", PAYMENT | {"metadata": None})

    assert (told.metadata, bare.metadata) == ({"aap_code": "x" * 500 + "yz"}, {})


@pytest.mark.parametrize(
    ("event_type", "subject"),
    [
        ("payment_succeeded", PAYMENT | {"amount_received": None}),
        ("payment_succeeded", PAYMENT | {"amount_received": 0}),
        ("payment_succeeded", PAYMENT | {"amount_received": 10**30}),
        ("payment_succeeded", PAYMENT | {"amount_received": 49.9}),
        ("payment_succeeded", PAYMENT | {"amount": True}),
        ("payment_succeeded", PAYMENT | {"currency": "EURO"}),
        ("payment_succeeded", PAYMENT | {"currency": None}),
        ("payment_succeeded", PAYMENT | {"payment_id": None}),
        ("payment_succeeded", PAYMENT | {"metadata": "text"}),
        ("payment_succeeded", PAYMENT | {"status": None}),
        ("payment_failed", PAYMENT | {"amount": -1}),
        ("refund_succeeded", REFUND | {"payment_id": None}),
        ("refund_succeeded", REFUND | {"refund_id": ""}),
        ("refund_failed", REFUND | {"amount": "-5"}),
        ("dispute_opened", DISPUTE | {"amount": "49.90"}),
        ("dispute_opened", DISPUTE | {"amount": "٤٩"}),
        ("dispute_opened", DISPUTE | {"amount": "9" * 5000}),
        ("dispute_lost", DISPUTE | {"dispute_id": 5}),
        ("dispute_won", {}),
    ],
)
def test_an_object_of_another_shape_is_malformed(event_type, subject):
    with pytest.raises(MalformedEvent):
        outcomes_of(event_type, subject)


def test_the_counterpartys_own_events_are_all_understood(settings):
    with HyperswitchCounterparty() as psp:
        settings.RAKO_HYPERSWITCH_API_BASE = psp.base_url
        shop = psp.add_merchant("http://127.0.0.1:9/hook")
        merchant = factories.connector_of(shop)
        link = merchant.create_checkout(factories.checkout_request())
        for outcome in ("declined", "succeeded"):
            psp.pay(link.psp_id, outcome)
        refund = psp.refund(link.psp_id, 100, "review")
        for status in ("succeeded", "failed"):
            psp.finish_refund(refund["refund_id"], status)
        dispute = psp.dispute(link.psp_id)
        for to in ("challenged", "lost", "won"):
            psp.move_dispute(dispute["dispute_id"], to)
        events = [merchant.read_event(json.dumps(told).encode()) for told in psp.event_list()]

    told = [outcome.type for event in events for outcome in merchant.normalize(event)]
    assert told == [
        OutcomeType.PAYMENT_SUCCEEDED,
        OutcomeType.REFUND_PENDING,
        OutcomeType.REFUND_SUCCEEDED,
        OutcomeType.REFUND_FAILED,
        OutcomeType.DISPUTE_OPENED,
        OutcomeType.DISPUTE_LOST,
        OutcomeType.DISPUTE_RELEASED,
    ]


def test_normalizing_needs_no_network_and_no_key():
    assert connector(credentials={}).normalize(connector().read_event(factories.event_body()))
