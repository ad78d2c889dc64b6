"""What PostgreSQL refuses of disputes and holds, and what verification finds if somebody lifts its guards."""

import pytest
from django.db import IntegrityError, connection, transaction

from ledger.dispute_decisions import decide
from ledger.disputes import say, withdraw
from ledger.fraud_rules import Signal
from ledger.holds import place, release
from ledger.models import Dispute, DisputeStatement, Side
from rako.core.append_only import AppendOnlyError
from tests.ledger.disputing import Decision, Kind, disputed, findings, missing, reviewed, sold
from tests.ledger.told import as_owner

MESSAGE = DisputeStatement.Kind.MESSAGE
TABLES = ("ledger_dispute", "ledger_disputestatement", "ledger_fraudhold")
GUARDS = tuple(f"{table}.{table}_no_change" for table in TABLES)


@pytest.fixture
def story(db):
    """An open dispute in which both sides spoke, one that was decided, and two holds, one of them released."""
    decide(reviewed(missing(order_reference="ORD-9")), Decision.PARTLY, "one of two", 5000)
    sale = sold()
    dispute = disputed(sale, Side.BUILDER, Kind.WRONG_AMOUNT, 150)
    say(dispute, Side.MERCHANT, MESSAGE, "one seat")
    place(sale.pk, Signal("velocity_day", 60, 50))
    release(place(sale.pk, Signal("click_flood", 400, 300)), "known")
    assert findings() == []
    return dispute


def run(statement):
    with transaction.atomic(), connection.cursor() as cursor:
        cursor.execute(statement)


@pytest.mark.parametrize(
    "statement",
    [
        "UPDATE ledger_dispute SET kind = 'clawback'",
        "UPDATE ledger_dispute SET opened_by = 'merchant'",
        "UPDATE ledger_dispute SET claimed_value_minor = 1",
        "UPDATE ledger_dispute SET order_reference = 'x'",
        "UPDATE ledger_dispute SET opened_at = now()",
        "DELETE FROM ledger_dispute",
        "UPDATE ledger_disputestatement SET text = 'two seats'",
        "DELETE FROM ledger_disputestatement",
        "UPDATE ledger_fraudhold SET measured = 70",
        "UPDATE ledger_fraudhold SET threshold = 10",
        "UPDATE ledger_fraudhold SET rule = 'one_hour'",
        "DELETE FROM ledger_fraudhold",
        # Not facts, but never so.
        "UPDATE ledger_dispute SET state = 'decided'",
        "UPDATE ledger_dispute SET ended_at = now()",
        "UPDATE ledger_dispute SET due_at = NULL WHERE state = 'awaiting_builder'",
        "UPDATE ledger_dispute SET state = 'under_review', due_at = now() WHERE state = 'decided'",
        "UPDATE ledger_dispute SET conversion_id = NULL WHERE kind = 'wrong_amount'",
        "UPDATE ledger_dispute SET decided_value_minor = -1",
        "UPDATE ledger_fraudhold SET state = 'released' WHERE state = 'open'",
        "UPDATE ledger_fraudhold SET ended_at = NULL WHERE state = 'released'",
    ],
)
def test_postgresql_refuses(story, statement):
    with pytest.raises(IntegrityError):
        run(statement)
    assert findings() == []


@pytest.mark.parametrize(
    ("changes", "constraint"),
    [
        ({"claimed_value_minor": None}, "dispute_names_the_value"),
        ({"claimed_value_minor": -1}, "dispute_values_are_not_negative"),
        ({"currency": "XXX"}, "dispute_currency_is_known"),
        ({"conversion_id": None}, "dispute_is_about_a_sale"),
        ({"due_at": None}, "dispute_ends_once"),
        ({"decision": "upheld"}, "dispute_ends_once"),
        ({}, "dispute_one_open_per_recommendation"),
    ],
)
def test_no_dispute_is_without_what_it_needs(story, changes, constraint):
    with pytest.raises(IntegrityError, match=constraint):
        copy(story, changes)


def copy(dispute, changes):
    values = {field.attname: getattr(dispute, field.attname) for field in Dispute._meta.concrete_fields}
    Dispute.objects.create(**{name: value for name, value in values.items() if name != "id"} | changes)


def test_what_was_decided_once_is_not_stored_twice(db):
    sale = sold()
    decided = decide(disputed(sale, Side.MERCHANT, Kind.MERCHANT_DISPUTE), Decision.REJECTED, "paid")

    with pytest.raises(IntegrityError, match="dispute_decided_once"):
        copy(decided, {})


def test_what_was_said_is_not_unsaid(story):
    said = story.statements.get()

    with pytest.raises(AppendOnlyError):
        said.delete()
    with pytest.raises(AppendOnlyError):
        DisputeStatement.objects.update(text="nothing")


@pytest.mark.parametrize(
    "deed",
    [
        "UPDATE ledger_dispute SET claimed_value_minor = 99999 WHERE kind = 'wrong_amount'",
        "UPDATE ledger_dispute SET opened_by = 'merchant' WHERE kind = 'wrong_amount'",
        "UPDATE ledger_dispute SET state = 'under_review' WHERE kind = 'wrong_amount'",
        "UPDATE ledger_dispute SET due_at = due_at + interval '1 day' WHERE kind = 'wrong_amount'",
        "UPDATE ledger_dispute SET order_reference = 'ORD-8' WHERE kind = 'missing_sale'",
        "UPDATE ledger_dispute SET decided_value_minor = 9000 WHERE kind = 'missing_sale'",
        "UPDATE ledger_dispute SET decision = 'upheld' WHERE kind = 'missing_sale'",
        "UPDATE ledger_dispute SET decided_by = 'merchant' WHERE kind = 'missing_sale'",
        "UPDATE ledger_dispute SET reason = 'because' WHERE kind = 'missing_sale'",
        "UPDATE ledger_dispute SET conversion_id = NULL WHERE kind = 'missing_sale'",
        "UPDATE ledger_disputestatement SET text = 'two seats'",
        "UPDATE ledger_disputestatement SET side = 'builder'",
        "UPDATE ledger_disputestatement SET said_at = said_at - interval '1 day'",
        "DELETE FROM ledger_disputestatement",
        "INSERT INTO ledger_disputestatement SELECT reverse(id), kind, side, description, 'more', sha256, salt, "
        "said_at, dispute_id FROM ledger_disputestatement",
        "UPDATE ledger_fraudhold SET measured = 70 WHERE state = 'open'",
        "UPDATE ledger_fraudhold SET placed_at = placed_at - interval '1 day' WHERE state = 'open'",
        "UPDATE ledger_fraudhold SET state = 'confirmed' WHERE state = 'released'",
        "DELETE FROM ledger_fraudhold",
        "DELETE FROM ledger_disputestatement; DELETE FROM ledger_dispute WHERE kind = 'wrong_amount'",
    ],
)
def test_verification_finds_it_if_the_guards_are_lifted(story, deed):
    as_owner(deed, guards=GUARDS)

    found = findings()

    assert [each for each in found if each.startswith("V8 ")] == found != []


def test_a_withdrawn_dispute_verifies(db):
    withdraw(disputed(sold(), Side.BUILDER, Kind.WRONG_AMOUNT, 150), Side.BUILDER)

    assert findings() == []
