"""A call that died between us and the PSP, at each point where it may die."""

from datetime import timedelta

import pytest
from django.db import connection
from django.utils import timezone

from checkout import recovery
from checkout.connections import disconnect
from checkout.connectors.registry import connector_for
from checkout.connectors.sandbox import accounts
from checkout.connectors.sandbox.models import Event, Payment, PaymentPage
from checkout.models import Authorization, Checkout
from checkout.purchase import _charge_request
from checkout.start import checkout_request, claim, open_page
from ledger.models import Conversion
from merchants.models import Connection
from tests.checkout.psp import checkout_of, deliver, paid_event, pay
from tests.factories import RecommendationFactory


def aged(checkout):
    """The checkout as the worker sees it when nobody can be working on it any more."""
    Checkout.objects.filter(pk=checkout.pk).update(updated_at=timezone.now() - recovery.PATIENCE - timedelta(seconds=1))
    return checkout


def claimed(recommendation, method=None):
    """Committed, and then we died before the PSP was called."""
    connection = recommendation.offer.merchant.connections.get()
    mode = "autonomous" if method else "checkout"
    return claim(recommendation, connection, mode=mode, payment_method=method)[0]


def state_of(checkout):
    return Checkout.objects.get(pk=checkout.pk).state


def test_what_never_reached_the_psp_is_void(recommendation):
    checkout = aged(claimed(recommendation))

    recovery.recover_checkouts()

    assert (state_of(checkout), PaymentPage.objects.count()) == ("void", 0)


def test_what_reached_the_psp_is_completed(recommendation):
    checkout = claimed(recommendation)
    link = connector_for(checkout.connection).create_checkout(checkout_request(checkout))

    recovery.recover_checkouts()
    untouched = state_of(checkout)
    aged(checkout)
    recovery.recover_checkouts()

    assert (untouched, state_of(checkout)) == ("creating", "open")
    assert Checkout.objects.get(pk=checkout.pk).url == link.url


def test_asking_again_completes_it_without_the_worker(post_checkout, recommendation):
    checkout = claimed(recommendation)
    link = connector_for(checkout.connection).create_checkout(checkout_request(checkout))

    reply = post_checkout(recommendation).json()

    assert (reply["transactionId"], reply["checkoutUrl"]) == (checkout.pk, link.url)


def test_a_charge_that_died_is_found_and_its_event_converts(recommendation):
    checkout = aged(claimed(recommendation, "pm_card_visa"))
    connector_for(checkout.connection).charge_stored_method(_charge_request(checkout))

    recovery.recover_checkouts()

    assert state_of(checkout) == "processing"
    assert Conversion.objects.count() == 0


@pytest.mark.parametrize(("method", "state"), [("pm_card_declined", "failed"), ("pm_card_processing", "processing")])
def test_an_unknown_charge_learns_what_became_of_it(recommendation, method, state):
    checkout = claimed(recommendation, method)
    connector_for(checkout.connection).charge_stored_method(_charge_request(checkout))
    Checkout.objects.filter(pk=checkout.pk).update(state="unknown")
    aged(checkout)

    recovery.recover_checkouts()

    assert (state_of(checkout), Payment.objects.count()) == (state, 1)
    assert Checkout.objects.get(pk=checkout.pk).payment_method is None


def test_an_unknown_charge_that_never_arrived_is_made_once(recommendation):
    checkout = claimed(recommendation, "pm_card_visa")
    Checkout.objects.filter(pk=checkout.pk).update(state="unknown")

    assert recovery.resolve_unknown_charges() == (1, 0)
    assert recovery.resolve_unknown_charges() == (0, 0)
    assert (state_of(checkout), Payment.objects.count()) == ("succeeded", 1)


LONG_AGO = timedelta(minutes=21)


@pytest.mark.parametrize("what", ["attempt", "session", "mandate", "connection"])
def test_an_unknown_charge_is_not_asked_for_again_when_what_allowed_it_is_over(recommendation, what):
    checkout, past = claimed(recommendation, "pm_card_visa"), timezone.now() - LONG_AGO
    over = {"attempt": {"created_at": past}, "session": {"expires_at": past}}.get(what, {})
    Checkout.objects.filter(pk=checkout.pk).update(state="unknown", **over)
    if what == "mandate":
        owned = {"agent_id": recommendation.agent_id, "reference": "m", "checkout": checkout}
        Authorization.objects.create(**owned, max_amount_minor=1000, currency="GBP", expires_at=past)
    if what == "connection":
        disconnect(checkout.connection)
    aged(checkout)

    recovery.recover_checkouts()

    assert (state_of(checkout), Payment.objects.count()) == ("void", 0)


def test_that_a_call_cannot_be_made_says_nothing_of_the_one_before(recommendation):
    checkout = claimed(recommendation, "pm_card_visa")
    Checkout.objects.filter(pk=checkout.pk).update(state="unknown")
    accounts.close_account(checkout.connection.account_id)

    assert recovery.resolve_unknown_charges() == (0, 1)
    assert state_of(checkout) == "unknown"


def test_a_charge_that_never_happened_gives_the_mandate_back(recommendation):
    checkout = aged(claimed(recommendation, "pm_card_visa"))
    Authorization.objects.create(
        agent_id=recommendation.agent_id,
        reference="m",
        checkout=checkout,
        max_amount_minor=1,
        currency="GBP",
        expires_at=timezone.now(),
    )

    recovery.recover_checkouts()

    assert Authorization.objects.get().released_at is not None


def test_an_unknown_charge_that_waits_for_a_step_up_gets_its_page(recommendation):
    checkout = claimed(recommendation, "pm_card_authentication_required")
    request = _charge_request(checkout)
    result = connector_for(checkout.connection).charge_stored_method(request)
    Checkout.objects.filter(pk=checkout.pk).update(state="unknown")
    aged(checkout)

    recovery.recover_checkouts()

    found = Checkout.objects.get(pk=checkout.pk)
    assert (found.state, found.psp_id, found.url) == ("open", result.psp_id, result.next_action_url)


def test_one_checkout_that_cannot_be_settled_holds_up_no_other(recommendation, agent):
    broken = aged(claimed(recommendation))
    other = aged(claimed(RecommendationFactory()))
    with connection.cursor() as cursor:  # encrypted under a key that nobody has any more
        cursor.execute("UPDATE merchants_connection SET credentials = 'x' WHERE id = %s", [broken.connection_id])

    recovery.recover_checkouts()

    assert (state_of(broken), state_of(other)) == ("creating", "void")


@pytest.mark.parametrize(("card", "state"), [(None, "expired"), ("succeeds", "processing")])
def test_a_page_that_died_while_being_closed_is_closed_or_found_paid(checkout, card, state):
    if card:
        pay(checkout, card)
    Checkout.objects.filter(pk=checkout.pk).update(state="expiring")
    aged(checkout)

    recovery.recover_checkouts()

    assert state_of(checkout) == state


def test_a_psp_that_is_down_keeps_the_checkout_for_later(recommendation):
    checkout = aged(claimed(recommendation))
    accounts.close_account(checkout.connection.account_id)

    assert (recovery.recover_checkouts(), state_of(checkout)) == (0, "creating")


def test_a_psp_that_does_not_answer_is_asked_once_a_run_and_starves_nobody(settings, recommendation):
    settings.RAKO_HYPERSWITCH_API_BASE = "http://127.0.0.1:9"  # nobody listens there
    checkouts = [claimed(RecommendationFactory()) for _ in range(3)]
    silent = checkouts[0].connection
    credentials = {"api_key": "snd_0123456789", "profile_id": "pro_1"}
    Connection.objects.filter(pk=silent.pk).update(kind="hyperswitch", credentials=credentials)
    Checkout.objects.update(connection=silent)
    other = aged(claimed(recommendation))
    for checkout in checkouts:
        aged(checkout)
    before = timezone.now()

    assert (recovery.recover_checkouts(), state_of(other)) == (1, "void")
    assert Checkout.objects.filter(state="creating", updated_at__gte=before).count() == 3


def test_an_open_page_whose_time_is_over_expires(checkout):
    Checkout.objects.filter(pk=checkout.pk).update(expires_at=timezone.now() - timedelta(minutes=2))

    recovery.expire_checkouts()

    assert (state_of(checkout), PaymentPage.objects.get().status) == ("expired", "expired")


def test_an_open_page_that_was_paid_in_the_last_moment_does_not(checkout):
    event = paid_event(checkout)
    Checkout.objects.filter(pk=checkout.pk).update(expires_at=timezone.now() - timedelta(minutes=2))

    recovery.expire_checkouts()
    deliver(checkout.connection, event)

    assert (state_of(checkout), Conversion.objects.count()) == ("succeeded", 1)


@pytest.mark.parametrize("state", ["void", "failed"])
def test_a_payment_of_a_call_that_was_given_up_still_counts(recommendation, state):
    checkout = claimed(recommendation, "pm_card_visa")
    connector_for(checkout.connection).charge_stored_method(_charge_request(checkout))
    Checkout.objects.filter(pk=checkout.pk).update(state=state)
    event = Event.objects.get(type="payment_intent.succeeded").payload

    replies = [deliver(checkout.connection, event).json()["status"] for _ in range(2)]

    assert (replies, state_of(checkout)) == (["conversion_recorded", "duplicate"], "succeeded")
    assert Conversion.objects.count() == 1


def test_a_late_answer_of_the_psp_does_not_reopen_what_was_ended(recommendation):
    checkout = claimed(recommendation)
    Checkout.objects.filter(pk=checkout.pk).update(state="void")

    assert open_page(checkout).state == "void"


def test_recovery_with_nothing_to_do_is_quiet(db):
    checkout_of(RecommendationFactory())

    assert (recovery.recover_checkouts(), recovery.expire_checkouts()) == (0, 0)
