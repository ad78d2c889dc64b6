"""Each side reads its own documents and lines, and learns nothing of others'."""

import csv
import io

import pytest

from ledger.models import Entry
from ledger.sequencer import Sequencer
from rako.core.money import to_wire
from settlement.models import Invoice
from tests.conftest import Api
from tests.factories import AgentFactory, AgentKeyFactory, MerchantFactory
from tests.settlement.settled import for_a_module

pytestmark = pytest.mark.django_db


@pytest.fixture(scope="module")
def months(django_db_setup, django_db_blocker):
    with for_a_module(django_db_blocker) as settled:
        yield settled


@pytest.fixture
def as_london(months, as_merchant):
    return as_merchant(months.london)


@pytest.fixture
def as_paid_builder(months):
    return Api(AgentKeyFactory(agent=AgentFactory(builder=months.paid)).secret)


def body(reply):
    return b"".join(reply.streaming_content).decode() if reply.streaming else reply.content.decode()


def test_a_merchant_pages_through_its_invoices(as_london):
    first = as_london.get("/v1/invoices", limit=2).json()
    second = as_london.get("/v1/invoices", limit=2, cursor=first["nextCursor"]).json()

    shown = [row["number"] for page in (first, second) for row in page["invoices"]]
    assert sorted(shown) == ["CRN-00000001", "INV-00000001", "INV-00000003"]
    assert (first["count"], second["count"], "nextCursor" in second) == (2, 1, False)


def test_an_invoice_as_data(months, as_london):
    invoice = months.invoice("INV-00000001")

    told = as_london.get(f"/v1/invoices/{invoice.pk}").json()

    assert (told["net"], told["vatRate"], told["vat"], told["total"]) == (32, 0.2, 6.4, 38.4)
    assert (told["period"], told["sales"], told["status"], told["paidAt"]) == ("2026-01", 4, "open", None)
    assert told["buyer"]["vatNumber"] == "GB987654321"
    assert sum(row["amount"] for row in told["lines"]) == told["net"]
    assert told["ledgerEntryId"] == Entry.objects.get(stream_id=invoice.pk).entry_id


def test_a_credit_note_as_data(months, as_london):
    told = as_london.get(f"/v1/invoices/{months.invoice('CRN-00000001').pk}").json()

    assert (told["kind"], told["total"]) == ("credit_note", 19.2)
    assert told["reverses"] == [{"period": "2026-01", "number": "INV-00000001"}]


def test_the_entry_of_an_invoice_is_proven_to_its_merchant(months, as_london):
    Sequencer().tick()
    told = as_london.get(f"/v1/invoices/{months.invoice('INV-00000001').pk}").json()

    entry = as_london.get(f"/v1/ledger/entries/{told['ledgerEntryId']}").json()

    assert entry["kind"] == "invoice.issued"


@pytest.mark.parametrize(
    ("form", "content_type", "begins"),
    [("html", "text/html; charset=utf-8", b"<!doctype html>"), ("pdf", "application/pdf", b"%PDF-")],
)
def test_an_invoice_for_people(months, as_london, form, content_type, begins):
    reply = as_london.get(f"/v1/invoices/{months.invoice('INV-00000001').pk}", format=form)

    assert (reply.status_code, reply["Content-Type"]) == (200, content_type)
    assert reply.content.startswith(begins)
    assert reply["Cache-Control"] == "private, no-store"


def test_a_statement_in_each_form(months, as_paid_builder):
    path = f"/v1/statements/{months.statement(months.paid, months.january).pk}"

    told = as_paid_builder.get(path).json()

    assert (told["earned"], told["paid"], told["closing"], told["minimumPayout"]) == (25.6, 25.6, 0, 25)
    assert told["waiting"] == [{"reason": "held", "quantity": 1, "amount": 6.4}]
    assert as_paid_builder.get(path, format="pdf").content.startswith(b"%PDF-")
    assert b"STM-" in as_paid_builder.get(path, format="html").content


def test_settlements_come_with_ones_own_documents(as_london, as_paid_builder):
    of_london = as_london.get("/v1/settlements").json()
    of_builder = as_paid_builder.get("/v1/settlements").json()

    assert [row["period"] for row in of_london["settlements"]] == ["2026-02", "2026-01"]
    assert [len(row["invoices"]) for row in of_london["settlements"]] == [2, 1]
    assert [row["statements"][0]["closing"] for row in of_builder["settlements"]] == [-6.4, 0]
    assert all("statements" not in row for row in of_london["settlements"])


def test_an_export_comes_to_the_invoice(months, as_london):
    reply = as_london.get(f"/v1/settlements/{months.january.pk}/export", format="csv")

    rows = list(csv.DictReader(io.StringIO(body(reply))))
    assert reply["Content-Disposition"] == 'attachment; filename="settlement-2026-01.csv"'
    assert sum(float(row["commission"]) for row in rows) == to_wire(months.invoice("INV-00000001").net_minor, "GBP")


@pytest.mark.parametrize("form", ["csv", "json", "hledger", "beancount"])
def test_both_sides_get_every_form(months, as_london, as_paid_builder, form):
    for party in (as_london, as_paid_builder):
        reply = party.get(f"/v1/settlements/{months.january.pk}/export", format=form)

        assert (reply.status_code, reply.streaming) == (200, True)
        assert months.paris.pk not in body(reply)


def test_what_is_anothers_does_not_exist(months, as_merchant, agent_key, as_agent):
    stranger = as_merchant(MerchantFactory())
    invoice, statement = Invoice.objects.first(), months.statement(months.paid, months.january)

    for party, path in (
        (stranger, f"/v1/invoices/{invoice.pk}"),
        (as_agent, f"/v1/statements/{statement.pk}"),
        (stranger, f"/v1/settlements/{months.january.pk}/export"),
        (as_agent, f"/v1/settlements/{months.january.pk}/export"),
    ):
        for form in ("", "json"):
            assert party.get(path, format=form).status_code == 404
    for party in (stranger, as_agent):
        assert party.get("/v1/settlements").json() == {"settlements": [], "count": 0}
    assert stranger.get("/v1/invoices").json() == {"invoices": [], "count": 0}


def test_the_wrong_kind_of_key_is_refused(months, as_agent, as_london):
    statement = months.statement(months.paid, months.january)

    assert as_agent.get("/v1/invoices").status_code == 403
    assert as_agent.get(f"/v1/invoices/{Invoice.objects.first().pk}").status_code == 403
    assert as_london.get(f"/v1/statements/{statement.pk}").status_code == 403


def test_a_form_that_there_is_not_is_refused(months, as_london):
    for path in (f"/v1/invoices/{Invoice.objects.first().pk}", f"/v1/settlements/{months.january.pk}/export"):
        reply = as_london.get(path, format="xml")

        assert reply.status_code == 400
        assert reply.json()["error"].startswith("format must be one of ")
