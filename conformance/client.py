"""HTTP as one party speaks it, and replies that are read strictly: numbers stay exact, nothing follows a redirect."""

import json
import ssl
import time
from dataclasses import dataclass
from decimal import Decimal
from functools import cache
from typing import Any
from urllib.parse import urlsplit

import httpx

from conformance.rules import Broken, expect

_PATIENCE_SECONDS = 30
_LONGEST_PAUSE_SECONDS = 61


@dataclass(frozen=True, slots=True)
class Reply:
    """What a server answered, with the request's first line for messages."""

    asked: str
    status: int
    headers: httpx.Headers
    text: str

    @property
    def json(self) -> Any:
        """The body; numbers with a fraction are Decimals. Raises Broken if it is not JSON."""
        try:
            return json.loads(self.text, parse_float=Decimal)
        except ValueError:
            raise Broken(f"{self.asked} answered {self.status} and no JSON: {self.text[:80]!r}") from None

    def accepted(self) -> Any:
        """The body of a 200. Raises Broken."""
        expect(self.status == httpx.codes.OK, f"{self.asked} answered {self.status}, not 200: {self.text[:120]}")
        return self.json

    def refused(self, status: int, error: str | None = None) -> None:
        """Raises Broken unless it is this refusal, with exactly this text if one is given."""
        expect(self.status == status, f"{self.asked} answered {self.status}, not {status}: {self.text[:120]}")
        body = self.json
        well_formed = isinstance(body, dict) and list(body) == ["error"] and isinstance(body["error"], str)
        expect(well_formed, f'{self.asked} answered {status} with {self.text[:120]}, not {{"error": "…"}}')
        if error is not None:
            expect(body["error"] == error, f"{self.asked}: the error is {body['error']!r}, not {error!r}")


@cache
def _trusted() -> ssl.SSLContext:
    """Whose certificates are good; reading them takes longer than most rules."""
    return httpx.create_ssl_context()


def connect(base_url: str, headers: dict[str, str] | None = None) -> httpx.Client:
    """A client that follows no redirects. To this machine it takes no proxy, whatever the environment says."""
    is_local = urlsplit(base_url).hostname in {"127.0.0.1", "localhost", "::1"}
    return httpx.Client(
        base_url=base_url, headers=headers, timeout=_PATIENCE_SECONDS, verify=_trusted(), trust_env=not is_local
    )


class Party:
    """Someone who calls the server, with a key or without."""

    def __init__(self, base_url: str, key: str | None, *, is_patient: bool = True) -> None:
        self.key, self._is_patient = key or "", is_patient
        headers = {"Authorization": f"Bearer {key}"} if key else {}
        self._http = connect(base_url, headers)

    def get(self, path: str, *, headers: dict[str, str] | None = None, **params: Any) -> Reply:
        """GET with a query."""
        return self.send("GET", path, headers=headers, params=params)

    def post(self, path: str, body: Any = None, *, headers: dict[str, str] | None = None) -> Reply:
        """POST a JSON body."""
        content = json.dumps({} if body is None else body, default=float).encode()
        return self.send("POST", path, content, headers=headers)

    def send(
        self,
        method: str,
        path: str,
        content: bytes = b"",
        *,
        headers: dict[str, str] | None = None,
        params: dict[str, Any] | None = None,
    ) -> Reply:
        """Any request; JSON unless the headers say otherwise. A patient party that is told to come again does, once."""
        kind = {"Content-Type": "application/json"} if content or method == "POST" else {}
        kind |= headers or {}
        reply = self._http.request(method, path, content=content, headers=kind, params=params or None)
        if self._is_patient and reply.status_code == httpx.codes.TOO_MANY_REQUESTS:
            pause = reply.headers.get("Retry-After", "")
            time.sleep(min(int(pause), _LONGEST_PAUSE_SECONDS) if pause.isdigit() else 1)
            reply = self._http.request(method, path, content=content, headers=kind, params=params or None)
        return Reply(f"{method} {path}", reply.status_code, reply.headers, reply.text)

    def close(self) -> None:
        """Give the connections back."""
        self._http.close()
