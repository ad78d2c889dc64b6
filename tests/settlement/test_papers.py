"""Documents say what an invoice has to, in HTML and PDF alike, and are the same whenever they are made."""

from datetime import timedelta
from html import escape

import pytest
from django.db import connection
from django.test.utils import CaptureQueriesContext, override_settings

from ledger.models import Head
from merchants.models import Offer
from rako.core.tlog.encoding import encode_base64
from settlement.papers import offer_sums
from settlement.papers.html import html
from settlement.papers.invoice import REVERSE_CHARGE, invoice_paper, standing
from settlement.papers.paper import Paper
from settlement.papers.pdf import pdf
from settlement.papers.statement import statement_paper
from tests.factories import MerchantFactory, OfferFactory
from tests.settlement.months import JANUARY, close, confirmed
from tests.settlement.settled import for_a_module

pytestmark = pytest.mark.django_db
SELLER = {"name": "Rako Limited", "address": "1 Sandbox Street\nLondon", "vat_number": "GB123456789"}


@pytest.fixture(scope="module")
def months(django_db_setup, django_db_blocker):
    with override_settings(RAKO_INVOICE_SELLER=SELLER), for_a_module(django_db_blocker) as settled:
        yield settled


def texts(paper: Paper) -> set[str]:
    """All that a paper says."""
    pairs = [*paper.facts, *paper.totals, *paper.foot]
    parties = [text for party in paper.parties for text in (party.name, *party.lines)]
    cells = [cell for table in paper.tables for row in (table.columns, *table.rows) for cell in row]
    return {paper.number, *parties, *cells, *paper.notes, *(text for pair in pairs for text in pair)}


def papers(months) -> list[Paper]:
    invoices = [invoice_paper(months.invoice(number)) for number in ("INV-00000001", "INV-00000002", "CRN-00000001")]
    return [*invoices, statement_paper(months.statement(months.paid, months.january))]


def test_an_invoice_says_what_a_vat_invoice_has_to(months):
    invoice = months.invoice("INV-00000001")

    paper = invoice_paper(invoice)

    assert (paper.title, paper.number) == ("Invoice", "INV-00000001")
    assert paper.parties[0].lines == ["1 Sandbox Street", "London", "VAT number GB123456789"]
    assert paper.parties[1].name == "Σίγμα Telecoms Ltd"
    assert paper.parties[1].lines == ["10 Long Road", "London N1 1AA", "GB", "VAT number GB987654321"]
    assert dict(paper.facts).keys() >= {"Issued (tax point)", "Due"}
    assert dict(paper.facts)["Payment reference"] == "INV-00000001"
    assert dict(paper.facts)["For"] == "Commissions of January 2026"
    assert paper.totals == [("Net", "32.00 GBP"), ("VAT at 20 %", "6.40 GBP"), ("Total due", "38.40 GBP")]
    assert paper.notes == []


def test_what_it_is_for_is_summed_up_by_offer_and_path(months):
    [table] = invoice_paper(months.invoice("INV-00000001")).tables

    assert table.columns == ("Offer", "Attribution", "Sales", "Commission")
    assert [row[1:] for row in table.rows] == [("aap flow", "4", "32.00 GBP")]


def test_a_buyer_abroad_gets_the_reverse_charge_note(months):
    paper = invoice_paper(months.invoice("INV-00000002"))

    assert paper.totals[1:] == [("VAT at 0 %", "0.00 GBP"), ("Total due", "16.00 GBP")]
    assert paper.notes == [REVERSE_CHARGE]


@pytest.mark.parametrize(
    ("vat_number", "country", "note"),
    [
        ("FR12345678901", "FR", REVERSE_CHARGE),
        ("12345678901", "DE", REVERSE_CHARGE),
        ("GB111111111", "GB", "No VAT is charged."),
        ("XI111111111", "GB", "No VAT is charged."),
        ("", "FR", "No VAT is charged."),
        ("111111111", "", "No VAT is charged."),
    ],
)
def test_who_is_abroad(settings, vat_number, country, note):
    settings.RAKO_INVOICE_SELLER = SELLER
    merchant = MerchantFactory(vat_number=vat_number, billing_country=country)
    confirmed(JANUARY, offer=OfferFactory(merchant=merchant))

    paper = invoice_paper(close(3).invoices.get(merchant=merchant))

    assert paper.notes == [note]


def test_a_seller_without_vat_number_writes_no_vat_invoice(settings):
    settings.RAKO_INVOICE_SELLER = SELLER | {"vat_number": ""}
    merchant = MerchantFactory()
    confirmed(JANUARY, offer=OfferFactory(merchant=merchant))

    paper = invoice_paper(close(3).invoices.get(merchant=merchant))

    assert paper.notes == ["Rako Limited is not registered for VAT: this is not a VAT invoice."]


def test_a_credit_note_names_what_it_reverses(months):
    paper = invoice_paper(months.invoice("CRN-00000001"))

    assert paper.title == "Credit note"
    assert paper.totals == [("Net", "16.00 GBP"), ("VAT at 20 %", "3.20 GBP"), ("Credited", "19.20 GBP")]
    assert paper.notes == ["Reverses, in whole or in part, commissions invoiced by INV-00000001 (January 2026)."]


def test_what_is_told_late_is_said_to_be(months):
    [table] = invoice_paper(months.invoice("INV-00000003")).tables

    assert table.rows[0][1:] == ("aap flow (1 told late)", "1", "8.00 GBP")


def test_a_statement_tells_what_came_went_and_waits(months):
    paper = statement_paper(months.statement(months.paid, months.january))

    assert [table.title for table in paper.tables] == ["Earned", "Waits, and is in none of the sums"]
    assert paper.tables[1].rows == [("disputed, or held by a fraud signal", "1", "6.40 GBP")]
    assert [amount.removesuffix(" GBP") for _, amount in paper.totals] == ["0.00", "25.60", "0.00", "-25.60", "0.00"]
    assert "25.00 GBP" in paper.notes[0]


def test_a_debt_is_explained(months):
    paper = statement_paper(months.statement(months.paid, months.february))

    assert [amount.removesuffix(" GBP") for _, amount in paper.totals] == ["0.00", "6.40", "-12.80", "0.00", "-6.40"]
    assert [table.title for table in paper.tables][:2] == ["Earned", "Reversed"]
    assert "below zero" in paper.notes[1]


def test_the_foot_ties_it_to_the_log(months):
    foot = dict(invoice_paper(months.invoice("INV-00000001")).foot)

    root = bytes(Head.objects.get(size=months.january.cut).root)
    assert foot["Merkle root"] == encode_base64(root)
    assert foot["SHA-256 of the batch"] == months.january.document_sha256


def test_the_page_says_all_of_it(months):
    for paper in papers(months):
        page = html(paper)

        assert {text for text in texts(paper) if escape(text) not in page} == set()


def test_a_document_is_the_same_bytes_whatever_happens_later(months):
    before = [(pdf(paper), html(paper)) for paper in papers(months)]
    Offer.objects.update(name="Another name")
    type(months.london).objects.filter(pk=months.london.pk).update(legal_name="Another name", vat_rate="0.1000")
    close(3)

    assert [(pdf(paper), html(paper)) for paper in papers(months)] == before
    assert all(file.startswith(b"%PDF-1.") and file.rstrip().endswith(b"%%EOF") for file, _ in before)


def test_names_are_texts_and_never_markup(settings):
    hostile = '<img src="http://127.0.0.1:1/x"/><b>&amp;'
    merchant = MerchantFactory(legal_name=hostile, billing_address=hostile)
    confirmed(JANUARY, offer=OfferFactory(merchant=merchant, name=f"SMARTY {hostile}"))
    paper = invoice_paper(close(3).invoices.get(merchant=merchant))

    assert escape(hostile) in html(paper)
    assert "<img" not in html(paper)
    assert pdf(paper)


def test_a_document_of_very_many_offers_stays_readable(monkeypatch):
    monkeypatch.setattr(offer_sums, "MOST_ROWS", 2)
    merchant = MerchantFactory()
    for _ in range(4):
        confirmed(JANUARY, offer=OfferFactory(merchant=merchant))

    [table] = invoice_paper(close(3).invoices.get(merchant=merchant)).tables

    assert [row[0] for row in table.rows][2:] == ["2 further offers"]
    assert table.rows[2][2:] == ("2", "16.00 GBP")


def test_a_long_document_has_pages(months):
    paper = invoice_paper(months.invoice("INV-00000001"))
    [table] = paper.tables
    long = [table.rows[0]] * 200
    many = Paper(
        **{name: getattr(paper, name) for name in paper.__slots__} | {"tables": [type(table)("", table.columns, long)]}
    )

    assert pdf(many).count(b"/Type /Page\n") >= 4


def test_few_queries_make_a_document(months):
    invoice = months.invoice("CRN-00000001")

    with CaptureQueriesContext(connection) as queries:
        invoice_paper(invoice)

    assert len(queries) <= 4


@pytest.mark.parametrize(
    ("number", "days", "said"),
    [("INV-00000001", 0, "open"), ("INV-00000001", 1, "overdue"), ("CRN-00000001", 99, "open")],
)
def test_what_is_not_paid_when_it_is_due_is_overdue(months, number, days, said):
    invoice = months.invoice(number)

    assert standing(invoice, invoice.due_on + timedelta(days=days)) == said
