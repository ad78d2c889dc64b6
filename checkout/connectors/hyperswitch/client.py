"""HTTP to Hyperswitch: one connection pool a thread, one retry, one deadline for all the requests of a call.

Every request we make may be repeated: reads, cancellations, and payments under an id of our choosing. Nothing of a
request or reply is logged but its address, status and error code. No proxy or netrc of the environment is on the way.
"""

import logging
import re
import threading
import time
from collections.abc import Mapping
from http.cookiejar import DefaultCookiePolicy
from typing import Any

import orjson
import requests
import urllib3
from django.conf import settings

from checkout.connectors.base import (
    ConnectionRevoked,
    ConnectorError,
    PspBusy,
    PspFault,
    PspTimeout,
    PspUnavailable,
)
from checkout.connectors.hyperswitch import errors
from checkout.connectors.time_left import end_of_call

log = logging.getLogger("rako.hyperswitch")

# The last piece of a reply may take one read more than the deadline.
TOTAL_SECONDS = 22.0
MAX_REPLY = 8 * 1024 * 1024
_PAUSE_SECONDS = 0.1
_PIECE = 65_536
_AGAIN = (PspUnavailable, PspFault, PspBusy, errors.Dropped)
_KEY = {
    False: re.compile(r"snd_[A-Za-z0-9_]{8,200}\Z", re.ASCII),
    True: re.compile(r"prod_[A-Za-z0-9_]{8,200}\Z", re.ASCII),
}
_local = threading.local()


class Client:
    """The API as one key sees it, for the length of one call of the connector."""

    def __init__(self, api_key: object, *, is_live: bool) -> None:
        """Raises ConnectionRevoked for a key that is none, or one of the other mode."""
        if not isinstance(api_key, str) or not _KEY[is_live].match(api_key):
            raise ConnectionRevoked()
        self._headers = {
            "api-key": api_key,
            "Content-Type": "application/json",
            "Accept": "application/json",
            # What is counted against the limit is what is read.
            "Accept-Encoding": "identity",
            "User-Agent": "rako",
        }
        self._until = end_of_call(TOTAL_SECONDS) - settings.RAKO_PSP_READ_MS / 1000

    def get(self, path: str, params: Mapping[str, str] | None = None) -> object:
        """The reply's JSON. Raises what `errors` lists, PspUnavailable and PspTimeout."""
        return self._send("GET", path, params, None)

    def post(self, path: str, content: Mapping[str, Any]) -> object:
        """As `get`."""
        return self._send("POST", path, None, orjson.dumps(content))

    def _send(self, method: str, path: str, params: Mapping[str, str] | None, data: bytes | None) -> object:
        try:
            return self._once(method, path, params, data)
        except ConnectorError as error:
            if not isinstance(error, _AGAIN) or self._left() < 2 * _PAUSE_SECONDS:
                raise
            first = error
        time.sleep(_PAUSE_SECONDS)
        try:
            return self._once(method, path, params, data)
        except errors.Refused:
            raise
        except ConnectorError as second:
            # That the second did nothing says nothing of the first.
            raise first if first.outcome_unknown and not second.outcome_unknown else second from None

    def _once(self, method: str, path: str, params: Mapping[str, str] | None, data: bytes | None) -> object:
        try:
            status, raw = self._exchange(method, path, params, data)
            if status >= 300:
                log.warning("%s %s was answered %s %s", method, path, status, errors.code_of(raw))
            return errors.read_reply(status, raw)
        except (PspTimeout, PspUnavailable) as error:
            log.warning("%s %s had no answer: %s", method, path, error.code)
            raise

    def _exchange(
        self, method: str, path: str, params: Mapping[str, str] | None, data: bytes | None
    ) -> tuple[int, bytes]:
        left = self._left()
        if left <= 0:
            raise PspTimeout()
        try:
            with _session().request(
                method,
                settings.RAKO_HYPERSWITCH_API_BASE + path,
                params=params,
                data=data,
                headers=self._headers,
                timeout=(min(settings.RAKO_PSP_CONNECT_MS / 1000, left), min(settings.RAKO_PSP_READ_MS / 1000, left)),
                allow_redirects=False,
                stream=True,
            ) as reply:
                return reply.status_code, self._read(reply)
        except (requests.RequestException, urllib3.exceptions.HTTPError) as error:
            raise _failure(error) from error

    def _read(self, reply: requests.Response) -> bytes:
        """The body, as far as it is bounded in size and comes in time."""
        raw = b""
        while piece := reply.raw.read1(_PIECE, decode_content=False):
            raw += piece
            if len(raw) > MAX_REPLY:
                raise PspFault()
            if self._left() <= 0:
                raise PspTimeout()
        reply.raw.release_conn()  # read to its end: the connection serves again
        return raw

    def _left(self) -> float:
        return self._until - time.monotonic()


def _session() -> requests.Session:
    """This thread's connections: a session must not be shared between threads."""
    session: requests.Session | None = getattr(_local, "session", None)
    if session is None:
        session = _local.session = requests.Session()
        session.trust_env = False
        # One merchant's call must leave nothing behind for another's.
        session.cookies.set_policy(DefaultCookiePolicy(allowed_domains=[]))
    return session


def _failure(error: Exception) -> ConnectorError:
    """What it means that no reply came: only who never connected has surely done nothing."""
    if isinstance(error, requests.ConnectTimeout):
        return PspUnavailable()
    if isinstance(error, requests.Timeout | urllib3.exceptions.TimeoutError):
        return PspTimeout()
    cause = error.args[0] if error.args else None
    reason = getattr(cause, "reason", cause)
    if isinstance(reason, urllib3.exceptions.NewConnectionError | urllib3.exceptions.NameResolutionError):
        return PspUnavailable()
    return errors.Dropped()
