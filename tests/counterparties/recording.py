"""A client for the stripe library that holds every request to Stripe's OpenAPI description, and keeps what was sent.

`StripeClient(key, base_addresses=…, http_client=RecordingClient(timeout=(2, 8)))`: a request that Stripe does not know
raises AssertionError in the code that sent it, with the precise reason.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any
from urllib.parse import urlsplit

import stripe

from tests.counterparties import openapi


@dataclass(frozen=True, slots=True)
class Call:
    """One request as it was sent; `params` are typed, `headers` in lower case."""

    method: str
    path: str
    params: Mapping[str, Any]
    headers: Mapping[str, str]


class RecordingClient(stripe.RequestsClient):
    """Sends what is well-formed, and remembers it in `calls`. Retries of the library are calls of their own."""

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self.calls: list[Call] = []

    def request(  # type: ignore[override]  # the library overrides it so, too
        self, method: str, url: str, headers: Mapping[str, str] | None, post_data: Any = None
    ) -> tuple[bytes, int, Mapping[str, str]]:
        """As the library's. Raises AssertionError for a request that Stripe's description does not allow."""
        self.calls.append(read_call(method, url, headers or {}, post_data))
        return super().request(method, url, headers, post_data)


def read_call(method: str, url: str, headers: Mapping[str, str], post_data: Any) -> Call:
    """A request, judged. Connect's OAuth is not in the description, and passes. Raises AssertionError."""
    address = urlsplit(url)
    lowered = {name.lower(): value for name, value in headers.items()}
    body = post_data or ""
    if address.path.startswith("/oauth/"):
        return Call(method.upper(), address.path, openapi.unfold(body), lowered)
    try:
        reading = openapi.read_request(method, address.path, address.query, body)
    except LookupError as unknown:
        raise AssertionError(str(unknown)) from unknown
    problems = "; ".join(str(problem) for problem in reading.problems)
    assert not problems, f"Stripe does not know this {method.upper()} {address.path}: {problems}"
    return Call(method.upper(), address.path, reading.params, lowered)
