"""manage.py reconcile_payments and its neighbours, as people and programs call them."""

import json
import subprocess
import sys
from io import StringIO

import pytest
from django.core.management import CommandError, call_command

from checkout.models import Finding
from ledger.models import Conversion
from merchants.models import Connection
from rako.core.ids import new_id
from tests.checkout.psp import checkout_of, pay
from tests.checkout.reconciliation.story import attempted, sold, sql
from tests.factories import OfferFactory, RecommendationFactory

LONG_AGO = "UPDATE {} SET created_at = now() - interval '1 hour'"


def run(*args, command="reconcile_payments"):
    """The exit code and what was printed."""
    out = StringIO()
    try:
        call_command(command, *args, stdout=out)
    except SystemExit as exit_:
        return exit_.code, out.getvalue()
    return 0, out.getvalue()


@pytest.fixture
def missed(checkout):
    """A payment of an hour ago whose webhooks were lost."""
    pay(checkout)
    for table in ("sandbox_payment", "sandbox_event"):
        sql(LONG_AGO.format(table))
    return checkout


def test_a_sound_connection_exits_0(checkout):
    sold(checkout)
    sql(LONG_AGO.format("sandbox_payment"))

    code, said = run("--connection", checkout.connection_id)

    assert code == 0
    assert said.endswith("1 connections, 1 objects read, 0 differences mended, 0 findings open\n")


def test_open_findings_exit_3_and_are_named(missed):
    code, said = run("--all")

    assert code == 3
    assert f"{missed.connection_id} money missing_local" in said
    assert said.endswith("3 findings open\n")


def test_fixing_exits_0_when_nothing_is_left(missed):
    assert run("--all", "--fix")[0] == 0
    assert run("--all", "--fix")[0] == 0
    assert Conversion.objects.count() == 1


def test_a_program_reads_a_line_for_each_finding_and_one_for_the_tally(missed):
    code, said = run("--all", "--json")

    *findings, tally = [json.loads(line) for line in said.splitlines()]
    assert code == 3
    assert tally == {"connections": 1, "read": 3, "mended": 0, "open": 3}
    assert {line["kind"] for line in findings} == {"missing_local", "webhook_gap"}
    assert {line["merchant"] for line in findings} == {missed.merchant_id}


def test_a_window_is_read_instead_of_what_came_since(missed):
    run("--all")

    assert run("--all", "--since", "2024-01-01", "--until", "2024-01-31T12:00:00+01:00")[0] == 3
    assert Finding.objects.filter(state="open").count() == 3


def test_an_end_in_the_future_is_ten_minutes_ago(checkout):
    pay(checkout)

    assert run("--all", "--since", "2026-11-01", "--until", "2027-01-01")[0] == 0


def test_only_the_connection_that_was_named_is_read(missed):
    other = checkout_of(RecommendationFactory(offer=OfferFactory()))

    assert run("--connection", other.connection_id)[0] == 0
    assert not Finding.objects.exists()


def test_connections_that_ended_are_read_only_by_name(missed):
    Connection.objects.update(status="disconnected")

    assert run("--all")[1].startswith("0 connections")
    assert run("--connection", missed.connection_id)[0] == 3


@pytest.mark.parametrize(
    "args",
    [
        (),
        ("--all", "--connection", "x"),
        ("--connection", "x"),
        ("--connection", ""),
        ("--connection", new_id()),
        ("--all", "--until", "2026-01-01"),
        ("--all", "--since", "yesterday"),
        ("--all", "--since", "2026-02-30"),
        ("--all", "--since", "2026-03-01", "--until", "2026-02-01"),
        ("--all", "--since", "2026-03-01", "--until", "2026-03-01"),
        ("--all", "--since", "2020-01-01", "--until", "2026-01-01"),
        ("--all", "--since", "2999-01-01"),
        ("--all", "--wrong"),
    ],
)
def test_arguments_that_make_no_sense_are_refused(db, args):
    with pytest.raises(CommandError) as refused:
        run(*args)

    assert refused.value.returncode == 2 or "Error" in str(refused.value)


def test_bad_arguments_exit_2_at_the_shell():
    done = subprocess.run(
        [sys.executable, "manage.py", "reconcile_payments", "--all", "--since", "x"], capture_output=True, check=False
    )

    assert done.returncode == 2
    assert b"ISO 8601" in done.stderr


def test_a_connection_that_cannot_be_worked_with_holds_up_no_other(missed):
    broken = checkout_of(RecommendationFactory(offer=OfferFactory()))
    sql("UPDATE merchants_connection SET credentials = 'x' WHERE id = %s", broken.connection_id)

    with pytest.raises(CommandError, match="1 connections") as failed:
        run("--all", "--fix")

    assert failed.value.returncode == 1
    assert Conversion.objects.count() == 1


def test_charges_that_stay_unknown_exit_3(recommendation):
    attempted(recommendation, "pm_card_visa")
    Connection.objects.update(kind="gone")

    assert run(command="resolve_unknown_charges")[0] == 3

    Connection.objects.update(kind="sandbox")
    assert run(command="resolve_unknown_charges") == (0, "1 charges are known now, 0 are not\n")


def test_ending_checkouts_tells_how_many(checkout):
    assert run(command="expire_checkouts") == (0, "0 checkouts ended\n")

    sql("UPDATE checkout_checkout SET expires_at = now() - interval '1 hour'")
    assert run(command="expire_checkouts") == (0, "1 checkouts ended\n")
