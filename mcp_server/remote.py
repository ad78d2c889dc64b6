"""The tools over another server's REST API: what a desktop client runs beside it, without a database."""

import hashlib
import time
from collections.abc import Mapping
from typing import Any

import requests

from mcp_server.backends import Reply
from rako.core.errors import RakoError, Unavailable
from rako.core.idempotency import InFlight
from rako.core.ids import is_id

_TIMEOUT = (5, 30)  # seconds to connect, and between two bytes: a checkout is answered within 25
_IN_FLIGHT = 1  # seconds until an equal call has certainly recorded its recommendation


class RemoteFailed(RakoError):
    """What the other server refused, with its status and code."""

    def __init__(self, status: int, message: str, code: str, retry_after: int | None) -> None:
        super().__init__(message, code=code, retry_after=retry_after)
        self.status = status


class RemoteBackend:
    """Calls a server of this protocol with an agent's key. For one thread at a time or several.

    It runs where its user is, and goes the way that programs there go: HTTPS_PROXY, NO_PROXY, REQUESTS_CA_BUNDLE.
    """

    def __init__(self, base_url: str, key: str) -> None:
        self._base_url = base_url
        self._key = key

    def search(self, params: Mapping[str, str]) -> Reply:
        return self._call("GET", "/v1/offers", params=dict(params))

    def requirements(self, offer_id: str) -> Reply:
        return self._call("GET", f"/v1/offers/{_id(offer_id)}/requirements")

    def recommend(self, session_id: str, offer_id: str, context: str) -> Reply:
        session = self._call("GET", f"/v1/sessions/{_id(session_id)}")
        for known in reversed(session["recommendations"]):
            if known["offerId"] == offer_id and known.get("context", "") == context:
                return {"recommendationId": known["id"], "fallbackUrl": known["fallbackUrl"]}
        asked = {"sessionId": session_id, "offerId": offer_id, "context": context}
        once = {"Idempotency-Key": idempotency_key(session_id, offer_id, context)}
        try:
            return self._call("POST", "/v1/recommend", json=asked, headers=once)
        except RakoError as error:
            if error.code != InFlight.code:
                raise
            time.sleep(_IN_FLIGHT)
            return self._call("POST", "/v1/recommend", json=asked, headers=once)

    def checkout(self, session_id: str, recommendation_id: str) -> Reply:
        asked = {"sessionId": session_id, "recommendationId": recommendation_id}
        return self._call("POST", "/v1/checkout", json=asked)

    def _call(self, method: str, path: str, **content: Any) -> Reply:
        try:
            with requests.Session() as session:
                session.auth = self._sign  # as a header alone, a .netrc would overrule it
                session.headers["Accept"] = "application/json"
                answer = session.request(
                    method, self._base_url + path, timeout=_TIMEOUT, allow_redirects=False, **content
                )
                body = answer.json()
        except requests.JSONDecodeError:
            raise Unavailable(f"{self._base_url} does not answer as an AAP server does") from None
        except requests.RequestException as error:
            raise Unavailable(f"{self._base_url} cannot be reached ({type(error).__name__})") from None
        if answer.status_code == requests.codes.ok and isinstance(body, dict):
            return body
        raise _refusal(answer, body)

    def _sign(self, request: requests.PreparedRequest) -> requests.PreparedRequest:
        request.headers["Authorization"] = f"Bearer {self._key}"
        return request


def idempotency_key(session_id: str, offer_id: str, context: str) -> str:
    """The same for equal calls, whoever makes them and when: of those, one records the recommendation."""
    words = "\0".join((session_id, offer_id, context))  # no argument has a NUL
    return "mcp-" + hashlib.sha256(words.encode("utf-8", "surrogatepass")).hexdigest()


def _id(given: str) -> str:
    """What may stand in a path: no other id exists."""
    return given if is_id(given) else "unknown"


def _refusal(answer: requests.Response, body: Any) -> RakoError:
    told = body.get("error") if isinstance(body, dict) else None
    retry_after = answer.headers.get("Retry-After", "")
    return RemoteFailed(
        answer.status_code,
        told if isinstance(told, str) else f"the server answered {answer.status_code}",
        answer.headers.get("X-Error-Code", "unexpected_reply"),
        int(retry_after) if retry_after.isascii() and retry_after.isdigit() else None,
    )
