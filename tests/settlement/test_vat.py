"""VAT: charged at the merchant's rate of the month, given back at the rate at which it was charged."""

from decimal import Decimal

import pytest

from rako.core.admin_text import money_text
from settlement.exports.lines import FINANCE, exported_lines
from settlement.models import Invoice
from settlement.papers.invoice import invoice_paper, lines_of
from settlement.recomputing import differences
from tests.factories import MerchantFactory, OfferFactory
from tests.settlement.months import FEBRUARY, JANUARY, MARCH, Kind, balances, close, confirmed, happened

pytestmark = pytest.mark.django_db


@pytest.fixture
def merchant():
    return MerchantFactory(vat_rate="0.2000")


@pytest.fixture
def offer(merchant):
    return OfferFactory(merchant=merchant)


def documents(batch):
    rows = Invoice.objects.filter(batch=batch).order_by("number")
    return [(row.number, row.net_minor, row.vat_rate, row.vat_minor) for row in rows]


def change_rate(merchant, rate):
    merchant.vat_rate = Decimal(rate)
    merchant.save()


def test_a_reversal_gives_back_the_vat_that_was_charged(merchant, offer):
    sale = confirmed(JANUARY, offer=offer)
    close(1)
    change_rate(merchant, "0.1000")
    happened(sale, Kind.DISPUTE_LOST, FEBRUARY)

    batch = close(2)

    assert documents(batch) == [("CRN-00000001", 800, Decimal("0.2000"), 160)]
    assert "vat_payable" not in balances()
    assert list(differences(batch)) == []


def test_reversals_of_two_rates_are_two_notes(merchant, offer):
    first = confirmed(JANUARY, offer=offer)
    january = close(1)
    change_rate(merchant, "0.1000")
    second, third = confirmed(FEBRUARY, offer=offer), confirmed(FEBRUARY, offer=offer)
    february = close(2)
    change_rate(merchant, "0.0500")
    for sale in (first, second, third):
        happened(sale, Kind.DISPUTE_LOST, MARCH)
    confirmed(MARCH, offer=offer)

    batch = close(3)

    assert documents(batch) == [
        ("CRN-00000001", 1600, Decimal("0.1000"), 160),
        ("CRN-00000002", 800, Decimal("0.2000"), 160),
        ("INV-00000003", 800, Decimal("0.0500"), 40),
    ]
    assert [list(differences(row)) for row in (january, february, batch)] == [[], [], []]
    notes = Invoice.objects.filter(batch=batch, kind="credit_note").select_related("batch").order_by("number")
    assert [lines_of(note).count() for note in notes] == [2, 1]
    assert [invoice_paper(note).totals[0] for note in notes] == [
        ("Net", money_text(minor, "GBP")) for minor in (1600, 800)
    ]
    (page,) = exported_lines(batch.pk, FINANCE)
    on = {line.conversion_id: line.invoice for line in page}
    assert [on[sale.pk] for sale in (first, second, third)] == ["CRN-00000002", "CRN-00000001", "CRN-00000001"]


def test_who_is_not_registered_charges_none(offer, settings):
    settings.RAKO_INVOICE_SELLER = settings.RAKO_INVOICE_SELLER | {"vat_number": ""}
    confirmed(JANUARY, offer=offer)

    assert documents(close(1)) == [("INV-00000001", 800, 0, 0)]
