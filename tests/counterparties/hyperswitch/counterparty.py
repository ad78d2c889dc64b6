"""The handle that tests and benchmarks hold: the server, its merchants, and everything a test can make happen.

In a test call the methods. Over HTTP, `POST /_control/<method>` with a JSON object of the same arguments does the
same and answers with JSON; 409 `{"error"}` for what cannot happen, 400 for wrong arguments, 404 for no such method.
"""

import json
import threading
from types import TracebackType
from typing import Any, Self, TypeVar
from urllib.parse import urlsplit

from tests.counterparties.hyperswitch import buyer, events, faults, payments
from tests.counterparties.hyperswitch.buyer import ControlError, Outcome
from tests.counterparties.hyperswitch.errors import unauthorized
from tests.counterparties.hyperswitch.events import Delivery, Order, Sender
from tests.counterparties.hyperswitch.server import Server
from tests.counterparties.hyperswitch.views import dispute_body, payment_body, refund_body
from tests.counterparties.hyperswitch.world import Clock, Event, Json, Key, Merchant, Payment, World

T = TypeVar("T")
LOOPBACK = {"127.0.0.1", "localhost", "::1", "testserver"}
PREFIXES = {"sandbox": "snd", "production": "prod"}
CONTROLS = {
    *("add_merchant", "issue_key", "revoke_key", "set_webhook", "allow_webhooks", "set_refunds_become", "advance"),
    *("pay", "finish", "capture", "expire", "refund", "finish_refund", "dispute", "move_dispute", "payment"),
    *("deliver", "resend", "event_list", "fail_next", "calls"),
}


class HyperswitchCounterparty:
    """A running fake. `mode` decides which keys exist: `snd_` in the sandbox, `prod_` in production."""

    def __init__(
        self,
        *,
        mode: str = "sandbox",
        clock: Clock | None = None,
        seed: int = 0,
        announces_expiry: bool = True,
        sender: Sender = events.post,
        port: int = 0,
    ) -> None:
        self.world = World(mode=mode, clock=clock, seed=seed, announces_expiry=announces_expiry)
        self._sender = sender
        self._faults: list[faults.Fault] = []
        self._calls: list[tuple[str, str]] = []
        self._prefix = PREFIXES[mode]
        self._server = Server(self, port)
        self.base_url = self.world.base_url = f"http://127.0.0.1:{self._server.server_port}"
        self._thread = threading.Thread(target=self._server.serve_forever, args=(0.05,), daemon=True)
        self._thread.start()

    def close(self) -> None:
        self._server.shutdown()
        self._server.server_close()
        self._thread.join()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    # Merchants and keys

    def add_merchant(self, webhook_url: str | None = None) -> Merchant:
        """A merchant with one profile and one key. In production webhooks stay off until `allow_webhooks`."""
        with self.world.lock:
            merchant = Merchant(
                merchant_id=self.world.new_id("merchant", 16),
                profile_id=self.world.new_id("pro", 20),
                api_key=self.world.new_id(self._prefix, 48),
                payment_response_hash_key=self.world.new_id("hash", 59),
                webhook_url=_local(webhook_url),
                webhooks_allowed=self.world.mode == "sandbox",
            )
            merchant.keys.add(merchant.api_key)
            self.world.merchants[merchant.merchant_id] = merchant
            return merchant

    def issue_key(self, merchant: Merchant | str) -> str:
        with self.world.lock:
            key = self.world.new_id(self._prefix, 48)
            self._merchant(merchant).keys.add(key)
            return key

    def revoke_key(self, api_key: str) -> None:
        with self.world.lock:
            for merchant in self.world.merchants.values():
                merchant.keys.discard(api_key)

    def set_webhook(self, merchant: Merchant | str, url: str | None, hash_key: str | None = None) -> None:
        """Change the profile's address, and its `payment_response_hash_key` if one is given ("" removes it)."""
        with self.world.lock:
            found = self._merchant(merchant)
            found.webhook_url = _local(url)
            if hash_key is not None:
                found.payment_response_hash_key = hash_key or None

    def allow_webhooks(self, merchant: Merchant | str) -> None:
        with self.world.lock:
            self._merchant(merchant).webhooks_allowed = True

    def set_refunds_become(self, merchant: Merchant | str, status: str) -> None:
        """What POST /refunds answers from now on: succeeded, failed, pending or review."""
        if status not in buyer.REFUND_STATUSES:
            raise ControlError(f"A refund cannot be {status}")
        with self.world.lock:
            self._merchant(merchant).refunds_become = status

    def merchant_of(self, api_key: str | None) -> Merchant:
        for merchant in self.world.merchants.values():
            if api_key in merchant.keys:
                return merchant
        raise unauthorized()

    def _merchant(self, merchant: Merchant | str) -> Merchant:
        return merchant if isinstance(merchant, Merchant) else self.world.merchants[merchant]

    # What buyers, banks and staff do

    def advance(self, seconds: float) -> None:
        """Move the clock; sessions that run out by it expire now."""
        with self.world.lock:
            self.world.advance(seconds)
            payments.expire_lapsed(self.world)

    def pay(self, payment_id: str, outcome: Outcome = "succeeded", decline: str = "generic") -> Json:
        with self.world.lock:
            payments.expire_lapsed(self.world)
            buyer.pay(self.world, self._payment(payment_id), outcome, decline)
            return self.payment(payment_id)

    def finish(
        self, payment_id: str, outcome: Outcome = "succeeded", decline: str = "generic", unseen: bool = False
    ) -> Json:
        with self.world.lock:
            buyer.finish(self.world, self._payment(payment_id), outcome, decline, unseen=unseen)
            return self.payment(payment_id)

    def capture(self, payment_id: str, amount: int | None = None) -> Json:
        with self.world.lock:
            buyer.capture(self.world, self._payment(payment_id), amount)
            return self.payment(payment_id)

    def expire(self, payment_id: str) -> Json:
        with self.world.lock:
            buyer.expire(self.world, self._payment(payment_id))
            return self.payment(payment_id)

    def refund(self, payment_id: str, amount: int | None = None, status: str = "succeeded") -> Json:
        with self.world.lock:
            return refund_body(buyer.refund(self.world, self._payment(payment_id), amount, status))

    def finish_refund(self, refund_id: str, status: str) -> Json:
        with self.world.lock:
            refund = self._only(self.world.refunds, refund_id)
            buyer.finish_refund(self.world, refund, status)
            return refund_body(refund)

    def dispute(self, payment_id: str, amount: int | None = None, reason: str = "fraudulent") -> Json:
        with self.world.lock:
            return dispute_body(buyer.dispute(self.world, self._payment(payment_id), amount, reason))

    def move_dispute(self, dispute_id: str, to: str) -> Json:
        """`to`: challenged, lost, won, cancelled, accepted or expired."""
        with self.world.lock:
            dispute = self._only(self.world.disputes, dispute_id)
            buyer.move_dispute(self.world, dispute, to)
            return dispute_body(dispute)

    def payment(self, payment_id: str) -> Json:
        """The payment as GET would show it, whoever's it is, without syncing anything."""
        with self.world.lock:
            return payment_body(self.world, self._payment(payment_id), whole=True, attempts=True)

    def _payment(self, payment_id: str) -> Payment:
        return self._only(self.world.payments, payment_id)

    def _only(self, objects: dict[Key, T], object_id: str) -> T:
        """The object with this id, whichever merchant has it."""
        found = [objects[key, object_id] for key in self.world.merchants if (key, object_id) in objects]
        if len(found) != 1:
            raise ControlError(f"{len(found)} objects have the id {object_id}")
        return found[0]

    # Webhooks

    def event_list(self) -> list[Json]:
        """Every event so far, oldest first, as the bodies that are sent."""
        with self.world.lock:
            return [json.loads(event.body) for event in self.world.events]

    def deliver(self, order: Order = "in_order", seed: int = 0, copies: int = 1, again: bool = False) -> list[Delivery]:
        """Send what no receiver has accepted yet (`again`: everything), each `copies` times, in the given order."""
        with self.world.lock:
            waiting = [event for event in self.world.events if again or not event.is_delivered]
        return events.send(self.world, events.arranged(waiting, order, seed, copies), self._sender)

    def resend(self, event_id: str) -> list[Delivery]:
        """Send one event again: the same bytes, the same signature."""
        return events.send(self.world, [self.event(event_id)], self._sender)

    def event(self, event_id: str) -> Event:
        with self.world.lock:
            for event in self.world.events:
                if event.event_id == event_id:
                    return event
        raise ControlError(f"There is no event {event_id}")

    # Failures

    def fail_next(
        self, kind: faults.Kind, times: int = 1, method: str | None = None, path: str = "/", processed: bool = False
    ) -> None:
        """Let the next requests fail that have this method and begin with this path; see `faults`."""
        if kind not in faults.KINDS or (processed and kind in faults.UNPROCESSABLE):
            raise ControlError(f"No such failure: {kind}, processed {processed}")
        with self.world.lock:
            self._faults.append(faults.Fault(kind, times, method, path, processed))

    def next_fault(self, method: str, path: str) -> faults.Fault | None:
        with self.world.lock:
            return faults.take(self._faults, method, path)

    def note_call(self, method: str, target: str) -> None:
        with self.world.lock:
            self._calls.append((method, target))

    def calls(self) -> list[tuple[str, str]]:
        """Every API call so far: method and target."""
        with self.world.lock:
            return list(self._calls)

    # HTTP beside the API

    def control(self, name: str, raw: bytes) -> tuple[int, Any]:
        if name not in CONTROLS:
            return 404, {"error": f"No control {name}"}
        try:
            return 200, _plain(getattr(self, name)(**json.loads(raw or b"{}")))
        except ControlError as error:
            return 409, {"error": str(error)}
        except (TypeError, ValueError, LookupError) as error:
            return 400, {"error": repr(error)}

    def link_page(self, path: str) -> tuple[int, str]:
        """A page that says where the payment stands: what a browser sees behind the link."""
        with self.world.lock:
            payments.expire_lapsed(self.world)
            merchant_id, _, payment_id = path.removeprefix("/payment_link/").partition("/")
            payment = self.world.payments.get((merchant_id, payment_id))
            if payment is None or payment.link_id is None:
                return 404, "<h1>No such payment link</h1>"
            is_open = payment.status in buyer.PAYABLE and self.world.now() < payment.expires_on
            state = "open" if is_open else "closed"
            return 200, f"<h1>{payment.amount} {payment.currency}</h1><p>{state}: {payment.status}</p>"


def _local(url: str | None) -> str | None:
    """Webhooks go to this machine only."""
    if url is not None and urlsplit(url).hostname not in LOOPBACK:
        raise ControlError("Webhooks are sent to this machine only")
    return url


def _plain(result: Any) -> Any:
    """A control's result as JSON can carry it."""
    if isinstance(result, Merchant):
        names = ("merchant_id", "profile_id", "api_key", "payment_response_hash_key", "webhook_url")
        return {name: getattr(result, name) for name in names}
    if isinstance(result, list):
        return [_plain(item) for item in result]
    return vars(result) if isinstance(result, Delivery) else result
