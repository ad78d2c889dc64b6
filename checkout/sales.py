"""Finds the checkout that a payment event is about, with all that the gate and the ledger ask of the sale.

By the PSP's object ids, which only we wrote down; by the metadata's pointer only while none is written down yet. One
statement, written by hand, since every event goes through it.
"""

from checkout.connectors.base import OutcomeEvent
from checkout.models import Checkout
from merchants.models import Merchant, Offer
from rako.core.ids import is_id
from rako.core.postgres import Statement, send
from rako.core.rows import Columns
from sessions_app.models import Agent, Recommendation

_CHECKOUT = Columns(Checkout, "checkout")
_RECOMMENDATION = Columns(Recommendation, "recommendation", "id", "session", "agent", "offer", "aap_code", "created_at")
_AGENT = Columns(Agent, "agent", "id", "builder")
_OFFER = Columns(Offer, "offer", "id", "merchant", "vertical")
_MERCHANT = Columns(Merchant, "merchant", "id", "network_fee_rate")
_PARTS = (_CHECKOUT, _RECOMMENDATION, _AGENT, _OFFER, _MERCHANT)

# Locked, so that events of one payment are processed one after the other.
_FIND = f"""
SELECT {", ".join(part.sql for part in _PARTS)}
FROM checkout_checkout checkout
JOIN sessions_app_recommendation recommendation ON recommendation.id = checkout.recommendation_id
JOIN sessions_app_agent agent ON agent.id = recommendation.agent_id
JOIN merchants_offer offer ON offer.id = recommendation.offer_id
JOIN merchants_merchant merchant ON merchant.id = offer.merchant_id
WHERE {{condition}}
FOR UPDATE OF checkout
"""  # noqa: S608  # columns of our models
# The id is looked up first, by itself: joined, it would have all these tables read for every checkout there is. Name by
# name: a plan that was made while a connection had few objects would read all of them. And as so many values, not as an
# array: not knowing how long that is, PostgreSQL would plan anew each time, which takes it longest of all.
_NOTED = _FIND.format(
    condition="""checkout.id = (
    SELECT noted.checkout_id FROM (VALUES {names}) AS given(name) CROSS JOIN LATERAL (
        SELECT id, checkout_id FROM checkout_pspobject WHERE connection_id = %s AND psp_id = name LIMIT 1
    ) AS noted ORDER BY noted.id LIMIT 1
)"""
)
# A payment that merely copies the metadata of a known page is not that page's. One whose call we gave up may come.
_POINTED_TO = _FIND.format(
    condition="""checkout.id = %s AND checkout.state <> 'succeeded'
AND NOT EXISTS (SELECT FROM checkout_pspobject WHERE checkout_id = checkout.id)"""
)


def find_checkout(connection_id: str, outcome: OutcomeEvent) -> Checkout | None:
    """The checkout, locked for the caller's transaction; None if the event is about none of ours."""
    names = ", ".join(["(%s)"] * len(outcome.psp_ids))
    noted = Statement(_NOTED.format(names=names), [*outcome.psp_ids, connection_id])
    pointer = outcome.metadata.get("aap_checkout_id", "")
    found = _read(noted)
    if found is None and is_id(pointer):
        # Between the two looks the answer to our call may have noted it.
        found = _read(Statement(_POINTED_TO, [pointer])) or _read(noted)
    return found


def _read(statement: Statement) -> Checkout | None:
    [rows] = send(statement)
    if not rows:
        return None
    values = iter(rows[0])
    checkout, recommendation = _CHECKOUT.read(values), _RECOMMENDATION.read(values)
    recommendation.agent, recommendation.offer = _AGENT.read(values), _OFFER.read(values)
    recommendation.offer.merchant = _MERCHANT.read(values)
    checkout.recommendation = recommendation
    return checkout
