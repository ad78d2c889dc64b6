"""Each fault of the proxy, as the real library meets it, and what the counterparty did meanwhile."""

import time

import pytest
import stripe

from tests.counterparties import faults
from tests.counterparties.sales import session_params

PATH = "/v1/checkout/sessions"


def create(shop, proxy, **options):
    """A session, through the proxy."""
    client = shop.client(url=proxy.url, timeout=options.pop("timeout", (1, 0.3)), **options)
    return client.v1.checkout.sessions.create(params=session_params())


def sessions_of(shop):
    return len(shop.client().v1.checkout.sessions.list().data)


def test_without_a_fault_everything_passes(shop, stripe_faults):
    session = create(shop, stripe_faults, timeout=5)

    assert session.status == "open"
    assert [(seen.method, seen.target, seen.status) for seen in stripe_faults.seen] == [("POST", PATH, 200)]


@pytest.mark.parametrize(
    ("fault", "made"),
    [
        (faults.Silence(), 1),
        (faults.Silence(acts=False), 0),
        (faults.Drop(), 1),
        (faults.Drop(acts=False), 0),
    ],
)
def test_a_reply_that_never_comes_may_have_had_its_effect(shop, stripe_faults, fault, made):
    stripe_faults.fail(fault)

    with pytest.raises(stripe.APIConnectionError):
        create(shop, stripe_faults)

    assert sessions_of(shop) == made


def test_a_reply_may_take_longer_than_the_read_timeout_as_long_as_something_comes(shop, stripe_faults):
    stripe_faults.fail(faults.Drip(size=500, pause=0.1))
    started = time.monotonic()

    assert create(shop, stripe_faults).status == "open"

    assert time.monotonic() - started > 0.3


@pytest.mark.parametrize(
    ("fault", "error", "made"),
    [
        (faults.SERVER_ERROR, stripe.APIError, 0),
        (faults.SERVER_ERROR_AFTER, stripe.APIError, 1),
        (faults.RATE_LIMITED, stripe.RateLimitError, 0),
        (faults.LOCK_TIMEOUT, stripe.RateLimitError, 0),
        (faults.LOCK_CONFLICT, stripe.StripeError, 0),
        (faults.KEY_IN_USE, stripe.StripeError, 0),
        (faults.UNAUTHORIZED, stripe.AuthenticationError, 0),
        (faults.FORBIDDEN, stripe.PermissionError, 0),
        (faults.GARBAGE, stripe.APIError, 1),
    ],
    ids=lambda value: getattr(value, "__name__", None) or str(getattr(value, "status", value)),
)
def test_another_answer_is_what_the_library_makes_of_it(shop, stripe_faults, fault, error, made):
    stripe_faults.fail(fault)

    with pytest.raises(error) as met:
        create(shop, stripe_faults, timeout=5)

    assert met.value.http_status == fault.status
    assert sessions_of(shop) == made


def test_a_refused_connection_is_over_when_it_is_over(shop, stripe_faults):
    create(shop, stripe_faults, timeout=5)

    with stripe_faults.refusing(), pytest.raises(stripe.APIConnectionError):
        create(shop, stripe_faults, timeout=5)

    assert create(shop, stripe_faults, timeout=5).status == "open"
    assert sessions_of(shop) == 2


def test_a_retry_with_the_same_key_finds_what_the_lost_reply_told(shop, stripe_faults):
    stripe_faults.fail(faults.Drop())

    session = create(shop, stripe_faults, timeout=5, max_network_retries=1)

    assert session.last_response.headers["idempotent-replayed"] == "true"
    assert (len(stripe_faults.seen), sessions_of(shop)) == (2, 1)


def test_faults_can_be_aimed_and_last(shop, stripe_faults):
    stripe_faults.fail(faults.SERVER_ERROR, times=None, method="POST", path="/expire$")
    session = create(shop, stripe_faults, timeout=5)
    sessions = shop.client(url=stripe_faults.url).v1.checkout.sessions

    for _ in range(2):
        with pytest.raises(stripe.APIError):
            sessions.expire(session.id)
    stripe_faults.heal()

    assert sessions.expire(session.id).status == "expired"
