"""Finding what a call of ours made, when its answer was lost: Stripe looks nothing up by our ids, so it is listed."""

from collections.abc import Callable, Iterator
from datetime import UTC, datetime, timedelta
from typing import Any

import stripe
from ulid import ULID

from checkout.connectors.base import Attempt, PaymentSnapshot, PaymentState, PspTimeout
from checkout.connectors.stripe import reading, snapshots
from checkout.connectors.stripe.client import Calls
from checkout.connectors.stripe.errors import Missing
from checkout.connectors.stripe.lists import window
from checkout.connectors.stripe.reading import Thing
from rako.core.ids import is_id

# When a call may have been made: our clocks may differ, and an attempt that a crash left is taken up again later.
BEFORE, AFTER = timedelta(minutes=5), timedelta(minutes=30)
MOST_PAGES = 10
_EXPAND = ["payment_intent.latest_charge"]
_BEST_FIRST = (
    PaymentState.SUCCEEDED,
    PaymentState.PENDING,
    PaymentState.OPEN,
    PaymentState.EXPIRED,
    PaymentState.FAILED,
)
_List = Callable[[stripe.StripeClient, Any], stripe.StripeObject]


def find(calls: Calls, attempt: Attempt) -> PaymentSnapshot | None:
    """What there is of an attempt; of several the one that came furthest. None if there is none.

    Raises PspTimeout if the account sells so much that it cannot be told.
    """
    if attempt.psp_id:
        return find_object(calls, attempt.psp_id)
    sessions = sessions_of(calls, attempt.attempt_id, attempt.created_at)
    intents = intents_of(calls, attempt.attempt_id, attempt.created_at)
    found = [find_object(calls, reading.text(one, "id")) for one in [*sessions, *_alone(intents, sessions)]]
    return min((one for one in found if one is not None), key=lambda one: _BEST_FIRST.index(one.state), default=None)


def sessions_of(calls: Calls, attempt_id: str, made_at: datetime) -> list[Thing]:
    """The sessions of an attempt, as they stand. Raises PspTimeout."""
    return list(_ours(_sessions, calls, attempt_id, made_at))


def intents_of(calls: Calls, attempt_id: str, made_at: datetime) -> list[Thing]:
    """The payments of an attempt, as they stand. Raises PspTimeout."""
    return list(_ours(_intents, calls, attempt_id, made_at))


def made_at(attempt_id: str) -> datetime:
    """When an attempt began, as its id tells: unlike the clock, it says the same when the call is repeated."""
    return ULID.from_str(attempt_id).datetime if is_id(attempt_id) else datetime.now(UTC)


def find_object(calls: Calls, psp_id: str) -> PaymentSnapshot | None:
    """A session or a payment intent by its id; None for an id of another kind, or of nothing in the account."""
    try:
        if psp_id.startswith("cs_"):
            return snapshots.payment(retrieve_session(calls, psp_id))
        if psp_id.startswith("pi_"):
            return _with_session(calls, retrieve_intent(calls, psp_id))
    except Missing:
        return None
    return None


def retrieve_session(calls: Calls, session_id: str) -> Thing:
    """A session with its payment. Raises Missing."""
    return calls.ask(lambda client: client.v1.checkout.sessions.retrieve(session_id, params={"expand": _EXPAND}))


def retrieve_intent(calls: Calls, intent_id: str) -> Thing:
    """A payment with its charge. Raises Missing."""
    return calls.ask(lambda client: client.v1.payment_intents.retrieve(intent_id, params={"expand": ["latest_charge"]}))


def _with_session(calls: Calls, intent: Thing) -> PaymentSnapshot:
    """A payment intent names no session: the session that made it is looked up if it is one of ours."""
    snapshot = snapshots.of_intent(intent)
    if reading.is_autonomous(intent) or not snapshot.attempt_id:
        return snapshot
    of_it = calls.ask(lambda client: client.v1.checkout.sessions.list(params={"payment_intent": snapshot.psp_id}))
    sessions = reading.things(of_it, "data")
    return snapshots.of_intent(intent, psp_id=reading.text(sessions[0], "id")) if sessions else snapshot


def _alone(intents: list[Thing], sessions: list[Thing]) -> list[Thing]:
    """The payments that none of the sessions made."""
    made = {reading.reference(session, snapshots.INTENT) for session in sessions}
    return [intent for intent in intents if reading.text(intent, "id") not in made]


def _ours(listed: _List, calls: Calls, attempt_id: str, made_at: datetime) -> Iterator[Thing]:
    cursor = ""
    for _ in range(MOST_PAGES):
        params = window(made_at - BEFORE, made_at + AFTER, cursor)
        page = calls.ask(lambda client: listed(client, params))  # noqa: B023 (it is called at once)
        found = reading.things(page, "data")
        yield from (one for one in found if _is_of(one, attempt_id))
        if not (found and reading.flag(page, "has_more")):
            return
        cursor = reading.text(found[-1], "id")
    raise PspTimeout()


def _is_of(found: Thing, attempt_id: str) -> bool:
    return attempt_id in (found.get("client_reference_id"), reading.metadata(found).get(reading.POINTER))


def _sessions(client: stripe.StripeClient, params: Any) -> stripe.StripeObject:
    return client.v1.checkout.sessions.list(params=params)


def _intents(client: stripe.StripeClient, params: Any) -> stripe.StripeObject:
    return client.v1.payment_intents.list(params=params)
