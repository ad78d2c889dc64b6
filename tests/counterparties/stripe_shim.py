"""A counterparty that behaves as Stripe does, for tests: HTTP on 127.0.0.1, and controls for what happens behind it.

`StripeCounterparty` is used in-process; `python -m tests.counterparties.stripe_shim` serves one to other processes,
which reach every control by `POST /_control/<method>` with its arguments as JSON.
"""

import json
import secrets
import sys
from collections.abc import Callable, Iterable, Sequence
from dataclasses import asdict, is_dataclass
from typing import Any

from tests.counterparties.stripe_access import PLATFORM, Access
from tests.counterparties.stripe_bridge import Replica, ReplicaError, Reply, World
from tests.counterparties.stripe_buyer import Attempt, Buyer
from tests.counterparties.stripe_errors import ControlError
from tests.counterparties.stripe_http import serve
from tests.counterparties.stripe_routes import Api
from tests.counterparties.stripe_sessions import Sessions
from tests.counterparties.stripe_webhooks import Delivery, Endpoints, Relay

Thing = dict[str, Any]
EVIDENCE = {"won": "winning_evidence", "lost": "losing_evidence", "escalated": "escalate_inquiry_evidence"}


class StripeCounterparty:
    """One Stripe, with any number of accounts. `url` is the base address of its API and of Connect.

    Every control takes the account it happens in, and `live=True` for its live mode.
    """

    def __init__(self) -> None:
        self._replica = Replica()
        self._access = Access()
        self._sessions = Sessions(self._replica)
        self._buyer = Buyer(self._replica, self._sessions)
        self._endpoints = Endpoints()
        self._relay = Relay(self._replica)
        self._api = Api(self._replica, self._access, self._sessions, self._endpoints, self._relay)
        self._server = serve(self._api, self._control)
        self.url = f"http://127.0.0.1:{self._server.server_address[1]}"

    def close(self) -> None:
        self._server.shutdown()
        self._server.server_close()
        self._replica.close()

    @property
    def bugs(self) -> list[str]:
        """What went wrong in the counterparty itself: a test run in which this is not empty proves nothing."""
        return self._api.bugs

    @property
    def client_id(self) -> str:
        """The platform's Connect application."""
        return self._access.client_id

    # Accounts and keys

    def open_account(self, account: str | None = None, *, connected: bool = True, **fields: Any) -> str:
        """A new account, by default connected to the platform; `fields` as in Stripe's account object."""
        account = account or f"acct_{secrets.token_hex(8)}"
        self._access.open_account(account, **fields)
        if connected:
            self._access.connected.add(account)
        return account

    def close_account(self, account: str) -> None:
        """The account and its keys are gone, with all that happened there, in both modes."""
        for key in self._access.keys.values():
            key.is_revoked |= key.account == account
        self._access.connected.discard(account)
        for world in (World(account), World(account, live=True)):
            self._sessions.forget(world)
            self._replica.forget(world)

    def issue_key(
        self, account: str = PLATFORM, *, live: bool = False, restricted: bool = False, missing: Iterable[str] = ()
    ) -> str:
        """A key of an account; `missing` permissions are spelt as Stripe does, `rak_charge_read`."""
        return self._access.issue_key(account, live=live, restricted=restricted or bool(missing), missing=set(missing))

    def take_permissions(self, key: str, missing: Iterable[str]) -> None:
        """From now on a key lacks these permissions, and no others."""
        self._access.keys[key].missing = set(missing)

    def revoke_key(self, key: str) -> None:
        self._access.keys[key].is_revoked = True

    def authorize(self, account: str) -> str:
        """The merchant lets the platform in: the OAuth code, good once and for five minutes."""
        return self._access.authorize(account)

    def disconnect(self, account: str, *, live: bool = False) -> None:
        """The merchant throws the platform out; it is told so by an event."""
        self._access.connected.discard(account)
        self._api.tell_deauthorized(World(account, live))

    # Buyers and banks

    def pay(self, account: str, session: str, method: str = "tok_visa", *, live: bool = False) -> Attempt:
        """A buyer's attempt at an open session: a card token or number, or a delayed method (`sepa_debit`)."""
        return self._buyer.pay(World(account, live), session, method)

    def authenticate(self, account: str, session: str, *, succeeds: bool = True, live: bool = False) -> Attempt:
        """The buyer answers the bank's question after `requires_action`."""
        return self._buyer.authenticate(World(account, live), session, succeeds=succeeds)

    def settle(self, account: str, session: str, *, succeeds: bool = True, live: bool = False) -> Attempt:
        """The money of a delayed method comes, or does not."""
        return self._buyer.settle(World(account, live), session, succeeds=succeeds)

    def lapse(self, account: str, session: str, *, live: bool = False) -> None:
        """An open session's time runs out."""
        self._buyer.lapse(World(account, live), session)

    def store_method(self, account: str, method: str = "tok_visa", *, live: bool = False) -> dict[str, str]:
        """`{customer, payment_method}` for charges without the buyer."""
        return self._buyer.store_method(World(account, live), method)

    def refund(self, account: str, payment_intent: str, amount: int | None = None, *, live: bool = False) -> Thing:
        """The merchant refunds in the dashboard, all or a part."""
        form = {"payment_intent": payment_intent, "amount": amount}
        return _done(self._replica.post(World(account, live), "/v1/refunds", **form))

    def fail_refund(
        self, account: str, refund: str, reason: str = "lost_or_stolen_card", *, live: bool = False
    ) -> Thing:
        """The buyer's bank sends a refund back, perhaps days after it succeeded."""
        return self._do(account, "fail_refund", live, refund=refund, reason=reason)

    def settle_refund(self, account: str, refund: str, *, live: bool = False) -> Thing:
        """A pending refund (card 4000000000007726) arrives."""
        return self._do(account, "settle_refund", live, refund=refund)

    def dispute(
        self,
        account: str,
        payment_intent: str,
        *,
        reason: str = "fraudulent",
        inquiry: bool = False,
        live: bool = False,
    ) -> Thing:
        """The cardholder disputes a paid intent; an inquiry is the bank's question that comes before."""
        charge = self._replica.get(World(account, live), f"/v1/payment_intents/{payment_intent}")["latest_charge"]
        return self._do(account, "dispute", live, charge=charge, reason=reason, inquiry=inquiry)

    def resolve_dispute(self, account: str, dispute: str, outcome: str, *, live: bool = False) -> Thing:
        """The bank decides: `won`, `lost`; of an inquiry also `escalated` (to a chargeback) or `closed`."""
        if outcome == "closed":
            return self._do(account, "close_inquiry", live, dispute=dispute)
        evidence = {"uncategorized_text": EVIDENCE[outcome]}
        path = f"/v1/disputes/{dispute}"
        decided = _done(self._replica.post(World(account, live), path, evidence=evidence, submit=True))
        return self._do(account, "escalated", live, dispute=dispute) if outcome == "escalated" else decided

    # Events

    def events(self, account: str, *, live: bool = False) -> list[Thing]:
        """All events of an account, oldest first."""
        return self._relay.events(World(account, live))

    def deliveries(
        self, account: str, secret: str | Sequence[str], *, target: str = "", live: bool = False, **how: Any
    ) -> list[Delivery]:
        """Signed deliveries to hand over in-process; `how` is told at `Relay.prepare`."""
        return self._relay.prepare(World(account, live), target, secret, **how)

    def deliver(
        self, account: str, url: str, secret: str | Sequence[str], *, live: bool = False, **how: Any
    ) -> list[Delivery]:
        """Post what an address has not had yet; returns the deliveries with the receiver's `status`."""
        world = World(account, live)
        return self._relay.post(world, url, self._relay.prepare(world, url, secret, **how))

    def deliver_to_endpoints(self, account: str, *, live: bool = False, **how: Any) -> list[Delivery]:
        """Post to every endpoint registered for the account: its own, and the platform's for connected accounts."""
        own = [(one, False) for one in self._endpoints.listening(World(account, live), connect=False)]
        theirs = [(one, True) for one in self._endpoints.listening(World(PLATFORM, live), connect=True)]
        done: list[Delivery] = []
        for endpoint, connect in own + theirs:
            secret, types = self._endpoints.secrets[endpoint["id"]], endpoint["enabled_events"]
            done += self.deliver(account, endpoint["url"], secret, live=live, connect=connect, types=types, **how)
        return done

    def _control(self, name: str, body: bytes) -> Reply:
        """A control by name: 200 with its result, 404 without such a control, 409 with why it cannot happen."""
        if name not in CONTROLS:
            return Reply(404, json.dumps({"problem": f"there is no control {name}"}).encode())
        control: Callable[..., Any] = getattr(self, name)
        try:
            done = control(**json.loads(body or b"{}"))
        except (ControlError, ReplicaError, LookupError, TypeError, ValueError) as error:
            return Reply(409, json.dumps({"problem": str(error)}).encode())
        return Reply(200, json.dumps(done, default=_plain).encode(), {"content-type": "application/json"})

    def _do(self, account: str, deed: str, live: bool, **arguments: Any) -> Thing:
        done: Thing = self._replica.do(World(account, live), deed, **arguments)
        return done


_OFFERED = {name for name, made in vars(StripeCounterparty).items() if callable(made) and not name.startswith("_")}
CONTROLS = frozenset(_OFFERED - {"close"})


def _done(reply: Reply) -> Thing:
    if reply.status != 200:
        raise ControlError(reply.json["error"]["message"])
    done: Thing = reply.json
    return done


def _plain(value: Any) -> Any:
    if is_dataclass(value) and not isinstance(value, type):
        return asdict(value)
    return value.decode()


def main() -> None:
    """Serve until standard input ends; the first line printed is `{"url", "client_id", "key"}`."""
    counterparty = StripeCounterparty()
    told = {"url": counterparty.url, "client_id": counterparty.client_id, "key": counterparty.issue_key()}
    print(json.dumps(told), flush=True)
    sys.stdin.read()
    counterparty.close()


if __name__ == "__main__":
    main()
