"""Findings in the admin: to be read, and accepted for a reason."""

import pytest
from django.contrib.admin.models import LogEntry
from django.urls import reverse

from checkout.models import Finding
from tests import staff
from tests.checkout.reconciliation.story import look, paid, sold, sql

HOSTILE = "<script>alert(1)</script>"


@pytest.fixture
def finding(checkout):
    """A payment of another amount there."""
    sold(checkout)
    sql("UPDATE sandbox_payment SET amount_minor = 900")
    look(checkout.connection)
    return Finding.objects.get()


@pytest.fixture
def boss(db):
    return staff.superuser()


def listed(client, **query):
    return client.get(staff.page(Finding, "changelist"), query).content.decode()


def test_the_list_says_in_words_what_differs(boss, finding):
    page = listed(boss)

    assert "another amount" in page
    assert "10.00 GBP recorded, 9.00 GBP there" in page
    assert "holds settlement" in page


def test_a_finding_is_found_by_its_reference_and_by_ids(boss, finding, checkout):
    for term in (paid(checkout).pk, finding.pk, checkout.pk, checkout.merchant_id, checkout.connection_id):
        assert finding.reference in listed(boss, q=term)

    assert finding.reference not in listed(boss, q=finding.reference[:-1])


def test_a_list_of_many_takes_few_queries(boss, finding, django_assert_max_num_queries):
    for number in range(30):
        Finding.objects.create(
            connection=finding.connection,
            merchant=finding.merchant,
            kind="webhook_gap",
            reference=f"evt_{number}",
            is_money=False,
        )

    with django_assert_max_num_queries(14):
        listed(boss)


def test_a_findings_page_shows_everything_and_takes_nothing(boss, finding):
    page = staff.shown(boss, finding)

    assert "another amount" in page
    assert finding.reference in page
    assert 'name="_save"' not in page


def test_what_a_psp_says_is_shown_as_text(boss, finding):
    Finding.objects.update(detail=HOSTILE, reference=HOSTILE)

    assert HOSTILE not in listed(boss)
    assert HOSTILE not in staff.shown(boss, finding)


def test_accepting_asks_for_a_reason_and_keeps_it(boss, finding):
    asked = staff.act(boss, "accept_now", finding)
    assert "Accept: it stays as it is" in asked.content.decode()
    assert Finding.objects.get().state == "open"

    staff.act(boss, "accept_now", finding, reason="Agreed with the merchant")

    finding.refresh_from_db()
    assert (finding.state, finding.reason) == ("accepted", "Agreed with the merchant")
    assert LogEntry.objects.get(object_id=finding.pk).change_message == "Accepted: Agreed with the merchant"


def test_what_is_not_open_is_not_accepted(boss, finding):
    sql("UPDATE sandbox_payment SET amount_minor = 1000")
    look(finding.connection)

    reply = staff.act(boss, "accept_now", finding, reason="Late")

    assert staff.said(reply) == ["0 finding(s) accepted."]
    assert (Finding.objects.get().state, LogEntry.objects.count()) == ("resolved", 0)


def test_view_only_staff_cannot_accept(finding):
    auditor = staff.viewer()

    staff.act(auditor, "accept_now", finding, reason="No")

    assert Finding.objects.get().state == "open"
    assert finding.reference in listed(auditor)


def test_the_front_page_counts_what_is_open(boss, finding):
    page = boss.get(reverse("admin:index")).content.decode()

    assert "the processors say otherwise of money" in page
    assert f"{staff.page(Finding, 'changelist')}?state__exact=open" in page


def test_the_front_page_says_that_nothing_differs(boss):
    assert "nothing differs at the payment processors" in boss.get(reverse("admin:index")).content.decode()
