"""A plain client of the fake for its own tests and for benchmarks: no retries, no opinions."""

from typing import Any

import requests

from tests.counterparties.hyperswitch.counterparty import HyperswitchCounterparty

LINK = {"amount": 4990, "currency": "EUR", "payment_link": True, "return_url": "https://shop.example/thanks"}
STORED = {"type": "payment_method_id", "data": "pm_succeeds"}
CHARGE = {"amount": 4990, "currency": "EUR", "confirm": True, "off_session": True, "customer_id": "cus_1"}


class Client:
    """Calls the API with one key; remembers nothing."""

    def __init__(self, psp: HyperswitchCounterparty, key: str) -> None:
        self.base, self.headers = psp.base_url, {"api-key": key}

    def post(self, path: str, body: Any = None) -> requests.Response:
        return requests.post(self.base + path, json=body or {}, headers=self.headers, timeout=10)

    def get(self, path: str, **params: Any) -> requests.Response:
        return requests.get(self.base + path, params=params, headers=self.headers, timeout=10)

    def link(self, **more: Any) -> str:
        """Make a payment link; its payment id."""
        return str(self.post("/payments", LINK | more).json()["payment_id"])


def refusal(response: requests.Response) -> tuple[int, str]:
    """Status and code of an error."""
    return response.status_code, response.json()["error"]["code"]
