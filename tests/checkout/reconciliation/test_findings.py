"""Every kind of finding arises from a real cause, and is gone when the cause is."""

from datetime import timedelta

import pytest
from django.utils import timezone

from checkout import recovery
from checkout.connectors.sandbox import accounts, disputes, payments, refunds
from checkout.connectors.sandbox.models import Account, Event
from checkout.models import Checkout
from ledger.conversions import record_conversion
from ledger.models import Conversion, Evidence
from ledger.models.conversion import Level
from rako.core.money import Money
from sessions_app.models import Session
from tests.checkout.psp import checkout_of, deliver, pay
from tests.checkout.reconciliation.story import (
    attempted,
    deliver_all,
    foreign_payment,
    look,
    open_kinds,
    paid,
    references,
    sold,
    sql,
)
from tests.factories import RecommendationFactory
from tests.ledger.conftest import make_proof


def test_a_sale_that_was_told_leaves_nothing_to_find(checkout):
    sold(checkout)

    assert open_kinds(checkout.connection) == set()


def test_a_payment_whose_webhooks_were_lost(checkout):
    pay(checkout)

    assert open_kinds(checkout.connection) == {"missing_local", "webhook_gap"}
    assert references("missing_local") == [paid(checkout).pk]

    deliver_all(checkout.connection)
    assert open_kinds(checkout.connection) == set()


def test_a_payment_that_only_the_merchant_reported_wants_its_proof(checkout, recommendation):
    report = make_proof(
        source=Evidence.Source.MERCHANT_REPORT,
        level=Level.MERCHANT_REPORTED,
        reference="order-1",
        order_reference="order-1",
        money=Money(1000, "GBP"),
    )
    record_conversion(recommendation, report)
    pay(checkout)

    assert open_kinds(checkout.connection) == {"missing_local", "webhook_gap"}

    assert open_kinds(checkout.connection, fixing=True) == set()
    assert (Conversion.objects.count(), Evidence.objects.count()) == (1, 2)


def test_a_payment_that_the_psp_does_not_know(checkout):
    payment = sold(checkout)
    other = accounts.open_account("Other", "/hooks/other")
    sql("UPDATE sandbox_payment SET account_id = %s WHERE id = %s", other.pk, payment.pk)

    assert open_kinds(checkout.connection) == {"missing_at_psp"}

    sql("UPDATE sandbox_payment SET account_id = %s WHERE id = %s", checkout.connection.account_id, payment.pk)
    assert open_kinds(checkout.connection) == set()


@pytest.mark.parametrize(
    ("kind", "change", "back"),
    [
        ("amount_mismatch", "amount_minor = 900", "amount_minor = 1000"),
        ("currency_mismatch", "currency = 'EUR'", "currency = 'GBP'"),
    ],
)
def test_a_payment_that_is_of_other_money_there(checkout, kind, change, back):
    payment = sold(checkout)
    sql(f"UPDATE sandbox_payment SET {change} WHERE id = %s", payment.pk)

    assert open_kinds(checkout.connection) == {kind}

    sql(f"UPDATE sandbox_payment SET {back} WHERE id = %s", payment.pk)
    assert open_kinds(checkout.connection) == set()


def test_a_payment_that_is_not_paid_there_after_all(checkout):
    sold(checkout)
    sql("UPDATE sandbox_paymentpage SET payment_status = 'unpaid' WHERE id = %s", checkout.psp_id)

    assert open_kinds(checkout.connection) == {"status_mismatch"}

    sql("UPDATE sandbox_paymentpage SET payment_status = 'paid' WHERE id = %s", checkout.psp_id)
    assert open_kinds(checkout.connection) == set()


def test_a_refund_whose_webhooks_were_lost(checkout):
    refund = refunds.refund(sold(checkout), 300)

    assert open_kinds(checkout.connection) == {"refund_missing", "refund_total_mismatch", "webhook_gap"}
    assert references("refund_missing") == [refund.pk]

    deliver_all(checkout.connection)
    assert open_kinds(checkout.connection) == set()


def test_a_refund_that_failed_there_after_it_had_succeeded(checkout):
    refund = refunds.refund(sold(checkout), 300)
    deliver_all(checkout.connection)
    refunds.fail_refund(refund.pk)

    assert open_kinds(checkout.connection) == {"refund_extra", "refund_total_mismatch", "webhook_gap"}

    deliver_all(checkout.connection)
    assert open_kinds(checkout.connection) == set()


def test_a_refund_that_the_psp_does_not_know(checkout):
    payment = sold(checkout)
    refund = refunds.refund(payment, 300)
    deliver_all(checkout.connection)
    elsewhere = sold(checkout_of(RecommendationFactory()))
    sql("UPDATE sandbox_refund SET payment_id = %s WHERE id = %s", elsewhere.pk, refund.pk)

    assert open_kinds(checkout.connection) == {"refund_extra", "refund_total_mismatch"}

    sql("UPDATE sandbox_refund SET payment_id = %s WHERE id = %s", payment.pk, refund.pk)
    assert open_kinds(checkout.connection) == set()


def test_a_refund_that_was_made_long_before_it_succeeded_is_no_extra_one(checkout):
    payment = sold(checkout)
    refund = refunds.refund(payment, 300, is_pending=True)
    refunds.complete_delayed(refund.pk)
    deliver_all(checkout.connection)
    sql("UPDATE sandbox_refund SET created_at = now() - interval '5 days' WHERE id = %s", refund.pk)

    assert open_kinds(checkout.connection) == set()


def test_refunds_that_come_to_another_sum_there(checkout):
    refund = refunds.refund(sold(checkout), 300)
    deliver_all(checkout.connection)
    sql("UPDATE sandbox_refund SET amount_minor = 400 WHERE id = %s", refund.pk)

    assert open_kinds(checkout.connection) == {"refund_total_mismatch"}

    sql("UPDATE sandbox_refund SET amount_minor = 300 WHERE id = %s", refund.pk)
    assert open_kinds(checkout.connection) == set()


@pytest.mark.parametrize("is_inquiry", [True, False])
def test_a_dispute_whose_webhooks_were_lost(checkout, is_inquiry):
    dispute = disputes.open_dispute(sold(checkout), is_inquiry=is_inquiry)

    assert open_kinds(checkout.connection) == {"dispute_missing", "webhook_gap"}
    assert references("dispute_missing") == [dispute.pk]

    deliver_all(checkout.connection)
    assert open_kinds(checkout.connection) == set()


@pytest.mark.parametrize("end", [disputes.lose, disputes.win])
def test_a_dispute_whose_end_was_lost(checkout, end):
    dispute = disputes.open_dispute(sold(checkout))
    deliver_all(checkout.connection)
    end(dispute.pk)

    assert open_kinds(checkout.connection) == {"dispute_state_mismatch", "webhook_gap"}

    deliver_all(checkout.connection)
    assert open_kinds(checkout.connection) == set()


def test_a_dispute_that_is_open_there_and_ended_here(checkout):
    dispute = disputes.open_dispute(sold(checkout))
    disputes.lose(dispute.pk)
    deliver_all(checkout.connection)
    sql("UPDATE sandbox_dispute SET status = 'needs_response' WHERE id = %s", dispute.pk)

    assert open_kinds(checkout.connection, fixing=True) == {"dispute_state_mismatch"}

    sql("UPDATE sandbox_dispute SET status = 'lost' WHERE id = %s", dispute.pk)
    assert open_kinds(checkout.connection) == set()


def test_one_sale_that_was_paid_twice_until_one_is_refunded(checkout, recommendation):
    Checkout.objects.filter(pk=checkout.pk).update(state="expired")  # the PSP kept its page open all the same
    again = RecommendationFactory(
        session=recommendation.session, offer=recommendation.offer, agent=recommendation.agent
    )
    sold(checkout_of(again))
    payment = sold(checkout)

    assert open_kinds(checkout.connection) == {"duplicate_payment"}
    assert references("duplicate_payment") == [payment.pk]

    refunds.refund(payment, 1000)
    assert "duplicate_payment" not in open_kinds(checkout.connection)
    assert Conversion.objects.count() == 1


def test_a_charge_of_unknown_outcome_that_was_declined(recommendation):
    checkout = attempted(recommendation, "pm_card_declined")

    assert open_kinds(checkout.connection) == {"unknown_resolved", "webhook_gap"}

    recovery.recover_checkouts()
    deliver_all(checkout.connection)
    assert open_kinds(checkout.connection) == set()


def test_a_call_of_unknown_outcome_whose_page_ran_out(recommendation):
    checkout = attempted(recommendation, state="creating")
    sql("UPDATE sandbox_paymentpage SET expires_at = now() - interval '1 hour'")

    assert open_kinds(checkout.connection) == {"unknown_resolved"}

    recovery.recover_checkouts()
    assert open_kinds(checkout.connection) == set()


def test_a_payment_after_the_attribution_window(checkout):
    sold(checkout)
    over = timezone.now() - timedelta(minutes=5)
    Session.objects.update(created_at=over - timedelta(hours=24), expires_at=over)

    assert open_kinds(checkout.connection) == {"late_payment"}

    Session.objects.update(expires_at=timezone.now() + timedelta(minutes=5))
    assert open_kinds(checkout.connection) == set()


def test_a_payment_that_is_on_its_way_for_too_long(checkout):
    for payload in pay(checkout, "succeeds-later"):
        deliver(checkout.connection, payload)
    sql("UPDATE sandbox_payment SET created_at = now() - interval '8 days'")

    assert open_kinds(checkout.connection, days=10) == {"stale_pending"}

    payments.complete_delayed(paid(checkout).pk)
    deliver_all(checkout.connection)
    # Its payment is older than the window by now, and is looked at all the same.
    assert open_kinds(checkout.connection, days=2) == set()


def test_an_event_that_never_arrived(checkout):
    first, second = pay(checkout)
    deliver(checkout.connection, first)

    assert open_kinds(checkout.connection) == {"webhook_gap"}
    assert references("webhook_gap") == [second["id"]]

    deliver(checkout.connection, second)
    assert open_kinds(checkout.connection) == set()


def test_an_event_that_arrives_after_its_window_was_read_is_no_gap_any_more(checkout):
    events = pay(checkout)
    deliver(checkout.connection, events[0])
    look(checkout.connection)
    deliver(checkout.connection, events[1])
    sql("UPDATE sandbox_event SET created_at = now() - interval '5 days'")

    assert open_kinds(checkout.connection) == set()


def test_events_that_tell_of_no_payment_of_ours_are_no_gap(checkout):
    foreign_payment(checkout.connection, order="4711")

    assert Event.objects.count() > 0
    assert open_kinds(checkout.connection) == set()


def test_a_connection_that_cannot_be_read(checkout):
    account = Account.objects.filter(pk=checkout.connection.account_id)
    account.update(is_closed=True)

    assert open_kinds(checkout.connection) == {"connection_error"}

    account.update(is_closed=False)
    assert open_kinds(checkout.connection) == set()


def test_an_open_finding_survives_a_window_in_which_its_payment_is_not(checkout):
    payment = sold(checkout)
    sql("UPDATE sandbox_payment SET amount_minor = 900, created_at = now() - interval '5 days'")

    assert open_kinds(checkout.connection, days=10) == {"amount_mismatch"}
    assert open_kinds(checkout.connection, days=2) == {"amount_mismatch"}

    sql("UPDATE sandbox_payment SET amount_minor = 1000 WHERE id = %s", payment.pk)
    assert open_kinds(checkout.connection, days=2) == set()
