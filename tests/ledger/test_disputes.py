"""Disputes: who may open which, whose turn it is and until when, and what each decision does to the sale."""

from datetime import timedelta

import pytest
from django.utils import timezone

from ledger import dispute_claims, disputes
from ledger.conversions import SessionConverted
from ledger.dispute_claims import CannotDispute, MissingSale, about_conversion, about_missing_sale
from ledger.dispute_decisions import OUTCOMES, ForStaff, accept, decide
from ledger.dispute_moves import MOVES, DisputeMoved
from ledger.disputes import DisputeExists, open_dispute, review_overdue, say, withdraw
from ledger.models import Conversion, Dispute, DisputeStatement, Entry, Event, Side
from rako.core.errors import BadRequest, Forbidden
from tests.ledger.disputing import (
    Decision,
    Kind,
    State,
    balances,
    disputed,
    findings,
    happen,
    reviewed,
    sold,
)
from tests.ledger.paths import Market

MERCHANT, BUILDER = Side.MERCHANT, Side.BUILDER
MESSAGE, EVIDENCE = DisputeStatement.Kind
WHOLE = {"merchant_accrued": 1000, "builder_pending": -800, "fee_pending": -200}
HALF = {"merchant_accrued": 500, "builder_pending": -400, "fee_pending": -100}
MORE = {"merchant_accrued": 1500, "builder_pending": -1200, "fee_pending": -300}

# Before the dispute: what happened to a sale of 100.00 at 10 %.
BEFORE = {
    "sold": lambda sale: sale,
    "refunded": lambda sale: happen(sale, Event.Kind.REFUNDED, amount=10000),
    "half refunded": lambda sale: happen(sale, Event.Kind.REFUNDED, amount=5000),
    "cancelled": lambda sale: happen(sale, Event.Kind.CANCELLED),
    "charged back": lambda sale: happen(sale, Event.Kind.DISPUTE_LOST),
    "fraud": lambda sale: happen(sale, Event.Kind.FRAUD_FOUND),
}


@pytest.fixture
def sale(db):
    return sold()


@pytest.mark.parametrize(
    ("before", "side", "kind", "refusal"),
    [
        ("sold", MERCHANT, Kind.WRONG_AMOUNT, None),
        ("sold", BUILDER, Kind.WRONG_AMOUNT, None),
        ("sold", MERCHANT, Kind.MERCHANT_DISPUTE, None),
        ("sold", BUILDER, Kind.MERCHANT_DISPUTE, Forbidden),
        ("sold", BUILDER, Kind.CLAWBACK, CannotDispute),
        ("sold", BUILDER, Kind.REFUSED_CONVERSION, CannotDispute),
        ("refunded", BUILDER, Kind.CLAWBACK, None),
        ("half refunded", BUILDER, Kind.CLAWBACK, None),
        ("cancelled", BUILDER, Kind.CLAWBACK, None),
        ("charged back", BUILDER, Kind.CLAWBACK, None),
        ("charged back", MERCHANT, Kind.CLAWBACK, Forbidden),
        ("charged back", MERCHANT, Kind.MERCHANT_DISPUTE, CannotDispute),
        ("charged back", BUILDER, Kind.WRONG_AMOUNT, CannotDispute),
        ("fraud", BUILDER, Kind.REFUSED_CONVERSION, None),
        ("fraud", MERCHANT, Kind.REFUSED_CONVERSION, Forbidden),
        ("fraud", BUILDER, Kind.CLAWBACK, CannotDispute),
        ("sold", BUILDER, Kind.MISSING_SALE, BadRequest),
        ("sold", BUILDER, "nonsense", BadRequest),
    ],
)
def test_who_may_open_what(sale, before, side, kind, refusal):
    BEFORE[before](sale)
    value = 150 if kind == Kind.WRONG_AMOUNT else None

    if refusal:
        with pytest.raises(refusal):
            disputed(sale, side, kind, value)
    else:
        disputed(sale, side, kind, value)

    sale.refresh_from_db()
    assert sale.is_held is (refusal is None)
    assert findings() == []


@pytest.mark.parametrize("value", [None, 0, -1, 1.234, 10**12, 100])
def test_a_wrong_amount_names_another_one(sale, value):
    with pytest.raises((BadRequest, CannotDispute)):
        disputed(sale, BUILDER, Kind.WRONG_AMOUNT, value)
    assert not Dispute.objects.exists()


def test_a_sale_is_disputed_for_120_days(sale, monkeypatch):
    monkeypatch.setattr(dispute_claims, "OPEN_FOR", -timedelta(seconds=1))

    with pytest.raises(CannotDispute):
        disputed(sale, MERCHANT, Kind.MERCHANT_DISPUTE)


def test_an_order_that_passed_to_a_better_path_is_not_disputed(db):
    market = Market()
    market.report(market.ours, "influence")
    market.report(market.theirs, "extension")

    with pytest.raises(CannotDispute):
        disputed(Conversion.objects.get(is_superseded=True), BUILDER, Kind.REFUSED_CONVERSION)


@pytest.mark.parametrize("meanwhile", ["refunded", "cancelled", "charged back", "fraud"])
def test_what_is_reversed_between_the_asking_and_the_opening_is_not_disputed(sale, meanwhile):
    asked = about_conversion(sale, MERCHANT, Kind.MERCHANT_DISPUTE, None)
    BEFORE[meanwhile](sale)

    with pytest.raises(CannotDispute):
        open_dispute(asked)
    assert (balances(), findings()) == ({}, [])


def test_a_recorded_sale_is_not_missing(sale):
    claim = MissingSale(sale.session_id, sale.recommendation_id, 100, timezone.now())

    with pytest.raises(SessionConverted):
        open_dispute(about_missing_sale(sale.agent, claim))


def test_a_sale_is_in_one_dispute_at_a_time(sale):
    disputed(sale, BUILDER, Kind.WRONG_AMOUNT, 150)

    with pytest.raises(DisputeExists):
        disputed(sale, MERCHANT, Kind.MERCHANT_DISPUTE)
    assert findings() == []


def test_what_was_decided_is_not_disputed_again(sale):
    decide(disputed(sale, MERCHANT, Kind.MERCHANT_DISPUTE), Decision.REJECTED, "the buyer paid")

    with pytest.raises(DisputeExists):
        disputed(sale, MERCHANT, Kind.MERCHANT_DISPUTE)


def test_who_withdraws_again_and_again_holds_nothing_for_ever(sale):
    for _ in range(disputes.MOST_WITHDRAWN):
        withdraw(disputed(sale, MERCHANT, Kind.MERCHANT_DISPUTE), MERCHANT)

    with pytest.raises(CannotDispute):
        disputed(sale, MERCHANT, Kind.MERCHANT_DISPUTE)
    assert findings() == []


@pytest.mark.parametrize(
    ("side", "kind", "said", "state", "days"),
    [
        # Who is asked answers first, then who opened it, then staff decide.
        (BUILDER, Kind.WRONG_AMOUNT, [], State.AWAITING_MERCHANT, 7),
        (BUILDER, Kind.WRONG_AMOUNT, [BUILDER], State.AWAITING_MERCHANT, 7),
        (BUILDER, Kind.WRONG_AMOUNT, [MERCHANT], State.AWAITING_BUILDER, 7),
        (BUILDER, Kind.WRONG_AMOUNT, [MERCHANT, MERCHANT], State.AWAITING_BUILDER, 7),
        (BUILDER, Kind.WRONG_AMOUNT, [MERCHANT, BUILDER], State.UNDER_REVIEW, 14),
        (BUILDER, Kind.WRONG_AMOUNT, [MERCHANT, BUILDER, MERCHANT], State.UNDER_REVIEW, 14),
        (MERCHANT, Kind.WRONG_AMOUNT, [], State.AWAITING_BUILDER, 7),
        (MERCHANT, Kind.WRONG_AMOUNT, [BUILDER, MERCHANT], State.UNDER_REVIEW, 14),
        # What the merchant disputes is under review at once.
        (MERCHANT, Kind.MERCHANT_DISPUTE, [], State.UNDER_REVIEW, 14),
        (MERCHANT, Kind.MERCHANT_DISPUTE, [BUILDER, MERCHANT], State.UNDER_REVIEW, 14),
    ],
)
def test_whose_turn_it_is(sale, side, kind, said, state, days):
    dispute = disputed(sale, side, kind, 150 if kind == Kind.WRONG_AMOUNT else None)
    for speaker in said:
        say(dispute, speaker, MESSAGE, "I say so")

    dispute.refresh_from_db()
    assert dispute.state == state
    assert timedelta(0) <= dispute.due_at - timezone.now() - timedelta(days=days - 1) <= timedelta(days=1)
    assert findings() == []


def test_what_nobody_answers_in_time_is_reviewed(sale):
    dispute = disputed(sale, BUILDER, Kind.WRONG_AMOUNT, 150)

    in_time = review_overdue(timezone.now() + timedelta(days=6))
    late = review_overdue(timezone.now() + timedelta(days=8))
    again = review_overdue(timezone.now() + timedelta(days=8))

    dispute.refresh_from_db()
    assert (in_time, late, again, dispute.state) == (0, 1, 0, State.UNDER_REVIEW)
    assert findings() == []


REINSTATING = [
    (before, BUILDER, kind, decision, value, status, accounts)
    for before, kind in (("refunded", Kind.CLAWBACK), ("cancelled", Kind.CLAWBACK), ("fraud", Kind.REFUSED_CONVERSION))
    for decision, value, status, accounts in (
        (Decision.UPHELD, None, "resolved", WHOLE),
        (Decision.PARTLY, 5000, "resolved", HALF),
        (Decision.REJECTED, None, "rejected" if before == "fraud" else "clawed_back", {}),
    )
]


@pytest.mark.parametrize(
    ("before", "side", "kind", "decision", "value", "status", "accounts"),
    [
        ("sold", BUILDER, Kind.WRONG_AMOUNT, Decision.UPHELD, None, "resolved", MORE),
        ("sold", BUILDER, Kind.WRONG_AMOUNT, Decision.PARTLY, 5000, "resolved", HALF),
        ("sold", BUILDER, Kind.WRONG_AMOUNT, Decision.REJECTED, None, "resolved", WHOLE),
        ("sold", MERCHANT, Kind.MERCHANT_DISPUTE, Decision.UPHELD, None, "clawed_back", {}),
        ("sold", MERCHANT, Kind.MERCHANT_DISPUTE, Decision.PARTLY, 5000, "resolved", HALF),
        ("sold", MERCHANT, Kind.MERCHANT_DISPUTE, Decision.REJECTED, None, "resolved", WHOLE),
        *REINSTATING,
        ("half refunded", BUILDER, Kind.CLAWBACK, Decision.UPHELD, None, "resolved", WHOLE),
        ("half refunded", BUILDER, Kind.CLAWBACK, Decision.REJECTED, None, "resolved", HALF),
    ],
)
def test_what_a_decision_does(sale, before, side, kind, decision, value, status, accounts):
    BEFORE[before](sale)
    dispute = reviewed(disputed(sale, side, kind, 150 if kind == Kind.WRONG_AMOUNT else None))

    decide(dispute, decision, "as the documents show", value)

    sale.refresh_from_db()
    dispute.refresh_from_db()
    assert (sale.status, sale.is_held, balances()) == (status, False, accounts)
    assert (dispute.state, dispute.decision, dispute.decided_by) == (State.DECIDED, decision, Side.STAFF)
    assert findings() == []


def test_every_kind_has_an_outcome_for_every_decision():
    assert set(OUTCOMES) == {(kind, decision) for kind in Kind if kind != Kind.MISSING_SALE for decision in Decision}


def test_every_state_says_what_follows():
    assert set(MOVES) == set(State)


def test_a_decision_in_part_names_the_value(sale):
    dispute = reviewed(disputed(sale, BUILDER, Kind.WRONG_AMOUNT, 150))

    for value in (None, 0, -1, 10**13):
        with pytest.raises(BadRequest):
            decide(dispute, Decision.PARTLY, "half of it", value)
    assert Dispute.objects.get().state == State.UNDER_REVIEW


def test_staff_wait_while_a_side_has_time(sale):
    with pytest.raises(DisputeMoved):
        decide(disputed(sale, BUILDER, Kind.WRONG_AMOUNT, 150), Decision.UPHELD, "quickly")


@pytest.mark.parametrize("side", [MERCHANT, BUILDER])
def test_the_other_side_concedes_at_any_time(sale, side):
    other = BUILDER if side == MERCHANT else MERCHANT
    dispute = disputed(sale, side, Kind.WRONG_AMOUNT, 150)

    with pytest.raises(Forbidden):
        accept(dispute, side)
    ended = accept(dispute, other)

    assert (ended.decision, ended.decided_by, ended.decided_value_minor) == ("upheld", other, 15000)
    assert (balances(), findings()) == (MORE, [])


def test_a_merchant_does_not_pardon_fraud(sale):
    happen(sale, Event.Kind.FRAUD_FOUND)
    dispute = disputed(sale, BUILDER, Kind.REFUSED_CONVERSION)

    with pytest.raises(ForStaff):
        accept(dispute, MERCHANT)
    assert balances() == {}


def test_only_who_opened_it_withdraws(sale):
    dispute = disputed(sale, BUILDER, Kind.WRONG_AMOUNT, 150)

    with pytest.raises(Forbidden):
        withdraw(dispute, MERCHANT)
    withdraw(dispute, BUILDER)

    sale.refresh_from_db()
    assert (sale.status, sale.is_held, balances(), findings()) == ("resolved", False, WHOLE, [])


@pytest.mark.parametrize("end", ["decided", "withdrawn"])
def test_what_has_ended_stays_so(sale, end):
    dispute = disputed(sale, MERCHANT, Kind.MERCHANT_DISPUTE)
    decide(dispute, Decision.REJECTED, "paid") if end == "decided" else withdraw(dispute, MERCHANT)
    entries = Entry.objects.count()

    for act in (
        lambda: say(dispute, MERCHANT, MESSAGE, "but"),
        lambda: withdraw(dispute, MERCHANT),
        lambda: accept(dispute, BUILDER),
        lambda: decide(dispute, Decision.UPHELD, "no"),
    ):
        with pytest.raises(DisputeMoved):
            act()
    assert Entry.objects.count() == entries


def test_a_side_does_not_say_everything(sale, monkeypatch):
    monkeypatch.setattr(disputes, "MOST_STATEMENTS", 2)
    dispute = disputed(sale, BUILDER, Kind.WRONG_AMOUNT, 150)
    for _ in range(2):
        say(dispute, BUILDER, MESSAGE, "again")

    with pytest.raises(DisputeMoved):
        say(dispute, BUILDER, MESSAGE, "once more")
    say(dispute, MERCHANT, MESSAGE, "your turn is over")


@pytest.mark.parametrize(("text", "sha256"), [("", ""), ("an invoice", "ab" * 32)])
def test_evidence_has_a_hash_that_is_its_own(sale, text, sha256):
    dispute = disputed(sale, BUILDER, Kind.WRONG_AMOUNT, 150)

    with pytest.raises(BadRequest):
        say(dispute, BUILDER, EVIDENCE, text, description="the invoice", sha256=sha256)
