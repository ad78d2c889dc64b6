"""What an owner of the database could do to the ledger, and that the verification names it."""

import json

import pytest
from django.core.management import call_command
from django.db import connection

from ledger.conversions import record_conversion
from ledger.models import Evidence
from ledger.models.conversion import Level
from tests.ledger.conftest import make_proof

REPORT = {"source": Evidence.Source.MERCHANT_REPORT, "level": Level.MERCHANT_REPORTED, "reference": "ORDER-9"}


HARMLESS = "FUNCTION rako_refuse_change() RETURNS trigger LANGUAGE plpgsql AS 'BEGIN RETURN OLD; END'"


@pytest.fixture
def ledger(recommendation):
    record_conversion(recommendation, make_proof())
    record_conversion(recommendation, make_proof(**REPORT))
    with connection.cursor() as cursor:  # foreign keys are checked now, so that tables may be altered
        cursor.execute("SET CONSTRAINTS ALL IMMEDIATE")


@pytest.fixture
def guards_as_in_production(ledger):
    """The tests' liberty with TRUNCATE is taken back, so that the guards' own check can pass."""
    from rako.core.append_only import GUARDED_TABLES

    with connection.cursor() as cursor:
        for table in sorted(GUARDED_TABLES):
            cursor.execute(f"ALTER TABLE {table} ENABLE ALWAYS TRIGGER {table}_no_truncate")


def owner(*statements):
    """The database's owner lifts the guards, does it, and puts them back."""
    with connection.cursor() as cursor:
        cursor.execute("ALTER TABLE ledger_entry DISABLE TRIGGER ledger_entry_no_change")
        cursor.execute("ALTER TABLE ledger_conversion DISABLE TRIGGER ledger_conversion_no_change")
        for statement in statements:
            cursor.execute(statement)
        cursor.execute("SET CONSTRAINTS ALL IMMEDIATE")
        cursor.execute("ALTER TABLE ledger_entry ENABLE ALWAYS TRIGGER ledger_entry_no_change")
        cursor.execute("ALTER TABLE ledger_conversion ENABLE ALWAYS TRIGGER ledger_conversion_no_change")


def findings(capsys):
    with pytest.raises(SystemExit) as stop:
        call_command("verify_ledger", "--json")
    assert stop.value.code == 3
    return {finding["check"] for finding in json.loads(capsys.readouterr().out)["findings"]}


def test_an_untouched_ledger_is_sound(guards_as_in_production, capsys):
    call_command("verify_ledger")

    assert capsys.readouterr().out == "ledger sound: 2 entries, 1 conversions, guards in place\n"


@pytest.mark.parametrize(
    ("tampering", "check"),
    [
        (
            "UPDATE ledger_entry SET body = convert_to(replace(convert_from(body, 'UTF8'), '640', '940'), 'UTF8')",
            "stream",
        ),
        ("UPDATE ledger_entry SET body = convert_to('{\"a\" : 1}', 'UTF8')", "body"),
        ("UPDATE ledger_entry SET kind = 'conversion.nothing' WHERE stream_seq = 2", "columns"),
        ("DELETE FROM ledger_entry WHERE stream_seq = 1", "stream"),
        ("UPDATE ledger_conversion SET builder_payout_minor = 800, network_fee_minor = 0", "conversion"),
        ("UPDATE ledger_conversion SET transaction_value_minor = 1", "conversion"),
        ("UPDATE ledger_conversion SET attribution_path = 'influence'", "conversion"),
        ("UPDATE ledger_conversion SET code_sha256 = repeat('0', 64)", "conversion"),
        ("DELETE FROM ledger_entry WHERE stream_seq = 2", "evidence"),
        (f"CREATE OR REPLACE {HARMLESS}", "guard"),
        ("DELETE FROM ledger_entry", "conversion"),
        ("ALTER TABLE ledger_evidence DISABLE TRIGGER ledger_evidence_no_change", "guard"),
        ("CREATE RULE swallow AS ON INSERT TO ledger_entry DO INSTEAD NOTHING", "guard"),
    ],
)
def test_tampering_is_found_and_named(guards_as_in_production, capsys, tampering, check):
    owner(tampering)

    assert check in findings(capsys)


def test_the_tests_own_liberty_is_a_finding(ledger, capsys):
    assert findings(capsys) == {"guard"}


def test_the_report_is_json_when_a_program_reads_it(guards_as_in_production, capsys):
    call_command("verify_ledger", "--json")

    assert json.loads(capsys.readouterr().out) == {"entries": 2, "conversions": 1, "sound": True, "findings": []}
