"""Which time is read, where a run that was cut short goes on, and that no run holds up another."""

from datetime import timedelta

import pytest
from django.db import connection as database
from django.test.utils import CaptureQueriesContext
from django.utils import timezone

from checkout import tasks
from checkout.connectors.base import PspUnavailable
from checkout.connectors.sandbox import lists, refunds
from checkout.connectors.sandbox.connector import SandboxConnector
from checkout.connectors.sandbox.models import Account
from checkout.models import Finding, ReadingPosition
from checkout.reconciliation.run import Run, nightly, reconcile
from checkout.reconciliation.windows import OVERLAP, SETTLED_AFTER, SWEEP, Window
from ledger.models import Conversion
from tests.checkout.psp import checkout_of, pay
from tests.checkout.reconciliation.story import deliver_all, look, open_kinds, paid, sold, sql, window
from tests.factories import OfferFactory, RecommendationFactory


def mark(connection, name="payments"):
    return ReadingPosition.objects.get(connection=connection, objects_read=name).read_until


@pytest.fixture
def connection(checkout):
    return checkout.connection


@pytest.fixture
def calls(monkeypatch):
    """The lists that are read, with their windows and cursors; `calls.broken` names the call that fails."""

    class Calls(list):
        broken = None

    made = Calls()

    def watch(name):
        read = getattr(SandboxConnector, name)

        def reading(self, since, until, *, cursor=""):
            if (name, bool(cursor)) == made.broken:
                raise PspUnavailable()
            made.append((name, Window(since, until), cursor))
            return read(self, since, until, cursor=cursor)

        monkeypatch.setattr(SandboxConnector, name, reading)

    for name in ("list_events", "list_payments", "list_refunds", "list_disputes"):
        watch(name)
    return made


def sell(count, *, like):
    """So many payments at one merchant whose webhooks were lost."""
    offer = like.recommendation.offer
    checkouts = [checkout_of(RecommendationFactory(offer=offer)) for _ in range(count)]
    for one in checkouts:
        pay(one)
    return checkouts


def test_the_first_run_reads_far_back_and_the_next_one_what_came_since(connection, calls):
    reconcile(connection)
    first = mark(connection)
    reconcile(connection)

    windows = [wanted for name, wanted, _ in calls if name == "list_payments"]
    assert windows[0] == Window(first - SWEEP, first)
    assert windows[1].since == first - OVERLAP
    assert timezone.now() - SETTLED_AFTER - windows[1].until < timedelta(seconds=5)


def test_a_payment_that_was_made_before_the_last_run_and_paid_after_it_is_found(checkout, connection):
    reconcile(connection)
    pay(checkout)
    sql("UPDATE sandbox_payment SET created_at = %s", mark(connection) - timedelta(hours=47))

    reconcile(connection)

    assert Finding.objects.filter(kind="missing_local").count() == 1


def test_what_is_too_young_may_still_be_on_its_way(checkout, connection):
    pay(checkout)

    reconcile(connection)

    assert Finding.objects.count() == 0


@pytest.mark.parametrize(
    ("since", "until", "moves"),
    [
        (timedelta(days=60), timedelta(days=50), False),  # lies before it
        (timedelta(days=3), timedelta(hours=1), True),
        (timedelta(hours=47), timedelta(hours=1), False),  # leaves out what was made before and paid since
        (timedelta(hours=2), timedelta(hours=1), False),  # leaves a gap
    ],
)
def test_the_mark_moves_only_over_what_was_read(connection, since, until, moves):
    now = timezone.now()
    before = now - timedelta(hours=12)
    reconcile(connection)
    ReadingPosition.objects.update(read_until=before)

    reconcile(connection, Window(now - since, now - until))

    assert mark(connection) == (now - until if moves else before)


def test_a_first_run_over_a_short_window_leaves_the_rest_to_the_next(connection):
    reconcile(connection, window(1))

    assert mark(connection) is None


def test_nobody_has_read_the_future(connection):
    reconcile(connection, Window(timezone.now() - SWEEP - timedelta(days=1), timezone.now() + timedelta(days=9)))

    assert mark(connection) <= timezone.now()


@pytest.mark.parametrize("asked", [None, "the same"])
def test_a_run_that_was_cut_short_goes_on_at_its_page(checkout, calls, monkeypatch, asked):
    monkeypatch.setattr(lists, "PAGE_SIZE", 2)
    sell(4, like=checkout)
    sql("UPDATE sandbox_payment SET created_at = created_at - interval '1 day'")
    asked = asked and window()
    calls.broken = ("list_payments", True)
    reconcile(checkout.connection, asked)
    assert {row.kind for row in Finding.objects.all()} >= {"connection_error", "missing_local"}
    assert mark(checkout.connection) is None
    first = calls[-1]
    calls.clear()

    calls.broken = None
    reconcile(checkout.connection, asked)

    resumed = next(call for call in calls if call[0] == "list_payments")
    assert (first[0], resumed[1], resumed[2] != "") == ("list_payments", first[1], True)
    found = Finding.objects.filter(state="open").values_list("kind", flat=True)
    assert (list(found).count("missing_local"), "connection_error" in found) == (4, False)


def test_what_was_read_before_the_cut_is_not_taken_for_missing(checkout, calls, monkeypatch):
    monkeypatch.setattr(lists, "PAGE_SIZE", 1)
    payment = sold(checkout)
    for amount in (100, 200):
        refunds.refund(payment, amount)
    deliver_all(checkout.connection)
    asked = window()
    calls.broken = ("list_refunds", True)
    reconcile(checkout.connection, asked)

    calls.broken = None
    reconcile(checkout.connection, asked)

    assert not Finding.objects.filter(state="open").exists()


def test_a_run_that_another_overtook_leaves_no_page_of_its_own_behind(checkout, monkeypatch):
    monkeypatch.setattr(lists, "PAGE_SIZE", 1)
    monkeypatch.setattr(SandboxConnector, "keeps_events", False)
    sell(2, like=checkout)
    slow = iter(Run(checkout.connection, window(1)))
    next(slow)

    other = iter(Run(checkout.connection, window(2)))
    next(other)
    list(slow)

    position = ReadingPosition.objects.get(objects_read="payments")
    assert position.until is not None, "the other run is still under way"
    assert (position.cursor, position.read_until) == ("", None)


def test_two_connections_do_not_mix(checkout):
    other = checkout_of(RecommendationFactory(offer=OfferFactory()))
    pay(checkout)
    sold(other)

    assert open_kinds(other.connection, fixing=True) == set()
    assert "missing_local" in open_kinds(checkout.connection)
    assert open_kinds(other.connection) == set()
    assert Finding.objects.filter(state="open").exclude(connection=checkout.connection).count() == 0


def test_the_night_reconciles_all_and_a_broken_connection_holds_up_no_other(checkout):
    others = [checkout_of(RecommendationFactory(offer=OfferFactory())) for _ in range(3)]
    for one in (checkout, *others):
        pay(one)
    with database.cursor() as cursor:  # encrypted under a key that nobody has any more
        cursor.execute("UPDATE merchants_connection SET credentials = 'x' WHERE id = %s", [checkout.connection_id])
    Account.objects.filter(pk=others[0].connection.account_id).update(is_closed=True)

    nightly(timezone.now() + timedelta(hours=1))

    assert set(Conversion.objects.values_list("session", flat=True)) == {one.session_id for one in others[1:]}
    assert list(Finding.objects.filter(state="open").values_list("kind", flat=True)) == ["connection_error"]


def test_the_night_reads_further_back_after_a_long_pause(connection, calls):
    now = timezone.now()
    nightly(now)
    usual = calls[0][1]
    ReadingPosition.objects.update(read_until=now - timedelta(days=60))
    calls.clear()

    nightly(now)

    assert usual.since <= now - SWEEP
    assert calls[0][1].since == now - timedelta(days=60) - OVERLAP
    assert mark(connection) == now - SETTLED_AFTER


def test_the_first_night_of_a_month_reads_far_back_for_disputes(connection, calls):
    first = timezone.now().replace(day=1)

    nightly(first)

    assert calls[-1][1].since == first - timedelta(days=120)


def test_the_worker_calls_the_night(checkout):
    pay(checkout)
    sql("UPDATE sandbox_payment SET created_at = now() - interval '1 hour'")

    tasks.reconcile_payments(0)

    assert Conversion.objects.count() == 1


def queries_of_a_page(checkout, days):
    with CaptureQueriesContext(
        database,
    ) as captured:
        look(checkout.connection, days=days)
    return len(captured)


def test_a_page_takes_as_many_queries_however_long_it_is(checkout, monkeypatch):
    monkeypatch.setattr(lists, "PAGE_SIZE", 400)
    look(checkout.connection)
    counts = []
    for number in (5, 95):
        for one in sell(number, like=checkout):
            refunds.refund(paid(one), 100)
        counts.append([queries_of_a_page(checkout, 2) for _ in range(2)])
    (first, again), (first_of_100, again_of_100) = counts

    assert Finding.objects.filter(kind="missing_local").count() == 100
    assert again_of_100 == again
    assert first_of_100 - first <= 2, "one more for each list with findings both new and known"


def test_nothing_is_asked_of_the_psp_twice(checkout, monkeypatch):
    asked = []
    get_payment = SandboxConnector.get_payment
    monkeypatch.setattr(
        SandboxConnector, "get_payment", lambda self, reference: asked.append(reference) or get_payment(self, reference)
    )
    sold(checkout)
    pay(checkout_of(RecommendationFactory(offer=checkout.recommendation.offer)))

    look(checkout.connection)
    look(checkout.connection)

    assert asked == []
