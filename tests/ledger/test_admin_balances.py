"""Balances in the admin, and the ledger's panel on its front page."""

from datetime import timedelta

import pytest
from django.db import connection
from django.urls import reverse
from django.utils import timezone

from ledger.admin.balances import WINDOW, balances, postings, trial_balances
from ledger.admin.panel import panel, verified
from ledger.conversions import record_conversion
from ledger.lifecycle import Told, tell
from ledger.models import Balance, Cosignature, Event, Verification
from ledger.sequencer import Sequencer
from rako.core.facts import Posting
from tests import staff
from tests.ledger.log import append, publish_log

ACCRUED = {"account": "merchant_accrued", "owner_id": "", "currency": "GBP"}


@pytest.fixture
def conversion(recommendation, proof):
    sale = record_conversion(recommendation, proof()).conversion
    Sequencer().tick()
    return sale


@pytest.fixture
def auditor(db):
    return staff.viewer()


def figures(trial):
    return [(row.name.name, row.debit, row.credit) for row in trial.rows]


def move(amount, owner="", **more):
    lines = [("merchant_accrued", owner, amount), ("bank_clearing", "", -amount)]
    return append(postings=[Posting(account, whose, "GBP", minor) for account, whose, minor in lines], **more)


# --- Balances


def test_the_trial_balance_adds_up(conversion):
    (trial,) = trial_balances()

    assert figures(trial) == [
        ("merchant accrued", "8.00", ""),
        ("builder pending", "", "6.40"),
        ("fee pending", "", "1.60"),
    ]
    assert (trial.currency, trial.debit, trial.credit, trial.balances) == ("GBP", "8.00", "8.00", True)


def test_a_trial_balance_that_does_not_add_up_says_so(conversion, auditor):
    Balance.objects.filter(account="fee_pending").update(balance_minor=-161)

    (trial,) = trial_balances()

    assert trial.balances is False
    assert "does not add up to zero" in auditor.get(reverse("admin:ledger_balances")).content.decode()


def test_balances_name_their_owners_and_lead_to_the_postings(conversion, auditor):
    page = auditor.get(reverse("admin:ledger_balances"), {"owner_id": conversion.builder_id}).content.decode()
    query = {"account": "builder_pending", "owner_id": conversion.builder_id, "currency": "GBP"}

    behind = auditor.get(reverse("admin:ledger_postings"), query).content.decode()

    assert conversion.builder.name in page
    assert conversion.merchant.name not in page
    assert reverse("admin:ledger_stream", args=[conversion.pk]) in behind
    assert "6.40" in behind


@pytest.mark.parametrize(
    "query", [{}, {"account": "x", "currency": "GBP"}, {"account": "bad_debt", "currency": "<b>"}, {"currency": "GBP"}]
)
def test_postings_of_no_account_are_not_found(auditor, query):
    assert auditor.get(reverse("admin:ledger_postings"), query).status_code == 404


@pytest.mark.django_db
def test_postings_are_paged_without_loss():
    for _ in range(130):
        move(100)

    pages = [first := postings(ACCRUED, None)]
    while pages[-1].before is not None:
        pages.append(postings(ACCRUED, pages[-1].before))

    # Numbers of entries that other tests undid are looked through, too.
    seen = [posting.entry_id for page in pages for posting, _ in page.rows]
    assert (len(first.rows), len(seen)) == (100, 130)
    assert seen == sorted(set(seen), reverse=True)
    assert (first.debit, first.credit) == ("100.00", "0.00")


@pytest.mark.django_db
def test_old_postings_are_looked_for_in_bounded_steps():
    with connection.cursor() as cursor:
        old = move(500).id
        cursor.execute("SELECT setval('ledger_entry_id_seq', %s)", [old + WINDOW + 5])
    move(-200)

    near = postings(ACCRUED, None)
    far = postings(ACCRUED, near.before)

    assert [row.credit for _, row in near.rows] == ["2.00"]
    assert [row.debit for _, row in far.rows] == ["5.00"]


def test_balances_take_as_many_queries_for_many_owners_as_for_one(conversion, django_assert_max_num_queries):
    for number in range(30):
        move(100, owner=f"{number:026}")
    Sequencer().tick()

    with django_assert_max_num_queries(4):
        balances({}, None)


# --- The panel


def test_the_panel_shows_entries_checkpoint_and_witnesses(conversion, tmp_path, auditor):
    checkpoint = publish_log(tmp_path)
    Cosignature.objects.create(checkpoint=checkpoint, witness="w.example", line="x")
    tell(conversion.merchant_id, Told(Event.Kind.DISPUTE_OPENED, "pi_1", "dp_1", conversion.converted_at))

    found = panel()

    assert (found.entries, found.size, found.waiting, found.witnesses) == (2, 1, 1, "w.example")
    assert "never verified" in auditor.get("/admin/").content.decode()


@pytest.mark.django_db
def test_the_panel_of_an_empty_ledger_is_shown(auditor):
    page = auditor.get("/admin/").content.decode()

    assert "none yet" in page
    assert "No balances yet" in page


def test_the_panel_takes_a_handful_of_queries(conversion, tmp_path, django_assert_max_num_queries):
    publish_log(tmp_path)

    with django_assert_max_num_queries(11):
        panel()


def ran(mode="full", *, is_sound=True, hours=0.25, findings=()):
    """A run that ended some hours ago: PostgreSQL keeps what it is told, for the guard is against changes."""
    at = timezone.now() - timedelta(hours=hours)
    return Verification.objects.create(
        mode=mode, entries=1, size=1, is_sound=is_sound, findings=list(findings), seconds=1, created_at=at
    )


@pytest.mark.django_db
def test_a_fresh_sound_run_is_good():
    ran()

    assert (verified().text, verified().tone) == ("sound, full, 15 minutes ago", "good")


@pytest.mark.django_db
def test_a_run_that_found_something_is_bad_and_names_the_first():
    ran(is_sound=False, findings=[{"check": "V2", "subject": "E1", "detail": "no hash", "index": 1234}, {}])

    assert (verified().text, verified().tone) == (
        "TAMPERED WITH, full, 15 minutes ago: V2 E1 (leaf 1,234): no hash",
        "bad",
    )


@pytest.mark.django_db
def test_what_was_found_is_not_taken_back_by_a_sample():
    ran(is_sound=False, findings=["x"])
    ran("sample")
    ran("since")
    before = verified().tone
    ran("full")

    assert (before, verified().tone) == ("bad", "good")


@pytest.mark.django_db
@pytest.mark.parametrize(("hours", "tone"), [(24.9, "good"), (25.1, "held")])
def test_a_full_run_is_good_for_a_day_and_an_hour(hours, tone):
    ran(hours=hours)
    ran("since")

    assert verified().tone == tone
    assert "; in full 1 day ago" in verified().text


@pytest.mark.django_db
def test_without_a_full_run_the_panel_warns():
    ran("since")

    assert (verified().text, verified().tone) == ("sound, since, 15 minutes ago; never in full", "held")
