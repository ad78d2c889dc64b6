"""Payments that are told of at the same time are processed together, and come to what each comes to by itself."""

from collections import Counter
from concurrent.futures import ThreadPoolExecutor

import pytest
from django.db import DatabaseError, transaction
from django.db import connection as database
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from checkout import inbox, usual
from checkout.models import PspObject, WebhookReceipt
from checkout.outcomes import Result
from ledger.models import Conversion, Entry, Evidence
from merchants import codes, keyring
from tests.checkout.psp import checkout_of, delivery, paid_event, pay, receive_together
from tests.checkout.test_afterwards import DEPTH, outcome, retry, story
from tests.factories import OfferFactory, RecommendationFactory
from tests.ledger.sound import unsound
from tests.threads import race


def checkouts(count):
    return [checkout_of(RecommendationFactory()) for _ in range(count)]


def paid(checkout, **changes):
    """The delivery that tells that a checkout was paid."""
    return delivery(checkout.connection, paid_event(checkout, **changes))


def words(outcomes):
    return [result.status if isinstance(result, Result) else type(result).__name__ for result in outcomes]


def rows_of(checkout):
    """All that a payment leaves, without what is new each time."""
    checkout.refresh_from_db()
    conversion = Conversion.objects.get(session=checkout.session_id)
    receipt = WebhookReceipt.objects.get(conversion=conversion)
    entries = Entry.objects.filter(stream_id__in=[checkout.pk, conversion.pk]).order_by("id")
    [evidence] = conversion.evidence.all()
    return (
        (checkout.state, bool(checkout.confirmation), checkout.payment_method, checkout.session.status),
        (conversion.status, conversion.verification_level, conversion.commission_minor),
        (receipt.state, receipt.attempts, receipt.result, receipt.failed_check, receipt.reason, receipt.retry_at),
        (evidence.reference == checkout.confirmation, evidence.sha256 == receipt.sha256, sorted(evidence.details)),
        [
            (entry.kind, entry.stream_seq, sorted(entry.postings.values_list("account", "amount_minor")))
            for entry in entries
        ],
        PspObject.objects.filter(checkout=checkout).count(),
    )


def transactions(rows):
    """How many transactions wrote these rows."""
    with database.cursor() as cursor:
        cursor.execute(f"SELECT count(DISTINCT xmin::text) FROM {rows._meta.db_table}")  # of a model
        return cursor.fetchone()[0]


@pytest.mark.django_db(transaction=True)
def test_together_comes_to_what_each_comes_to_by_itself():
    alone, *others = checkouts(9)
    assert words(receive_together([paid(alone)])) == ["conversion_recorded"]

    assert words(receive_together([paid(checkout) for checkout in others])) == ["conversion_recorded"] * 8

    expected = rows_of(alone)
    assert [rows_of(checkout) for checkout in others] == [expected] * 8
    assert transactions(Conversion) == 2, "they were not processed together"
    assert unsound() == []


def test_no_more_round_trips_for_many_than_for_two(db):
    receive_together([paid(checkout) for checkout in checkouts(2)])
    few, many = [[paid(checkout) for checkout in checkouts(count)] for count in (2, 12)]

    assert round_trips(many) == round_trips(few)


def round_trips(deliveries):
    """How often the process waits for PostgreSQL: it sends a batch, and waits for its end."""
    connection, waits = database.connection, []
    wait = connection.wait
    connection.wait = lambda *args, **more: waits.append(1) or wait(*args, **more)
    try:
        assert set(words(receive_together(deliveries))) == {"conversion_recorded"}
    finally:
        del connection.wait
    return len(waits)


def test_what_is_not_as_usual_goes_its_own_way_beside_it(db):
    plain, cheap, twice, known, last = checkouts(5)
    before = paid(known)
    receive_together([before])
    first, second = pay(twice)
    told = [
        paid(plain),
        paid(cheap, amount_total=1),
        *(delivery(twice.connection, event) for event in (first, second, second)),
        before,
        paid(last),
    ]

    outcomes = receive_together(told)

    assert words(outcomes)[:2] == ["conversion_recorded", "rejected"]
    assert sorted(words(outcomes)[2:5]) == ["conversion_recorded", "duplicate", "duplicate"]
    assert words(outcomes)[5:] == ["duplicate", "conversion_recorded"]
    assert outcomes[1].failed_check == "amount"
    assert Conversion.objects.count() == 4
    assert not WebhookReceipt.objects.exclude(state="processed").exists()


def test_a_fault_while_they_are_processed_together_is_no_fault_of_theirs(db, monkeypatch):
    def broken(_):
        raise ZeroDivisionError

    monkeypatch.setattr(usual, "note_all", broken)

    outcomes = receive_together([paid(checkout) for checkout in checkouts(3)])

    assert words(outcomes) == ["conversion_recorded"] * 3
    assert (Conversion.objects.count(), unsound()) == (3, [])


def test_a_payment_that_is_told_of_two_checkouts_at_once_credits_one(db):
    offer = OfferFactory()
    first, second = [checkout_of(RecommendationFactory(offer=offer)) for _ in range(2)]
    payment = paid_event(first)
    again = paid_event(second, payment_intent=payment["data"]["object"]["payment_intent"])

    outcomes = receive_together([delivery(first.connection, payment), delivery(first.connection, again)])

    assert words(outcomes) == ["conversion_recorded", "rejected"]
    assert outcomes[1].failed_check == "already_attributed"
    assert (Evidence.objects.count(), unsound()) == (1, [])


@pytest.mark.django_db(transaction=True)
def test_a_fault_in_one_is_no_fault_of_the_others():
    broken, *others = checkouts(5)
    deliveries = [paid(checkout) for checkout in (*others[:2], broken, *others[2:])]
    with database.cursor() as cursor:
        cursor.execute(
            f"""
            CREATE FUNCTION test_break() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN
                IF NEW.session_id = '{broken.session_id}' THEN RAISE EXCEPTION 'broken'; END IF; RETURN NEW;
            END $$;
            CREATE TRIGGER test_break BEFORE INSERT ON ledger_conversion FOR EACH ROW EXECUTE FUNCTION test_break();
            """
        )
    try:
        outcomes = receive_together(deliveries)
    finally:
        with database.cursor() as cursor:
            cursor.execute("DROP TRIGGER test_break ON ledger_conversion; DROP FUNCTION test_break()")

    assert words(outcomes[:2] + outcomes[3:]) == ["conversion_recorded"] * 4
    assert isinstance(outcomes[2], DatabaseError)
    assert WebhookReceipt.objects.filter(state="received").count() == 1, "what failed is kept"
    assert words(receive_together([deliveries[2]])) == ["conversion_recorded"]


HELD = {
    "its checkout": "SELECT FROM checkout_checkout WHERE id = %(checkout)s FOR UPDATE",
    "its session": "SELECT FROM sessions_app_session WHERE id = %(session)s FOR UPDATE",
    "its order": "SELECT pg_advisory_xact_lock(hashtextextended(%(merchant)s || ':aap:' || %(checkout)s, 0))",
}


@pytest.mark.parametrize("lock", HELD)
@pytest.mark.django_db(transaction=True)
def test_what_somebody_has_is_waited_for_by_its_own_event_alone(lock):
    held, *others = checkouts(6)
    deliveries = [paid(checkout) for checkout in (held, *others)]
    names = {"checkout": held.pk, "session": held.session_id, "merchant": held.merchant_id}

    def receive(each):
        try:
            return inbox.receive(*each).status
        finally:
            database.close()

    with ThreadPoolExecutor(6) as pool:
        with transaction.atomic():
            with database.cursor() as cursor:
                cursor.execute(HELD[lock], names)
            first, *calls = [pool.submit(receive, each) for each in deliveries]
            assert [call.result(20) for call in calls] == ["conversion_recorded"] * 5
            assert not first.done()
        assert first.result(20) == "conversion_recorded"


@pytest.mark.django_db(transaction=True)
def test_sixteen_payments_at_once_are_all_recorded_in_fewer_transactions():
    deliveries = [paid(checkout) for checkout in checkouts(16)]

    replies = race(lambda number: inbox.receive(*deliveries[number]).status, times=16)

    assert replies == ["conversion_recorded"] * 16
    assert transactions(Conversion) < 16
    assert Counter(WebhookReceipt.objects.values_list("state", "attempts")) == {("processed", 1): 16}


@pytest.mark.django_db(transaction=True)
def test_processes_that_are_told_the_same_at_once_record_it_once():
    """Each call is a process of its own: nothing brings them together but PostgreSQL."""
    deliveries = [paid(checkout) for checkout in checkouts(6)]

    def process(number):
        turned = deliveries[number % 6 :] + deliveries[: number % 6]
        return words(receive_together(turned if number % 2 else turned[::-1]))

    told = Counter(word for replies in race(process, times=6) for word in replies)

    assert told == {"conversion_recorded": 6, "duplicate": 30}
    assert (Conversion.objects.count(), Evidence.objects.count(), WebhookReceipt.objects.count()) == (6, 6, 6)
    assert Entry.objects.filter(kind="conversion.recorded").count() == 6


@settings(max_examples=10 * DEPTH, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(data=st.data())
def test_any_order_in_any_groups_ends_alike(db, data):
    """The events of a payment that is refunded and disputed among those of others that are only paid."""
    with transaction.atomic():
        checkout, *others = checkouts(4)
        told = [delivery(checkout.connection, payload) for payload in story(checkout, is_lost=False)]
        told += [paid(other) for other in others]
        in_order = ended(told, [1] * len(told), checkout)
        mixed = data.draw(st.permutations(told)) + data.draw(st.lists(st.sampled_from(told), max_size=4))
        sizes = data.draw(st.lists(st.integers(2, 6), min_size=len(mixed), max_size=len(mixed)))

        assert ended(mixed, sizes, checkout) == in_order
        transaction.set_rollback(True)
    keyring.forget()
    codes.forget()


def ended(told, sizes, checkout):
    """What is left when deliveries arrive in this order and such groups; nothing of it stays."""
    with transaction.atomic():
        left = list(told)
        for size in sizes:
            group, left = left[:size], left[size:]
            assert not [each for each in receive_together(group) if isinstance(each, Exception)]
        retry()
        conversions = Conversion.objects.exclude(session=checkout.session_id)
        found = outcome(session=checkout.session_id), sorted(conversions.values_list("session", "status"))
        transaction.set_rollback(True)
    return found
