"""Lists: everything once, whatever the size of a page, and nothing when a filter is not understood."""

from datetime import UTC, datetime, timedelta

import pytest

from checkout.connectors.base import DisputeState, PaymentState, PspFault, PspRejected, RefundState
from checkout.connectors.hyperswitch import lists
from rako.core.money import Money
from tests.checkout.hyperswitch import factories
from tests.counterparties.hyperswitch import HyperswitchCounterparty

NOON = datetime(2026, 3, 1, 12, 0, 0, 123456, UTC)


@pytest.fixture
def psp(settings):
    with HyperswitchCounterparty(clock=lambda: NOON) as running:
        settings.RAKO_HYPERSWITCH_API_BASE = running.base_url
        yield running


@pytest.fixture
def small_pages(monkeypatch):
    monkeypatch.setattr(lists, "LIMIT", 3)


SHORTLY_BEFORE = NOON.replace(microsecond=0)


def everything(listing, since=SHORTLY_BEFORE, until=NOON + timedelta(days=1)):
    found, cursor = [], ""
    while True:
        page = listing(since, until, cursor=cursor)
        found += page.items
        cursor = page.cursor
        if not cursor:
            return found


def paid(psp, connector):
    link = connector.create_checkout(factories.checkout_request())
    psp.pay(link.psp_id)
    return link.psp_id


@pytest.mark.usefixtures("small_pages")
def test_payments_are_listed_once_each(psp, connector):
    made = []
    for seconds in (0.001, 0, 0.002, 5, 3600, 0):
        made.append(connector.create_checkout(factories.checkout_request()).psp_id)
        psp.advance(seconds)

    found = everything(connector.list_payments, NOON - timedelta(hours=1))

    assert sorted(item.psp_id for item in found) == sorted(made)


def test_a_window_includes_its_first_moment_and_excludes_its_last(psp, connector):
    made = []
    for _ in range(4):
        made.append(connector.create_checkout(factories.checkout_request()).psp_id)
        psp.advance(1)
    start = NOON.replace(microsecond=123000)

    found = everything(connector.list_payments, start + timedelta(seconds=1), start + timedelta(seconds=3))

    assert [item.psp_id for item in found] == [made[2], made[1]]
    assert everything(connector.list_payments, start, start) == []


def test_a_listed_payment_is_ours_or_a_strangers(psp, shop, connector):
    ours = paid(psp, connector)
    psp.refund(ours, 100)
    theirs = connector._client().post(
        "/payments", {"amount": 5, "currency": "SEK", "payment_link": True, "return_url": "https://a.example"}
    )["payment_id"]

    found = {item.psp_id: item for item in everything(connector.list_payments)}

    assert (found[ours].attempt_id, found[theirs].attempt_id) == (ours.removeprefix("pay_"), "")
    assert (found[ours].state, found[theirs].money) == (PaymentState.SUCCEEDED, Money(5, "SEK"))
    assert found[ours].metadata["aap_checkout_id"] == found[ours].attempt_id
    assert (found[ours].refunded_minor, connector.get_payment(ours).refunded_minor) == (None, 100)


def test_a_payment_of_ours_that_the_list_tells_too_little_of_is_looked_at(scripted, stranger):
    thin = factories.PAYMENT | {"metadata": None, "amount_received": None}
    listed = {"size": 2, "data": [thin, thin | {"payment_id": "foreign"}]}
    scripted.replies = [(200, listed, {}), (200, factories.PAYMENT | {"amount_received": 4000}, {})]

    found = stranger.list_payments(datetime(2026, 3, 1, tzinfo=UTC), datetime(2026, 3, 2, tzinfo=UTC)).items

    assert [item.money for item in found] == [Money(4000, "EUR"), Money(4990, "EUR")]
    assert len(scripted.seen) == 2


@pytest.mark.usefixtures("small_pages")
def test_refunds_are_listed_once_each(psp, connector):
    payment, made = paid(psp, connector), []
    for status in ("succeeded", "pending", "failed", "review", "succeeded", "succeeded", "succeeded"):
        made.append(psp.refund(payment, 100, status))
        psp.advance(1)

    found = everything(connector.list_refunds)

    assert [item.refund_id for item in reversed(found)] == [refund["refund_id"] for refund in made]
    assert [item.state for item in reversed(found)][:4] == [
        RefundState.SUCCEEDED,
        RefundState.PENDING,
        RefundState.FAILED,
        RefundState.PENDING,
    ]
    assert {(item.payment_ref, item.money) for item in found} == {(payment, Money(100, "EUR"))}


@pytest.mark.usefixtures("small_pages")
@pytest.mark.parametrize("by_start_time", [False, True])
def test_disputes_are_listed_once_each_by_either_filter(psp, connector, by_start_time):
    psp.world.lists_disputes_by_start_time = by_start_time
    payment, made = paid(psp, connector), []
    for to in ("challenged", "lost", "won", "cancelled", "accepted", "expired"):
        made.append(psp.dispute(payment, 100)["dispute_id"])
        psp.move_dispute(made[-1], to)
        psp.advance(1)

    found = {item.dispute_id: item for item in everything(connector.list_disputes)}

    states = [DisputeState.OPEN, DisputeState.LOST, DisputeState.RELEASED]
    assert [found[key].state for key in made] == [*states, DisputeState.RELEASED, *[DisputeState.LOST] * 2]
    assert {(item.payment_ref, item.money) for item in found.values()} == {(payment, Money(100, "EUR"))}


def test_a_question_is_an_inquiry(scripted, stranger):
    scripted.says([factories.DISPUTE | {"dispute_stage": "pre_dispute"}])

    found = stranger.list_disputes(datetime(2026, 3, 1, tzinfo=UTC), datetime(2026, 3, 5, tzinfo=UTC)).items

    assert [item.state for item in found] == [DisputeState.INQUIRY]


@pytest.mark.parametrize("listing", ["list_payments", "list_disputes"])
def test_a_server_that_ignores_the_filter_is_a_fault(scripted, stranger, listing):
    is_dispute = listing == "list_disputes"
    scripted.says([factories.DISPUTE] if is_dispute else {"data": [factories.PAYMENT]})

    with pytest.raises(PspFault):
        getattr(stranger, listing)(datetime(2026, 4, 1, tzinfo=UTC), datetime(2026, 4, 2, tzinfo=UTC))


@pytest.mark.parametrize("listing", ["list_refunds", "list_disputes"])
def test_none_yet_may_be_told_as_not_found(scripted, stranger, listing):
    scripted.says({"error": {"code": "HE_02"}}, 404)

    assert getattr(stranger, listing)(NOON, NOON + timedelta(1)).items == []


@pytest.mark.parametrize("listing", ["list_payments", "list_refunds", "list_disputes"])
@pytest.mark.parametrize("cursor", ["x", "1-", "-1", "1-2,", "1e3-2", "9" * 40])
def test_a_cursor_of_another_making_is_refused(connector, listing, cursor):
    with pytest.raises(PspRejected):
        getattr(connector, listing)(NOON, NOON + timedelta(1), cursor=cursor)


def test_too_many_in_one_millisecond_are_logged(psp, connector, small_pages, caplog):
    for _ in range(4):
        connector.create_checkout(factories.checkout_request())

    assert len(everything(connector.list_payments)) >= 0
    assert "some may be missing" in caplog.text


def test_events_are_not_kept_for_us(psp, connector):
    page = connector.list_events(NOON, NOON + timedelta(1))

    assert (list(page.items), page.cursor, connector.keeps_events, psp.calls()) == ([], "", False, [])


@pytest.mark.parametrize("status", ["none", None])
def test_what_is_not_known_of_a_refund_is_pending(scripted, stranger, status):
    scripted.says({"data": [factories.REFUND | {"status": status}]})
    window = (datetime(2026, 3, 1, tzinfo=UTC), datetime(2026, 3, 5, tzinfo=UTC))

    if status is None:
        with pytest.raises(PspFault):
            stranger.list_refunds(*window)
    else:
        assert stranger.list_refunds(*window).items[0].state == RefundState.PENDING
