"""The replica's side: run by bridge.mjs inside Pyodide, never imported by tests.

`answer` serves Stripe's API for one account, `POST /_forget`, and `POST /_deed/<name>` for what at the real Stripe
only time, a bank or a cardholder does. A deed works on the replica's own rows and events, so that every later read
agrees with it.
"""

import json
import os
import sys
from collections.abc import Callable
from importlib import import_module
from typing import Any

sys.path.insert(0, "/site")
if not hasattr(os, "geteuid"):  # Emscripten has none, and SQLite's binding asks for it
    setattr(os, "geteuid", os.getuid)  # noqa: B010 (an assignment is refused where the name exists)

runtime = import_module("seahaven.http.runtime")
messages = import_module("seahaven.http.messages")
http_api = import_module("seahaven_stripe_world.http_api")
envelope = import_module("seahaven_stripe_world.middleware.stripe_envelope")
ledger = import_module("seahaven_stripe_world.billing.ledger")
charges, disputes, events, intents, payment_methods, refunds = (
    import_module(f"seahaven_stripe_world.resources.{name}")
    for name in ("charges", "disputes", "events", "payment_intents", "payment_methods", "refunds")
)

Deed = Callable[..., Any]
DEEDS: dict[str, Deed] = {}
SERIALIZERS = {
    "charges": charges.serialize,
    "disputes": disputes.serialize,
    "payment_intents": intents.serialize,
    "refunds": refunds.serialize,
}
_world = import_module("seahaven_stripe_world").world
REGISTRIES = {live: runtime.Registry(_world, {"startup": {"livemode": live}}, 0) for live in (False, True)}


def answer(account: str, live: bool, method: str, path: str, query: str, headers: str, body: Any) -> str:
    """One request to one account, as JSON `[status, headers, text]`."""
    if path == "/_forget":
        REGISTRIES[live].delete(account)
        return json.dumps([200, [], "{}"])
    request = messages.HttpRequest(
        method=method,
        path=path,
        query=query,
        headers=tuple((name, value) for name, value in json.loads(headers)),
        body=bytes(body),
    )
    handler = _do if path.startswith("/_deed/") else http_api.handle
    response = REGISTRIES[live].run(account, lambda world: runtime.dispatch(world, handler, request))
    return json.dumps([response.status, list(response.headers), response.body_bytes.decode()])


def _do(ctx: Any, request: Any) -> Any:
    envelope.mint_request(ctx, None)
    done = DEEDS[request.path.removeprefix("/_deed/")](ctx, **json.loads(request.body))
    return messages.HttpResponse.json(done)


def deed(function: Deed) -> Deed:
    DEEDS[function.__name__] = function
    return function


def row(ctx: Any, table: str, key: str) -> Any:
    found = ctx.db.one(f"SELECT * FROM {table} WHERE id = ?", key)
    if found is None:
        raise LookupError(f"{table} has no {key}")
    return found


def put(ctx: Any, table: str, key: str, **columns: Any) -> dict[str, Any]:
    """Change a row; returns the object as the API shows it now."""
    values = [json.dumps(value) if isinstance(value, dict) else value for value in columns.values()]
    ctx.db.execute(f"UPDATE {table} SET {', '.join(f'{name} = ?' for name in columns)} WHERE id = ?", *values, key)
    shown: dict[str, Any] = SERIALIZERS[table](ctx, row(ctx, table, key))
    return shown


def tell(ctx: Any, kind: str, thing: Any) -> None:
    events.emit_event(ctx, type=kind, obj=thing)


for fields in (charges.FIELDS, payment_methods._FIELDS):  # the replica shows null, and Stripe an empty object
    fields.constants["radar_options"] = {}

_emit = events.emit_event


def _emit_what_happened(ctx: Any, *, type: str, obj: Any, previous: Any = None) -> Any:  # noqa: A002 (the replica's name)
    """The replica says of an inquiry, too, that funds were withdrawn; at Stripe none are before it is escalated."""
    if type == "charge.dispute.funds_withdrawn" and obj["status"].startswith("warning_"):
        return None
    return _emit(ctx, type=type, obj=obj, previous=previous)


setattr(events, "emit_event", _emit_what_happened)  # noqa: B010 (a module of unknown type)


@deed
def emit(ctx: Any, kind: str, thing: dict[str, Any]) -> str:
    """Record an event of an object that the replica does not have; returns its id."""
    return str(events.emit_event(ctx, type=kind, obj=thing))


@deed
def begin_delayed(ctx: Any, intent: str, payment_method: str) -> dict[str, Any]:
    """The buyer promised to pay by a method that takes days: charge pending, intent processing."""
    found = row(ctx, "payment_intents", intent)
    names = ("amount", "currency", "customer", "description", "receipt_email", "shipping", "metadata")
    copied = {name: found[name] for name in (*names, "statement_descriptor", "statement_descriptor_suffix")}
    method = row(ctx, "payment_methods", payment_method)
    charge = charges.insert_charge(ctx, payment_intent=intent, pm_row=method, captured=False, **copied)
    pending = put(ctx, "charges", charge["id"], status="pending", paid=0, captured=1, amount_captured=found["amount"])
    now = {"payment_method": payment_method, "latest_charge": charge["id"], "last_payment_error": None}
    processing = put(ctx, "payment_intents", intent, status="processing", **now)
    tell(ctx, "charge.pending", pending)
    tell(ctx, "payment_intent.processing", processing)
    return processing


@deed
def settle_delayed(ctx: Any, intent: str, succeeded: bool) -> dict[str, Any]:
    """Days later: the money came, or did not."""
    found = row(ctx, "payment_intents", intent)
    if found["status"] != "processing":
        raise LookupError(f"{intent} is {found['status']}, not processing")
    charge = found["latest_charge"]
    if not succeeded:
        words = {"failure_code": "insufficient_funds", "failure_message": "The account has insufficient funds."}
        failed = put(ctx, "charges", charge, status="failed", captured=0, amount_captured=0, **words)
        tell(ctx, "charge.failed", failed)
        return _fail(ctx, found, words["failure_code"], words["failure_message"], charge)
    captured = {"amount_captured": found["amount"], "currency": found["currency"], "description": None}
    charges.record_capture_ledger(ctx, charge, **captured)
    tell(ctx, "charge.succeeded", put(ctx, "charges", charge, status="succeeded", paid=1))
    paid = put(ctx, "payment_intents", intent, status="succeeded", amount_received=found["amount"])
    tell(ctx, "payment_intent.succeeded", paid)
    return paid


@deed
def authenticate(ctx: Any, intent: str, succeeded: bool) -> dict[str, Any]:
    """The buyer answers the bank's question: the intent may be confirmed again, or wants another method."""
    found = row(ctx, "payment_intents", intent)
    if found["status"] != "requires_action":
        raise LookupError(f"{intent} is {found['status']}, not requires_action")
    if not succeeded:
        said = "The provided PaymentMethod has failed authentication."
        return _fail(ctx, found, "payment_intent_authentication_failure", said, None)
    method = row(ctx, "payment_methods", found["payment_method"])
    kept = ",".join(tag for tag in method["x_behavior"].split(",") if not tag.startswith("three_d_secure"))
    ctx.db.execute("UPDATE payment_methods SET x_behavior = ? WHERE id = ?", kept or None, method["id"])
    ready: dict[str, Any] = intents.serialize(ctx, found)
    return ready


def _fail(ctx: Any, found: Any, code: str, said: str, charge: str | None) -> dict[str, Any]:
    method = payment_methods._serialize(ctx, row(ctx, "payment_methods", found["payment_method"]))
    error = {"type": "card_error" if charge is None else "invalid_request_error", "code": code, "message": said}
    error |= {"payment_method": method, "payment_method_type": method["type"]} | ({"charge": charge} if charge else {})
    error["doc_url"] = f"https://stripe.com/docs/error-codes/{code.replace('_', '-')}"
    now = {"status": "requires_payment_method", "payment_method": None, "next_action": None}
    failed = put(ctx, "payment_intents", found["id"], last_payment_error=error, **now)
    tell(ctx, "payment_intent.payment_failed", failed)
    return failed


@deed
def dispute(ctx: Any, charge: str, reason: str, inquiry: bool) -> dict[str, Any]:
    """The cardholder disputes a charge that was paid by any card; an inquiry withdraws no funds."""
    track = "inquiry" if inquiry else "chargeback"
    disputes.maybe_create_dispute(
        ctx, row(ctx, "charges", charge), {"x_behavior": f"dispute={reason},dispute_track={track}"}
    )
    opened = ctx.db.one("SELECT * FROM disputes WHERE charge = ? ORDER BY x_seq DESC", charge)
    shown: dict[str, Any] = disputes.serialize(ctx, opened)
    return shown


@deed
def close_inquiry(ctx: Any, dispute: str) -> dict[str, Any]:
    """An inquiry ends without having become a chargeback."""
    if not row(ctx, "disputes", dispute)["status"].startswith("warning_"):
        raise LookupError(f"{dispute} is no open inquiry")
    closed = put(ctx, "disputes", dispute, status="warning_closed")
    tell(ctx, "charge.dispute.closed", closed)
    return closed


@deed
def escalated(ctx: Any, dispute: str) -> dict[str, Any]:
    """Tells what the replica leaves out when an inquiry becomes a chargeback: that its funds were withdrawn."""
    now: dict[str, Any] = disputes.serialize(ctx, row(ctx, "disputes", dispute))
    tell(ctx, "charge.dispute.funds_withdrawn", now)
    return now


@deed
def fail_refund(ctx: Any, refund: str, reason: str) -> dict[str, Any]:
    """The buyer's bank sends a refund back: the money returns, and the charge counts it no longer."""
    found = row(ctx, "refunds", refund)
    charge = row(ctx, "charges", found["charge"])
    returned = None
    if found["status"] == "succeeded":
        remaining = charge["amount_refunded"] - found["amount"]
        put(ctx, "charges", charge["id"], amount_refunded=remaining, refunded=0)
        returned = _book(ctx, found, "refund_failure", found["amount"])
    now = {"status": "failed", "failure_reason": reason, "failure_balance_transaction": returned}
    failed = put(ctx, "refunds", refund, **now)
    for kind in ("refund.updated", "refund.failed", "charge.refund.updated"):
        tell(ctx, kind, failed)
    return failed


@deed
def settle_refund(ctx: Any, refund: str) -> dict[str, Any]:
    """A pending refund arrives."""
    found = row(ctx, "refunds", refund)
    if found["status"] != "pending":
        raise LookupError(f"{refund} is {found['status']}, not pending")
    charge = row(ctx, "charges", found["charge"])
    total = charge["amount_refunded"] + found["amount"]
    now = {"amount_refunded": total, "refunded": int(total == charge["amount_captured"])}
    shown = put(ctx, "charges", charge["id"], **now)
    booked = _book(ctx, found, "refund", -found["amount"])
    settled = put(ctx, "refunds", refund, status="succeeded", balance_transaction=booked)
    for kind, thing in (("refund.updated", settled), ("charge.refund.updated", settled), ("charge.refunded", shown)):
        tell(ctx, kind, thing)
    return settled


def _book(ctx: Any, refund: Any, kind: str, amount: int) -> str:
    words = {"type_": kind, "description": kind.replace("_", " "), "reporting_category": kind}
    sums = {"amount": amount, "fee": 0, "currency": refund["currency"]}
    return str(ledger.record(ctx, source_id=refund["id"], **words, **sums)["id"])
