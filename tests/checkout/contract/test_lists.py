"""Lists at each PSP: everything once, however many pages it takes, and as the single object says it."""

from datetime import UTC, datetime, timedelta

import pytest

from checkout.connectors.base import ConnectorError, PaymentConnector, PaymentState
from rako.core.money import Money
from tests.checkout.contract import psp as contract
from tests.checkout.contract import stories
from tests.checkout.contract.psp import Psp

LISTS = ["list_payments", "list_refunds", "list_disputes", "list_events"]
MANY = 105


def charged(psp: Psp, connector: PaymentConnector, amount_minor: int = 1_200) -> str:
    """A payment that was paid."""
    request = contract.charge(psp.methods["succeeded"], money=Money(amount_minor, "GBP"))
    return connector.charge_stored_method(request).confirmation


def test_long_lists_come_whole_and_nothing_comes_twice(psp: Psp, connector: PaymentConnector) -> None:
    payments = [charged(psp, connector, 1_000 + number) for number in range(MANY)]
    refunds = [psp.refund(payment, 100 + number) for number, payment in enumerate(payments)]
    disputes = [psp.dispute(payment) for payment in payments]

    listed = stories.whole(connector.list_payments)
    assert sorted(one.payment_ref for one in listed) == sorted(payments)
    assert sorted(one.money.amount_minor for one in listed) == list(range(1_000, 1_000 + MANY))
    returned = stories.whole(connector.list_refunds)
    assert sorted(one.refund_id for one in returned) == sorted(refunds)
    assert sorted(one.money.amount_minor for one in returned) == list(range(100, 100 + MANY))
    assert sorted(one.dispute_id for one in stories.whole(connector.list_disputes)) == sorted(disputes)


def test_events_are_kept_or_said_not_to_be(psp: Psp, connector: PaymentConnector) -> None:
    for _ in range(3):
        psp.refund(charged(psp, connector), 100)

    found = stories.whole(connector.list_events)

    delivered = {connector.read_event(body).event_id for body, _ in psp.deliveries()}
    assert len({event.event_id for event in found}) == len(found)
    assert {event.event_id for event in found} <= delivered
    kept = [outcome for event in found for outcome in connector.normalize(event)]
    assert set(stories.plot(kept)) == (
        set(stories.plot(stories.told(psp, connector))) if connector.keeps_events else set()
    )


def test_a_listed_payment_is_what_the_payment_says(psp: Psp, connector: PaymentConnector) -> None:
    _, paid = stories.paid(psp, connector)
    payments = [charged(psp, connector), paid]
    psp.refund(payments[0], 300)

    for listed in stories.whole(connector.list_payments):
        found = connector.get_payment(listed.payment_ref)
        assert (listed.payment_ref, listed.state, listed.money) == (found.payment_ref, found.state, found.money)
        assert (listed.created_at, listed.is_live) == (found.created_at, found.is_live)
        assert (listed.attempt_id, listed.metadata) == (found.attempt_id, found.metadata)
        payments.remove(listed.payment_ref)
    assert payments == []


def test_a_refused_charge_is_listed_as_one(psp: Psp, connector: PaymentConnector) -> None:
    connector.charge_stored_method(contract.charge(psp.methods["generic"]))

    assert [one.state for one in stories.whole(connector.list_payments)] == [PaymentState.FAILED]


@pytest.mark.parametrize("ask", LISTS)
def test_a_list_holds_its_window(psp: Psp, connector: PaymentConnector, ask: str) -> None:
    payment = charged(psp, connector)
    psp.refund(payment, 100)
    psp.dispute(payment)
    now = datetime.now(UTC)

    assert list(getattr(connector, ask)(now - timedelta(days=2), now - timedelta(days=1)).items) == []
    assert list(getattr(connector, ask)(now, now).items) == []


@pytest.mark.parametrize("ask", LISTS)
@pytest.mark.parametrize("cursor", ["x", "\x00", "é", "0-0,", "-1", "9" * 400])
def test_a_strange_cursor_is_refused_in_the_contracts_words(
    psp: Psp, connector: PaymentConnector, ask: str, cursor: str
) -> None:
    if ask == "list_events" and not connector.keeps_events:
        pytest.skip("this PSP keeps no events")
    now = datetime.now(UTC)

    with pytest.raises(ConnectorError):
        getattr(connector, ask)(now - timedelta(hours=1), now, cursor=cursor)
