"""Balances, statements, payouts and replies tell the same story, whatever has happened."""

from datetime import date, timedelta

import pytest
from django.db import transaction
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from checkout.models import Finding
from ledger.models import Account, Conversion, Posting
from ledger.projections import balance_of
from ledger.sequencer import Sequencer
from rako.core.money import Money
from settlement.earnings import earnings_of, owed_by
from settlement.models import Invoice, Line, MerchantPayment, Payout, Statement
from settlement.payouts import record_answer, retry, send_payouts
from settlement.providers.base import Answer
from settlement.receivables import record_payment
from settlement.verification import settlement_findings
from tests.conftest import Api
from tests.factories import (
    AgentFactory,
    AgentKeyFactory,
    BuilderFactory,
    MerchantFactory,
    OfferFactory,
)
from tests.settlement.months import FEBRUARY, FLIGHT, JANUARY, MARCH, Kind, close, confirmed, happened, sold
from tests.settlement.payouts import account

pytestmark = pytest.mark.django_db
MOMENTS = {1: JANUARY, 2: FEBRUARY, 3: MARCH}
TODAY = date(2027, 1, 1)  # whatever was invoiced is overdue


@pytest.fixture
def builder():
    return BuilderFactory()


@pytest.fixture
def parties(builder):
    agent = AgentFactory(builder=builder)
    return {"session__agent": agent, "offer": OfferFactory(merchant=MerchantFactory(vat_rate="0.2000"))}


def of(builder):
    (row,) = earnings_of(builder.pk)
    return {name: getattr(row, name) for name in row.__slots__ if name != "currency" and getattr(row, name)}


def test_a_sale_goes_from_pending_to_paid_out(builder, parties):
    sales = [sold(JANUARY, **parties) for _ in range(4)]
    assert of(builder) == {"pending": 2560}

    for sale in sales:
        happened(sale, Kind.VALIDATED, JANUARY + timedelta(days=31))
    assert of(builder) == {"confirmed": 2560}
    assert earnings_of(builder.pk)[0].next_payout == 2560

    close(2)
    assert of(builder) == {"payable": 2560}

    account(builder)
    send_payouts()
    record_answer(Answer(Payout.objects.get().pk, True))
    assert of(builder) == {"paid_out": 2560}


def test_less_than_the_minimum_is_carried_forward(builder, parties):
    confirmed(JANUARY, **parties)
    close(1)
    confirmed(FEBRUARY, **parties)

    assert of(builder) == {"carried_forward": 640, "confirmed": 640}
    assert earnings_of(builder.pk)[0].next_payout == 0


def test_a_failed_payout_is_owed(builder, parties):
    for _ in range(4):
        confirmed(JANUARY, **parties)
    close(1)
    account(builder)
    send_payouts()
    record_answer(Answer(Payout.objects.get().pk, False, "closed"))

    assert of(builder) == {"payable": 2560, "failed": 2560}
    retry(Payout.objects.get())
    assert of(builder) == {"payable": 2560}


def test_what_was_paid_and_reversed_is_owed_by_the_builder(builder, parties):
    sales = [confirmed(JANUARY, **parties) for _ in range(4)]
    close(1)
    happened(sales[0], Kind.DISPUTE_LOST, FEBRUARY)
    before = of(builder)
    close(2)

    assert (before, of(builder)) == ({"payable": 2560, "confirmed": -640}, {"payable": 2560, "owed": 640})


def test_what_is_held_is_told_apart(builder, parties):
    held = confirmed(JANUARY, **parties), sold(JANUARY, **parties)
    confirmed(JANUARY, **parties)
    for number, sale in enumerate(held):
        happened(sale, Kind.HELD, JANUARY, f"velocity-{number}")
    settled = confirmed(JANUARY, **parties)
    close(1)
    happened(settled, Kind.DISPUTE_OPENED, FEBRUARY, "d1")

    assert of(builder) == {"held": 1280, "carried_forward": 1280}


def test_a_merchant_sees_what_it_owes(parties):
    merchant = parties["offer"].merchant
    sold(JANUARY, **parties)
    confirmed(JANUARY, **parties)
    close(1)
    confirmed(FEBRUARY, **parties)
    record_payment(merchant, Money(100, "GBP"), reference="bank-1", received_on=date(2026, 2, 1))

    (owed,) = owed_by(merchant.pk, TODAY)
    (today,) = owed_by(merchant.pk, Invoice.objects.get().due_on)

    assert (owed.accrued, owed.confirmed, owed.invoiced, owed.overdue, owed.paid) == (800, 800, 860, 860, 100)
    assert today.overdue == 0


HAPPENS = {
    "hold": (Kind.HELD, "h"),
    "release": (Kind.RELEASED, "h"),
    "dispute": (Kind.DISPUTE_OPENED, "d"),
    "win": (Kind.DISPUTE_WON, "d"),
    "lose": (Kind.DISPUTE_LOST, "d"),
    "refund": (Kind.REFUNDED, "r"),
    "refund in part": (Kind.REFUNDED, "p"),
    "correct": (Kind.CORRECTED, "c"),
}
PARTS = {"refund": 1, "refund in part": 3, "correct": 2}
STEPS = st.lists(
    st.one_of(
        st.tuples(st.just("sell"), st.sampled_from([500, 1000, 45_000])),
        st.tuples(st.sampled_from([*HAPPENS]), st.integers(0, 7)),
        st.tuples(st.sampled_from(["close", "send", "pay", "fail", "retry", "tick"]), st.just(0)),
        st.tuples(st.just("merchant pays"), st.integers(1, 20_000)),
    ),
    min_size=4,
    max_size=14,
)


class Story:
    """One builder and one merchant, and whatever happens to them."""

    def __init__(self):
        self.merchant, self.builder = MerchantFactory(vat_rate="0.2000"), BuilderFactory()
        self.offer = OfferFactory(merchant=self.merchant, **FLIGHT)
        self.agent, self.sales, self.month, self.numbers = AgentFactory(builder=self.builder), [], 1, 0
        account(self.builder)

    def go(self, step, value):
        self.numbers += 1
        at = MOMENTS[min(self.month, 3)]
        if step == "sell":
            make = confirmed if self.numbers % 3 else sold
            self.sales.append(make(at, value, offer=self.offer, session__agent=self.agent))
        elif step in HAPPENS and self.sales:
            sale = self.sales[value % len(self.sales)]
            kind, reference = HAPPENS[step]
            amount = sale.transaction_value_minor // PARTS[step] if step in PARTS else None
            happened(sale, kind, at, f"{reference}{sale.pk}", amount)
        elif step == "close" and self.month <= 3:
            close(self.month)
            self.month += 1
        elif step == "send":
            send_payouts()
        elif step in ("pay", "fail"):
            for row in Payout.objects.filter(state="submitted"):
                record_answer(Answer(row.pk, step == "pay", "refused"), file_id=row.file_id)
        elif step == "retry":
            for row in Payout.objects.filter(state="failed"):
                retry(row)
        elif step == "merchant pays":
            money = Money(value, "GBP")
            record_payment(self.merchant, money, reference=f"b{self.numbers}", received_on=date(2026, 1, 1))
        elif step == "tick":
            Sequencer().tick()


def moved(sales, *accounts):
    rows = Posting.objects.filter(entry__stream_id__in=[sale.pk for sale in sales], account__in=accounts)
    return sum(rows.values_list("amount_minor", flat=True))


@settings(max_examples=20, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(steps=STEPS)
def test_all_numbers_agree_after_any_story(db, steps):
    with transaction.atomic():
        story = Story()
        for step, value in steps:
            story.go(step, value)
        check_builder(story)
        check_merchant(story)
        assert list(settlement_findings()) == []
        transaction.set_rollback(True)


def check_builder(story):
    builder = story.builder
    rows = earnings_of(builder.pk)
    if not rows:
        assert not story.sales
        return
    (row,) = rows
    sales = Conversion.objects.filter(builder=builder)
    held, free = sales.filter(is_held=True), sales.filter(is_held=False)
    lines = Line.objects.filter(builder_id=builder.pk)
    settled = {pk: sum(found) for pk, found in _by_sale(lines).items()}
    in_lines = sum(settled.values())
    statements = Statement.objects.filter(builder=builder)

    # From the sales alone, one by one: what no statement has yet, and what is held.
    assert row.pending == -moved(free, Account.BUILDER_PENDING)
    assert row.confirmed == -moved(free, Account.BUILDER_PAYABLE) - sum(settled.get(sale.pk, 0) for sale in free)
    assert row.held == -moved(held, Account.BUILDER_PENDING, Account.BUILDER_PAYABLE) - sum(
        settled.get(sale.pk, 0) for sale in held
    )
    # What the API shows of its sales is all that the builder has in one place or another.
    shown = Api(AgentKeyFactory(agent=story.agent).secret).get("/v1/conversions", limit=100).json()["conversions"]
    left = sum(round(100 * sale["commission"]["builderPayout"]) for sale in shown)
    assert left == row.pending + row.held + row.confirmed + row.payable + row.paid_out + row.carried_forward - row.owed
    # Statements and payouts say the same of the rest.
    ordered = row.payable + row.paid_out
    assert ordered == sum(statements.values_list("paid_minor", flat=True))
    assert ordered == sum(Payout.objects.filter(builder=builder).values_list("amount_minor", flat=True))
    assert in_lines - ordered == row.carried_forward - row.owed
    assert row.owed == balance_of(Account.BUILDER_CLAWBACK_DUE, builder.pk, "GBP")
    paid_in = sum(MerchantPayment.objects.filter(merchant=story.merchant).values_list("amount_minor", flat=True))
    assert balance_of(Account.BANK_CLEARING, "", "GBP") == paid_in - ordered + row.failed


def check_merchant(story):
    rows = owed_by(story.merchant.pk, TODAY)
    if not rows:
        return
    (row,) = rows
    sales = Conversion.objects.filter(merchant=story.merchant)
    held, free = sales.filter(is_held=True), sales.filter(is_held=False)
    charged = {line.conversion_id: 0 for line in Line.objects.filter(merchant_id=story.merchant.pk)}
    for line in Line.objects.filter(merchant_id=story.merchant.pk):
        charged[line.conversion_id] += line.commission_minor
    signs = {"invoice": 1, "credit_note": -1}
    documents = Invoice.objects.filter(merchant=story.merchant).values_list("kind", "total_minor")
    net = sum(signs[kind] * total for kind, total in documents)

    assert row.accrued == moved(free, Account.MERCHANT_ACCRUED)
    assert row.confirmed == moved(free, Account.MERCHANT_RECEIVABLE) - sum(charged.get(sale.pk, 0) for sale in free)
    assert row.held == moved(held, Account.MERCHANT_ACCRUED, Account.MERCHANT_RECEIVABLE) - sum(
        charged.get(sale.pk, 0) for sale in held
    )
    assert row.invoiced - row.credit == net - row.paid
    assert 0 <= row.overdue <= row.invoiced
    unsettled = moved(sales, Account.MERCHANT_RECEIVABLE) - sum(charged.values())
    assert balance_of(Account.MERCHANT_RECEIVABLE, story.merchant.pk, "GBP") == unsettled + row.invoiced - row.credit


def _by_sale(lines):
    found = {}
    for line in lines:
        found.setdefault(line.conversion_id, []).append(line.payout_minor)
    return found


def test_sales_of_a_merchant_with_findings_are_held(builder, parties):
    confirmed(JANUARY, **parties)
    sold(JANUARY, **parties)
    confirmed(JANUARY, session__agent=parties["session__agent"])
    merchant = parties["offer"].merchant
    Finding.objects.create(
        connection=merchant.connections.get(), merchant=merchant, kind="amount_mismatch", is_money=True
    )

    (owed,) = owed_by(merchant.pk, TODAY)

    assert of(builder) == {"pending": 640, "held": 640, "confirmed": 640}
    assert (owed.accrued, owed.held, owed.confirmed) == (800, 800, 0)
