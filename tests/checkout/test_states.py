"""One table of moves, one function that makes them, one entry in the ledger for each."""

import ast
from datetime import timedelta
from pathlib import Path

import pytest
from django.db import IntegrityError, connection, transaction
from django.utils import timezone

from checkout import states
from checkout.authorizations import Mandate, digest
from checkout.connectors.base import CheckoutLink
from checkout.connectors.sandbox import accounts
from checkout.models import Authorization, Checkout
from checkout.start import CheckoutFailed, claim, close_page, record_link
from checkout.states import MOVES, State, move
from ledger.models import Entry
from rako.core.postgres import violated
from tests.checkout.entries import body, facts, kinds, told
from tests.checkout.psp import checkout_of, deliver, paid_event, pay
from tests.factories import RecommendationFactory, SessionFactory
from tests.threads import race

APP = Path(states.__file__).parent


def claimed(recommendation, mode=Checkout.Mode.CHECKOUT, mandate=None):
    """Committed, and the PSP not asked yet."""
    return claim(recommendation, recommendation.offer.merchant.connections.get(), mode=mode, mandate=mandate)[0]


def in_state(checkout, state):
    """The checkout as if it had come to a state."""
    Checkout.objects.filter(pk=checkout.pk).update(state=state)
    return Checkout.objects.select_related("recommendation").get(pk=checkout.pk)


def mandate_until_later():
    return Mandate("m-1", 1000, "GBP", timezone.now() + timedelta(hours=1))


def assigns_state(node):
    """Whether a statement could set the state of a checkout (the inbox sets that of its receipts)."""
    if isinstance(node, ast.Call) and isinstance(node.func, ast.Attribute):
        writes = node.func.attr in {"update", "update_or_create", "bulk_update", "get_or_create"}
        return writes and any(word.arg == "state" for word in node.keywords)
    targets = node.targets if isinstance(node, ast.Assign) else [getattr(node, "target", None)]
    named = [target for target in targets if isinstance(target, ast.Attribute) and target.attr == "state"]
    return any(not (isinstance(target.value, ast.Name) and target.value.id == "receipt") for target in named)


def test_nothing_else_assigns_a_checkouts_state():
    # The sandbox's objects and reconciliation's findings have states of their own.
    others = {"migrations", "sandbox", "reconciliation"}
    files = [path for path in APP.rglob("*.py") if not others & set(path.parts)]

    assigning = {path.name for path in files if any(map(assigns_state, ast.walk(ast.parse(path.read_text()))))}

    assert assigning == {"states.py"}


def test_but_for_a_page_being_closed_no_state_is_entered_twice():
    def leads_to(state, seen):
        following = MOVES[state] - ({State.EXPIRING} if state == State.OPEN else set())
        return seen | {after for step in following for after in leads_to(step, {step})}

    assert [state for state in State if state in leads_to(state, set())] == []


@pytest.mark.parametrize("state", [state for state in State if state != State.SUCCEEDED])
def test_a_success_comes_through_from_any_state(recommendation, state):
    event = paid_event(checkout_of(recommendation))
    checkout = in_state(Checkout.objects.get(), state)

    deliver(checkout.connection, event)

    assert facts(checkout.pk)[-1]["state"] == Checkout.objects.get().state == "succeeded"


@pytest.mark.parametrize("origin", list(State))
def test_only_the_moves_of_the_table_are_made(recommendation, origin):
    checkout = in_state(claimed(recommendation), origin)
    made = set()

    for to in State:
        with transaction.atomic():
            if move(checkout, to):
                made.add(to)
            transaction.set_rollback(True)
        checkout = in_state(checkout, origin)

    assert made == MOVES[origin]


def test_a_move_that_somebody_else_has_made_is_lost(checkout):
    other = Checkout.objects.get(pk=checkout.pk)
    move(other, State.PROCESSING)

    assert not move(checkout, State.FAILED, failure="late")

    assert (kinds(checkout.pk)[-1], Checkout.objects.get().failure) == ("checkout.processing", "")


def test_a_move_whose_entry_is_refused_is_not_made(checkout):
    with connection.cursor() as cursor:
        cursor.execute("SET CONSTRAINTS ALL IMMEDIATE")  # a table with pending checks cannot be altered
        cursor.execute("ALTER TABLE ledger_entry ADD CONSTRAINT refused CHECK (kind <> 'checkout.failed') NOT VALID")

    with pytest.raises(IntegrityError), transaction.atomic():
        move(checkout, State.FAILED)

    assert Checkout.objects.get().state == "open"


def test_a_paid_page_is_told_of_step_by_step(checkout):
    deliver(checkout.connection, paid_event(checkout))

    steps = [(told["state_before"], told["state"]) for told in facts(checkout.pk)]
    assert kinds(checkout.pk) == ["checkout.started", "checkout.opened", "checkout.succeeded"]
    assert steps == [(None, "creating"), ("creating", "open"), ("open", "succeeded")]


def test_the_entry_names_what_was_agreed_and_seals_what_is_one_partys(checkout):
    deliver(checkout.connection, paid_event(checkout))

    entry = Entry.objects.get(kind="checkout.succeeded")
    recommendation = checkout.recommendation
    assert body(entry)["facts"] == {
        "checkout_id": checkout.pk,
        "session_id": recommendation.session_id,
        "recommendation_id": recommendation.pk,
        "merchant_id": checkout.merchant_id,
        "offer_id": recommendation.offer_id,
        "mode": "checkout",
        "backend": "orchestrated",
        "amount_minor": 1000,
        "currency": "GBP",
        "state_before": "open",
        "state": "succeeded",
    }
    assert told(entry, "merchant")["psp_id"] == checkout.psp_id
    assert told(entry, "agent")["agent_id"] == entry.agent_id == recommendation.agent_id
    assert checkout.psp_id not in bytes(entry.body).decode()


def test_the_entry_names_the_delivery_that_proves_it(checkout):
    deliver(checkout.connection, paid_event(checkout))

    entry = Entry.objects.get(kind="checkout.succeeded")
    assert body(entry)["evidence"] == checkout.connection.receipts.get().sha256


@pytest.mark.parametrize("card", ["declined", "succeeds-later", "succeeds"])
def test_the_same_event_again_is_no_second_entry(checkout, card):
    events = pay(checkout, card)
    for event in events:
        deliver(checkout.connection, event)
    before = kinds(checkout.pk)

    for number, event in enumerate(events):
        deliver(checkout.connection, event)
        deliver(checkout.connection, event | {"id": f"evt_again_{number}"})

    assert kinds(checkout.pk) == before


def test_a_page_that_was_not_closed_after_all_tells_nothing_of_it(checkout):
    accounts.close_account(checkout.connection.account_id)
    with pytest.raises(CheckoutFailed):
        close_page(checkout)
    in_state(checkout, "expiring")

    move(Checkout.objects.get(), State.EXPIRED)

    assert kinds(checkout.pk) == ["checkout.started", "checkout.opened", "checkout.expired"]
    assert facts(checkout.pk)[-1]["state_before"] == "open"


def test_a_refusal_of_the_psp_is_told_to_the_merchant(post_checkout, recommendation):
    accounts.close_account(recommendation.offer.merchant.connections.get().account_id)

    post_checkout(recommendation)

    entry = Entry.objects.get(kind="checkout.failed")
    assert told(entry, "merchant")["failure"] == "payment_connection_unavailable"


def test_with_the_direct_backend_a_checkout_starts_open(post_checkout, recommendation, settings):
    settings.RAKO_CHECKOUT_BACKEND = "direct"

    checkout_id = post_checkout(recommendation).json()["transactionId"]

    assert (kinds(checkout_id), facts(checkout_id)[0]["state"]) == (["checkout.started"], "open")


def entries_of(checkout):
    return Entry.objects.filter(stream_id=checkout.pk).order_by("stream_seq")


def test_a_mandate_is_told_of_by_its_digest_when_it_is_used_and_given_back(recommendation):
    mandate = mandate_until_later()
    checkout = claimed(recommendation, Checkout.Mode.AUTONOMOUS, mandate)

    move(checkout, State.FAILED)

    used, released = (told(entry, "agent") for entry in entries_of(checkout))
    assert used["authorization_used"] == digest(mandate, agent_id=recommendation.agent_id)
    assert released["authorization_released"] == used["authorization_used"]
    assert b"m-1" not in b"".join(bytes(entry.body) for entry in Entry.objects.filter(stream_id=checkout.pk))


@pytest.mark.parametrize("state", ["processing", "unknown", "open", "succeeded"])
def test_a_mandate_is_kept_while_something_may_have_been_charged(recommendation, state):
    checkout = claimed(recommendation, Checkout.Mode.AUTONOMOUS, mandate_until_later())

    move(checkout, State(state))

    assert Authorization.objects.get().released_at is None
    assert "authorization_released" not in told(list(entries_of(checkout))[-1], "agent")


def test_a_second_live_checkout_is_refused_by_name_and_leaves_no_entry(checkout):
    rival = Checkout(
        **{field.name: getattr(checkout, field.name) for field in Checkout._meta.fields if field.name != "id"}
    )

    with pytest.raises(IntegrityError) as caught, transaction.atomic():
        states.start(rival)

    assert violated(caught.value) == "checkout_one_live_per_session"
    assert kinds(rival.pk) == []


def test_a_mandate_used_twice_leaves_no_entry(recommendation, agent):
    claimed(recommendation, Checkout.Mode.AUTONOMOUS, mandate_until_later())
    other = RecommendationFactory(session=SessionFactory(agent=agent))

    with pytest.raises(Exception, match="already used"):
        claimed(other, Checkout.Mode.AUTONOMOUS, mandate_until_later())

    assert Entry.objects.filter(kind="checkout.started").count() == Checkout.objects.count() == 1


@pytest.mark.django_db(transaction=True)
def test_eight_moves_at_once_are_one_entry():
    checkout = checkout_of(RecommendationFactory())

    made = race(lambda _: move(Checkout.objects.get(pk=checkout.pk), State.PROCESSING, origin=State.OPEN))

    assert sorted(made) == [False] * 7 + [True]
    assert kinds(checkout.pk) == ["checkout.started", "checkout.opened", "checkout.processing"]


@pytest.mark.django_db(transaction=True)
def test_eight_checkouts_of_one_session_at_once_leave_as_many_entries_as_rows():
    session = SessionFactory()
    recommendations = [RecommendationFactory(session=session) for _ in range(8)]

    race(lambda number: claimed(recommendations[number]))

    assert Entry.objects.filter(kind="checkout.started").count() == Checkout.objects.count() == 1


def test_a_late_answer_of_the_psp_adds_no_entry(checkout):
    record_link(checkout, CheckoutLink("cs_again", "https://psp.example/", timezone.now()))

    assert kinds(checkout.pk) == ["checkout.started", "checkout.opened"]
