"""Disputes and holds in the admin: what staff see, and what only those may do who have the right."""

import pytest
from django.contrib.auth.models import Permission, User

from ledger.fraud_rules import Signal
from ledger.holds import place
from ledger.models import Dispute, DisputeStatement, FraudHold, Side
from tests import staff
from tests.ledger.disputing import Kind, State, balances, disputed, findings, missing, reviewed, sold

HALF = {"merchant_accrued": 500, "builder_pending": -400, "fee_pending": -100}


@pytest.fixture
def boss(db):
    return staff.superuser()


def decide_page(dispute):
    return staff.page(Dispute, "changelist") + f"{dispute.pk}/decide/"


def test_the_queue_begins_with_what_is_due_first(boss):
    late, soon = disputed(sold(), Side.BUILDER, Kind.WRONG_AMOUNT, 150), reviewed(missing())
    ended = disputed(sold(reference="order-2"), Side.MERCHANT, Kind.MERCHANT_DISPUTE)
    Dispute.objects.filter(pk=ended.pk).update(due_at=soon.due_at.replace(year=2099))

    rows = boss.get(staff.page(Dispute, "changelist")).context["cl"].result_list

    assert [row.pk for row in rows] == [late.pk, soon.pk, ended.pk]


def test_the_page_shows_what_is_at_stake_and_what_was_said(boss):
    from ledger.disputes import say

    dispute = disputed(sold(), Side.BUILDER, Kind.WRONG_AMOUNT, 150)
    say(dispute, Side.MERCHANT, DisputeStatement.Kind.MESSAGE, "<b>One seat</b>")

    page = staff.shown(boss, dispute)

    for text in ("150.00 GBP", "100.00 GBP", "10.00 GBP", "8.00 GBP", "&lt;b&gt;One seat&lt;/b&gt;", "dispute.opened"):
        assert text in page


def test_staff_decide_with_a_reason_and_it_is_logged(boss):
    dispute = reviewed(disputed(sold(), Side.BUILDER, Kind.WRONG_AMOUNT, 150))

    given = {"decision": "partly", "value": "50.00", "reason": "one seat of two"}
    reply = boss.post(decide_page(dispute), given, follow=True)

    dispute.refresh_from_db()
    assert staff.said(reply) == ["The dispute is decided: partly."]
    assert (dispute.state, dispute.reason, balances(), findings()) == (State.DECIDED, "one seat of two", HALF, [])
    assert "Decided, partly: one seat of two" in boss.get("/admin/admin/logentry/").content.decode()


@pytest.mark.parametrize(
    "given",
    [
        {"decision": "", "reason": "why"},
        {"decision": "upheld", "reason": ""},
        {"decision": "partly", "reason": "why"},
        {"decision": "partly", "reason": "why", "value": "0"},
        {"decision": "partly", "reason": "why", "value": "12,50"},
        {"decision": "partly", "reason": "why", "value": "-5"},
    ],
)
def test_a_form_that_is_not_complete_decides_nothing(boss, given):
    dispute = reviewed(disputed(sold(), Side.BUILDER, Kind.WRONG_AMOUNT, 150))

    assert boss.post(decide_page(dispute), given).status_code == 200
    dispute.refresh_from_db()
    assert dispute.state == State.UNDER_REVIEW


def test_who_may_only_look_decides_nothing_and_ends_no_hold(db):
    dispute, hold = reviewed(missing()), place(sold().pk, Signal("velocity_day", 60, 50))
    auditor = staff.viewer()

    assert "Decide…" not in staff.shown(auditor, dispute)
    assert auditor.post(decide_page(dispute), {"decision": "upheld", "reason": "x"}).status_code == 403
    staff.act(auditor, "release_now", hold, reason="x")
    hold.refresh_from_db()
    assert hold.state == "open"


def test_the_rights_to_decide_and_to_review_are_apart(db):
    dispute, hold = reviewed(missing()), place(sold().pk, Signal("velocity_day", 60, 50))
    judge = staff.viewer()
    auditor = User.objects.get(username="auditor")
    auditor.user_permissions.add(Permission.objects.get(codename="decide_dispute"))

    staff.act(judge, "release_now", hold, reason="x")
    judge.post(decide_page(dispute), {"decision": "rejected", "reason": "no booking"})

    assert (FraudHold.objects.get().state, Dispute.objects.get().state) == ("open", State.DECIDED)


def test_an_open_dispute_that_waits_for_a_side_is_not_decided(boss):
    dispute = disputed(sold(), Side.BUILDER, Kind.WRONG_AMOUNT, 150)

    reply = boss.post(decide_page(dispute), {"decision": "upheld", "reason": "x"})

    assert "Not decided" in reply.content.decode()
    assert Dispute.objects.get().state == State.AWAITING_MERCHANT


@pytest.mark.parametrize(("action", "state"), [("release_now", "released"), ("confirm_now", "confirmed")])
def test_staff_end_holds_with_a_reason(boss, action, state):
    sale = sold()
    hold, other = place(sale.pk, Signal("velocity_day", 60, 50)), place(sale.pk, Signal("click_flood", 400, 300))

    asked = staff.act(boss, action, hold, other)
    staff.act(boss, action, hold, other, reason="we looked into it")

    sale.refresh_from_db()
    assert "Kept for ever" in asked.content.decode()
    assert set(FraudHold.objects.values_list("state", "reason")) == {(state, "we looked into it")}
    assert (sale.is_held, bool(sale.builder.fraud_found_at), findings()) == (False, state == "confirmed", [])


def test_a_flagged_builder_is_seen_in_the_list(boss):
    sale = sold()
    staff.act(boss, "confirm_now", place(sale.pk, Signal("velocity_day", 60, 50)), reason="fraud")

    assert "rako-bad" in boss.get("/admin/sessions_app/builder/").content.decode()
