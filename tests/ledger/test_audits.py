"""Verification as a habit: every run is kept, and each takes up where the last sound one ended."""

import logging

import pytest
from django.conf import settings
from django.db import connection

from ledger.audits import audit, audit_growth
from ledger.models import Verification
from ledger.reports import Report, report_conversion
from ledger.verification.run import Scope
from rako.core.append_only import GUARDED_TABLES
from tests.factories import RecommendationFactory
from tests.ledger.log import publish_log


@pytest.fixture(autouse=True)
def log(db, settings, tmp_path):
    """A log with a sale in it, in a database with all its guards: the tests' liberty with TRUNCATE is taken back."""
    settings.RAKO_SIGNER_DIR = tmp_path / "signer"
    for table in sorted(GUARDED_TABLES):
        run(f"ALTER TABLE {table} ENABLE ALWAYS TRIGGER {table}_no_truncate")
    report("order-1")


def run(sql):
    with connection.cursor() as cursor:
        cursor.execute(sql)


def report(reference):
    """A sale that a merchant reports, sequenced and signed."""
    made = RecommendationFactory()
    report_conversion(made.offer.merchant, Report(made.session_id, reference, 10))
    publish_log(settings.RAKO_SIGNER_DIR)


def tamper():
    run("SET CONSTRAINTS ALL IMMEDIATE")  # nothing is pending that would keep the table from being altered
    run("ALTER TABLE ledger_posting DISABLE TRIGGER ledger_posting_no_change")
    run("UPDATE ledger_posting SET amount_minor = amount_minor * 2 WHERE place = 1")
    run("ALTER TABLE ledger_posting ENABLE ALWAYS TRIGGER ledger_posting_no_change")


def test_a_run_is_kept_with_what_it_saw():
    found = audit(Scope())

    kept = Verification.objects.get()
    assert found.is_sound
    assert (kept.mode, kept.is_sound, kept.findings) == ("full", True, [])
    assert kept.entries == kept.size > 0


def test_the_next_run_looks_at_what_came_since():
    audit_growth()
    first = Verification.objects.first()
    report("order-2")

    audit_growth()

    second = Verification.objects.first()
    assert (second.mode, second.is_sound) == ("since", True)
    assert second.entries == second.size - first.size


def test_after_a_finding_everything_is_looked_at_again(caplog):
    audit_growth()
    tamper()

    with caplog.at_level(logging.ERROR, "rako.ledger"):
        audit(Scope())
        audit_growth()

    assert [run.mode for run in Verification.objects.all()] == ["full", "full", "full"]
    assert not Verification.objects.first().is_sound
    assert "TAMPERED WITH" in caplog.text


def test_findings_are_kept_with_their_place():
    tamper()

    audit(Scope())

    assert {"check", "subject", "detail", "index"} == set(Verification.objects.first().findings[0])
