"""The buyer on a Checkout page, and the banks behind: what moves a payment without the merchant."""

import time
from dataclasses import dataclass
from typing import Any

from tests.counterparties.stripe_bridge import Replica, World
from tests.counterparties.stripe_errors import ControlError
from tests.counterparties.stripe_sessions import Session, Sessions

DELAYED = ("bacs_debit", "boleto", "multibanco", "sepa_debit")
CUSTOMER: dict[str, Any] = {"address": None, "email": "buyer@example.com", "name": "A buyer", "phone": None}
OF_INTENT = ("description", "metadata", "receipt_email", "setup_future_usage", "statement_descriptor_suffix")


@dataclass(frozen=True, slots=True)
class Attempt:
    """How an attempt to pay ended: `status` is the intent's, `code` and `decline_code` say why it was declined."""

    session: str
    payment_intent: str
    status: str
    code: str | None = None
    decline_code: str | None = None


class Buyer:
    """Whoever pays, declines to, or gets the money back."""

    def __init__(self, replica: Replica, sessions: Sessions) -> None:
        self._replica = replica
        self._sessions = sessions

    def pay(self, world: World, key: str, method: str) -> Attempt:
        """Try to pay an open session by a card (`tok_visa`, a card number) or a delayed method (`sepa_debit`).

        All attempts in a session use one payment intent. Raises ControlError if the session is not open.
        """
        with self._sessions.lock:
            session = self._open(world, key)
            intent = session.shown["payment_intent"] or self._intent(session)
            made = self._method(world, method)
            if method in DELAYED:
                done = self._replica.do(world, "begin_delayed", intent=intent, payment_method=made)
                return self._after(session, done)
            return self._confirm(session, intent, made)

    def authenticate(self, world: World, key: str, *, succeeds: bool) -> Attempt:
        """Answer the bank's question that an attempt with `requires_action` left open."""
        with self._sessions.lock:
            session = self._open(world, key)
            intent = session.shown["payment_intent"]
            shown = self._replica.do(world, "authenticate", intent=intent, succeeded=succeeds)
            return self._confirm(session, intent, shown["payment_method"]) if succeeds else self._after(session, shown)

    def settle(self, world: World, key: str, *, succeeds: bool) -> Attempt:
        """Days after a delayed method: the money comes, or does not."""
        with self._sessions.lock:
            session = self._sessions.find(world, key)
            intent = session.shown["payment_intent"]
            shown = self._replica.do(world, "settle_delayed", intent=intent, succeeded=succeeds)
            session.shown["payment_status"] = "paid" if succeeds else "unpaid"
            self._sessions.tell("async_payment_succeeded" if succeeds else "async_payment_failed", session)
            return _attempt(session, shown)

    def lapse(self, world: World, key: str) -> None:
        """Nobody pays until the session ends."""
        with self._sessions.lock:
            session = self._open(world, key)
            session.shown["expires_at"] = int(time.time())
            self._sessions.close(session)

    def store_method(self, world: World, method: str) -> dict[str, str]:
        """A customer with a stored method, for charges without the buyer: `{customer, payment_method}`.

        A card that is refused only when it is charged: 4000000000000341; one that wants its holder: 4000002500003155.
        """
        customer = self._replica.post(world, "/v1/customers", email=CUSTOMER["email"]).json["id"]
        made = self._method(world, method)
        attached = self._replica.post(world, f"/v1/payment_methods/{made}/attach", customer=customer)
        if attached.status != 200:
            raise ControlError(attached.json["error"]["message"])
        return {"customer": customer, "payment_method": made}

    def _open(self, world: World, key: str) -> Session:
        session = self._sessions.find(world, key)
        if session.shown["status"] != "open":
            raise ControlError(f"{key} is {session.shown['status']}: nobody can pay it")
        return session

    def _intent(self, session: Session) -> str:
        asked = session.params.get("payment_intent_data", {})
        form: dict[str, Any] = {name: asked.get(name) for name in OF_INTENT}
        shown = session.shown
        if shown["customer"] is None and shown["customer_creation"] == "always":
            shown["customer"] = self._replica.post(session.world, "/v1/customers", email=CUSTOMER["email"]).json["id"]
        form |= {"amount": shown["amount_total"], "currency": shown["currency"], "customer": shown["customer"]}
        made = self._replica.post(session.world, "/v1/payment_intents", **form)
        if made.status != 200:
            raise ControlError(made.json["error"]["message"])
        shown["payment_intent"] = made.json["id"]
        return str(made.json["id"])

    def _method(self, world: World, method: str) -> str:
        if method in DELAYED:
            form: dict[str, Any] = {"type": method}
        elif method.isdigit():
            form = {"type": "card", "card": {"number": method, "exp_month": 12, "exp_year": 2034, "cvc": "123"}}
        else:
            form = {"type": "card", "card": {"token": method}}
        made = self._replica.post(world, "/v1/payment_methods", **form, billing_details={"email": CUSTOMER["email"]})
        if made.status != 200:
            raise ControlError(made.json["error"]["message"])
        return str(made.json["id"])

    def _confirm(self, session: Session, intent: str, method: str) -> Attempt:
        path = f"/v1/payment_intents/{intent}/confirm"
        reply = self._replica.post(session.world, path, payment_method=method)
        if reply.status == 200:
            return self._after(session, reply.json)
        error = reply.json["error"]
        if "payment_intent" not in error:
            raise ControlError(error["message"])
        return _attempt(session, error["payment_intent"])

    def _after(self, session: Session, intent: dict[str, Any]) -> Attempt:
        """A session is complete when the buyer is done, which is not yet paid if the method is a delayed one."""
        if intent["status"] in ("succeeded", "processing"):
            paid = "paid" if intent["status"] == "succeeded" else "unpaid"
            details = CUSTOMER | {"business_name": None, "individual_name": None, "tax_exempt": "none", "tax_ids": []}
            session.shown |= {"status": "complete", "payment_status": paid, "url": None, "customer_details": details}
            self._sessions.tell("completed", session)
        return _attempt(session, intent)


def _attempt(session: Session, intent: dict[str, Any]) -> Attempt:
    error = intent["last_payment_error"] if intent["status"] == "requires_payment_method" else None
    why = error or {}
    return Attempt(session.id, intent["id"], intent["status"], why.get("code"), why.get("decline_code"))
