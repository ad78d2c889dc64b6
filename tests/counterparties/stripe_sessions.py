"""Checkout Sessions: what the replica lacks of Stripe's API, on top of the replica's payments."""

import copy
import re
import secrets
import time
from dataclasses import dataclass
from threading import RLock
from typing import Any

from tests.counterparties import openapi
from tests.counterparties.stripe_bridge import Replica, World
from tests.counterparties.stripe_errors import Refusal, missing
from tests.counterparties.stripe_lists import page
from tests.counterparties.stripe_rules import check_amount, check_metadata

URL = "/v1/checkout/sessions"
SHORTEST, LONGEST = 30 * 60, 24 * 60 * 60
COPIED = ("cancel_url", "client_reference_id", "customer", "customer_email", "locale", "submit_type", "success_url")
NOTHING = (
    "after_expiration", "allow_promotion_codes", "billing_address_collection", "client_secret",
    "collected_information", "consent", "consent_collection", "currency_conversion", "customer_details", "invoice",
    "payment_intent", "payment_link", "payment_method_configuration_details", "recovered_from", "setup_intent",
    "shipping_address_collection", "shipping_cost", "subscription",
)  # fmt: skip
NO_TEXTS = ("after_submit", "shipping_address", "submit", "terms_of_service_acceptance")


@dataclass
class Session:
    """A session as it stands, with what it was made of."""

    world: World
    shown: dict[str, Any]
    params: dict[str, Any]
    lines: list[dict[str, Any]]

    @property
    def id(self) -> str:
        return str(self.shown["id"])


class Sessions:
    """All sessions of all accounts. One lock: a buyer, an expiry and a clock never meet in the middle of one."""

    def __init__(self, replica: Replica) -> None:
        self.lock = RLock()
        self._replica = replica
        self._made: dict[World, dict[str, Session]] = {}

    def create(self, world: World, params: dict[str, Any]) -> dict[str, Any]:
        """Make an open session. Raises Refusal for what Stripe refuses."""
        now = int(time.time())
        lines = _checked(params, now)
        session = Session(world, _new(world, params, lines, now), params, lines)
        with self.lock:
            self._made.setdefault(world, {})[session.id] = session
        return self.show(session, params.get("expand"))

    def find(self, world: World, key: str) -> Session:
        """A session as it stands now. Raises Refusal 404."""
        found = self._made.get(world, {}).get(key)
        if found is None:
            raise missing("checkout.session", key, "session")
        if found.shown["status"] == "open" and time.time() >= found.shown["expires_at"]:
            self.close(found)
        return found

    def listed(self, world: World, params: dict[str, Any]) -> dict[str, Any]:
        """One page of an account's sessions, filtered by status, payment intent, customer and time."""
        filters = [name for name in ("status", "payment_intent", "customer") if name in params]
        sessions = [self.find(world, key) for key in list(self._made.get(world, ()))]
        chosen = [one for one in sessions if all(one.shown[name] == params[name] for name in filters)]
        listed = page([one.shown for one in chosen], URL, params, "checkout.session")
        paths = [path.removeprefix("data.") for path in params.get("expand", ())]
        listed["data"] = [self.show(self.find(world, shown["id"]), paths) for shown in listed["data"]]
        return listed

    def lines(self, world: World, key: str, params: dict[str, Any]) -> dict[str, Any]:
        lines = self.find(world, key).lines
        return {"object": "list", "data": lines[: params.get("limit", 10)], "has_more": False, "url": f"{URL}/{key}"}

    def expire(self, world: World, key: str, params: dict[str, Any]) -> dict[str, Any]:
        """Close an open session on the merchant's wish. Raises Refusal if it is no longer open."""
        with self.lock:
            session = self.find(world, key)
            status = session.shown["status"]
            if status != "open":
                said = 'Only Checkout Sessions with a status in ["open"] can be expired.'
                raise Refusal(400, f"{said} This Checkout Session has a status of `{status}`.", param="session")
            self.close(session)
            return self.show(session, params.get("expand"))

    def close(self, session: Session) -> None:
        """The session can no longer be paid, and its payment intent is given up."""
        with self.lock:
            intent = session.shown["payment_intent"]
            session.shown |= {"status": "expired", "url": None}
            if intent is not None:
                self._replica.post(session.world, f"/v1/payment_intents/{intent}/cancel")
            self.tell("expired", session)

    def tell(self, what: str, session: Session) -> None:
        """Record the event `checkout.session.<what>`."""
        self._replica.do(session.world, "emit", kind=f"checkout.session.{what}", thing=self.show(session))

    def owns(self, world: World, intent: str) -> bool:
        """Whether a payment intent was made by a session: then the merchant cannot cancel it."""
        return any(one.shown["payment_intent"] == intent for one in self._made.get(world, {}).values())

    def forget(self, world: World) -> None:
        self._made.pop(world, None)

    def show(self, session: Session, expand: list[str] | None = None) -> dict[str, Any]:
        """The object, with what is to be expanded; it is as Stripe describes it, or the counterparty is wrong."""
        shown = copy.deepcopy(session.shown)
        for path in expand or []:
            head, _, rest = path.partition(".")
            if head == "line_items" and not rest:
                shown[head] = {"object": "list", "data": session.lines, "has_more": False, "url": f"{URL}/{session.id}"}
            elif head == "payment_intent":
                shown[head] = self._intent(session, rest)
            else:
                raise Refusal(400, f"This property cannot be expanded ({path}).")
        problems = openapi.problems_of_object("checkout.session", shown)
        assert not problems, f"a session that Stripe would not make: {problems}"
        return shown

    def _intent(self, session: Session, expand: str) -> dict[str, Any] | None:
        intent = session.shown["payment_intent"]
        if intent is None:
            return None
        more = {"expand[]": expand} if expand else {}
        found: dict[str, Any] = self._replica.get(session.world, f"/v1/payment_intents/{intent}", **more)
        return found


def _checked(params: dict[str, Any], now: int) -> list[dict[str, Any]]:
    """The lines of a session that Stripe would make. Raises Refusal."""
    check_metadata(params)
    if params.get("mode") != "payment" or params.get("ui_mode", "hosted_page") != "hosted_page":
        raise Refusal(400, "This counterparty has only hosted pages for one-time payments", param="mode")
    for name in ("success_url", "cancel_url"):
        if name in params and not re.match(r"https?://[^/\s]+", params[name]):
            raise Refusal(400, "Not a valid URL", code="url_invalid", param=name)
    for name in ("success_url", "line_items"):
        if not params.get(name):
            raise Refusal(400, f"Missing required param: {name}.", code="parameter_missing", param=name)
    expires_at = params.get("expires_at", now + LONGEST)
    if expires_at < now + SHORTEST:
        said = "The `expires_at` timestamp must be at least 30 minutes from Checkout Session creation."
        raise Refusal(400, said, param="expires_at")
    if expires_at > now + LONGEST:
        said = "The `expires_at` timestamp must be less than 24 hours from Checkout Session creation."
        raise Refusal(400, said, param="expires_at")
    lines = [_line(line, place, now) for place, line in enumerate(params["line_items"])]
    if len({line["currency"] for line in lines}) > 1:
        raise Refusal(400, "All prices on a Checkout Session must have the same currency", param="line_items")
    total, whole = sum(line["amount_total"] for line in lines), "The Checkout Session's total amount due"
    check_amount(total, lines[0]["currency"], param="line_items", whole=whole)
    return lines


def _line(line: dict[str, Any], place: int, now: int) -> dict[str, Any]:
    at = f"line_items[{place}]"
    price = line.get("price_data", {})
    if "unit_amount" not in price or "product_data" not in price:
        raise Refusal(400, "This counterparty has only prices given with the session", param=f"{at}[price_data]")
    if "quantity" not in line:
        raise Refusal(400, f"Quantity is required. Add `quantity` to `{at}`", param=at)
    amount, currency = price["unit_amount"] * line["quantity"], price["currency"].lower()
    return {
        "id": f"li_{secrets.token_hex(12)}",
        "object": "item",
        "amount_discount": 0,
        "amount_subtotal": amount,
        "amount_tax": 0,
        "amount_total": amount,
        "currency": currency,
        "description": price["product_data"]["name"],
        "metadata": {},
        "price": _price(price, currency, now),
        "quantity": line["quantity"],
    }


def _price(price: dict[str, Any], currency: str, now: int) -> dict[str, Any]:
    return {
        "id": f"price_{secrets.token_hex(12)}",
        "object": "price",
        "active": False,
        "billing_scheme": "per_unit",
        "created": now,
        "currency": currency,
        "custom_unit_amount": None,
        "livemode": False,
        "lookup_key": None,
        "metadata": {},
        "nickname": None,
        "product": f"prod_{secrets.token_hex(7)}",
        "recurring": None,
        "tax_behavior": "unspecified",
        "tiers_mode": None,
        "transform_quantity": None,
        "type": "one_time",
        "unit_amount": price["unit_amount"],
        "unit_amount_decimal": str(price["unit_amount"]),
    }


def _new(world: World, params: dict[str, Any], lines: list[dict[str, Any]], now: int) -> dict[str, Any]:
    key = f"cs_{'live' if world.live else 'test'}_{secrets.token_hex(29)}"
    total = sum(line["amount_total"] for line in lines)
    return {
        **dict.fromkeys(NOTHING),
        **{name: params.get(name) for name in COPIED},
        "id": key,
        "object": "checkout.session",
        "adaptive_pricing": params.get("adaptive_pricing", {"enabled": True}),
        "amount_subtotal": total,
        "amount_total": total,
        "automatic_tax": {"enabled": False, "liability": None, "provider": None, "status": None},
        "created": now,
        "currency": lines[0]["currency"],
        "custom_fields": [],
        "custom_text": dict.fromkeys(NO_TEXTS),
        "customer_creation": params.get("customer_creation", "if_required"),
        "expires_at": params.get("expires_at", now + LONGEST),
        "invoice_creation": None,
        "livemode": world.live,
        "metadata": params.get("metadata", {}),
        "mode": "payment",
        "payment_method_collection": "if_required",
        "payment_method_options": {},
        "payment_method_types": params.get("payment_method_types", ["card"]),
        "payment_status": "unpaid",
        "phone_number_collection": {"enabled": False},
        "shipping_options": [],
        "status": "open",
        "total_details": {"amount_discount": 0, "amount_shipping": 0, "amount_tax": 0},
        "ui_mode": "hosted_page",
        "url": f"https://checkout.stripe.com/c/pay/{key}",
    }
