"""The parties of a test and the steps that rules share: search, recommend, check out, sell."""

import secrets
from dataclasses import dataclass
from functools import cached_property
from typing import Any
from urllib.parse import quote

from conformance import codes
from conformance.client import Party, Reply
from conformance.config import Chosen, Merchant, Subject, Webhook
from conformance.rules import NotTested, expect


@dataclass(frozen=True, slots=True)
class Deal:
    """A recommendation in a session of its own."""

    session_id: str
    recommendation_id: str
    offer: dict[str, Any]

    @property
    def chosen(self) -> dict[str, str]:
        """What a checkout of it says."""
        return {"sessionId": self.session_id, "recommendationId": self.recommendation_id}

    @property
    def terms(self) -> dict[str, Any]:
        """The commission terms of its signed code."""
        found: dict[str, Any] = codes.read(self.offer["aapCode"]).payload["com"]
        return found


class World:
    """One run against one server. Steps raise Broken if the server refuses what it must accept."""

    def __init__(self, subject: Subject) -> None:
        self.subject = subject
        self._parties: dict[str | None, Party] = {}
        self._offers: dict[Merchant, dict[str, Any]] = {}
        self.stranger = self.as_party(None)
        self.agent = self.as_party(subject.agent_key)
        self.merchant = self.as_party(subject.merchant_key)

    def as_party(self, key: str | None) -> Party:
        """Whoever has this key. Only the key that is there to be used up does not wait when it is told to."""
        if key not in self._parties:
            is_patient = not key or key != self.subject.limited_key
            self._parties[key] = Party(self.subject.base_url, key, is_patient=is_patient)
        return self._parties[key]

    def close(self) -> None:
        """Give all connections back."""
        for party in self._parties.values():
            party.close()

    @property
    def other_agent(self) -> Party:
        """An agent of another builder."""
        return self.as_party(self.subject.other_agent_key)

    @property
    def other_merchant(self) -> Party:
        """Another merchant."""
        return self.as_party(self.subject.other_merchants[0].key)

    @property
    def webhook(self) -> Webhook:
        """How the merchant's payment processor signs. Raises NotTested."""
        if self.subject.webhook is None:
            raise NotTested("the configuration has no webhook")
        return self.subject.webhook

    @property
    def expired(self) -> Chosen:
        """A recommendation of a session whose window has passed. Raises NotTested."""
        return _given(self.subject.expired, "expired")

    @property
    def withdrawn(self) -> Chosen:
        """A recommendation of an offer that was withdrawn since. Raises NotTested."""
        return _given(self.subject.withdrawn, "withdrawn")

    def search(self, **params: Any) -> dict[str, Any]:
        """A search by the agent; it opens a session."""
        found: dict[str, Any] = self.agent.get("/v1/offers", **params).accepted()
        return found

    @cached_property
    def listed(self) -> dict[str, Any]:
        """A search for anything, as long as a page can be."""
        return self.search(limit=100)

    @cached_property
    def offer(self) -> dict[str, Any]:
        """An offer of the merchant whose key is given."""
        return self.offer_of(Merchant(self.subject.merchant_key, self.subject.provider))

    def offer_of(self, merchant: Merchant) -> dict[str, Any]:
        """An offer of this merchant: one for which it may have codes. Raises NotTested."""
        if merchant not in self._offers:
            self._offers[merchant] = self._find_offer(merchant)
        return self._offers[merchant]

    def _find_offer(self, merchant: Merchant) -> dict[str, Any]:
        tried, party = set(), self.as_party(merchant.key)
        pages = [self.search(provider=merchant.provider)] if merchant.provider else self._pages()
        for offer in (offer for page in pages for offer in page["offers"]):
            if offer["merchantId"] not in tried:
                tried.add(offer["merchantId"])
                if party.post("/v1/codes/issue", {"offerId": offer["id"]}).status == 200:
                    return dict(offer)
        raise NotTested("no offer of this merchant was found")

    def _pages(self) -> Any:
        page = self.listed
        yield page
        while cursor := page.get("nextCursor"):
            page = self.search(limit=100, cursor=cursor)
            yield page

    def recommend(self, session_id: str, offer: dict[str, Any]) -> dict[str, Any]:
        """A recommendation by the agent."""
        body = {"sessionId": session_id, "offerId": offer["id"]}
        found: dict[str, Any] = self.agent.post("/v1/recommend", body).accepted()
        return found

    def deal(self, offer: dict[str, Any] | None = None) -> Deal:
        """A fresh session with a recommendation: of the merchant's offer unless told."""
        offer = offer or self.offer
        session_id = self.search(vertical=offer["vertical"])["sessionId"]
        return Deal(session_id, self.recommend(session_id, offer)["recommendationId"], offer)

    def checkout(self, deal: Deal) -> dict[str, Any]:
        """A checkout of a recommendation."""
        found: dict[str, Any] = self.agent.post("/v1/checkout", deal.chosen).accepted()
        return found

    def report(self, deal: Deal, *, by: Party | None = None, **changes: Any) -> Reply:
        """A merchant's report of the sale."""
        body = {"sessionId": deal.session_id, "orderReference": fresh("order"), "transactionValue": deal.offer["price"]}
        return (by or self.merchant).post("/v1/conversions", body | changes)

    def sell(self, deal: Deal, **changes: Any) -> dict[str, Any]:
        """A sale that the merchant reported."""
        found: dict[str, Any] = self.report(deal, **changes).accepted()
        return found

    def session(self, session_id: str) -> dict[str, Any]:
        """A session as the agent sees it."""
        found: dict[str, Any] = self.agent.get(f"/v1/sessions/{quote(session_id)}").accepted()
        return found

    @cached_property
    def sold(self) -> tuple[Deal, dict[str, Any]]:
        """A sale that rules only look at, with the reply to its report."""
        deal = self.deal()
        return deal, self.sell(deal)

    @cached_property
    def published_keys(self) -> list[bytes]:
        """Every key that codes may verify under, the current one first."""
        found = self.stranger.get("/v1/codes/public-key").accepted()
        others = [key["publicKey"] for key in found.get("keys", []) if "publicKey" in key]
        return [codes.public_key(pem) for pem in (found["publicKey"], *others)]


def fresh(what: str) -> str:
    """A reference that nobody used before."""
    return f"{what}-{secrets.token_hex(8)}"


def unknown_id(like: str) -> str:
    """An id of the same shape as a real one that is (all but certainly) nobody's."""
    return like[:4] + "".join(secrets.choice("0123456789ABCDEF") if sign.isalnum() else sign for sign in like[4:])


def only(found: list[Any], what: str) -> Any:
    """The one element. Raises Broken."""
    expect(len(found) == 1, f"there are {len(found)} {what}, not one")
    return found[0]


def _given(value: Chosen | None, name: str) -> Chosen:
    if value is None:
        raise NotTested(f"the configuration has no {name}")
    return value
