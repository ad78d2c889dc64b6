"""What goes wrong on the way to Stripe: what the agent is told, what is kept, and what it comes to in the end."""

import contextlib
import time
from dataclasses import dataclass

import pytest

from checkout import recovery
from checkout.connections import check
from checkout.connectors.stripe import client
from checkout.models import Checkout
from merchants.models import Connection
from tests.counterparties import faults
from tests.counterparties.faults import Fault
from tests.journeys.stripe.market import (
    ACCRUED,
    answer,
    balances,
    conversions,
    mandate,
    run_jobs,
    spent_mandates,
    states,
)

pytestmark = pytest.mark.usefixtures("impatient")

LONGEST = 25.0


@dataclass(frozen=True)
class Case:
    """A fault on every POST. `status`, `code` and `pause` are a purchase's answer; `state` is its state after that, and
    `page` that of a checkout, which is always answered 502."""

    name: str
    fault: Fault | None  # None: nobody listens
    status: int
    code: str
    pause: str | None
    is_known: bool  # that nothing was charged

    def __str__(self) -> str:
        return self.name

    @property
    def state(self) -> str:
        return "failed" if self.is_known else "unknown"

    @property
    def page(self) -> str:
        return "failed" if self.is_known else "creating"


UNKNOWN, FAULT, BUSY = (504, "outcome_unknown", "30"), (502, "psp_error", None), (409, "in_progress", "2")
REVOKED = (503, "payment_connection_unavailable", None)
CASES = [
    Case("timeout after it acted", faults.Silence(), *UNKNOWN, is_known=False),
    Case("timeout before it acted", faults.Silence(acts=False), *UNKNOWN, is_known=False),
    Case("dropped after it acted", faults.Drop(), *UNKNOWN, is_known=False),
    Case("dropped before it acted", faults.Drop(acts=False), *UNKNOWN, is_known=False),
    Case("refused", None, 503, "psp_unreachable", "10", is_known=True),
    Case("500 before it acted", faults.SERVER_ERROR, *FAULT, is_known=False),
    Case("500 after it acted", faults.SERVER_ERROR_AFTER, *FAULT, is_known=False),
    Case("503 without JSON", faults.Answer(True, 503, b"upstream"), *FAULT, is_known=False),
    Case("429", faults.RATE_LIMITED, 503, "psp_rate_limited", "30", is_known=True),
    Case("lock timeout", faults.LOCK_TIMEOUT, *BUSY, is_known=False),
    Case("lock conflict", faults.LOCK_CONFLICT, *BUSY, is_known=False),
    Case("key in use", faults.KEY_IN_USE, *BUSY, is_known=False),
    Case("garbage", faults.GARBAGE, *FAULT, is_known=False),
    Case("another shape", faults.Answer(True, 200, b'{"object": "list", "data": 7}'), *FAULT, is_known=False),
    Case("nothing", faults.Answer(True, 200, b""), *FAULT, is_known=False),
    Case("401", faults.UNAUTHORIZED, *REVOKED, is_known=True),
    Case("403", faults.FORBIDDEN, *REVOKED, is_known=True),
]


# One of each kind: it acted or it did not, and Rako knows or it does not.
KINDS = [CASES[0], CASES[3], CASES[4], CASES[6]]


@pytest.fixture(params=CASES, ids=str)
def case(request):
    return request.param


@pytest.fixture
def failing(case, stripe_faults):
    """While it lasts, whatever Rako asks Stripe to do fails in the way of the case, retries included."""

    @contextlib.contextmanager
    def fail():
        started = time.monotonic()
        if case.fault is None:
            with stripe_faults.refusing():
                yield
        else:
            stripe_faults.fail(case.fault, times=None, method="POST")
            yield
            stripe_faults.heal()
        assert time.monotonic() - started < LONGEST

    return fail


def mend(market):
    """Whoever looks after the connection sees that it works again."""
    check(market.connection)


def test_a_checkout_that_fails_leaves_nothing_half_made_and_works_when_asked_again(market, failing, case):
    recommendation = market.recommend()

    with failing():
        reply = market.checkout(recommendation)
    left = states()
    mend(market)
    opened = market.opened(recommendation)
    market.work()
    market.pay(opened["paymentId"])
    market.deliver(order="newest", times=2)

    assert (reply.status_code, reply.json()) == (502, {"error": "Could not create checkout"})
    assert (reply.headers["X-Error-Code"], left) == (case.code, [case.page])
    assert states() == (["failed", "succeeded"] if case.is_known else ["succeeded"])
    assert (market.charges(), conversions(), balances()) == (1, ["pending_validation"], ACCRUED)
    assert (market.pages("open"), market.pages("complete")) == (0, 1)


@pytest.mark.parametrize("case", KINDS, ids=str)
def test_a_checkout_that_nobody_asks_for_again_is_settled_by_the_worker(market, failing, case):
    recommendation = market.recommend()
    with failing():
        market.checkout(recommendation)
    mend(market)

    market.work()

    made = market.pages("open")
    assert states() == ([case.page] if case.is_known else ["open" if made else "void"])
    assert made == int(not case.is_known and case.fault.acts)
    assert market.pay(market.opened(recommendation)["paymentId"])
    market.deliver(order="shuffled", times=2)
    assert (len(conversions()), market.charges()) == (1, 1)


def test_a_purchase_that_fails_charges_once_or_gives_the_mandate_back(market, failing, case):
    with failing():
        reply = market.purchase(market.recommend(), market.stored(), authorization=mandate())
        left = states(), spent_mandates()
    mend(market)
    market.work()
    market.deliver(order="shuffled", times=2)

    expected = int(not case.is_known)
    assert answer(reply) == (case.status, case.code, case.pause)
    assert left == ([case.state], expected)
    assert (market.charges(), len(conversions()), spent_mandates()) == (expected, expected, expected)
    assert balances() == (ACCRUED if expected else {})
    assert set(Checkout.objects.values_list("payment_method", flat=True)) == {None}


@pytest.mark.parametrize("case", KINDS, ids=str)
def test_a_purchase_that_failed_and_is_asked_for_again_charges_once(market, failing, case):
    recommendation, method = market.recommend(), market.stored()
    with failing():
        market.purchase(recommendation, method, authorization=mandate())

    again = market.purchase(recommendation, method, authorization=mandate())
    market.work()
    market.deliver(order="shuffled", times=2)

    assert answer(again) == ((200, None, None) if case.is_known else UNKNOWN)
    assert (market.charges(), len(conversions()), spent_mandates()) == (1, 1, 1)


def test_resolving_what_is_unknown_need_not_wait(market, stripe_faults):
    recommendation, method = market.recommend(), market.stored()
    stripe_faults.fail(faults.Silence(), times=None, method="POST")
    market.purchase(recommendation, method)

    meanwhile = recovery.resolve_unknown_charges()
    stripe_faults.heal()

    assert (meanwhile, recovery.resolve_unknown_charges()) == ((0, 1), (1, 0))
    assert (states(), market.charges(), conversions()) == (["succeeded"], 1, [])
    market.deliver()
    assert len(conversions()) == 1


@pytest.mark.parametrize(
    "fault", [faults.Drop(), faults.SERVER_ERROR_AFTER, faults.KEY_IN_USE], ids=["drop", "500", "409"]
)
def test_one_fault_alone_is_hidden_by_the_second_try(market, stripe_faults, fault):
    recommendation, method = market.recommend(), market.stored()
    stripe_faults.fail(fault, method="POST")

    reply = market.purchase(recommendation, method)
    market.deliver()

    assert (reply.status_code, market.charges(), len(conversions())) == (200, 1, 1)


@pytest.mark.parametrize(
    "second", [faults.RATE_LIMITED, faults.UNAUTHORIZED, faults.FORBIDDEN], ids=["429", "401", "403"]
)
def test_that_a_second_try_did_nothing_says_nothing_of_the_first(market, stripe_faults, second):
    recommendation, method = market.recommend(), market.stored()
    stripe_faults.fail(faults.Drop(), method="POST")
    stripe_faults.fail(second, method="POST")

    reply = market.purchase(recommendation, method, authorization=mandate())
    before = (answer(reply), states(), spent_mandates())
    market.work()
    market.deliver(times=2)

    assert before == (UNKNOWN, ["unknown"], 1)
    assert (market.charges(), len(conversions()), spent_mandates()) == (1, 1, 1)


@pytest.mark.parametrize("fault", [faults.UNAUTHORIZED, faults.FORBIDDEN], ids=["401", "403"])
def test_a_connection_whose_key_is_refused_sells_nothing_until_it_is_mended(market, stripe_faults, fault):
    recommendation = market.recommend()
    stripe_faults.fail(fault, times=None, method="POST")
    market.checkout(recommendation)
    stripe_faults.heal()

    reply = market.checkout(recommendation)
    mended = check(market.connection).status

    assert (answer(reply)[:2], mended) == ((503, "not_connected"), Connection.Status.ACTIVE)
    assert market.opened(recommendation)


@pytest.mark.parametrize("fault", [faults.SERVER_ERROR_AFTER, faults.Silence(), faults.Silence(acts=False)], ids=str)
def test_a_page_that_cannot_be_closed_stays_the_sessions_page(market, stripe_faults, fault):
    session = market.search()
    first = market.recommend(session)
    opened = market.opened(first)
    stripe_faults.fail(fault, times=None, method="POST", path="/expire$")

    reply = market.checkout(market.recommend(session))
    stripe_faults.heal()
    market.work()

    if fault.acts and reply.status_code == 200:
        assert states() == ["expired", "open"]
        return
    assert (reply.status_code, reply.json()) == (502, {"error": "Could not create checkout"})
    market.deliver(times=2)
    again = market.opened(first)
    market.pay(again["paymentId"])
    market.deliver(times=2)
    run_jobs()
    assert (again["checkoutUrl"] == opened["checkoutUrl"]) == (not fault.acts)
    assert (len(conversions()), market.charges()) == (1, 1)


def test_an_answer_that_drips_is_given_up_in_time(market, stripe_faults, monkeypatch):
    monkeypatch.setattr(client, "LONGEST", 1.5)
    recommendation, method = market.recommend(), market.stored()
    stripe_faults.fail(faults.Drip(size=256, pause=0.2), times=None, method="POST")
    started = time.monotonic()

    reply = market.purchase(recommendation, method)
    took = time.monotonic() - started
    stripe_faults.heal()
    market.work()
    market.deliver()

    assert (market.charges(), len(conversions())) == (1, 1)
    assert took < 2.5
    assert answer(reply) == UNKNOWN
