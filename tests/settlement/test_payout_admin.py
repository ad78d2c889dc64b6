"""Payouts, files, bank accounts and payments in the admin."""

import pytest
from django.contrib.admin.models import LogEntry
from django.utils import timezone

from sessions_app.models import Builder
from settlement.models import BankAccount, MerchantPayment, Payout, PayoutFile
from settlement.payouts import send_payouts
from tests import staff
from tests.factories import BuilderFactory, MerchantFactory
from tests.settlement.payouts import BIC, IBAN, payout

pytestmark = pytest.mark.django_db


@pytest.fixture
def boss(db):
    return staff.superuser()


@pytest.fixture
def auditor(db):
    return staff.viewer()


def state(row):
    return Payout.objects.get(pk=row.pk).state


def test_staff_say_what_the_bank_said_and_have_it_made_again(boss):
    row = payout()
    send_payouts()
    states = []
    for action in ("mark_failed", "retry_now"):
        staff.act(boss, action, row, reason="AC04, says the bank")
        states.append(state(row))
    send_payouts()
    staff.act(boss, "mark_paid", row, reason="statement 17")

    assert [*states, state(row)] == ["failed", "pending", "paid"]
    assert LogEntry.objects.filter(object_id=row.pk, change_message__startswith="Mark failed: AC04").count() == 1


def test_what_cannot_be_done_is_told(boss):
    row = payout()

    reply = staff.act(boss, "mark_paid", row, reason="too early")

    assert (state(row), "A pending payout cannot become paid" in staff.said(reply)[0]) == ("pending", True)


@pytest.mark.parametrize("action", ["mark_paid", "mark_failed", "retry_now"])
def test_who_only_views_moves_nothing(auditor, action):
    row = payout()
    send_payouts()

    staff.act(auditor, action, row, reason="mine")

    assert state(row) == "submitted"


def test_a_payout_without_an_account_says_what_it_waits_for(boss):
    row = payout(iban=None)

    assert "waits for a bank account" in staff.shown(boss, row)
    assert row.pk in boss.get(staff.page(Payout, "changelist"), {"account": "missing"}).content.decode()


def test_staff_see_that_a_flagged_builders_payout_waits_and_let_it_go(boss, auditor):
    row = payout()
    Builder.objects.filter(pk=row.builder_id).update(fraud_found_at=timezone.now())

    assert "held: builder flagged for fraud" in staff.shown(boss, row)
    assert row.pk in boss.get(staff.page(Payout, "changelist"), {"flagged": "yes"}).content.decode()
    staff.act(auditor, "lift_flag", row.builder, reason="mine")
    assert send_payouts() == []
    staff.act(boss, "lift_flag", row.builder, reason="a family, not a fraud")

    assert LogEntry.objects.get(object_id=row.builder_id).change_message == "Fraud flag lifted: a family, not a fraud"
    assert len(send_payouts()) == 1


def test_only_who_may_downloads_the_file(boss, auditor):
    payout()
    send_payouts()
    file = PayoutFile.objects.get()
    address = f"{staff.page(PayoutFile, 'changelist')}{file.pk}/download/"

    reply, refused = boss.get(address), auditor.get(address)

    assert (reply.status_code, reply.content.decode()) == (200, file.content)
    assert refused.status_code == 403
    assert "Download" not in staff.shown(auditor, file)
    assert LogEntry.objects.filter(object_id=file.pk, change_message="Downloaded").count() == 1


def test_an_account_is_set_and_changed(boss):
    builder = BuilderFactory()
    typed = {"builder": builder.pk, "currency": "GBP", "holder": "Ada", "iban": IBAN, "bic": BIC}
    boss.post(staff.page(BankAccount, "add"), typed)
    row = BankAccount.objects.get()
    boss.post(staff.page(BankAccount, "change", row.pk), typed | {"holder": "Ada L", "iban": "DE89370400440532013000"})

    row.refresh_from_db()
    assert (row.holder, row.hint, row.account["iban"][:2]) == ("Ada L", "3000", "DE")


def test_a_payment_is_recorded_by_hand_once(boss):
    typed = {"merchant": MerchantFactory().pk, "currency": "GBP", "amount": "12.34", "reference": "b1"}
    typed["received_on"] = "2026-02-01"
    add = staff.page(MerchantPayment, "add")

    replies = [boss.post(add, typed | {"amount": amount}, follow=True) for amount in ("12.34", "12.34", "9", "x")]

    assert MerchantPayment.objects.get().amount_minor == 1234
    assert "recorded before" in " ".join(staff.said(replies[1]))
    assert "another payment" in replies[2].content.decode()
    assert "must be a number" in replies[3].content.decode()


@pytest.mark.parametrize("model", [Payout, PayoutFile, BankAccount, MerchantPayment])
def test_lists_and_pages_open(boss, auditor, model):
    payout()
    send_payouts()
    for client in (boss, auditor):
        assert client.get(staff.page(model, "changelist")).status_code == 200
        for row in model.objects.all():
            assert client.get(staff.page(model, "change", row.pk)).status_code == 200
