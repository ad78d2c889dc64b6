"""Whatever is paid without an entry is found."""

from datetime import date

import pytest

from rako.core.money import Money
from settlement.payouts import send_payouts
from settlement.receivables import record_payment
from settlement.verification import TRIGGERS, settlement_findings
from tests.factories import MerchantFactory
from tests.ledger.told import as_owner
from tests.settlement.payouts import payout

pytestmark = pytest.mark.django_db
CHANGES = {
    "payout": "UPDATE settlement_payout SET state = 'paid', paid_at = now()",
    "invoice": "UPDATE settlement_invoice SET paid_at = now()",
    "payment": "INSERT INTO settlement_merchantpayment SELECT id, currency, 1, 'forged', now(), now(), merchant_id "
    "FROM settlement_invoice",
}


@pytest.fixture
def settled():
    payout()
    send_payouts()
    record_payment(MerchantFactory(), Money(1, "GBP"), reference="b1", received_on=date(2026, 1, 1))


def test_what_was_told_is_sound(settled):
    assert list(settlement_findings()) == []


@pytest.mark.parametrize(("name", "table"), [(name, table) for name, (table, _) in TRIGGERS.items()])
def test_a_guard_that_is_off_is_found(db, name, table):
    as_owner(f"ALTER TABLE {table} DISABLE TRIGGER {name}", guards=())

    assert [(finding.check, finding.subject) for finding in settlement_findings()] == [("V11", table)]


@pytest.mark.parametrize("what", CHANGES)
def test_what_was_not_told_is_found(settled, what):
    as_owner(CHANGES[what], guards=())

    assert [finding.subject.split()[0] for finding in settlement_findings()] == [what]
