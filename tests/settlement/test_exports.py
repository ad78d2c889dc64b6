"""Exports tell what the documents and the ledger tell, in forms that their readers accept."""

import csv
import io
import json
import os
from datetime import UTC, datetime

import pytest
from django.core.management import call_command
from django.core.management.base import CommandError
from django.utils import timezone

from ledger.models import Balance, Posting
from ledger.sequencer import Sequencer
from rako.core.money import major_text
from settlement.exports import ledger_journal, lines
from settlement.exports.formats import FORMATS, JOURNALS
from settlement.exports.journals import Leg, Transaction, written
from settlement.exports.ledger_journal import account_path, sequenced_transactions
from settlement.exports.lines import FINANCE, Reader
from settlement.exports.spreadsheet import safe
from settlement.models import Batch, Invoice, Line, Payout, Statement
from tests.settlement import settled

pytestmark = pytest.mark.django_db
JUDGES = {"hledger": settled.hledger, "beancount": settled.beancount}
either_journal = pytest.mark.parametrize("name", JUDGES)


@pytest.fixture(scope="module")
def months(django_db_setup, django_db_blocker):
    with settled.for_a_module(django_db_blocker) as both:
        yield both


def exported(batch, name, reader=FINANCE) -> str:
    parts = FORMATS[name].write(batch, reader)
    return "".join(part if isinstance(part, str) else part.decode() for part in parts)


def judge(name, text, balances, folder):
    """Have a journal judged, with its accounts' balances in minor units of GBP."""
    path = folder / f"exported.{name}"
    path.write_text(text)
    journal = JOURNALS[name]()
    JUDGES[name](path, {journal.account_name(path): major_text(minor, "GBP") for path, minor in balances.items()})


def owed(rows) -> int:
    """What invoices less credit notes come to, VAT included."""
    return sum(row.total_minor if row.kind == "invoice" else -row.total_minor for row in rows)


def carried(rows) -> int:
    """By how much statements raise what is owed to builders."""
    return sum(row.closing_minor - row.opening_minor for row in rows)


@either_journal
@pytest.mark.parametrize("month", ["january", "february"])
def test_a_months_journal_comes_to_its_documents(months, name, month, tmp_path):
    batch = getattr(months, month)
    builders = {row.builder_id: [row] for row in Statement.objects.filter(batch=batch)}
    merchants = {pk: Invoice.objects.filter(batch=batch, merchant=pk) for pk in (months.london.pk, months.paris.pk)}
    expected = {account_path("merchant_receivable", pk): owed(rows) for pk, rows in merchants.items()}
    paid = sum(row.amount_minor for row in Payout.objects.filter(batch=batch))
    vat = sum(row.vat_minor if row.kind == "invoice" else -row.vat_minor for row in Invoice.objects.filter(batch=batch))
    for pk, rows in builders.items():
        debt = max(-rows[0].closing_minor, 0)
        expected[account_path("builder_payable", pk)] = -carried(rows) - debt
        if debt:
            expected[account_path("builder_clawback_due", pk)] = debt
    expected[account_path("vat_payable", "")] = -vat
    if paid:
        expected[account_path("bank_clearing", "")] = -paid

    judge(name, exported(batch, name), expected, tmp_path)


@either_journal
def test_a_merchants_journal_comes_to_its_invoices(months, name, tmp_path):
    rows = Invoice.objects.filter(batch=months.january, merchant=months.london)
    text = exported(months.january, name, Reader("merchant", months.london.pk))

    judge(name, text, {("liabilities", "rako"): -owed(rows), ("assets", "input_vat"): 640}, tmp_path)


@either_journal
def test_a_builders_journal_comes_to_its_statement(months, name, tmp_path):
    rows = Statement.objects.filter(batch=months.january, builder=months.paid)
    text = exported(months.january, name, Reader("builder", months.paid.pk))

    judge(name, text, {("assets", "rako"): carried(rows), ("assets", "payouts_under_way"): 2560}, tmp_path)


@either_journal
def test_the_ledgers_journal_comes_to_its_trial_balance(months, name, tmp_path, monkeypatch):
    monkeypatch.setattr(ledger_journal, "_PAGE", 7)
    Sequencer().tick()
    balances = {account_path(row.account, row.owner_id): row.balance_minor for row in Balance.objects.all()}

    judge(name, "".join(written(JOURNALS[name](), "test", sequenced_transactions())), balances, tmp_path)


def test_every_entry_that_moves_money_is_in_the_journal_once(months):
    Sequencer().tick()

    entries = [row.tags["entry"] for page in sequenced_transactions() for row in page]

    assert sorted(entries) == sorted(set(Posting.objects.values_list("entry__entry_id", flat=True)))


def test_a_transaction_names_its_entry_and_its_place_in_the_log(months):
    Sequencer().tick()
    [*_, last] = [row for page in sequenced_transactions() for row in page]
    entry = Posting.objects.select_related("entry__leaf").get(entry__entry_id=last.tags["entry"], place=1).entry

    assert last.tags["index"] == str(entry.leaf.pk)
    assert last.description == f"{entry.kind} {entry.stream_id}"
    assert last.on == entry.recorded_at.date()


def test_what_was_recorded_later_is_left_out(months):
    Sequencer().tick()

    assert not any(sequenced_transactions(datetime(2020, 1, 1, tzinfo=UTC)))


@pytest.mark.parametrize("reader", ["finance", "merchant", "builder"])
@pytest.mark.parametrize("page", [1, 2000])
def test_pages_hold_each_line_once_and_only_ones_own(months, monkeypatch, reader, page):
    monkeypatch.setattr(lines, "_PAGE", page)
    own = {"finance": FINANCE, "merchant": Reader("merchant", months.paris.pk)}
    who = own.get(reader, Reader("builder", months.waits.pk))
    rows = Line.objects.filter(batch=months.january)
    wanted = rows if who == FINANCE else rows.filter(**{who.column: who.id})

    found = [line for part in lines.exported_lines(months.january.pk, who) for line in part]

    assert sorted(line.conversion_id for line in found) == sorted(wanted.values_list("conversion_id", flat=True))


def test_csv_is_what_the_documents_come_to(months):
    rows = list(csv.DictReader(io.StringIO(exported(months.february, "csv"))))

    assert {row["document"] for row in rows} == {"INV-00000003", "INV-00000004", "CRN-00000001"}
    assert [row["told_late"] for row in rows].count("yes") == 1
    amounts = [row["commission"] for row in rows if row["document"] == "CRN-00000001"]
    assert amounts == ["-8.00", "-8.00"]
    assert all(row["statement"].startswith("STM-") for row in rows)


def test_csv_ends_its_lines_as_rfc_4180_has_it(months):
    text = exported(months.january, "csv")

    assert text.count("\r\n") == text.count("\n") == 1 + months.january.line_count


@pytest.mark.parametrize(
    "text",
    [
        "=1+1",
        "+1",
        "-1",
        "@SUM(A1)",
        "\t=1",
        "\r=1",
        "\n=1",
        " =1",
        "\u00a0=1",
        "＝1",
        "＋1",
        "－1",
        "＠x",
        '=cmd|"/c x"!A0',
    ],
)
def test_no_text_becomes_a_formula(text):
    assert safe(text) == f"'{text}"


@pytest.mark.parametrize("text", ["order-1", "1=1", "a@b", "", "'x", '"', "a,b"])
def test_other_texts_stay_as_they_are(text):
    assert safe(text) == text


def test_json_is_one_object_with_money_as_numbers(months):
    told = json.loads(exported(months.january, "json"))

    assert (told["period"], told["logSize"], len(told["lines"])) == ("2026-01", months.january.cut, 6)
    assert told["lines"][0]["commission"] == 8
    assert told["lines"][0]["builderPayout"] == 6.4


@pytest.mark.parametrize("form", FORMATS)
def test_parties_are_told_nothing_of_each_other(months, form):
    to_london = exported(months.january, form, Reader("merchant", months.london.pk))
    to_builder = exported(months.january, form, Reader("builder", months.paid.pk))

    for foreign in (months.paris.pk, months.waits.pk, months.paid.pk):
        assert foreign not in to_london
    assert months.paris.pk not in to_builder
    assert months.waits.pk not in to_builder


def test_an_empty_month_is_a_sound_file(tmp_path):
    batch = Batch.objects.get(pk=settled.close(3).pk)

    assert json.loads(exported(batch, "json"))["lines"] == []
    assert exported(batch, "csv").count("\r\n") == 1
    judge("beancount", exported(batch, "beancount"), {}, tmp_path)


def test_legs_of_nothing_and_empty_transactions_are_left_out():
    nothing = Transaction(timezone.now().date(), "x", {}, [Leg(("assets",), "GBP", 0)])

    assert JOURNALS["hledger"]().write(nothing) == ""


def told(command, *arguments) -> str:
    out = io.StringIO()
    call_command(command, *arguments, stdout=out)
    return out.getvalue()


@pytest.mark.parametrize("form", FORMATS)
def test_the_command_writes_a_month(months, form, tmp_path):
    target = tmp_path / "month"

    said = told("export_settlement", "--period", "2026-01", "--format", form, "--output", str(target))

    assert said == f"2026-01: 6 lines, {target.stat().st_size} bytes in {target}\n"
    assert target.read_bytes().decode() == exported(months.january, form)
    assert target.stat().st_mode & 0o077 == 0


def test_the_command_writes_the_ledger(months, tmp_path):
    Sequencer().tick()
    target = tmp_path / "all.journal"

    said = told("export_journal", "--format", "hledger", "--output", str(target), "--json")
    told("export_journal", "--format", "hledger", "--until", "2020-01", "--output", f"{target}.2020")

    entries = Posting.objects.values("entry").distinct().count()
    assert json.loads(said)["transactions"] == entries
    assert target.read_text().count("\n    ; entry: ") == entries
    assert "entry" not in (tmp_path / "all.journal.2020").read_text()


def test_a_month_that_is_not_closed_has_no_export(db, tmp_path):
    with pytest.raises(CommandError, match="not closed") as refused:
        told("export_settlement", "--period", "2030-01", "--format", "csv", "--output", str(tmp_path / "x"))

    assert refused.value.returncode == 2


def test_an_export_that_fails_leaves_what_was_there(months, tmp_path):
    target = tmp_path / "gone" / "file"

    with pytest.raises(CommandError):
        told("export_journal", "--format", "hledger", "--output", str(target))

    assert os.listdir(tmp_path) == []
