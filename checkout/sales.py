"""Reads what belongs to a sale: the statements that every checkout and every payment event goes through, with all
that the gate, the ledger and the PSP are told of it. Written by hand, for they are the hot ones.
"""

from collections import defaultdict
from collections.abc import Iterator, Sequence
from typing import Any

from checkout.connectors.base import OutcomeEvent
from checkout.models import Checkout
from merchants.models import Connection, Merchant, Offer
from rako.core.ids import is_id
from rako.core.postgres import Rows, Statement, send, send_each
from rako.core.rows import Columns
from sessions_app.models import Agent, Recommendation, Session

_CHECKOUT = Columns(Checkout, "checkout")
_CONNECTION = Columns(Connection, "connection")
_RECOMMENDATION = Columns(
    *(Recommendation, "recommendation", "id", "session", "agent", "offer"),
    *("aap_code", "fallback_url", "created_at"),
)
_SESSION = Columns(Session, "session", "id", "agent", "status", "created_at", "expires_at")
_AGENT = Columns(Agent, "agent", "id", "builder")
_OFFER = Columns(Offer, "offer", "id", "merchant", "vertical", "provider", "name", "url", "status")
_MERCHANT = Columns(
    *(Merchant, "merchant", "id", "name", "hosts", "status"),
    *("network_fee_rate", "refunds_reverse_cpa", "requires_authorization"),
)
_RECOMMENDED = (_RECOMMENDATION, _SESSION, _AGENT, _OFFER, _MERCHANT)
_PARTIES = """
JOIN sessions_app_session session ON session.id = recommendation.session_id
JOIN sessions_app_agent agent ON agent.id = recommendation.agent_id
JOIN merchants_offer offer ON offer.id = recommendation.offer_id
JOIN merchants_merchant merchant ON merchant.id = offer.merchant_id
"""
_FIND_RECOMMENDATION = f"""
SELECT {", ".join(part.sql for part in _RECOMMENDED)}
FROM sessions_app_recommendation recommendation {_PARTIES} WHERE recommendation.id = %s
"""  # noqa: S608  # columns of our models, here and below

# Locked, so that events of one payment are processed one after the other.
_FIND_CHECKOUT = f"""
SELECT {", ".join(part.sql for part in (_CHECKOUT, *_RECOMMENDED))}
FROM checkout_checkout checkout
JOIN sessions_app_recommendation recommendation ON recommendation.id = checkout.recommendation_id {_PARTIES}
WHERE {{condition}} FOR UPDATE OF checkout
"""  # noqa: S608
# The id is looked up first, by itself: joined, it would have all these tables read for every checkout there is. Name by
# name: a plan that was made while a connection had few objects would read all of them. And as so many values, not as an
# array: not knowing how long that is, PostgreSQL would plan anew each time, which takes it longest of all.
_NOTED = _FIND_CHECKOUT.format(
    condition="""checkout.id = (
    SELECT noted.checkout_id FROM (VALUES {names}) AS given(name) CROSS JOIN LATERAL (
        SELECT id, checkout_id FROM checkout_pspobject WHERE connection_id = %s AND psp_id = name LIMIT 1
    ) AS noted ORDER BY noted.id LIMIT 1
)"""
)
# A payment that merely copies the metadata of a known page is not that page's. One whose call we gave up may come.
_POINTED_TO = _FIND_CHECKOUT.format(
    condition="""checkout.id = %s AND checkout.state <> 'succeeded'
AND NOT EXISTS (SELECT FROM checkout_pspobject WHERE checkout_id = checkout.id)"""
)
_STANDING = f"""
SELECT {_CHECKOUT.sql} FROM checkout_checkout checkout
WHERE session_id = %s AND state IN ('creating', 'open', 'expiring', 'processing', 'unknown', 'succeeded')
"""  # noqa: S608
_SUCCEEDED = "SELECT id FROM checkout_checkout WHERE session_id = %s AND state = 'succeeded' LIMIT 1"
_CONNECTIONS = f"SELECT {_CONNECTION.sql} FROM merchants_connection connection WHERE"  # noqa: S608


def find_checkout(connection_id: str, outcome: OutcomeEvent) -> Checkout | None:
    """The checkout of a payment event, locked for the caller's transaction; None if it is about none of ours.

    By the PSP's object ids, which only we wrote down; by the metadata's pointer only while none is written down yet.
    """
    noted = _noted(connection_id, outcome)
    pointer = outcome.metadata.get("aap_checkout_id", "")
    found = _checkout(noted)
    if found is None and is_id(pointer):
        # Between the two looks the answer to our call may have noted it.
        found = _checkout(Statement(_POINTED_TO, [pointer])) or _checkout(noted)
    return found


def find_free_checkouts(told: Sequence[tuple[str, OutcomeEvent]]) -> list[Checkout | None]:
    """The checkouts of payment events, each with the id of its connection, locked; None for one that somebody else has,
    or that `find_checkout` would have to look further for.
    """
    found: list[Checkout | None] = [None] * len(told)
    by_size: dict[int, list[int]] = defaultdict(list)  # the statement depends on it
    for place, (_, outcome) in enumerate(told):
        by_size[len(outcome.psp_ids)].append(place)
    for places in by_size.values():
        statements = [_noted(*told[place], or_else=" SKIP LOCKED") for place in places]
        for place, rows in zip(places, send_each(statements), strict=True):
            found[place] = _read(rows)
    return found


def _noted(connection_id: str, outcome: OutcomeEvent, *, or_else: str = "") -> Statement:
    names = ", ".join(["(%s)"] * len(outcome.psp_ids))
    return Statement(_NOTED.format(names=names) + or_else, [*outcome.psp_ids, connection_id])


def _checkout(statement: Statement) -> Checkout | None:
    return _read(send(statement)[0])


def _read(rows: Rows) -> Checkout | None:
    for row in rows:
        values = iter(row)
        checkout = _CHECKOUT.read(values)
        checkout.recommendation = _recommendation(values)
        return checkout
    return None


def find_recommendation(recommendation_id: str) -> Recommendation | None:
    """A recommendation with its session, agent, offer and merchant."""
    rows = send(Statement(_FIND_RECOMMENDATION, [recommendation_id]))[0] if is_id(recommendation_id) else []
    return _recommendation(iter(rows[0])) if rows else None


def _recommendation(values: Iterator[Any]) -> Recommendation:
    recommendation = _RECOMMENDATION.read(values)
    recommendation.session, recommendation.agent = _SESSION.read(values), _AGENT.read(values)
    recommendation.offer = _OFFER.read(values)
    recommendation.offer.merchant = _MERCHANT.read(values)
    return recommendation


def standing_checkouts(session_id: str) -> list[Checkout]:
    """A session's checkouts that are live or have succeeded."""
    return [_CHECKOUT.read(iter(row)) for row in send(Statement(_STANDING, [session_id]))[0]]


def has_succeeded(session_id: str) -> bool:
    """Whether a checkout of a session has."""
    return bool(send(Statement(_SUCCEEDED, [session_id]))[0])


def selling_connection(merchant_id: str) -> Connection | None:
    """The connection that a merchant sells through."""
    return _connection(Statement(f"{_CONNECTIONS} merchant_id = %s AND status = 'active'", [merchant_id]))


def connection_at(kind: str, connection_id: str) -> Connection | None:
    """The connection that a webhook address names, whatever its status."""
    return _connection(Statement(f"{_CONNECTIONS} id = %s AND kind = %s", [connection_id, kind]))


def _connection(statement: Statement) -> Connection | None:
    [rows] = send(statement)
    return _CONNECTION.read(iter(rows[0])) if rows else None
