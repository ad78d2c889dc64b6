"""Charges of stored methods: at most one of an attempt, told as coarsely as they may be."""

import pytest
from django.utils import timezone

from checkout.connectors.base import (
    Attempt,
    ChargeStatus,
    KeyReuseMismatch,
    NotPayable,
    PaymentState,
    PspFault,
)
from tests.checkout.hyperswitch import factories
from tests.checkout.hyperswitch.factories import warnings_of


def asking(**changes):
    """A charge for which the bank asks for the buyer."""
    unpaid = {"status": "requires_customer_action", "amount_received": None, "off_session": True}
    return factories.PAYMENT | unpaid | changes


REPLACED = asking(status="cancelled", cancellation_reason="replaced by a payment link")
LINK = factories.PAYMENT | {
    "payment_id": "stp_01JEXAMP0E0000000000000000",
    "status": "requires_payment_method",
    "amount_received": None,
    "payment_link": {"link": "https://pay.example/link"},
}
ATTEMPT = "01JEXAMP0E0000000000000000"


@pytest.mark.parametrize(
    ("method", "status", "reason"),
    [
        ("pm_succeeds", ChargeStatus.SUCCEEDED, ""),
        ("pm_processing", ChargeStatus.PROCESSING, ""),
        ("pm_requires_action", ChargeStatus.REQUIRES_ACTION, ""),
        ("pm_declined", ChargeStatus.DECLINED, "generic"),
        ("pm_insufficient_funds", ChargeStatus.DECLINED, "insufficient_funds"),
        ("pm_expired_card", ChargeStatus.DECLINED, "expired_card"),
        ("pm_lost_card", ChargeStatus.DECLINED, "generic"),
    ],
)
def test_a_charge_is_told_as_it_went_and_the_same_way_again(psp, connector, method, status, reason):
    request = factories.stored_charge(method)

    result = connector.charge_stored_method(request)

    assert (result.status, result.decline_reason) == (status, reason)
    assert result.psp_id == result.confirmation == f"pay_{request.attempt_id}"
    assert result.next_action_url.startswith("http" if status == ChargeStatus.REQUIRES_ACTION else "")
    assert connector.charge_stored_method(request) == result
    assert len(psp.world.payments) == 1


def test_a_charge_carries_what_was_asked_for(psp, connector):
    request = factories.stored_charge()

    connector.charge_stored_method(request)

    made = psp.payment(f"pay_{request.attempt_id}")
    assert (made["amount"], made["currency"], made["customer_id"], made["off_session"]) == (4990, "EUR", "cus_1", True)
    assert connector.get_payment(made["payment_id"]).metadata == request.metadata


@pytest.mark.parametrize(
    "method", ["pm_succeeds", "cus_1/", "/pm", "a/b/c", "a /b", "cus_1/pm_\n", "", "é/pm", "x" * 300]
)
def test_a_method_must_name_its_customer(psp, connector, caplog, method):
    with pytest.raises(NotPayable):
        connector.charge_stored_method(factories.stored_charge(payment_method=method))

    assert psp.calls() == []
    assert "names no customer" in caplog.text


def test_an_unknown_method_is_not_payable(psp, connector):
    with pytest.raises(NotPayable):
        connector.charge_stored_method(factories.stored_charge("pm_unknown"))
    assert psp.world.payments == {}


def test_another_customers_charge_is_another_charge(connector):
    request = factories.stored_charge()
    connector.charge_stored_method(request)

    with pytest.raises(KeyReuseMismatch):
        connector.charge_stored_method(
            factories.stored_charge(attempt_id=request.attempt_id, payment_method="cus_2/pm_succeeds")
        )


def test_a_charge_that_waits_for_its_buyer_can_be_ended(psp, connector):
    request = factories.stored_charge("pm_requires_action")
    charge = connector.charge_stored_method(request)

    found = connector.find_attempt(Attempt(request.attempt_id, "", timezone.now()))
    assert (found.state, found.url) == (PaymentState.OPEN, charge.next_action_url)
    assert connector.expire_checkout(charge.psp_id) == PaymentState.EXPIRED
    assert connector.charge_stored_method(request).status == ChargeStatus.DECLINED


def test_a_declined_charge_is_closed(connector):
    charge = connector.charge_stored_method(factories.stored_charge("pm_declined"))

    assert connector.expire_checkout(charge.psp_id) == PaymentState.EXPIRED
    assert connector.get_payment(charge.psp_id).state == PaymentState.FAILED


def test_without_an_address_a_link_takes_the_charges_place(scripted, stranger):
    scripted.says(asking(next_action={"type": "invoke_sdk_client"}))
    scripted.says(REPLACED)
    scripted.says(LINK)

    result = stranger.charge_stored_method(factories.stored_charge(attempt_id=ATTEMPT))

    assert (result.status, result.next_action_url) == (ChargeStatus.REQUIRES_ACTION, "https://pay.example/link")
    assert result.psp_id == result.confirmation == f"stp_{ATTEMPT}"
    charge, cancellation, link = [(path, sent) for _, path, sent in scripted.seen]
    assert cancellation[0] == f"/payments/pay_{ATTEMPT}/cancel"
    assert (link[1]["payment_id"], len(link[1]["payment_id"]), link[1]["payment_link"]) == (f"stp_{ATTEMPT}", 30, True)
    assert (link[1]["amount"], link[1]["metadata"]) == (charge[1]["amount"], charge[1]["metadata"])
    assert "customer_id" not in link[1]


def test_a_replaced_charge_is_found_and_repeated_as_its_link(psp, connector):
    request = factories.stored_charge("pm_requires_action")
    charge = connector.charge_stored_method(request)
    connector.expire_checkout(charge.psp_id)
    psp.world.payments[next(iter(psp.world.payments))].cancellation_reason = "replaced by a payment link"

    again = connector.charge_stored_method(request)
    found = connector.find_attempt(Attempt(request.attempt_id, "", timezone.now()))

    assert (again.status, again.psp_id) == (ChargeStatus.REQUIRES_ACTION, f"stp_{request.attempt_id}")
    assert (found.psp_id, found.url, found.state) == (again.psp_id, again.next_action_url, PaymentState.OPEN)
    assert (found.attempt_id, found.psp_ids) == (request.attempt_id, [again.psp_id, charge.psp_id])
    psp.pay(again.psp_id)
    assert connector.charge_stored_method(request).status == ChargeStatus.SUCCEEDED
    assert len(psp.world.payments) == 2


def test_a_charge_that_cannot_be_replaced_yet_is_unknown_and_no_link_is_made(scripted, stranger):
    refusal = {"error": {"type": "invalid_request", "code": "IR_14", "message": "no"}}
    waiting = asking(next_action=None)
    scripted.replies = [(200, waiting, {}), (400, refusal, {}), (200, waiting, {})]

    with pytest.raises(PspFault):
        stranger.charge_stored_method(factories.stored_charge(attempt_id=ATTEMPT))
    assert [path for method, path, _ in scripted.seen if method == "POST"][1:] == [f"/payments/pay_{ATTEMPT}/cancel"]


def test_a_charge_that_moves_on_while_it_is_cancelled_is_told(scripted, stranger):
    refusal = {"error": {"type": "invalid_request", "code": "IR_14", "message": "no"}}
    scripted.replies = [(200, asking(), {}), (400, refusal, {}), (200, factories.PAYMENT, {})]

    assert stranger.charge_stored_method(factories.stored_charge()).status == ChargeStatus.SUCCEEDED


@pytest.mark.parametrize(
    ("status", "expected", "is_logged"),
    [
        ("succeeded_maybe", ChargeStatus.PROCESSING, True),
        ("requires_payment_method", ChargeStatus.PROCESSING, True),
        ("requires_capture", ChargeStatus.PROCESSING, False),
        ("partially_captured", ChargeStatus.PROCESSING, False),
        ("cancelled", ChargeStatus.DECLINED, False),
        ("failed", ChargeStatus.DECLINED, False),
    ],
)
def test_nothing_but_success_is_success(scripted, stranger, caplog, status, expected, is_logged):
    scripted.says(factories.PAYMENT | {"status": status})

    assert stranger.charge_stored_method(factories.stored_charge()).status == expected
    assert any(status in line for line in warnings_of(caplog)) == is_logged


@pytest.mark.parametrize(
    ("codes", "reason"),
    [
        ({"error_code": "Insufficient_Funds"}, "insufficient_funds"),
        ({"error_code": "51"}, "insufficient_funds"),
        ({"error_code": "declined", "issuer_error_code": "54"}, "expired_card"),
        ({"error_code": "authentication_required"}, "authentication_required"),
        ({"error_code": "stolen_card", "unified_code": "UE_1000"}, "generic"),
        ({"error_code": "lost_card"}, "generic"),
        ({"error_code": 51, "unified_code": ["x"]}, "generic"),
        ({}, "generic"),
    ],
)
def test_a_reason_is_coarse(scripted, stranger, codes, reason):
    scripted.says(factories.PAYMENT | {"status": "failed"} | codes)

    assert stranger.charge_stored_method(factories.stored_charge()).decline_reason == reason
