"""A merchant at Stripe, an agent with a key and a buyer: what each of them does, and what it comes to."""

import time
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import timedelta
from typing import Any

from django.db.models import Sum
from django.test import Client
from django.utils import timezone
from procrastinate.contrib.django.models import ProcrastinateJob

from checkout import inbox, matching, recovery
from checkout.models import Authorization, Checkout, WebhookReceipt
from ledger.models import Conversion, Event, Posting
from merchants.models import Connection, Offer
from rako.core.wire import instant
from sessions_app.models import Recommendation
from tests.conftest import Api
from tests.counterparties.fixtures import Shop
from tests.counterparties.stripe_bridge import World
from tests.counterparties.stripe_webhooks import Delivery, sign
from tests.factories import OfferFactory

BROKE_CARD = "4000000000000341"
SCA_CARD = "4000002500003155"
ACCRUED = {"merchant_accrued": 800, "builder_pending": -640, "fee_pending": -160}
ORDERS: list[dict[str, Any]] = [
    {"order": "oldest"},
    {"order": "newest"},
    *({"order": "shuffled", "seed": seed} for seed in range(2)),
]


def order_name(how: dict[str, Any]) -> str:
    return "-".join(str(word) for word in how.values())


def open_shop(shop: Shop, **changes: Any) -> Offer:
    """An offer of a merchant whose account at Stripe Rako may use; the webhooks are signed by a secret of its own."""
    offer = OfferFactory(merchant__connected=False, **changes)
    Connection.objects.create(
        merchant=offer.merchant,
        kind="stripe",
        account_id=shop.account,
        credentials={"api_key": shop.psp.issue_key(shop.account, restricted=True)},
        webhook_secrets=[f"whsec_of_{shop.account}"],
    )
    return offer


@dataclass(frozen=True)
class Market:
    """One offer of one merchant, as one agent and the merchant's buyers meet it."""

    shop: Shop
    api: Api
    offer: Offer

    @property
    def connection(self) -> Connection:
        return Connection.objects.get(account_id=self.shop.account)

    @property
    def secret(self) -> str:
        return str(self.connection.webhook_secrets[0])

    # The agent

    def search(self) -> str:
        """A session that shows the offer."""
        found = self.api.get("/v1/offers", vertical=self.offer.vertical).json()
        assert self.offer.pk in [offer["id"] for offer in found["offers"]]
        return str(found["sessionId"])

    def recommend(self, session: str = "", offer: Offer | None = None) -> Recommendation:
        """A recommendation, in a session of its own unless told."""
        body = {"sessionId": session or self.search(), "offerId": (offer or self.offer).pk}
        made = self.api.post("/v1/recommend", body).json()
        return Recommendation.objects.get(pk=made["recommendationId"])

    def checkout(self, of: Recommendation) -> Any:
        return self.api.post("/v1/checkout", {"sessionId": of.session_id, "recommendationId": of.pk})

    def purchase(self, of: Recommendation, method: str, **more: Any) -> Any:
        return self.api.post("/v1/purchase", {"recommendationId": of.pk, "paymentMethod": method, **more})

    def opened(self, of: Recommendation | None = None) -> dict[str, Any]:
        """The reply to a checkout that works."""
        reply = self.checkout(of or self.recommend())
        assert reply.status_code == 200, reply.content
        return dict(reply.json())

    def session_status(self, session_id: str) -> str:
        return str(self.api.get(f"/v1/sessions/{session_id}").json()["session"]["status"])

    # The buyer, and what the merchant does at Stripe

    def stored(self, card: str = "tok_visa") -> str:
        """What the merchant gave a buyer whose method it stored."""
        made = self.shop.psp.store_method(self.shop.account, card)
        return f"{made['customer']}/{made['payment_method']}"

    def pay(self, page: str, card: str = "tok_visa") -> str:
        """A buyer's attempt at a page; the payment's id."""
        return self.shop.psp.pay(self.shop.account, page, card).payment_intent

    def sold(self) -> str:
        """A page that is paid; the payment's id. Nobody was told of it yet."""
        return self.pay(self.opened()["paymentId"])

    def refund(self, payment: str, amount: int | None = None) -> str:
        return str(self.shop.psp.refund(self.shop.account, payment, amount)["id"])

    def dispute(self, payment: str, *outcomes: str, inquiry: bool = False) -> dict[str, Any]:
        """A dispute, decided as told; as it stands then."""
        made = self.shop.psp.dispute(self.shop.account, payment, inquiry=inquiry)
        for outcome in outcomes:
            made = self.shop.psp.resolve_dispute(self.shop.account, made["id"], outcome)
        return dict(made)

    def emit(self, kind: str, thing: dict[str, Any]) -> None:
        """An event that the replica itself does not make."""
        self.shop.psp._replica.do(World(self.shop.account), "emit", kind=kind, thing=thing)

    def forged(self, **changes: Any) -> str:
        """A payment that the merchant takes without Rako, with whatever metadata; its id."""
        form: Any = {"amount": 1000, "currency": "gbp", "payment_method": "pm_card_visa", "confirm": True} | changes
        form["automatic_payment_methods"] = {"enabled": True, "allow_redirects": "never"}
        return str(self.shop.client().v1.payment_intents.create(params=form).id)

    def payments(self) -> list[Any]:
        return list(self.shop.client().v1.payment_intents.list(params={"limit": 100}).data)

    def charges(self) -> int:
        """How many payments took the buyer's money, or may yet."""
        return len([one for one in self.payments() if one.status in ("succeeded", "processing", "requires_action")])

    def pages(self, status: str) -> int:
        found = self.shop.client().v1.checkout.sessions.list(params={"limit": 100}).data
        return len([one for one in found if one.status == status])

    # Webhooks and the worker

    def deliver(self, **how: Any) -> list[Any]:
        """Everything that Stripe ever told of the account arrives (`how`: see `Relay.prepare`); the replies."""
        how = {"again": True, "connect": False, **how}
        replies = [self.post(one) for one in self.shop.psp.deliveries(self.shop.account, self.secret, **how)]
        assert {reply.status_code for reply in replies} <= {200}, [reply.content for reply in replies]
        run_jobs()
        return [reply.json()["status"] for reply in replies]

    def post(self, delivery: Delivery, connection: Connection | None = None) -> Any:
        """One delivery at the address of the connection."""
        return self.send(delivery.body, delivery.headers["Stripe-Signature"], connection)

    def send(self, body: bytes, signature: str | None, connection: Connection | None = None) -> Any:
        """Whatever somebody sends to the address of the connection."""
        address = f"/v1/webhooks/stripe/{(connection or self.connection).pk}"
        headers = {} if signature is None else {"Stripe-Signature": signature}
        client = Client(raise_request_exception=False)
        return client.post(address, body, content_type="application/json", headers=headers)

    def signed(self, body: bytes, *, ago: int = 0, secret: str = "") -> str:
        return sign(body, [secret or self.secret], int(time.time()) - ago)

    def work(self) -> None:
        """What the worker does once nobody can be working on a checkout any more, and once a page's time is over."""
        run_worker()


def run_worker() -> None:
    """The jobs of every minute, a while later."""
    long_ago = timezone.now() - recovery.PATIENCE - timedelta(seconds=1)
    Checkout.objects.exclude(state="succeeded").update(updated_at=long_ago)
    recovery.recover_checkouts()
    recovery.expire_checkouts()
    run_jobs()


def run_jobs() -> None:
    """The worker looks again at deliveries whose other half has arrived, until none waits."""
    jobs = ProcrastinateJob.objects.filter(task_name=matching.RETRY)
    done: set[int] = set()
    while waiting := list(jobs.exclude(pk__in=done)):
        for job in waiting:
            inbox.process_again(job.args["receipt_ids"])
            done.add(job.pk)


def forget_jobs() -> None:
    """The queue's tables are not Django's to empty between tests that commit."""
    ProcrastinateJob.objects.filter(task_name=matching.RETRY).update(task_name="forgotten")


def mandate(**changes: Any) -> dict[str, Any]:
    expires_at = instant(timezone.now() + timedelta(hours=1))
    return {"reference": "m-1", "maxAmount": 10, "currency": "GBP", "expiresAt": expires_at} | changes


def spent_mandates() -> int:
    return Authorization.objects.filter(released_at=None).count()


def conversions() -> list[str]:
    return list(Conversion.objects.values_list("status", flat=True))


def balances() -> dict[str, int]:
    """What each account comes to."""
    rows = Posting.objects.values("account").annotate(total=Sum("amount_minor"))
    return {row["account"]: row["total"] for row in rows if row["total"]}


def standing() -> tuple[Any, ...]:
    """Where sales stand in the end, whatever order it was told in."""
    told = sorted(Event.objects.values_list("kind", "amount_minor"), key=str)
    return conversions(), balances(), told


def refusals() -> set[tuple[str, str]]:
    """What deliveries were refused for."""
    return set(WebhookReceipt.objects.exclude(failed_check="").values_list("result", "failed_check"))


def states() -> list[str]:
    """The states of all checkouts, oldest first."""
    return list(Checkout.objects.order_by("created_at", "pk").values_list("state", flat=True))


def answer(reply: Any) -> Sequence[Any]:
    """Status, machine code and pause of an error."""
    return reply.status_code, reply.headers.get("X-Error-Code"), reply.headers.get("Retry-After")
