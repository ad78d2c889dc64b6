"""What happens to a sale after it, as PSPs tell it: refunds, disputes and revoked keys, in whatever order."""

import os
from collections import Counter
from typing import Any

import pytest
from django.db import transaction
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from procrastinate.contrib.django.models import ProcrastinateJob

from checkout import inbox, matching
from checkout.connectors.sandbox import accounts, disputes, refunds
from checkout.connectors.sandbox.models import Event, Payment
from checkout.models import WebhookReceipt
from ledger.models import Conversion, Entry
from ledger.models import Event as Happened
from merchants import codes, keyring
from merchants.models import Connection
from tests.checkout.psp import checkout_of, deliver, pay
from tests.checkout.reconciliation.story import balances, deliver_all, paid, sold
from tests.factories import OfferFactory, RecommendationFactory

ACCRUED = {"merchant_accrued": 800, "builder_pending": -640, "fee_pending": -160}
DEPTH = int(os.environ.get("RAKO_TEST_DEPTH", "1"))


def retry():
    """What the worker does with deliveries whose payment has become known."""
    jobs = ProcrastinateJob.objects.filter(task_name=matching.RETRY)
    inbox.process_again(sorted({receipt for job in jobs for receipt in job.args["receipt_ids"]}))


def told(checkout, act, *args, **options):
    """Let something happen to the payment at the PSP, and have it delivered; the words of the replies."""
    known = set(Event.objects.values_list("pk", flat=True))
    act(paid(checkout), *args, **options)
    return [deliver(checkout.connection, event["payload"]).json()["status"] for event in new_events(known)]


def new_events(known):
    return Event.objects.exclude(pk__in=known).order_by("created_at", "pk").values("payload")


def status():
    return Conversion.objects.get().status


@pytest.fixture
def sale(checkout):
    """A paid checkout."""
    sold(checkout)
    return checkout


def test_a_refund_in_part_leaves_a_fixed_commission_and_a_refund_in_full_takes_it(sale):
    assert told(sale, refunds.refund, 300) == ["clawback_recorded", "ignored"]
    assert status() == "pending_validation"

    told(sale, refunds.refund, 700)
    assert (status(), balances()) == ("clawed_back", {})


def test_several_refunds_add_up(sale):
    for amount in (100, 200, 300, 400):
        told(sale, refunds.refund, amount)

    assert (status(), balances()) == ("clawed_back", {})
    assert sorted(Happened.objects.values_list("amount_minor", flat=True)) == [100, 200, 300, 400]


def test_a_pending_refund_takes_nothing_until_it_arrives(sale):
    assert told(sale, refunds.refund, 1000, is_pending=True) == ["ignored"]
    assert (status(), balances()) == ("pending_validation", ACCRUED)

    told(sale, lambda payment: refunds.complete_delayed(payment.refunds.get().pk))
    assert (status(), balances()) == ("clawed_back", {})


def test_a_pending_refund_that_fails_takes_nothing(sale):
    told(sale, refunds.refund, 1000, is_pending=True)
    told(sale, lambda payment: refunds.fail_refund(payment.refunds.get().pk))

    assert (status(), balances()) == ("pending_validation", ACCRUED)


def test_a_refund_that_fails_after_it_had_succeeded_gives_all_back(sale):
    told(sale, refunds.refund, 1000)
    assert told(sale, lambda payment: refunds.fail_refund(payment.refunds.get().pk)) == ["clawback_recorded"]

    assert (status(), balances()) == ("pending_validation", ACCRUED)


@pytest.mark.parametrize(
    ("end", "expected", "left"), [(disputes.lose, "clawed_back", {}), (disputes.win, "resolved", ACCRUED)]
)
def test_a_dispute_holds_the_sale_until_it_ends(sale, end, expected, left):
    told(sale, disputes.open_dispute)
    assert (status(), balances()) == ("disputed", ACCRUED)

    told(sale, lambda payment: end(payment.disputes.get().pk))
    assert (status(), balances()) == (expected, left)


def test_an_inquiry_holds_the_sale_and_takes_nothing(sale):
    told(sale, disputes.open_dispute, is_inquiry=True)
    assert (status(), balances()) == ("disputed", ACCRUED)

    told(sale, lambda payment: disputes.win(payment.disputes.get().pk))
    assert (status(), balances()) == ("resolved", ACCRUED)


def test_an_inquiry_that_grows_into_a_dispute_is_one_dispute(sale):
    told(sale, disputes.open_dispute, is_inquiry=True)
    told(sale, disputes.open_dispute)

    assert (status(), Happened.objects.filter(kind="dispute_opened").count()) == ("disputed", 1)


def test_money_that_comes_back_after_a_lost_dispute_gives_the_sale_back(sale):
    dispute = disputes.open_dispute(paid(sale))
    disputes.lose(dispute.pk)
    disputes.win(dispute.pk)
    events = list(Event.objects.filter(type__contains="dispute").order_by("created_at", "pk"))
    for second, event in enumerate(events):
        deliver(sale.connection, event.payload | {"created": event.payload["created"] + second})

    assert (status(), balances()) == ("resolved", ACCRUED)


def test_a_revoked_key_ends_the_connection_and_no_sale(sale):
    accounts.close_account(sale.connection.account_id)

    assert deliver_all(sale.connection)[-1] == "ignored"
    assert Connection.objects.get().status == "disconnected"
    assert (status(), balances()) == ("pending_validation", ACCRUED)


def test_a_refund_that_is_told_before_its_payment_waits_for_it(checkout):
    first, second = pay(checkout)
    assert told(checkout, refunds.refund, 1000) == ["unmatched", "unmatched"]
    assert (Conversion.objects.count(), Happened.objects.count()) == (0, 0)

    deliver(checkout.connection, first)
    retry()

    assert (status(), balances()) == ("clawed_back", {})
    assert deliver(checkout.connection, second).json()["status"] == "duplicate"


def test_a_refund_that_is_told_again_counts_once(sale):
    told(sale, refunds.refund, 300)
    entries, once = Entry.objects.count(), balances()

    deliver_all(sale.connection)

    assert (Happened.objects.count(), Entry.objects.count(), balances()) == (1, entries, once)


def test_another_event_of_the_same_refund_counts_once(sale):
    told(sale, refunds.refund, 300)
    payload = Event.objects.get(type="refund.created").payload

    deliver(sale.connection, payload | {"id": "evt_again", "type": "refund.updated"})

    assert Happened.objects.count() == 1


def without_trace(connection, payload):
    """Deliver; what was said of it, if the ledger has not moved."""
    before = (Entry.objects.count(), Happened.objects.count(), balances())
    reply = deliver(connection, payload).json()["status"]
    assert (Entry.objects.count() - before[0], Happened.objects.count(), balances()) in (
        (0, *before[1:]),
        (1 if reply == "rejected" else 0, *before[1:]),
    )
    return reply


def changed(event_type, **changes):
    payload = Event.objects.get(type=event_type).payload
    payload["data"]["object"] |= changes
    return payload


def test_a_refund_of_a_payment_that_is_not_ours_is_nobodys_business(sale):
    refunds.refund(paid(sale), 300)

    assert without_trace(sale.connection, changed("refund.created", payment_intent="pi_own_shop")) == "unmatched"
    assert WebhookReceipt.objects.get(event_type="refund.created").failed_check == ""


@pytest.mark.parametrize("changes", [{"currency": "EUR"}, {"currency": "USD", "amount": 1000}])
def test_a_refund_in_another_currency_is_refused(sale, changes):
    refunds.refund(paid(sale), 300)

    assert without_trace(sale.connection, changed("refund.created", **changes)) == "rejected"


def test_a_refund_through_another_merchants_connection_does_nothing(sale):
    stranger = checkout_of(RecommendationFactory(offer=OfferFactory())).connection
    refunds.refund(paid(sale), 300)
    payload = Event.objects.get(type="refund.created").payload

    assert without_trace(stranger, payload | {"account": stranger.account_id}) == "unmatched"
    assert status() == "pending_validation"


def test_a_refund_signed_by_another_merchant_is_not_heard(sale):
    stranger = checkout_of(RecommendationFactory(offer=OfferFactory())).connection
    refunds.refund(paid(sale), 300)

    reply = deliver(stranger, Event.objects.get(type="refund.created").payload)

    assert (reply.status_code, Happened.objects.count()) == (400, 0)


def story(checkout, *, is_lost: bool) -> list[dict[str, Any]]:
    """All that is ever told of a payment that was refunded twice, once in vain, and disputed; a minute between each."""
    pay(checkout)
    payment = Payment.objects.get()
    refunds.refund(payment, 200)
    sent_back = refunds.refund(payment, 300)
    refunds.fail_refund(sent_back.pk)
    dispute = disputes.open_dispute(payment)
    (disputes.lose if is_lost else disputes.win)(dispute.pk)
    payloads = [event.payload for event in Event.objects.order_by("created_at", "pk")]
    start = payloads[0]["created"] - 3600
    return [payload | {"created": start + 60 * number} for number, payload in enumerate(payloads)]


def outcome(**which):
    """All that must not depend on the order of telling."""
    conversion = Conversion.objects.get(**which)
    entries = Entry.objects.filter(stream_id=conversion.pk).values_list("kind", flat=True)
    happened = Happened.objects.filter(conversion=conversion).values_list("kind", "reference", "amount_minor")
    return conversion.status, balances(), sorted(happened), Counter(entries)


def delivered(checkout, payloads):
    """What is left when these events arrive in this order; nothing of it stays."""
    with transaction.atomic():
        for payload in payloads:
            assert deliver(checkout.connection, payload).status_code == 200
        retry()
        left = outcome()
        transaction.set_rollback(True)
    return left


@pytest.mark.parametrize("is_lost", [True, False], ids=["lost", "won"])
@settings(max_examples=10 * DEPTH, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(data=st.data())
def test_any_order_and_any_repetition_of_a_payments_events_ends_alike(db, is_lost, data):
    with transaction.atomic():
        checkout = checkout_of(RecommendationFactory())
        payloads = story(checkout, is_lost=is_lost)
        in_order = delivered(checkout, payloads)
        shuffled = data.draw(st.permutations(payloads))
        repeated = data.draw(st.lists(st.sampled_from(payloads), max_size=6))

        mixed = delivered(checkout, [*shuffled, *repeated])
        transaction.set_rollback(True)
    keyring.forget()
    codes.forget()

    assert mixed[:2] == in_order[:2] == (("clawed_back", {}) if is_lost else ("resolved", ACCRUED))
    assert (sum(mixed[1].values()), mixed[2:]) == (0, in_order[2:])
