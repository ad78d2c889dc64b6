"""POST /payments, GET /payments/{id}, POST /payments/{id}/cancel, GET /payments/list.

A decline is HTTP 200 with status `failed`. The client's `payment_id` is the only idempotency: a repeat is 400 HE_01 and
nothing is replayed. What a charge of a stored method does is decided by the method's id, see METHODS. Not established:
whether a declined payment link can be paid again without a profile setting (here it can, as long as its session runs).
"""

from datetime import timedelta

from tests.counterparties.hyperswitch import errors, events
from tests.counterparties.hyperswitch import requests_read as read
from tests.counterparties.hyperswitch.views import payment_body
from tests.counterparties.hyperswitch.world import Attempt, Decline, Json, Merchant, Payment, World

DEFAULT_SESSION = 900
SHORTEST_SESSION, LONGEST_SESSION = 60, 7_890_000
CANCELLABLE = ["requires_payment_method", "requires_capture", "requires_confirmation", "requires_customer_action"]
RETRIEVAL_PARAMETERS = {"force_sync", "expand_attempts", "expand_captures", "client_secret", "all_keys_required"}
DECLINES = {
    "generic": Decline("card_declined", "The card was declined"),
    "insufficient_funds": Decline(
        "insufficient_funds", "The card has insufficient funds", "UE_1000", "Issue with funds"
    ),
    "expired_card": Decline("expired_card", "The card has expired", "UE_1000", "Issue with the card"),
    "lost_card": Decline("lost_card", "The card was declined", "UE_1000", "Issue with the card"),
}
METHODS: dict[str, tuple[str, Decline | None]] = {
    "pm_succeeds": ("succeeded", None),
    "pm_processing": ("processing", None),
    "pm_requires_action": ("requires_customer_action", None),
    "pm_declined": ("failed", DECLINES["generic"]),
    "pm_insufficient_funds": ("failed", DECLINES["insufficient_funds"]),
    "pm_expired_card": ("failed", DECLINES["expired_card"]),
    "pm_lost_card": ("failed", DECLINES["lost_card"]),
}
ATTEMPT_STATES = {"succeeded": "charged", "failed": "failure", "requires_customer_action": "authentication_pending"}


def create(world: World, merchant: Merchant, fields: Json) -> Json:
    _check(merchant, fields)
    outcome = _check_charge(fields) if fields.get("confirm") else None
    payment = _add(world, merchant, fields)
    if outcome:
        begin_attempt(world, payment)
        settle(world, payment, *outcome)
    return payment_body(world, payment)


def _check(merchant: Merchant, fields: Json) -> None:
    for name in ("amount", "currency"):
        if name not in fields:
            raise errors.missing(name)
    read.check_amount(fields["amount"])
    read.check_metadata(fields.get("metadata"))
    read.check_id("payment_id", fields.get("payment_id"))
    if fields.get("profile_id", merchant.profile_id) != merchant.profile_id:
        raise errors.not_found("business profile")
    if "return_url" in fields:
        read.check_return_url(fields["return_url"])
    if fields.get("payment_link"):
        _check_link(fields)
    if not SHORTEST_SESSION <= fields.get("session_expiry", DEFAULT_SESSION) <= LONGEST_SESSION:
        raise errors.invalid(f"session_expiry must lie between {SHORTEST_SESSION} and {LONGEST_SESSION} seconds")


def _check_link(fields: Json) -> None:
    if fields.get("confirm"):
        raise errors.invalid("A payment link cannot be confirmed while it is made")
    if "return_url" not in fields:
        raise errors.missing("return_url")


def _check_charge(fields: Json) -> tuple[str, Decline | None]:
    """What the stored method of a confirmed payment will do. Raises for everything but an off-session charge."""
    details = fields.get("recurring_details")
    if details is None:
        raise errors.not_modelled("a confirmation with anything but recurring_details")
    if not fields.get("off_session"):
        raise errors.precondition("recurring_details need off_session: true")
    if "customer_id" not in fields:
        raise errors.missing("customer_id")
    if set(details) != {"type", "data"}:
        raise errors.unreadable("recurring_details must have type and data, and nothing else")
    if details["type"] not in {"payment_method_id", "mandate_id"}:
        raise errors.not_modelled("this type of recurring_details")
    if not isinstance(details["data"], str):
        raise errors.unreadable("recurring_details.data has the wrong type")
    if details["data"] not in METHODS:
        raise errors.not_found("payment method")
    return METHODS[details["data"]]


def _add(world: World, merchant: Merchant, fields: Json) -> Payment:
    payment_id = fields.get("payment_id") or world.new_id("pay")
    if (merchant.merchant_id, payment_id) in world.payments:
        raise errors.duplicate("payment")
    payment = Payment(
        number=world.number("payment"),
        merchant=merchant,
        payment_id=payment_id,
        fields=fields,
        created=world.now(),
        expires_on=world.now() + timedelta(seconds=fields.get("session_expiry", DEFAULT_SESSION)),
        client_secret=f"{payment_id}_{world.new_id('secret', 20)}",
        link_id=world.new_id("plink", 20) if fields.get("payment_link") else None,
    )
    world.add_payment(payment)
    return payment


def begin_attempt(world: World, payment: Payment) -> None:
    number = len(payment.attempts) + 1
    payment.attempts.append(Attempt(f"{payment.payment_id}_{number}", world.now()))


def settle(world: World, payment: Payment, status: str, decline: Decline | None = None) -> None:
    """Give the payment its status, with what belongs to it, and tell of it."""
    if payment.attempts:
        payment.attempts[-1].status = ATTEMPT_STATES.get(status, "pending")
        payment.attempts[-1].decline = decline
    if status == "succeeded" and payment.amount_received is None:
        payment.amount_received = payment.amount
    payment.status = status
    payment.modified = world.now()
    payment.unseen = None
    events.of_payment(world, payment)


def expire_lapsed(world: World) -> None:
    """Move unpaid payments whose session has run out to `expired`, where this counterparty announces it."""
    for payment in world.lapsed():
        if world.announces_expiry and payment.status == "requires_payment_method":
            settle(world, payment, "expired")


def find(world: World, merchant: Merchant, payment_id: str) -> Payment:
    payment = world.payments.get((merchant.merchant_id, payment_id))
    if payment is None:
        raise errors.not_found("payment")
    return payment


def retrieve(world: World, merchant: Merchant, payment_id: str, query: str) -> Json:
    params = read.read_query(query, RETRIEVAL_PARAMETERS)
    payment = find(world, merchant, payment_id)
    if read.flag(params, "force_sync") and payment.unseen:
        settle(world, payment, *payment.unseen)
    return payment_body(world, payment, whole=True, attempts=read.flag(params, "expand_attempts"))


def cancel(world: World, merchant: Merchant, payment_id: str, fields: Json) -> Json:
    payment = find(world, merchant, payment_id)
    if payment.status not in CANCELLABLE:
        raise errors.unexpected_state("cancelled", payment.status, ", ".join(CANCELLABLE))
    payment.cancellation_reason = fields.get("cancellation_reason")
    settle(world, payment, "cancelled")
    return payment_body(world, payment)


def listed(world: World, merchant: Merchant, query: str) -> Json:
    """`{"size", "data"}`, newest first. `created.gte` and its kin are known, `created_gte` is refused."""
    known = {"customer_id", "starting_after", "ending_before", "limit", *read.time_filters("created")}
    params = read.read_query(query, known)
    limit = read.check_limit(read.whole_number(params.get("limit", "10"), "limit"))
    bounds = read.time_bounds(params, "created")
    found = [payment for payment in reversed(world.payments.values()) if payment.merchant is merchant]
    if "starting_after" in params:
        after = find(world, merchant, params["starting_after"]).number
        found = [payment for payment in found if payment.number < after]
    if "ending_before" in params:
        raise errors.not_modelled("ending_before")
    if "customer_id" in params:
        found = [payment for payment in found if payment.fields.get("customer_id") == params["customer_id"]]
    found = [payment for payment in found if read.within(payment.created, bounds)]
    data = [payment_body(world, payment) for payment in found[:limit]]
    return {"size": len(data), "data": data}
