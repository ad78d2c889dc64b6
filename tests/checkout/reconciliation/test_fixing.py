"""What was missed is carried out like a delivery, once; nothing recorded is ever edited."""

from datetime import timedelta

import pytest
from django.db import connection as database

from checkout import inbox
from checkout.connectors.sandbox import disputes, payments, refunds
from checkout.models import Checkout, WebhookReceipt
from checkout.reconciliation.run import Tally
from checkout.verification import receipt_findings
from ledger.models import Conversion, Entry, Evidence
from ledger.models import Event as Happened
from tests.checkout.psp import checkout_of, deliver, pay
from tests.checkout.reconciliation.story import (
    attempted,
    balances,
    deliver_all,
    look,
    open_kinds,
    paid,
    recorded,
    sold,
    sql,
    yesterday,
)
from tests.factories import RecommendationFactory
from tests.threads import race

LATER = timedelta(days=31)
_BREAK = "ALTER TABLE ledger_conversion ADD CONSTRAINT out_of_order"
ACCRUED = {"merchant_accrued": 800, "builder_pending": -640, "fee_pending": -160}


@pytest.fixture(params=[True, False], ids=["events kept", "events not kept"])
def psp(request, monkeypatch):
    """A PSP that can repeat its events, and one that cannot: then only its objects tell."""
    monkeypatch.setattr("checkout.connectors.sandbox.connector.SandboxConnector.keeps_events", request.param)


def refunded(payment):
    refunds.refund(payment, 300)


def refund_sent_back(payment):
    refunds.fail_refund(refunds.refund(payment, 300).pk)


def disputed(payment):
    disputes.open_dispute(payment)


def dispute_lost(payment):
    disputes.lose(disputes.open_dispute(payment).pk)


def lost_then_returned(payment):
    dispute = disputes.open_dispute(payment)
    disputes.lose(dispute.pk)
    yesterday()
    disputes.win(dispute.pk)


STORIES = [None, refunded, refund_sent_back, disputed, dispute_lost, lost_then_returned]


@pytest.mark.parametrize("story", STORIES, ids=lambda story: story.__name__ if story else "paid")
@pytest.mark.parametrize("is_paid_known", [True, False])
def test_what_was_missed_is_carried_out_once_and_webhooks_that_come_afterwards_change_nothing(
    psp, checkout, story, is_paid_known
):
    if is_paid_known:
        sold(checkout)
    else:
        pay(checkout)
    if story:
        story(paid(checkout))

    assert open_kinds(checkout.connection, fixing=True) == set()
    after_it = recorded()
    replies = set(deliver_all(checkout.connection))

    # Of what had passed already a PSP's objects tell nothing: its events add that, and it changes nothing any more.
    assert (recorded()[0], recorded()[2]) == (after_it[0], after_it[2])
    assert Conversion.objects.count() == 1
    assert sum(balances().values()) == 0
    assert "conversion_recorded" not in replies
    assert list(receipt_findings()) == []


@pytest.mark.parametrize("story", [None, refunded, disputed])
def test_nothing_new_is_told_by_webhooks_of_what_was_mended(psp, checkout, story):
    pay(checkout)
    if story:
        story(paid(checkout))
    look(checkout.connection, fixing=True)
    entries = Entry.objects.count()

    deliver_all(checkout.connection)

    assert Entry.objects.count() == entries


def test_a_mended_sale_says_that_it_was_reconciled_and_keeps_the_bytes(psp, checkout):
    pay(checkout)

    look(checkout.connection, fixing=True)

    evidence = Evidence.objects.get()
    receipt = WebhookReceipt.objects.get(pk=evidence.details["receipt_id"])
    assert (Conversion.objects.get().verification_level, receipt.source) == ("reconciled", "reconciliation")
    assert evidence.details["evidence_source"] == "reconciliation import"
    assert (receipt.sha256, balances()) == (evidence.sha256, ACCRUED)


def test_mending_twice_changes_nothing(psp, checkout):
    pay(checkout)
    dispute_lost(paid(checkout))
    first = look(checkout.connection, fixing=True)
    after_it, receipts = recorded(), WebhookReceipt.objects.count()

    second = look(checkout.connection, fixing=True)

    assert (first.fixed > 0, second.fixed, second.found) == (True, 0, 0)
    assert (recorded(), WebhookReceipt.objects.count()) == (after_it, receipts)


def test_looking_alone_records_nothing(psp, checkout):
    pay(checkout)
    before = recorded()

    tally = look(checkout.connection)

    assert (tally.found > 0, tally.fixed) == (True, 0)
    assert (recorded(), WebhookReceipt.objects.count()) == (before, 0)


def test_what_the_gate_refuses_stays_a_finding_however_often_it_is_tried(psp, checkout):
    pay(checkout)
    sql("UPDATE sandbox_payment SET amount_minor = 900")
    for name in ("amount_total", "amount", "amount_received"):
        sql(f"UPDATE sandbox_event SET payload = jsonb_set(payload, '{{data,object,{name}}}', '900')")

    for _ in range(3):
        assert "missing_local" in open_kinds(checkout.connection, fixing=True)

    assert Conversion.objects.count() == 0
    assert WebhookReceipt.objects.filter(event_id__startswith="answer:").count() == 1
    assert Entry.objects.filter(kind="payment.rejected").count() == WebhookReceipt.objects.count()


def test_a_refund_in_another_currency_than_was_paid_stays_a_finding(psp, checkout):
    payment = sold(checkout)
    refunds.refund(payment, 300)
    sql("UPDATE sandbox_payment SET currency = 'EUR'")
    sql("UPDATE sandbox_event SET payload = jsonb_set(payload, '{data,object,currency}', '\"EUR\"')")

    assert "refund_missing" in open_kinds(checkout.connection, fixing=True)
    assert Happened.objects.count() == 0


def test_a_charge_of_unknown_outcome_ends_as_the_psp_says(psp, recommendation):
    checkout = attempted(recommendation, "pm_card_declined")

    assert open_kinds(checkout.connection, fixing=True) == set()
    assert Checkout.objects.get(pk=checkout.pk).state == "failed"


def test_a_charge_of_unknown_outcome_that_was_paid_becomes_a_sale(psp, recommendation):
    checkout = attempted(recommendation, "pm_card_visa")

    assert open_kinds(checkout.connection, fixing=True) == set()
    assert (Checkout.objects.get(pk=checkout.pk).state, balances()) == ("succeeded", ACCRUED)


@pytest.mark.parametrize("state", ["creating", "unknown"])
def test_a_page_that_ran_out_while_we_did_not_know_of_it_is_over(psp, recommendation, state):
    checkout = attempted(recommendation, state=state)
    sql("UPDATE sandbox_paymentpage SET expires_at = now() - interval '1 hour'")

    assert open_kinds(checkout.connection, fixing=True) == set()
    assert Checkout.objects.get(pk=checkout.pk).state in ("expired", "failed")


def test_a_payment_that_failed_on_its_way_is_over(psp, checkout):
    for payload in pay(checkout, "fails-later"):
        deliver(checkout.connection, payload)
    payments.complete_delayed(paid(checkout).pk)

    assert open_kinds(checkout.connection, fixing=True) == set()
    assert Checkout.objects.get(pk=checkout.pk).state == "failed"


def test_an_event_that_cannot_be_processed_holds_up_no_other(psp, checkout):
    pay(checkout)
    other = checkout_of(RecommendationFactory(offer=checkout.recommendation.offer))
    pay(other)
    with database.cursor() as cursor:
        cursor.execute(f"{_BREAK} CHECK (recommendation_id <> '{checkout.recommendation_id}') NOT VALID")

    assert "missing_local" in open_kinds(checkout.connection, fixing=True)
    assert [row.session_id for row in Conversion.objects.all()] == [other.session_id]


@pytest.mark.django_db(transaction=True)
def test_runs_and_webhooks_at_the_same_time_record_one_sale():
    checkout = checkout_of(RecommendationFactory())
    events = pay(checkout)
    refunds.refund(paid(checkout), 300)

    def act(number):
        if number % 2:
            return look(checkout.connection, fixing=True)
        return [deliver(checkout.connection, event).json() for event in events]

    results = race(act)

    assert not [result for result in results if isinstance(result, Exception)]
    assert (Conversion.objects.count(), Happened.objects.count()) == (1, 1)
    assert open_kinds(checkout.connection, fixing=True) == set()
    assert sum(balances().values()) == 0


def test_a_tally_counts_each_difference_once(checkout):
    pay(checkout)

    assert look(checkout.connection) == Tally(read=3, found=3, fixed=0)
    assert look(checkout.connection, fixing=True) == Tally(read=3, found=0, fixed=2)


def test_answers_are_processed_again_like_deliveries(psp, checkout):
    pay(checkout)
    look(checkout.connection, fixing=True)
    receipts = list(WebhookReceipt.objects.values_list("pk", flat=True))

    assert inbox.process_again(receipts) == len(receipts)
    assert (Conversion.objects.count(), balances()) == (1, ACCRUED)
