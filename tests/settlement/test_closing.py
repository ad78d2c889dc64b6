"""Months are closed once, whole, in order, and each sale is in one of them until it changes."""

import os
from datetime import timedelta
from decimal import Decimal

import pytest
from django.db import DatabaseError, connection, transaction
from django.test.utils import CaptureQueriesContext

from settlement.closing import CannotSettle, settle
from settlement.models import Batch, Counter, Invoice, Line, Payout, Statement
from settlement.papers.statement import statement_paper
from settlement.periods import Period
from tests.factories import BuilderFactory, MerchantFactory, OfferFactory
from tests.settlement.months import (
    FEBRUARY,
    JANUARY,
    MARCH,
    Kind,
    balances,
    close,
    confirmed,
    happened,
    invoices,
    lines,
    sold,
    statement,
    waiting,
)
from tests.threads import race

pytestmark = pytest.mark.django_db
DEPTH = int(os.environ.get("RAKO_TEST_DEPTH", "1"))


@pytest.fixture
def builder():
    return BuilderFactory()


@pytest.fixture
def offer():
    return OfferFactory()


@pytest.fixture
def parties(builder, offer):
    return {"session__agent__builder": builder, "offer": offer}


def test_a_month_takes_what_was_confirmed_in_it(parties):
    sale = confirmed(JANUARY, **parties)
    confirmed(FEBRUARY, **parties)
    sold(JANUARY, **parties)

    batch = close(1)

    assert lines(batch) == {sale.pk: (800, 160, 640)}
    assert invoices(batch) == [("INV-00000001", 800)]
    assert statement(batch) == (0, 640, 0, 0, 640)


def test_the_next_month_takes_what_came_after(parties):
    confirmed(JANUARY, **parties)
    later = confirmed(FEBRUARY, **parties)
    close(1)

    batch = close(2)

    assert lines(batch) == {later.pk: (800, 160, 640)}
    assert statement(batch) == (640, 640, 0, 0, 1280)


def test_what_is_told_late_lands_in_the_next_month_and_says_so(parties):
    confirmed(JANUARY, **parties)
    close(1)
    late = confirmed(JANUARY, **parties)

    batch = close(2)

    assert lines(batch) == {late.pk: (800, 160, 640)}
    assert Line.objects.get(batch=batch).is_late


def test_a_closed_month_is_only_told_again(parties):
    confirmed(JANUARY, **parties)
    batch = close(1)
    confirmed(JANUARY, **parties)

    assert close(1) == batch
    assert Batch.objects.count() == 1


def test_a_month_before_a_closed_one_is_refused():
    close(2)

    with pytest.raises(CannotSettle, match="2026-02 is closed already"):
        close(1)


def test_a_month_that_is_not_over_is_refused_where_time_is_real(settings):
    settings.RAKO_MODE = "live"

    with pytest.raises(CannotSettle, match="not over"):
        settle(Period("2999-01"))


def test_invoices_need_a_seller(settings):
    settings.RAKO_INVOICE_SELLER = {"name": "", "address": "", "vat_number": ""}

    with pytest.raises(CannotSettle, match="RAKO_INVOICE_NAME"):
        close(1)


def test_a_month_without_sales_is_closed_like_any_other():
    batch = close(1)

    assert (batch.line_count, Invoice.objects.count(), Statement.objects.count()) == (0, 0, 0)


def test_a_balance_of_the_minimum_is_paid_out_with_what_was_carried(parties):
    for at in (JANUARY, JANUARY, FEBRUARY):
        confirmed(at, **parties)
    close(1)
    confirmed(FEBRUARY, **parties)

    batch = close(2)

    assert statement(batch) == (1280, 1280, 0, 2560, 0)
    payout = Payout.objects.get()
    assert (payout.amount_minor, payout.state, payout.statements.count()) == (2560, "pending", 2)
    assert balances() == {"merchant_receivable": 3200, "fee_revenue": -640, "bank_clearing": -2560}


@pytest.mark.parametrize(("sales", "paid"), [(3, 0), (4, 2560)])
def test_less_than_the_minimum_is_carried_forward(parties, sales, paid):
    for _ in range(sales):
        confirmed(JANUARY, **parties)

    assert statement(close(1)) == (0, 640 * sales, 0, paid, 640 * sales - paid)


def test_a_chargeback_after_the_payout_is_carried_forward_as_a_debt(parties):
    sales = [confirmed(JANUARY, **parties) for _ in range(4)]
    close(1)
    happened(sales[0], Kind.DISPUTE_LOST, FEBRUARY)

    batch = close(2)

    assert lines(batch) == {sales[0].pk: (-800, -160, -640)}
    assert invoices(batch) == [("CRN-00000001", 800)]
    assert statement(batch) == (0, 0, -640, 0, -640)
    assert balances() == {
        "merchant_receivable": 2400,
        "fee_revenue": -480,
        "builder_clawback_due": 640,
        "bank_clearing": -2560,
    }


def test_new_earnings_first_pay_what_the_builder_owes(parties):
    sales = [confirmed(JANUARY, **parties) for _ in range(4)]
    close(1)
    happened(sales[0], Kind.DISPUTE_LOST, FEBRUARY)
    close(2)
    for _ in range(5):
        confirmed(MARCH, **parties)

    batch = close(3)

    assert statement(batch) == (-640, 3200, 0, 2560, 0)
    assert "builder_clawback_due" not in balances()


def test_a_sale_reversed_in_its_own_month_is_on_no_document(parties):
    sale = confirmed(JANUARY, **parties)
    happened(sale, Kind.DISPUTE_LOST, JANUARY + timedelta(days=1))

    batch = close(1)

    assert (lines(batch), invoices(batch)) == ({}, [])


def test_charges_and_credits_of_a_month_are_documents_of_their_own(parties):
    sale = confirmed(JANUARY, **parties)
    close(1)
    happened(sale, Kind.DISPUTE_LOST, FEBRUARY)
    confirmed(FEBRUARY, **parties)
    confirmed(FEBRUARY, **parties)

    batch = close(2)

    assert invoices(batch) == [("CRN-00000001", 800), ("INV-00000002", 1600)]
    assert statement(batch) == (640, 1280, -640, 0, 1280)


def test_a_disputed_sale_waits_until_it_is_resolved(parties):
    sale = confirmed(JANUARY, **parties)
    happened(sale, Kind.DISPUTE_OPENED, JANUARY, "d1")
    first = close(1)
    second = close(2)
    happened(sale, Kind.DISPUTE_WON, MARCH, "d1")
    third = close(3)

    assert [lines(batch) for batch in (first, second, third)] == [{}, {}, {sale.pk: (800, 160, 640)}]
    assert [waiting(batch) for batch in (first, second, third)] == [{sale.pk: "held"}, {sale.pk: "held"}, {}]
    assert not Line.objects.get().is_late


def test_a_sale_that_is_disputed_before_the_month_is_closed_waits(parties):
    sale = confirmed(JANUARY, **parties)
    happened(sale, Kind.DISPUTE_OPENED, FEBRUARY, "d1")

    assert waiting(close(1)) == {sale.pk: "held"}


def test_what_was_over_by_the_months_end_is_validated_first(parties):
    sale = sold(JANUARY - timedelta(days=31), **parties)

    assert lines(close(1)) == {sale.pk: (800, 160, 640)}


def test_a_validation_that_was_to_start_later_keeps_nothing_back(builder):
    offer = OfferFactory(vertical="broadband", terms={"type": "cpa", "amount_minor": 800})
    sale = sold(JANUARY - timedelta(days=60), offer=offer, session__agent__builder=builder)
    happened(sale, Kind.VALIDATION_STARTED, MARCH + timedelta(days=300))
    happened(sale, Kind.VALIDATION_STARTED, JANUARY - timedelta(days=40))

    assert lines(close(1)) == {sale.pk: (800, 160, 640)}


def test_a_difference_that_rounding_leaves_to_one_side_has_both_parties(builder):
    offer = OfferFactory(vertical="flights", price_minor=18860, terms={"type": "percentage", "rate": "5"})
    sale = sold(JANUARY, 18860, offer=offer, session__agent__builder=builder)
    happened(sale, Kind.VALIDATION_STARTED, JANUARY)
    close(1)
    happened(sale, Kind.CORRECTED, FEBRUARY, amount=18840)

    batch = close(2)

    assert lines(batch) == {sale.pk: (-1, -1, 0)}
    assert statement(batch) == (754, 0, 0, 0, 754)


def test_a_merchant_whose_commission_is_all_fee_is_settled(builder):
    offer = OfferFactory(merchant=MerchantFactory(network_fee_rate=Decimal(1)))
    sale = confirmed(JANUARY, offer=offer, session__agent__builder=builder)

    assert lines(close(1)) == {sale.pk: (800, 800, 0)}


def test_a_sale_held_before_its_validation_waits_after_it(parties):
    sale = sold(JANUARY, **parties)
    happened(sale, Kind.HELD, JANUARY, "velocity")
    first = close(1)
    happened(sale, Kind.VALIDATED, FEBRUARY)
    second = close(2)
    happened(sale, Kind.RELEASED, MARCH, "velocity")
    third = close(3)

    assert [len(lines(batch)) for batch in (first, second, third)] == [0, 0, 1]


def test_what_is_disputed_after_its_settlement_takes_nothing_back_until_it_is_lost(parties):
    sale = confirmed(JANUARY, **parties)
    close(1)
    happened(sale, Kind.DISPUTE_OPENED, FEBRUARY, "d1")
    second = close(2)
    happened(sale, Kind.DISPUTE_LOST, MARCH, "d1")
    third = close(3)

    assert [lines(batch) for batch in (second, third)] == [{}, {sale.pk: (-800, -160, -640)}]


def test_what_happens_between_the_months_end_and_its_closing_waits(parties):
    sale = confirmed(JANUARY, **parties)
    happened(sale, Kind.DISPUTE_LOST, FEBRUARY)
    first, second = close(1), close(2)

    assert lines(first) == {sale.pk: (800, 160, 640)}
    assert lines(second) == {sale.pk: (-800, -160, -640)}


def test_each_party_gets_its_own_documents(builder):
    mine, other = OfferFactory(), OfferFactory(merchant=MerchantFactory(vat_rate="0.2000"))
    confirmed(JANUARY, session__agent__builder=builder, offer=mine)
    confirmed(JANUARY, offer=other)

    batch = close(1)

    found = Invoice.objects.filter(batch=batch).values_list("merchant_id", "net_minor", "vat_minor", "total_minor")
    assert sorted(found) == sorted([(mine.merchant_id, 800, 0, 800), (other.merchant_id, 800, 160, 960)])
    assert Statement.objects.filter(batch=batch).count() == 2
    assert balances()["vat_payable"] == -160


def test_a_dry_run_tells_what_would_come_and_keeps_nothing(parties):
    confirmed(JANUARY, **parties)

    batch = settle(Period("2026-01"), is_dry_run=True)

    assert batch.line_count == 1
    assert [rows.objects.count() for rows in (Batch, Line, Counter)] == [0, 0, 0]


@pytest.mark.django_db(transaction=True)
def test_eight_months_at_once_spend_a_balance_once(parties):
    for _ in range(4):
        confirmed(JANUARY, **parties)

    for start in range(1, 1 + 2 * DEPTH):
        race(lambda month, start=start: settle(Period(f"{2026 + start}-{month + 1:02d}")))

    assert Payout.objects.count() == 1
    assert balances() == {"merchant_receivable": 3200, "fee_revenue": -640, "bank_clearing": -2560}


@pytest.mark.django_db(transaction=True)
def test_eight_at_once_close_a_month_once(parties):
    for _ in range(4):
        confirmed(JANUARY, **parties)

    batches = race(lambda _: close(1))

    assert len({batch.pk for batch in batches}) == 1
    assert (Payout.objects.count(), Invoice.objects.count()) == (1, 1)
    assert balances()["bank_clearing"] == -2560


@pytest.mark.parametrize("table", ["batch", "line", "waiting", "invoice", "statement", "payout"])
def test_postgres_lets_nobody_change_a_closed_month(parties, table):
    sale = confirmed(JANUARY, **parties)
    for _ in range(4):
        confirmed(JANUARY, **parties)
    happened(sale, Kind.DISPUTE_OPENED, FEBRUARY)
    close(1)

    for statement_ in (f"DELETE FROM settlement_{table}", f"UPDATE settlement_{table} SET {_COLUMN[table]}"):
        with pytest.raises(DatabaseError, match="its rows are facts"), transaction.atomic(), connection.cursor() as row:
            row.execute(statement_)


_COLUMN = {
    "batch": "cut = 0",
    "line": "payout_minor = 1",
    "waiting": "after_seq = 0",
    "invoice": "net_minor = 1",
    "statement": "paid_minor = 1",
    "payout": "amount_minor = 1",
}


def test_many_builders_take_as_many_round_trips_as_few(offer):
    def month(number, builders):
        at = (JANUARY, FEBRUARY, MARCH)[number - 1]
        for _ in range(builders):
            builder = BuilderFactory()
            for _ in range(4):
                confirmed(at, session__agent__builder=builder, offer=offer)
        with CaptureQueriesContext(connection) as queries:
            close(number)
        return len(queries)

    month(1, 1)
    assert month(2, 1) == month(3, 6)


def test_what_was_carried_is_paid_with_what_follows(parties, builder):
    confirmed(JANUARY, **parties)
    close(1)
    for _ in range(3):
        confirmed(FEBRUARY, **parties)
    close(2)

    assert {row.payout for row in Statement.objects.filter(builder=builder)} == {Payout.objects.get()}


def test_a_statement_names_its_builder_as_then(parties, builder):
    confirmed(JANUARY, **parties)
    batch = close(1)
    then, builder.name = builder.name, "Another Name"
    builder.save()

    assert statement_paper(Statement.objects.get(batch=batch)).parties[1].name == then
