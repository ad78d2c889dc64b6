"""POST /refunds, GET /refunds/{id}, POST /refunds/list; GET /disputes/list, GET /disputes/{id}.

A refund is `succeeded`, `failed`, `pending` or `review`; failed ones do not count against the payment. Disputes come
as a plain list. Not established: whether a given server filters disputes by the documented `received_time.*` or, as
newer source does, by `start_time`, `end_time` and `offset` (`World.lists_disputes_by_start_time`); each refuses the
other's.
"""

from tests.counterparties.hyperswitch import errors, events, payments
from tests.counterparties.hyperswitch import requests_read as read
from tests.counterparties.hyperswitch.views import dispute_body, refund_body
from tests.counterparties.hyperswitch.world import Dispute, Json, Merchant, Payment, Refund, World

REFUNDABLE = ["succeeded", "partially_captured"]
DISPUTE_FILTERS = {"limit", "dispute_status", "profile_id", "currency"}
FAILURE = ("refund_failed", "The processor could not refund")


def create(world: World, merchant: Merchant, fields: Json) -> Json:
    if "payment_id" not in fields:
        raise errors.missing("payment_id")
    read.check_id("refund_id", fields.get("refund_id"))
    read.check_metadata(fields.get("metadata"))
    payment = payments.find(world, merchant, fields["payment_id"])
    return refund_body(make(world, payment, fields, merchant.refunds_become))


def make(world: World, payment: Payment, fields: Json, status: str) -> Refund:
    """Refund the whole captured amount or a part, whoever asked for it."""
    if payment.status not in REFUNDABLE:
        raise errors.unexpected_state("refunded", payment.status, ", ".join(REFUNDABLE))
    amount = int(fields.get("amount", payment.amount_received or 0))
    read.check_amount(amount)
    refund_id = fields.get("refund_id") or world.new_id("ref")
    key = (payment.merchant.merchant_id, refund_id)
    if key in world.refunds:
        raise errors.duplicate("refund")
    if amount > refundable(payment):
        raise errors.refund_too_large()
    now = world.now()
    refund = Refund(world.number("refund"), payment, refund_id, amount, "pending", now, now)
    refund.reason, refund.metadata = fields.get("reason"), fields.get("metadata")
    world.refunds[key] = refund
    payment.refunds.append(refund)
    settle(world, refund, status)
    return refund


def refundable(payment: Payment) -> int:
    spent = sum(refund.amount for refund in payment.refunds if refund.status != "failed")
    return (payment.amount_received or 0) - spent


def settle(world: World, refund: Refund, status: str) -> None:
    refund.status = status
    refund.updated = world.now()
    refund.error = FAILURE if status == "failed" else None
    events.of_refund(world, refund)


def retrieve(world: World, merchant: Merchant, refund_id: str, query: str) -> Json:
    read.flag(read.read_query(query, {"force_sync"}), "force_sync")
    refund = world.refunds.get((merchant.merchant_id, refund_id))
    if refund is None:
        raise errors.not_found("refund")
    return refund_body(refund)


def listed(world: World, merchant: Merchant, fields: Json) -> Json:
    """`{"count", "total_count", "data"}`, newest first; `start_time` is needed with `end_time`."""
    limit = read.check_limit(fields.get("limit", 10))
    offset = fields.get("offset", 0)
    if offset < 0:
        raise errors.invalid("offset must not be negative")
    if "end_time" in fields and "start_time" not in fields:
        raise errors.unreadable("end_time without start_time")
    bounds = _between(fields)
    found = [
        refund
        for refund in reversed(world.refunds.values())
        if _is_listed(refund, merchant, fields) and read.within(refund.created, bounds)
    ]
    data = [refund_body(refund) for refund in found[offset : offset + limit]]
    return {"count": len(data), "total_count": len(found), "data": data}


def _is_listed(refund: Refund, merchant: Merchant, fields: Json) -> bool:
    same = {"payment_id": refund.payment.payment_id, "refund_id": refund.refund_id, "profile_id": merchant.profile_id}
    among = {"currency": refund.payment.currency, "refund_status": refund.status}
    return (
        refund.payment.merchant is merchant
        and all(fields.get(name, value) == value for name, value in same.items())
        and all(value in fields.get(name, [value]) for name, value in among.items())
    )


def _between(fields: Json) -> read.Bounds:
    bounds = {"created.gte": fields.get("start_time"), "created.lte": fields.get("end_time")}
    return read.time_bounds({name: text for name, text in bounds.items() if text}, "created")


def listed_disputes(world: World, merchant: Merchant, query: str) -> list[Json]:
    by_start = world.lists_disputes_by_start_time
    filters = {"start_time", "end_time", "offset"} if by_start else read.time_filters("received_time")
    params = read.read_query(query, DISPUTE_FILTERS | filters)
    offset = read.whole_number(params.get("offset", "0"), "offset")
    limit = read.whole_number(params.get("limit", "100"), "limit")
    bounds = read.time_bounds(params, "received_time") + _between(params)
    found = [
        dispute
        for dispute in reversed(world.disputes.values())
        if _is_listed_dispute(dispute, merchant, params) and read.within(dispute.created, bounds)
    ]
    return [dispute_body(dispute) for dispute in found[offset : offset + limit]]


def _is_listed_dispute(dispute: Dispute, merchant: Merchant, params: dict[str, str]) -> bool:
    among = {"dispute_status": dispute.status, "currency": dispute.payment.currency, "profile_id": merchant.profile_id}
    return dispute.payment.merchant is merchant and all(
        value in params.get(name, value).split(",") for name, value in among.items()
    )


def retrieve_dispute(world: World, merchant: Merchant, dispute_id: str, query: str) -> Json:
    read.flag(read.read_query(query, {"force_sync"}), "force_sync")
    dispute = world.disputes.get((merchant.merchant_id, dispute_id))
    if dispute is None:
        raise errors.dispute_not_found()
    return dispute_body(dispute)
