"""Holds: what the job finds among recent sales, what a hold does to them, and how staff end it."""

import io
import json
from datetime import timedelta

import pytest
from django.core.management import call_command
from django.db import connection
from django.test.utils import CaptureQueriesContext
from django.utils import timezone

from ledger import fraud_signals
from ledger.fraud_rules import Signal
from ledger.fraud_signals import check_signals
from ledger.holds import HoldEnded, confirm, place, release
from ledger.models import Conversion, Entry, Event, FraudHold, Side
from merchants.models import Merchant
from sessions_app.models import Builder, Click
from tests.factories import AgentFactory, OfferFactory
from tests.ledger.disputing import Kind, balances, disputed, findings, happen, sell, sold
from tests.threads import race

VELOCITY = Signal("velocity_day", 60, 50)
FLOOD = Signal("click_flood", 500, 300)
WHOLE = {"merchant_accrued": 1000, "builder_pending": -800, "fee_pending": -200}


@pytest.fixture
def sale(db):
    return sold()


def held():
    return sorted(set(FraudHold.objects.values_list("rule", flat=True)))


def test_sales_in_one_hour_are_held_and_stay_in_their_accounts(db):
    agent = AgentFactory()
    sell(agent, OfferFactory(), 10)

    found = check_signals()

    assert (len(found), held()) == (10, ["one_hour"])
    assert Conversion.objects.filter(is_held=True, status="pending_validation").count() == 10
    assert balances()["merchant_accrued"] == 8000
    assert findings() == []


def test_what_is_ordinary_is_not_held(db):
    sell(AgentFactory(builder__email="a@builder.example"), OfferFactory(merchant__contact_email="a@shop.example"), 9)

    assert (check_signals(), held()) == ([], [])


def test_a_usual_day_is_the_agents_own(db):
    agent, offer = AgentFactory(), OfferFactory()
    sell(agent, offer, 25)

    assert {each.signal.rule for each in check_signals(dry_run=True)} == {"velocity_hour", "one_hour"}
    measured = {each.signal[1:] for each in check_signals(dry_run=True) if each.signal.rule == "velocity_hour"}
    assert measured == {(25, 20)}


def test_builder_and_merchant_of_one_house_are_held(db):
    sell(AgentFactory(builder__email="it@shop.example"), OfferFactory(merchant__contact_email="hi@shop.example"), 1)

    check_signals()

    assert held() == ["shared_owner"]


def test_a_payment_named_for_two_sales_is_held(db):
    for agent in (AgentFactory(), AgentFactory()):
        sell(agent, OfferFactory(), 1, payment_reference="pi_twice")
    sell(AgentFactory(), OfferFactory(), 1, payment_reference="pi_once")

    check_signals()

    assert list(FraudHold.objects.values_list("rule", "measured")) == [("shared_payment", 2)] * 2


def test_sales_of_a_pair_that_cancels_are_held(db):
    agent, offer = AgentFactory(), OfferFactory()
    sell(agent, offer, 9)
    for sale in Conversion.objects.order_by("pk")[:5]:
        happen(sale, Event.Kind.CANCELLED, sale.pk)
    at_nine = check_signals(dry_run=True)
    sell(agent, offer, 1)

    found = [each for each in check_signals() if each.signal.rule == "cancellations"]

    # The cancelled ones have nothing left to hold.
    assert (at_nine, len(found), {each.signal.measured for each in found}) == ([], 5, {50})


@pytest.mark.parametrize(
    ("visitors", "times", "is_bot", "rules"),
    [
        (301, 1, False, ["click_flood"]),
        (1, 21, False, ["one_visitor"]),
        (1, 21, True, []),
        (20, 15, False, []),
    ],
)
def test_a_flood_of_visits_holds_the_sale_behind_the_link(sale, visitors, times, is_bot, rules):
    clicks = [
        Click(recommendation_id=sale.recommendation_id, visitor=str(visitor), is_bot=is_bot, slot=slot)
        for visitor in range(visitors)
        for slot in range(times)
    ]
    Click.objects.bulk_create(clicks)

    check_signals()

    assert held() == rules


def test_old_and_reversed_sales_are_not_looked_at(sale):
    Merchant.objects.filter(pk=sale.merchant_id).update(contact_email="a@shop.example")
    Builder.objects.filter(pk=sale.builder_id).update(email="b@shop.example")

    later = check_signals(now=timezone.now() + timedelta(days=4), dry_run=True)
    happen(sale, Event.Kind.CANCELLED)

    assert (later, check_signals()) == ([], [])


def test_a_rule_holds_a_sale_once(sale):
    first, again = place(sale.pk, VELOCITY), place(sale.pk, VELOCITY)

    assert (first.rule, again, FraudHold.objects.count(), findings()) == ("velocity_day", None, 1, [])


def test_what_is_released_is_not_held_again_by_the_same_rule(db):
    sell(AgentFactory(), OfferFactory(), 10)
    check_signals()
    for hold in FraudHold.objects.all():
        release(hold, "a campaign that we know of")

    assert check_signals() == []
    assert (Conversion.objects.filter(is_held=True).count(), findings()) == (0, [])


def test_a_sale_goes_on_when_the_last_hold_is_released(sale):
    velocity, flood = place(sale.pk, VELOCITY), place(sale.pk, FLOOD)

    release(velocity, "known")
    sale.refresh_from_db()
    still = sale.is_held
    release(flood, "known, too")

    sale.refresh_from_db()
    assert (still, sale.is_held, balances(), findings()) == (True, False, WHOLE, [])


def test_a_disputed_sale_stays_held_when_its_hold_is_released(sale):
    hold = place(sale.pk, VELOCITY)
    disputed(sale, Side.MERCHANT, Kind.MERCHANT_DISPUTE)

    release(hold, "known")

    sale.refresh_from_db()
    assert (sale.is_held, findings()) == (True, [])


def test_confirmed_fraud_reverses_the_sale_flags_the_builder_and_holds_nothing(sale):
    velocity, flood = place(sale.pk, VELOCITY), place(sale.pk, FLOOD)

    confirm(velocity, "bought by the builder itself")

    sale.refresh_from_db()
    flood.refresh_from_db()
    assert (sale.status, sale.is_held, balances()) == ("rejected", False, {})
    assert (flood.state, sale.builder.fraud_found_at is not None, findings()) == ("confirmed", True, [])


def test_a_hold_ends_once(sale):
    hold = place(sale.pk, VELOCITY)
    release(hold, "known")
    entries = Entry.objects.count()

    for act in (release, confirm):
        with pytest.raises(HoldEnded):
            act(hold, "again")
    assert Entry.objects.count() == entries


@pytest.mark.django_db(transaction=True)
def test_whoever_places_and_ends_holds_at_once_leaves_one_story():
    sale = sold()
    hold = place(sale.pk, VELOCITY)
    acts = [
        lambda: release(hold, "known"),
        lambda: confirm(hold, "fraud"),
        lambda: place(sale.pk, FLOOD),
        lambda: disputed(sale, Side.MERCHANT, Kind.MERCHANT_DISPUTE),
    ]

    ended = race(lambda n: acts[n % 4]())

    assert {type(each).__name__ for each in ended if isinstance(each, Exception)} <= {
        "HoldEnded",
        "DisputeExists",
        "CannotDispute",
    }
    assert findings() == []


def run(*words):
    out = io.StringIO()
    try:
        call_command("check_fraud_signals", *words, stdout=out)
        code = 0
    except SystemExit as left:
        code = left.code
    return code, out.getvalue()


def test_the_command_tells_what_it_finds_and_may_be_repeated(db):
    clean = run()
    sell(AgentFactory(), OfferFactory(), 10)

    dry, real, again = run("--dry-run", "--json"), run(), run("--json")

    assert clean == (0, "0 holds placed\n")
    told = json.loads(dry[1])
    assert (dry[0], told["count"], told["holds"][0]["rule"], told["dryRun"]) == (3, 10, "one_hour", True)
    assert (real[0], real[1].splitlines()[-1]) == (3, "10 holds placed")
    assert again == (0, '{"dryRun": false, "count": 0, "holds": []}\n')


def test_a_look_is_one_statement_off_indexes_and_one_for_the_owners(sale):
    with CaptureQueriesContext(connection) as captured:
        check_signals(dry_run=True)
    _, measured, owners, *_ = (query["sql"] for query in captured)
    with connection.cursor() as cursor:
        cursor.execute("SET LOCAL enable_seqscan = off")
        cursor.execute(f"EXPLAIN {measured}")
        plan = "\n".join(line for (line,) in cursor.fetchall())

    assert (len(captured), "bank" in owners) == (2 + len(fraud_signals.LOOKS), True)
    assert [line for line in plan.splitlines() if "Seq Scan" in line] == []
