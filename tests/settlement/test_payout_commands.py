"""What finance runs: each row a result, each command safe to repeat."""

import io
import json

import pytest
from django.core.management import CommandError, call_command

from settlement.models import MerchantPayment, Payout
from settlement.payouts import send_payouts
from tests.factories import BuilderFactory, MerchantFactory
from tests.settlement.payouts import account, ordered, payout

pytestmark = pytest.mark.django_db


def told(command, *arguments, code=0):
    out = io.StringIO()
    try:
        call_command(command, *arguments, stdout=out)
        ended = 0
    except SystemExit as error:
        ended = error.code
    assert ended == code
    return out.getvalue()


def written(tmp_path, *lines):
    file = tmp_path / "bank.csv"
    file.write_text("\n".join(lines) + "\n", encoding="utf-8")
    return str(file)


def test_sending_tells_of_files_and_of_what_waits():
    payout()
    ordered(BuilderFactory())

    first = told("send_payouts", "--json", code=3).splitlines()

    assert json.loads(first[0])["total_minor"] == 2560
    assert json.loads(first[1]) == {"files": 1, "payouts": 1, "without_account": 1, "flagged": 0, "unsupported": 0}
    assert "0 payouts in 0 files; 1 wait for a bank account" in told("send_payouts", code=3)


def test_a_currency_that_no_file_can_pay_waits(settings):
    settings.RAKO_PAYOUT_PROVIDER = "bank_file"
    builder = BuilderFactory()
    for currency in ("GBP", "EUR", "USD"):
        account(builder, currency)
        ordered(builder, currency=currency)

    assert "2 payouts in 2 files; 0 wait for a bank account, 1 are in a currency" in told("send_payouts", code=3)
    assert Payout.objects.get(state="pending").currency == "USD"


def test_without_a_debtor_nothing_is_sent(settings):
    settings.RAKO_PAYOUT_PROVIDER, settings.RAKO_PAYOUT_DEBTOR_IBAN = "bank_file", ""
    row = payout()

    with pytest.raises(CommandError, match="RAKO_PAYOUT_DEBTOR_IBAN"):
        told("send_payouts")
    assert Payout.objects.get(pk=row.pk).state == "pending"


def test_a_file_of_answers_is_taken_row_by_row(tmp_path):
    paid, failed = payout(), ordered(BuilderFactory(), currency="EUR")
    account(failed.builder, "EUR")
    send_payouts()
    file = written(
        tmp_path,
        "payout,result,reason,file",
        f"{paid.pk},paid,,",
        f"{failed.pk},failed,AC04,",
        "x,paid,,",
        f"{paid.pk},lost,,",
        f"{paid.pk},failed,,",
        f"{paid.pk},paid",
        f"{paid.pk},paid,,,more",
    )

    dry = json.loads(told("confirm_payouts", file, "--dry-run", "--json", code=3).splitlines()[-1])
    first = json.loads(told("confirm_payouts", file, "--json", code=3).splitlines()[-1])
    again = told("confirm_payouts", file, code=3)

    assert dry == first == {"recorded": 2, "known": 0, "refused": 5}
    assert again.splitlines()[-1] == "0 recorded, 2 known, 5 refused"
    assert set(Payout.objects.values_list("state", flat=True)) == {"paid", "failed"}


def test_a_single_answer():
    row = payout()
    send_payouts()

    assert "1 recorded" in told("confirm_payouts", "--payout", row.pk, "--failed", "--reason", "AC04")
    assert Payout.objects.get(pk=row.pk).failure == "AC04"


@pytest.mark.parametrize(
    ("content", "error"),
    [("payout\n", "missing: result"), ("payout,result,iban\n", "unknown"), ("payout,payout,result\n", "twice")],
)
def test_a_file_of_another_form_is_refused_whole(tmp_path, content, error):
    with pytest.raises(CommandError, match=error):
        told("confirm_payouts", written(tmp_path, content))


def test_payments_are_taken_row_by_row(tmp_path):
    merchant = MerchantFactory()
    file = written(
        tmp_path,
        "merchant,amount,currency,reference,received_on",
        f"{merchant.pk},12.34,GBP,b1,2026-02-01",
        f"{merchant.pk},99,GBP,b1,2026-02-01",
        f"{merchant.pk},-1,GBP,b2,2026-02-01",
        f"{merchant.pk},1.234,GBP,b3,2026-02-01",
        f"{merchant.pk},1,XXX,b4,2026-02-01",
        f"{merchant.pk},1,GBP,b5,tomorrow",
        "nobody,1,GBP,b6,2026-02-01",
    )

    dry = told("import_payments", file, "--dry-run", code=3).splitlines()[-1]
    first = told("import_payments", file, "--json", code=3).splitlines()
    again = told("import_payments", file, "--quiet", code=3).splitlines()[-1]

    assert dry == "2 recorded, 0 known, 5 refused (dry run, nothing kept)"
    assert json.loads(first[1])["detail"] == "The reference is that of another payment: 12.34 GBP"
    assert again == "0 recorded, 1 known, 6 refused"
    assert MerchantPayment.objects.get().amount_minor == 1234
