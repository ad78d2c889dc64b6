"""Finance finds settled months and their documents in the admin, reads them there, and changes nothing."""

import re
from datetime import timedelta

import pytest
from django.contrib.auth.models import User
from django.test import Client
from django.urls import reverse
from django.utils import timezone

from ledger.models import Entry
from settlement.exports.formats import FORMATS
from settlement.models import Batch, Invoice, Statement
from tests import staff
from tests.settlement.settled import for_a_module

pytestmark = pytest.mark.django_db


@pytest.fixture(scope="module")
def months(django_db_setup, django_db_blocker):
    with for_a_module(django_db_blocker) as settled:
        yield settled


@pytest.fixture
def boss(months):
    return staff.superuser()


def found(client, model, **query):
    return set(client.get(staff.page(model, "changelist"), query).context["cl"].queryset)


def test_a_month_shows_its_sums_and_leads_to_its_entry_and_documents(boss, months):
    page = " ".join(staff.shown(boss, months.january).split())

    assert '<td>Invoices, GBP</td><td class="rako-amount">2</td><td class="rako-amount">48.00</td>' in page
    assert "1 disputed, or held by a fraud signal" in page
    assert reverse("admin:ledger_stream", args=[months.january.pk]) in page
    assert f"{staff.page(Invoice, 'changelist')}?batch__id__exact={months.january.pk}" in page
    assert Entry.objects.filter(stream_id=months.january.pk, kind="settlement.closed").exists()


def test_months_are_listed_with_what_they_made(boss, months):
    page = boss.get(staff.page(Batch, "changelist")).content.decode()

    assert re.findall(r'class="field-(?:invoices|statements)">(\d+)<', page) == ["3", "2", "2", "2"]


@pytest.mark.parametrize("form", FORMATS)
def test_a_month_is_downloaded_whole(boss, months, form):
    reply = boss.get(reverse("admin:settlement_batch_export", args=[months.january.pk, form]))

    text = b"".join(reply.streaming_content).decode()
    assert months.london.pk in text
    assert months.paris.pk in text


@pytest.mark.parametrize("form", ["html", "pdf"])
def test_documents_are_seen_as_their_parties_see_them(boss, months, form):
    for model in (Invoice, Statement):
        row = model.objects.first()
        reply = boss.get(reverse(f"admin:settlement_{model._meta.model_name}_paper", args=[row.pk, form]))

        assert reply.status_code == 200
        assert reply.content.startswith(b"%PDF-" if form == "pdf" else b"<!doctype html>")


def test_who_may_not_view_gets_no_file(months):
    user, client = User.objects.create_user("clerk", is_staff=True), Client()
    client.force_login(user)

    for name, arguments in (
        ("settlement_batch_export", [months.january.pk, "csv"]),
        ("settlement_invoice_paper", [Invoice.objects.first().pk, "pdf"]),
        ("settlement_statement_paper", [Statement.objects.first().pk, "html"]),
    ):
        assert client.get(reverse(f"admin:{name}", args=arguments)).status_code == 403


def test_documents_are_found_by_number_party_and_id(boss, months):
    invoice = months.invoice("INV-00000001")

    assert found(boss, Invoice, q="inv-00000001") == {invoice}
    assert found(boss, Invoice, q=invoice.pk) == {invoice}
    assert found(boss, Invoice, q=months.paris.name) == set(Invoice.objects.filter(merchant=months.paris))
    assert found(boss, Invoice, q=months.london.pk) == set(Invoice.objects.filter(merchant=months.london))
    assert found(boss, Statement, q="Łódź") == set(Statement.objects.filter(builder=months.paid))
    assert found(boss, Batch, q="2026-01") == {months.january}
    assert found(boss, Batch, q=months.january.document_sha256) == {months.january}


def test_invoices_are_narrowed_to_their_state(boss, months):
    invoice = months.invoice("INV-00000001")
    Invoice.objects.filter(pk=invoice.pk).update(paid_at=timezone.now())

    assert found(boss, Invoice, state="paid") == {invoice}
    assert found(boss, Invoice, state="overdue") == set()
    assert found(boss, Invoice, state="open") == set(Invoice.objects.exclude(pk=invoice.pk))


def test_what_is_overdue_is_listed_so(months, monkeypatch):
    later = timezone.now() + timedelta(days=31)
    monkeypatch.setattr("django.utils.timezone.now", lambda: later)

    assert found(staff.superuser(), Invoice, state="overdue") == set(Invoice.objects.filter(kind="invoice"))
