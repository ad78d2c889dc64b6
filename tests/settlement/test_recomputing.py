"""A closed month can be reckoned again to the byte; a crash on the way to it leaves no trace."""

import io
import os
import signal
import subprocess
import sys
from pathlib import Path

import pytest
from django.core.management import call_command
from django.db import connection

from rako.core.postgres_programs import until
from settlement.models import Batch, Invoice, Payout, Statement
from settlement.recomputing import differences
from settlement.verification import settlement_findings
from tests.factories import BuilderFactory, OfferFactory
from tests.ledger.told import as_owner
from tests.settlement.months import FEBRUARY, JANUARY, MARCH, Kind, close, confirmed, happened, sold

ROOT = Path(__file__).resolve().parent.parent.parent


@pytest.fixture
def parties(db):
    return {"session__agent__builder": BuilderFactory(), "offer": OfferFactory()}


@pytest.fixture
def closed(parties):
    """Two closed months with charges, credits, a payout, and something that waits."""
    sales = [confirmed(JANUARY, **parties) for _ in range(5)]
    happened(sales[4], Kind.DISPUTE_OPENED, JANUARY, "d1")
    sold(FEBRUARY, **parties)
    first = close(1)
    happened(sales[0], Kind.DISPUTE_LOST, FEBRUARY)
    confirmed(FEBRUARY, **parties)
    return first, close(2)


def all_differences():
    return {batch.period: found for batch in Batch.objects.all() if (found := list(differences(batch)))}


def test_months_come_out_as_they_were_written(closed, parties):
    for sale in (confirmed(JANUARY, **parties), confirmed(MARCH, **parties)):
        happened(sale, Kind.FRAUD_FOUND, MARCH)
    close(3)

    assert all_differences() == {}


CHANGES = {
    "a line": (
        "line",
        "UPDATE settlement_line SET payout_minor = payout_minor + 1, fee_minor = fee_minor - 1",
        "lines",
    ),
    "a line that is gone": (
        "line",
        "DELETE FROM settlement_line WHERE conversion_id = (SELECT min(conversion_id) FROM settlement_line)",
        "lines",
    ),
    "what waits": ("waiting", "DELETE FROM settlement_waiting", "waited"),
    "an invoice": ("invoice", "UPDATE settlement_invoice SET net_minor = 1, total_minor = 1", "invoices"),
    "a statement": ("statement", "UPDATE settlement_statement SET number = number || 'x'", "statements"),
    "a payout": ("payout", "UPDATE settlement_payout SET amount_minor = amount_minor + 1", "payouts"),
    "the document": ("batch", "UPDATE settlement_batch SET document = 'x'", "document"),
    "its hash": ("batch", "UPDATE settlement_batch SET document_sha256 = repeat('0', 64)", "no entry"),
    "the cut": ("batch", "UPDATE settlement_batch SET cut = cut - 1", "document"),
    "the inputs": (
        "batch",
        """UPDATE settlement_batch SET inputs = jsonb_set(inputs, '{first_numbers,INV}', '7')""",
        "document",
    ),
}


@pytest.mark.parametrize(("table", "statement", "what"), CHANGES.values(), ids=CHANGES)
def test_whatever_is_changed_is_found(closed, table, statement, what):
    as_owner(statement, guards=(f"settlement_{table}.settlement_{table}_no_change",))

    found = [line for lines in all_differences().values() for line in lines]

    assert any(what in line for line in found), found


def told(command, *arguments, code=0):
    out = io.StringIO()
    try:
        call_command(command, *arguments, stdout=out)
        ended = 0
    except SystemExit as error:
        ended = error.code
    assert ended == code
    return out.getvalue()


def test_the_command_says_so_and_exits_3(closed):
    assert "2 months reckoned again, 0 differences" in told("resettle", "--all", "--check")

    as_owner("UPDATE settlement_batch SET cut = cut - 1", guards=("settlement_batch.settlement_batch_no_change",))

    assert "2026-01 its document" in told("resettle", "--period", "2026-01", "--check", code=3)


def asked(cursor, sql):
    cursor.execute(sql)
    return cursor.fetchone()[0]


class Crash(Exception):
    pass


def crash_at(number):
    """Lets so many statements pass, and no more."""
    left = iter(range(number))

    def execute(run, *arguments):
        if next(left, None) is None:
            raise Crash
        return run(*arguments)

    return connection.execute_wrapper(execute)


def documents():
    return (
        [bytes(batch.document) for batch in Batch.objects.all()],
        sorted(Invoice.objects.values_list("number", "total_minor")),
        sorted(Statement.objects.values_list("number", "closing_minor")),
        list(Payout.objects.values_list("amount_minor")),
    )


@pytest.mark.django_db(transaction=True)
def test_a_crash_at_any_statement_leaves_nothing_and_a_rerun_makes_the_same(parties):
    for _ in range(4):
        confirmed(JANUARY, **parties)
    crashes = 0
    while True:
        try:
            with crash_at(crashes):
                close(1)
            break
        except Crash:
            crashes += 1
            assert documents() == ([], [], [], [])

    assert crashes > 20
    assert documents()[1:] == ([("INV-00000001", 3200)], [("STM-00000001", 0)], [(2560,)])
    assert all_differences() == {}


@pytest.mark.django_db(transaction=True)
def test_a_killed_settlement_leaves_nothing(parties):
    for _ in range(4):
        confirmed(JANUARY, **parties)
    with connection.cursor() as cursor:
        # It waits for us, all but its end behind it.
        cursor.execute("BEGIN; LOCK TABLE settlement_payout IN SHARE MODE")
        name = connection.settings_dict["NAME"]
        code = (
            f"from django.conf import settings; settings.DATABASES['default']['NAME'] = '{name}'; import django; "
            "django.setup(); from django.core.management import call_command; "
            "call_command('settle', '--period', '2026-01')"
        )
        environment = os.environ | {"DJANGO_SETTINGS_MODULE": "tests.settings"}
        child = subprocess.Popen([sys.executable, "-c", code], cwd=ROOT, env=environment)
        try:
            waiting = "SELECT count(*) FROM pg_locks WHERE relation = 'settlement_payout'::regclass AND NOT granted"
            assert until(lambda: asked(cursor, waiting) or child.poll() is not None, 30)
            assert child.poll() is None
        finally:
            child.send_signal(signal.SIGKILL)
            child.wait()
            cursor.execute("ROLLBACK")

    assert documents() == ([], [], [], [])
    close(1)
    assert documents()[1:] == ([("INV-00000001", 3200)], [("STM-00000001", 0)], [(2560,)])


def test_a_full_verification_reckons_closed_months_again(closed):
    assert list(settlement_findings()) == []

    as_owner("UPDATE settlement_batch SET cut = cut - 1", guards=("settlement_batch.settlement_batch_no_change",))

    assert {(finding.check, finding.subject) for finding in settlement_findings()} == {
        ("V10", "settlement 2026-01"),
        ("V10", "settlement 2026-02"),
    }
