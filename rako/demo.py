"""The main job, walked over HTTP as an agent, a buyer and a merchant would: search, recommend, checkout, pay, convert.

It uses nothing of the product but its addresses; what it prints is what a stranger's client would see.
"""

import html
import json
import re
import time
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import requests

from rako.demo_keys import DEMO_AGENT_KEY, DEMO_MERCHANT_KEY

TEST_CARD = {"number": "4242 4242 4242 4242", "expiry": "12 / 30", "cvc": "123"}
_PATIENCE_SECONDS = 30
_WIDTH = 92


class DemoFailed(Exception):
    """A step did not come out as the protocol says."""


@dataclass(frozen=True, slots=True)
class Walked:
    """What came of a walk: the conversion, the merchant's proof of it, and the keys published before the sale."""

    conversion_id: str
    proof: dict[str, Any]
    log_keys: dict[str, Any]
    code_keys: dict[str, Any]


@dataclass(frozen=True, slots=True)
class Walk:
    """One walk against a running server; `say` prints a line."""

    base_url: str
    say: Callable[[str], object]

    def run(self) -> "Walked":
        """Walk all steps. Raises DemoFailed."""
        pinned = self._published_keys()
        search = self._search()
        recommendation = self._recommend(search)
        checkout = self._checkout(search["sessionId"], recommendation["recommendationId"])
        self._pay(checkout)
        conversion = self._await_conversion(search["sessionId"])
        self._merchant_reports(search["sessionId"], conversion)
        self._evidence(conversion)
        return Walked(conversion["conversionId"], self._proof(conversion), *pinned)

    def _published_keys(self) -> tuple[dict[str, Any], dict[str, Any]]:
        """What a careful party fetches once, before it trusts any proof."""
        return (
            self._call("GET", "/v1/ledger/keys", None, show=False, quiet=True),
            self._call("GET", "/.well-known/jwks.json", None, show=False, quiet=True),
        )

    def _search(self) -> dict[str, Any]:
        self._title(1, "The agent searches for a SIM with at least 20 GB, without a contract")
        query = "/v1/offers?vertical=sim&max_price=12&data_gb_min=20&contract_months=0"
        reply = self._call("GET", query, DEMO_AGENT_KEY, show=False)
        for offer in reply["offers"]:
            self.say(f"     {offer['price']:>6.2f} {offer['currency']}  {offer['name']:<28} {offer['id']}")
        self.say(f"     session {reply['sessionId']}, open until {reply['expiresAt']}")
        _expect(reply["count"] > 0, "the search found nothing")
        return reply

    def _recommend(self, search: dict[str, Any]) -> dict[str, Any]:
        self._title(2, "It recommends one: this is the attribution event")
        # The demo's merchant key is SMARTY's, so that step 6 can speak as the merchant.
        offer = next((offer for offer in search["offers"] if offer["provider"] == "SMARTY"), search["offers"][0])
        self.say(f"     its signed AAP Code: {offer['aapCode'][:60]}…")
        valid = self._call("POST", "/v1/codes/verify", None, {"code": offer["aapCode"]}, show=False)
        self.say(f"     verified: issuer {valid['issuer']}, commission {json.dumps(valid['commission'])}")
        body = {"sessionId": search["sessionId"], "offerId": offer["id"], "context": "30 GB, no contract, lowest price"}
        return self._call("POST", "/v1/recommend", DEMO_AGENT_KEY, body)

    def _checkout(self, session_id: str, recommendation_id: str) -> dict[str, Any]:
        self._title(3, "It asks for a checkout on the merchant's own payment processor")
        body = {"sessionId": session_id, "recommendationId": recommendation_id}
        return self._call("POST", "/v1/checkout", DEMO_AGENT_KEY, body)

    def _pay(self, checkout: dict[str, Any]) -> None:
        self._title(4, "The buyer opens the payment page and pays with a test card")
        buyer = requests.Session()
        page = buyer.get(checkout["checkoutUrl"], timeout=10)
        fields = _form_fields(page.text)
        self.say(f"     GET  {checkout['checkoutUrl']} -> {page.status_code}, a form with {', '.join(sorted(fields))}")
        paid = buyer.post(checkout["checkoutUrl"], data=fields | TEST_CARD, timeout=10, allow_redirects=False)
        _expect(paid.status_code in {302, 303}, f"the payment page answered {paid.status_code}")
        self.say(f"     POST card 4242 4242 4242 4242 -> {paid.status_code}, back to {paid.headers['Location']}")

    def _await_conversion(self, session_id: str) -> dict[str, Any]:
        self._title(5, "The processor's signed webhook arrives, five checks hold, the ledger records the conversion")
        deadline = time.monotonic() + _PATIENCE_SECONDS
        while time.monotonic() < deadline:
            session = self._call("GET", f"/v1/sessions/{session_id}", DEMO_AGENT_KEY, show=False, quiet=True)
            if session["conversions"]:
                conversion: dict[str, Any] = session["conversions"][0]
                self._show_conversion(session["session"]["status"], conversion)
                return conversion
            time.sleep(0.1)
        raise DemoFailed(f"no conversion after {_PATIENCE_SECONDS} seconds")

    def _show_conversion(self, status: str, conversion: dict[str, Any]) -> None:
        money, currency = conversion["commission"], conversion["currency"]
        self.say(f"     session is {status}; conversion {conversion['conversionId']} is {conversion['status']}")
        self.say(f"     verified: {conversion['verificationLevel']}, path {conversion['attributionPath']}")
        self.say(
            f"     the buyer paid      {conversion['transactionValue']:>8.2f} {currency}  to the merchant, not to Rako"
        )
        self.say(
            f"     commission          {money['amount']:>8.2f} {currency}  ({money['type']}, owed by the merchant)"
        )
        self.say(f"       network fee       {money['networkFee']:>8.2f} {currency}")
        self.say(f"       builder's payout  {money['builderPayout']:>8.2f} {currency}")
        self.say(f"     payable when validation ends: {conversion['validationEndsAt']}")
        _expect(money["amount"] == round(money["networkFee"] + money["builderPayout"], 2), "the split does not add up")

    def _merchant_reports(self, session_id: str, conversion: dict[str, Any]) -> None:
        self._title(6, "The merchant reports the same order: it is attached as evidence, nobody is paid twice")
        value = conversion["transactionValue"]
        body = {
            "sessionId": session_id,
            "orderReference": f"ORDER-{conversion['conversionId'][-6:]}",
            "transactionValue": value,
        }
        reply = self._call("POST", "/v1/conversions", DEMO_MERCHANT_KEY, body)
        _expect(reply["conversionId"] == conversion["conversionId"], "the report made a second conversion")

    def _evidence(self, conversion: dict[str, Any]) -> None:
        self._title(7, "Both sides can see what proves it")
        reply = self._call("GET", f"/v1/conversions/{conversion['conversionId']}/evidence", DEMO_AGENT_KEY, show=False)
        for item in reply["evidence"]:
            self.say(f"     {item['source']:<16} {item['reference']:<32} sha256 {item['sha256'][:16]}…")
        _expect(len(reply["evidence"]) == len({"psp_event", "merchant_report"}), "evidence is missing")

    def _proof(self, conversion: dict[str, Any]) -> dict[str, Any]:
        self._title(8, "The merchant takes home a proof: one file, which needs no word of ours")
        path = f"/v1/conversions/{conversion['conversionId']}/proof"
        deadline = time.monotonic() + _PATIENCE_SECONDS
        while True:
            reply = requests.get(
                self.base_url + path, headers={"Authorization": f"Bearer {DEMO_MERCHANT_KEY}"}, timeout=30
            )
            if reply.status_code != requests.codes.service_unavailable or time.monotonic() > deadline:
                break
            time.sleep(0.2)  # its entries are in the log within a second
        self.say(f"     GET  {path} -> {reply.status_code}, {len(reply.content):,} bytes")
        _expect(reply.ok, f"GET {path} answered {reply.status_code}: {reply.text}")
        proof: dict[str, Any] = reply.json()
        size = proof["checkpoint"].split("\n")[1]
        self.say(f"     {len(proof['entries'])} entries, each with its path to the checkpoint of {size} entries")
        return proof

    def _title(self, number: int, text: str) -> None:
        self.say("")
        self.say(f"  {number}. {text}")

    def _call(
        self, method: str, path: str, key: str | None, body: Any = None, *, show: bool = True, quiet: bool = False
    ) -> dict[str, Any]:
        headers = {"Authorization": f"Bearer {key}"} if key else {}
        response = requests.request(method, self.base_url + path, json=body, headers=headers, timeout=30)
        if not quiet:
            sent = f" {json.dumps(body)}" if body is not None and show else ""
            self.say(f"     {method:<4} {path}{sent} -> {response.status_code}")
        _expect(response.ok, f"{method} {path} answered {response.status_code}: {response.text}")
        reply: dict[str, Any] = response.json()
        if show:
            self._show(reply)
        return reply

    def _show(self, reply: dict[str, Any]) -> None:
        for name, value in reply.items():
            text = " ".join(value.split()) if isinstance(value, str) else json.dumps(value)
            self.say(f"       {name:<20} {text if len(text) <= _WIDTH else text[:_WIDTH] + '…'}")


def _form_fields(page: str) -> dict[str, str]:
    """The hidden fields of the payment form, as a browser would send them."""
    found = re.findall(r'<input[^>]*type="hidden"[^>]*name="([^"]+)"[^>]*value="([^"]*)"', page)
    return {name: html.unescape(value) for name, value in found}


def _expect(holds: bool, otherwise: str) -> None:
    if not holds:
        raise DemoFailed(otherwise)
