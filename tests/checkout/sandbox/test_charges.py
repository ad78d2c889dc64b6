"""Charges without the buyer: once per attempt, whatever the stored payment method does."""

from dataclasses import replace

import pytest

from checkout.connectors.base import KeyReuseMismatch, NotPayable, PspRejected
from checkout.connectors.sandbox import accounts, events, payments
from checkout.connectors.sandbox.models import Account, Payment
from rako.core.money import Money
from tests.checkout.sandbox import factories
from tests.checkout.sandbox.factories import stored_charge, told


@pytest.mark.parametrize(
    ("token", "status", "tells"),
    [
        ("pm_card_visa", "succeeded", [events.PAYMENT_SUCCEEDED]),
        ("pm_card_declined", "failed", [events.PAYMENT_FAILED]),
        ("pm_card_authentication_required", "requires_action", []),
        ("pm_card_processing", "processing", [events.PAYMENT_PROCESSING]),
    ],
)
def test_each_token_does_what_it_says(account: Account, token: str, status: str, tells: list[str]) -> None:
    payment = payments.charge_stored(account, stored_charge(payment_method=token))

    assert (payment.status, payment.off_session, payment.page_id) == (status, True, None)
    assert told() == tells


def test_an_unknown_token_is_refused(account: Account) -> None:
    with pytest.raises(PspRejected):
        payments.charge_stored(account, stored_charge(payment_method="pm_other"))

    assert not Payment.objects.exists()


def test_the_customer_in_front_of_a_method_is_ignored(account: Account) -> None:
    request = stored_charge(payment_method="cus_1/pm_card_visa")

    first = payments.charge_stored(account, request)

    assert first.status == "succeeded"
    assert payments.charge_stored(account, replace(request, payment_method="pm_card_visa")) == first


def test_money_out_of_bounds_is_not_payable(account: Account) -> None:
    with pytest.raises(NotPayable):
        payments.charge_stored(account, stored_charge(money=Money(0, "GBP")))


def test_the_same_attempt_charges_once(account: Account) -> None:
    request = stored_charge()

    first, second = payments.charge_stored(account, request), payments.charge_stored(account, request)

    assert first.pk == second.pk
    assert told() == [events.PAYMENT_SUCCEEDED]


@pytest.mark.parametrize("change", [{"money": Money(601, "GBP")}, {"payment_method": "pm_card_declined"}], ids=str)
def test_the_same_attempt_with_other_content_is_refused(account: Account, change: dict[str, object]) -> None:
    request = stored_charge()
    payments.charge_stored(account, request)

    with pytest.raises(KeyReuseMismatch):
        payments.charge_stored(account, replace(request, **change))


@pytest.mark.parametrize(
    ("approve", "status", "tells"),
    [(True, "succeeded", events.PAYMENT_SUCCEEDED), (False, "failed", events.PAYMENT_FAILED)],
)
def test_the_step_up_ends_the_charge(account: Account, approve: bool, status: str, tells: str) -> None:
    asked = payments.charge_stored(account, stored_charge(payment_method="pm_card_authentication_required"))

    answered = payments.answer_step_up(asked.pk, approve=approve)

    assert answered.status == status
    assert told() == [tells]


def test_an_unanswered_step_up_is_canceled_in_time(account: Account) -> None:
    early, late = (
        payments.charge_stored(account, stored_charge(payment_method="pm_card_authentication_required"))
        for _ in range(2)
    )
    factories.overdue(late)

    canceled = payments.cancel_unanswered()

    early.refresh_from_db()
    late.refresh_from_db()
    assert (canceled, early.status, late.status) == (1, "requires_action", "canceled")
    assert told() == [events.PAYMENT_CANCELED]


def test_a_closed_accounts_step_up_has_no_effect(account: Account) -> None:
    asked = payments.charge_stored(account, stored_charge(payment_method="pm_card_authentication_required"))
    accounts.close_account(account.pk)

    assert payments.answer_step_up(asked.pk, approve=True).status == "requires_action"


def test_a_charge_that_ended_is_not_canceled(account: Account) -> None:
    payment = payments.charge_stored(account, stored_charge())

    assert payments.cancel_charge(payment.pk).status == "succeeded"
