"""Payments are recorded once, cover the oldest invoices first, and agree with what the ledger says is owed."""

from datetime import date, timedelta

import pytest
from django.db import DatabaseError, connection, transaction
from django.utils import timezone

from ledger.models import Account, Entry
from ledger.projections import balance_of
from rako.core.errors import BadRequest, Conflict
from rako.core.money import Money
from settlement.models import Invoice, MerchantPayment
from settlement.papers.invoice import standing
from settlement.receivables import cover_invoices, record_payment
from settlement.verification import settlement_findings
from tests.factories import BuilderFactory, MerchantFactory, OfferFactory
from tests.settlement.months import FEBRUARY, JANUARY, Kind, close, confirmed, happened
from tests.threads import race

pytestmark = pytest.mark.django_db
PAID_ON = date(2026, 3, 1)


@pytest.fixture
def merchant():
    return MerchantFactory(vat_rate="0.2000")


@pytest.fixture
def parties(merchant):
    return {"session__agent__builder": BuilderFactory(), "offer": OfferFactory(merchant=merchant)}


@pytest.fixture
def invoiced(parties):
    """9.60 in January, 19.20 in February."""
    sales = [confirmed(at, **parties) for at in (JANUARY, FEBRUARY, FEBRUARY)]
    close(1)
    close(2)
    return sales


def pay(merchant, amount, reference="bank-1", currency="GBP", on=PAID_ON):
    return record_payment(merchant, Money(amount, currency), reference=reference, received_on=on)


def paid():
    return list(Invoice.objects.exclude(paid_at=None).order_by("number").values_list("number", flat=True))


def receivable(merchant):
    return balance_of(Account.MERCHANT_RECEIVABLE, merchant.pk, "GBP")


@pytest.mark.parametrize(("amount", "covered"), [(959, 0), (960, 1), (2879, 1), (2880, 2), (9999, 2)])
def test_the_oldest_invoice_is_covered_first(merchant, invoiced, amount, covered):
    pay(merchant, amount)

    assert paid() == ["INV-00000001", "INV-00000002"][:covered]
    assert receivable(merchant) == 2880 - amount
    assert Entry.objects.filter(kind="invoice.paid").count() == covered


def test_payments_add_up(merchant, invoiced):
    for number, amount in enumerate((500, 500, 1880)):
        pay(merchant, amount, f"bank-{number}")

    assert (paid(), receivable(merchant)) == (["INV-00000001", "INV-00000002"], 0)


def test_a_credit_note_covers_like_a_payment(merchant, parties, invoiced):
    happened(invoiced[0], Kind.DISPUTE_LOST, JANUARY + timedelta(days=70))
    close(3)

    assert cover_invoices() == 2  # the note, and what it pays
    assert paid() == ["CRN-00000001", "INV-00000001"]
    pay(merchant, 1920)
    assert (paid()[2:], receivable(merchant)) == (["INV-00000002"], 0)


def test_a_credit_note_is_open_until_there_is_something_to_set_it_against(merchant, parties, invoiced):
    pay(merchant, 2880)
    happened(invoiced[0], Kind.DISPUTE_LOST, JANUARY + timedelta(days=70))
    close(3)
    note = Invoice.objects.get(kind="credit_note")
    before = cover_invoices(), standing(note, PAID_ON)
    confirmed(JANUARY + timedelta(days=80), **parties)
    close(4)

    after = cover_invoices(), standing(Invoice.objects.get(pk=note.pk), PAID_ON)

    assert (before, after) == ((0, "open"), (2, "applied"))
    assert Entry.objects.filter(kind="credit_note.applied", stream_id=note.pk).exists()
    assert (receivable(merchant), list(settlement_findings())) == (0, [])


def test_what_was_paid_too_much_covers_the_next_invoice(merchant, parties):
    pay(merchant, 2000)
    confirmed(JANUARY, **parties)
    close(1)

    assert (cover_invoices(), cover_invoices(), receivable(merchant)) == (1, 0, 960 - 2000)


def test_a_payment_is_recorded_once(merchant):
    first, again = pay(merchant, 960), pay(merchant, 960)

    assert (first[0], first[1], again[1]) == (again[0], True, False)
    assert receivable(merchant) == -960


@pytest.mark.parametrize("other", [{"amount": 961}, {"currency": "EUR"}, {"on": PAID_ON + timedelta(days=1)}])
def test_another_payment_of_the_same_reference_is_refused(merchant, other):
    pay(merchant, 960)

    with pytest.raises(Conflict, match="another payment"):
        pay(merchant, **{"amount": 960} | other)


def test_references_are_each_merchants_own(merchant):
    assert [pay(party, 1)[1] for party in (merchant, MerchantFactory())] == [True, True]


@pytest.mark.parametrize(
    "wrong",
    [
        {"amount": 0},
        {"amount": -1},
        {"amount": 10**12 + 1},
        {"reference": ""},
        {"reference": "x" * 141},
        {"reference": "a\nb"},
        {"currency": "JPY"},
        {"on": timezone.now().date() + timedelta(days=3)},
    ],
    ids=str,
)
def test_what_is_no_payment_is_refused(merchant, wrong):
    with pytest.raises(BadRequest):
        pay(merchant, **{"amount": 1} | wrong)

    assert not MerchantPayment.objects.exists()


def test_another_currency_covers_nothing(merchant, invoiced):
    pay(merchant, 9999, currency="EUR")

    assert (paid(), receivable(merchant)) == ([], 2880)


@pytest.mark.django_db(transaction=True)
def test_eight_payments_at_once_cover_what_they_come_to(merchant, invoiced):
    race(lambda number: pay(MerchantFactory._meta.model.objects.get(pk=merchant.pk), 360, f"bank-{number}"))

    assert (paid(), receivable(merchant)) == (["INV-00000001", "INV-00000002"], 0)


@pytest.mark.django_db(transaction=True)
def test_eight_times_the_same_payment_is_one(merchant, invoiced):
    results = race(lambda _: pay(merchant, 960))

    assert sorted(is_new for _, is_new in results) == [False] * 7 + [True]
    assert receivable(merchant) == 1920


def test_postgres_lets_an_invoice_be_paid_once(merchant, invoiced):
    pay(merchant, 960)

    with pytest.raises(DatabaseError, match="facts"), transaction.atomic(), connection.cursor() as cursor:
        cursor.execute("UPDATE settlement_invoice SET paid_at = now() WHERE number = 'INV-00000001'")
