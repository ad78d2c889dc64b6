"""An event and its checkout find each other, whichever of them we learn of first."""

import json
from datetime import timedelta
from threading import Event as Flag

import pytest
from django.db import connection, transaction
from django.utils import timezone
from procrastinate.contrib.django.models import ProcrastinateJob

from checkout import inbox, matching
from checkout.connectors.registry import connector_for
from checkout.models import Checkout, PspObject, WebhookReceipt
from checkout.start import checkout_request, claim, record_link
from checkout.tasks import retry_unmatched
from ledger.lifecycle import MOVES
from ledger.models import Conversion, Status
from tests.checkout.entries import facts, kinds
from tests.checkout.psp import checkout_of, deliver, paid_event, pay
from tests.factories import RecommendationFactory
from tests.threads import race

MATCHED = ["payment.unmatched", "payment.matched"]


@pytest.fixture(autouse=True)
def _no_jobs(db):
    """The queue's tables are not Django's to empty between tests."""
    with connection.cursor() as cursor:
        cursor.execute("DELETE FROM procrastinate_events")
        cursor.execute("DELETE FROM procrastinate_jobs")


class HalfDone:
    """A checkout whose page exists at the PSP and is paid, while the PSP's answer is not yet recorded.

    The event does not point to the checkout: only the page's id tells that they belong together.
    """

    def __init__(self, recommendation):
        self.checkout = claim(recommendation, recommendation.offer.merchant.connections.get(), mode="checkout")[0]
        self.connection = self.checkout.connection
        self.link = connector_for(self.connection).create_checkout(checkout_request(self.checkout))
        self.event = paid_event(Checkout(psp_id=self.link.psp_id))
        del self.event["data"]["object"]["metadata"]["aap_checkout_id"]

    def deliver(self):
        return deliver(self.connection, self.event).json()["status"]

    def note(self):
        return record_link(Checkout.objects.get(pk=self.checkout.pk), self.link)


@pytest.fixture
def half_done(recommendation):
    return HalfDone(recommendation)


def retries():
    """What the jobs that wait are to process."""
    jobs = ProcrastinateJob.objects.filter(task_name=matching.RETRY)
    return [receipt_id for job in jobs for receipt_id in job.args["receipt_ids"]]


def run_retries():
    """The worker does what is due."""
    for receipt_id in retries():
        retry_unmatched(receipt_ids=[receipt_id])


def outcome(half_done):
    """Everything that must not depend on what came first."""
    conversion = Conversion.objects.get()
    checkout = Checkout.objects.get(pk=half_done.checkout.pk)
    return checkout.state, kinds(checkout.pk), kinds(conversion.pk), WebhookReceipt.objects.get().conversion_id


EXPECTED = ("succeeded", ["checkout.started", "checkout.opened", "checkout.succeeded"], ["conversion.recorded"])


def test_an_event_that_comes_after_the_note_is_matched_at_once(half_done):
    half_done.note()

    assert half_done.deliver() == "conversion_recorded"

    assert outcome(half_done) == (*EXPECTED, Conversion.objects.get().pk)
    assert retries() == []


def test_an_event_that_came_before_is_matched_once_the_note_is_there(half_done):
    assert half_done.deliver() == "unmatched"

    half_done.note()
    run_retries()

    assert outcome(half_done) == (*EXPECTED, Conversion.objects.get().pk)
    assert retries() == [WebhookReceipt.objects.get().pk]


def test_the_receipts_stream_shows_how_it_was_matched(half_done):
    half_done.deliver()
    half_done.note()
    run_retries()
    run_retries()

    receipt = WebhookReceipt.objects.get()
    assert kinds(receipt.pk) == MATCHED
    assert facts(receipt.pk)[-1] == {
        "conversion_id": Conversion.objects.get().pk,
        "merchant_id": half_done.checkout.merchant_id,
    }
    assert Status.MATCHED in MOVES[Status.UNMATCHED]


@pytest.mark.django_db(transaction=True)
@pytest.mark.parametrize("attempt", range(5))
def test_an_event_and_the_note_at_once_are_one_conversion(attempt):
    half_done = HalfDone(RecommendationFactory())
    steps = [half_done.note, half_done.deliver] * 4

    results = race(lambda number: steps[number]())
    run_retries()

    assert [result for result in results if isinstance(result, Exception)] == []
    assert outcome(half_done) == (*EXPECTED, Conversion.objects.get().pk)
    assert kinds(WebhookReceipt.objects.get().pk) in ([], MATCHED)


def somebody_waits_for_a_name():
    """Whether another transaction comes to wait for a lock that is held, within five seconds."""
    for _ in range(1000):
        with connection.cursor() as cursor:
            cursor.execute("SELECT pg_sleep(0.005), count(*) FROM pg_locks WHERE locktype = 'advisory' AND NOT granted")
            if cursor.fetchone()[1]:
                return True
    return False


def overlapping(first, second):
    """Do one thing, and commit it only when the other, begun meanwhile, waits; whether it came to wait."""
    is_done = Flag()

    def do_first():
        with transaction.atomic():
            first()
            is_done.set()
            return somebody_waits_for_a_name()

    def do_second():
        is_done.wait(10)
        second()

    return True in race(lambda number: (do_first, do_second)[number](), times=2)


@pytest.mark.django_db(transaction=True)
@pytest.mark.parametrize("is_event_first", [True, False])
def test_whoever_comes_second_waits_for_the_first_and_sees_it(is_event_first):
    half_done = HalfDone(RecommendationFactory())
    steps = [half_done.deliver, half_done.note] if is_event_first else [half_done.note, half_done.deliver]

    waited = overlapping(*steps)
    run_retries()

    assert waited
    assert outcome(half_done) == (*EXPECTED, Conversion.objects.get().pk)


def test_an_event_that_names_a_known_page_tells_which_payment_is_meant(checkout):
    """A payment's own event may not name its page; the page's event, later, names both."""
    page_event, payment_event = split(pay(checkout))
    payment_event["data"]["object"]["checkout_session"] = None
    first = deliver(checkout.connection, payment_event).json()["status"]

    deliver(checkout.connection, page_event)
    run_retries()

    receipt = WebhookReceipt.objects.get(event_id=payment_event["id"])
    assert (first, receipt.result) == ("unmatched", "duplicate")
    assert (Conversion.objects.count(), kinds(receipt.pk)) == (1, MATCHED)


def split(events):
    by_type = {event["type"]: event for event in events}
    return by_type["checkout.session.completed"], by_type["payment_intent.succeeded"]


def test_another_connections_event_of_the_same_name_is_not_retried(half_done):
    other = checkout_of(RecommendationFactory())
    event = paid_event(other, id=half_done.link.psp_id, payment_intent="pi_other")
    deliver(other.connection, event)

    half_done.note()

    assert retries() == []


def test_a_payment_that_copies_metadata_is_not_retried_by_it(checkout):
    deliver(checkout.connection, paid_event(checkout, id="cs_copied", payment_intent="pi_copied"))

    matching.note_psp_objects(checkout, ["cs_second"])

    assert (WebhookReceipt.objects.get().awaits, retries()) == (["cs_copied", "pi_copied"], [])


def test_a_job_to_retry_vanishes_with_the_note(half_done):
    half_done.deliver()

    with transaction.atomic():
        half_done.note()
        transaction.set_rollback(True)

    assert (retries(), PspObject.objects.count()) == ([], 0)


def age(receipt, **ago):
    """Time passes for a receipt: its arrival is a fact, so the guard must look away."""
    with connection.cursor() as cursor:
        cursor.execute("ALTER TABLE checkout_webhookreceipt DISABLE TRIGGER checkout_webhookreceipt_no_change")
    WebhookReceipt.objects.filter(pk=receipt.pk).update(
        received_at=receipt.received_at - timedelta(**ago), retry_at=receipt.retry_at - timedelta(**ago)
    )
    with connection.cursor() as cursor:
        cursor.execute("ALTER TABLE checkout_webhookreceipt ENABLE ALWAYS TRIGGER checkout_webhookreceipt_no_change")


def note_unheard(half_done):
    """The objects are noted, but the job to retry is lost."""
    half_done.note()
    ProcrastinateJob.objects.filter(task_name=matching.RETRY).delete()


@pytest.mark.django_db(transaction=True)
def test_the_sweep_matches_what_a_lost_job_left(half_done):
    half_done.deliver()
    note_unheard(half_done)
    age(WebhookReceipt.objects.get(), minutes=3)

    done = inbox.sweep()

    assert (done, Conversion.objects.count()) == (1, 1)


@pytest.mark.django_db(transaction=True)
def test_after_72_hours_an_unmatched_delivery_is_left_to_people(half_done):
    half_done.deliver()
    age(WebhookReceipt.objects.get(), hours=72, seconds=1)

    half_done.note()

    assert (retries(), inbox.sweep(), Conversion.objects.count()) == ([], 0, 0)


def test_the_sweep_looks_again_ever_more_rarely(half_done):
    half_done.deliver()
    pauses = []

    for _ in range(10):
        receipt = WebhookReceipt.objects.get()
        pauses.append(receipt.retry_at - receipt.processed_at)
        WebhookReceipt.objects.update(retry_at=timezone.now())
        assert (inbox.sweep(), inbox.sweep()) == (1, 0)

    minutes = [round(pause.total_seconds() / 60) for pause in pauses]
    assert minutes == [2, 4, 8, 16, 32, 64, 128, 256, 256, 256]
    assert kinds(WebhookReceipt.objects.get().pk) == ["payment.unmatched"]


@pytest.mark.django_db(transaction=True)
def test_a_fault_of_ours_while_retrying_leaves_the_delivery_to_the_sweep(half_done):
    half_done.deliver()
    half_done.note()
    with connection.cursor() as cursor:
        cursor.execute("ALTER TABLE ledger_conversion ADD CONSTRAINT out_of_order CHECK (false) NOT VALID")
    run_retries()
    with connection.cursor() as cursor:
        cursor.execute("ALTER TABLE ledger_conversion DROP CONSTRAINT out_of_order")
    age(WebhookReceipt.objects.get(), minutes=6)

    inbox.sweep()

    assert outcome(half_done) == (*EXPECTED, Conversion.objects.get().pk)


def test_a_rejected_delivery_that_matches_after_all_says_so(half_done):
    half_done.note()
    connections = type(half_done.connection).objects
    connections.update(account_id="acct_mistyped")  # a mistake of ours, mended below
    receipt = stored(half_done)
    inbox.process(receipt.pk)
    connections.update(account_id=half_done.connection.account_id)

    inbox.process(receipt.pk, again=True)

    assert kinds(receipt.pk) == ["payment.rejected", "payment.matched"]


def stored(half_done):
    """The delivery as it is when it was stored and not yet processed."""
    return WebhookReceipt.objects.create(
        connection=half_done.connection,
        event_id=half_done.event["id"],
        event_type=half_done.event["type"],
        headers={},
        body=json.dumps(half_done.event).encode(),
        sha256="0" * 64,
    )


def test_nothing_waits_in_a_matched_delivery(half_done):
    half_done.deliver()
    half_done.note()
    run_retries()

    receipt = WebhookReceipt.objects.get()
    assert (receipt.awaits, receipt.retry_at, receipt.attempts) == ([], None, 2)
