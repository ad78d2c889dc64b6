"""Sends one webhook: to the very address that was checked, within fifteen seconds, following nothing.

The connection is made by hand because an HTTP library would resolve the name again, and could be told another address
the second time (DNS rebinding). TLS and the Host header still go by the name.
"""

import contextlib
import http.client
import socket
import ssl
import threading
from collections.abc import Iterator
from datetime import UTC, datetime
from email.utils import parsedate_to_datetime
from functools import cache
from time import monotonic
from typing import NamedTuple

from requests.utils import DEFAULT_CA_BUNDLE_PATH

from notifications.addresses import BadAddress, Resolver, Target, allowed, resolve, target_of
from notifications.resolving import NoThreadFree, resolve_within

RESOLVE_SECONDS = 5.0
CONNECT_SECONDS = 5.0
TOTAL_SECONDS = 15.0
# Read, so that a receiver is not cut off while it answers; nothing of it is kept.
_LARGEST_REPLY = 16_384
_BUSY = (429, 503)
_AGENT = "Rako-Webhooks/1"


class Answer(NamedTuple):
    """What came of an attempt: a status, or the reason why there is none."""

    status_code: int | None = None
    error: str = ""
    retry_after: int | None = None

    @property
    def is_none(self) -> bool:
        """Whether nothing was tried, and nothing can be said of the receiver."""
        return self == Answer()

    @property
    def is_received(self) -> bool:
        """Whether the receiver took it: any 2xx."""
        return self.status_code is not None and 200 <= self.status_code < 300

    @property
    def is_gone(self) -> bool:
        """Whether the receiver wants nothing more."""
        return self.status_code == http.client.GONE


def post(
    url: str,
    body: str,
    headers: dict[str, str],
    *,
    owner: str = "",
    resolver: Resolver = resolve,
    tls: ssl.SSLContext | None = None,
) -> Answer:
    """POST a JSON body for an owner and say what came of it; whatever goes wrong is an Answer."""
    ends_at = monotonic() + TOTAL_SECONDS
    try:
        target = target_of(url)
        addresses = allowed(target, resolve_within(RESOLVE_SECONDS, resolver, target.host, target.port, owner))
    except NoThreadFree:
        return Answer()
    except BadAddress:
        return Answer(error="address_not_allowed")
    except TimeoutError:
        return Answer(error="timed_out")
    except (OSError, UnicodeError):  # names that cannot be written in DNS raise the latter
        return Answer(error="host_not_found")
    try:
        with _connected(target, addresses, ends_at, tls) as connection:
            return _exchange(connection, target, body, headers, ends_at)
    except (OSError, http.client.HTTPException) as error:
        # Past the end, whatever failed did so because the connection was taken away.
        return Answer(error="timed_out" if monotonic() >= ends_at else _reason(error))


def _exchange(connection: socket.socket, target: Target, body: str, headers: dict[str, str], ends_at: float) -> Answer:
    client = http.client.HTTPConnection(target.host)
    client.sock = connection
    host = f"[{target.host}]" if ":" in target.host else target.host
    named = host if target.port == (443 if target.is_tls else 80) else f"{host}:{target.port}"
    sent = {"Host": named, "Content-Type": "application/json", "User-Agent": _AGENT, "Connection": "close"}
    client.request("POST", target.path, body.encode(), sent | headers)
    with client.getresponse() as reply:
        if monotonic() >= ends_at:  # headers that were cut off look like their end
            raise TimeoutError
        _read_some(reply)
    waits = _seconds(reply.getheader("Retry-After", "")) if reply.status in _BUSY else None
    return Answer(reply.status, retry_after=waits)


@contextlib.contextmanager
def _connected(
    target: Target, addresses: list[str], ends_at: float, tls: ssl.SSLContext | None
) -> Iterator[socket.socket]:
    """A connection to the first address that takes one. It is gone at the end of the time, however slowly bytes drip:
    a socket's own timeout begins anew with each of them."""
    plain = _connect(target, addresses)
    cut = threading.Timer(max(0.0, ends_at - monotonic()), _shut, [plain])
    cut.daemon = True
    cut.start()
    try:
        if not target.is_tls:
            yield plain
            return
        # Detaches the plain one: the timer has to know its successor.
        with (tls or _public_tls()).wrap_socket(
            plain, server_hostname=target.host, do_handshake_on_connect=False
        ) as secured:
            cut.args = [secured]
            if monotonic() >= ends_at:  # the timer may have gone off in between
                raise TimeoutError
            secured.do_handshake()
            yield secured
    finally:
        cut.cancel()
        plain.close()


def _connect(target: Target, addresses: list[str]) -> socket.socket:
    gives_up_at, last = monotonic() + CONNECT_SECONDS, OSError("no address")
    for address in addresses:
        left = gives_up_at - monotonic()
        if left <= 0:
            raise TimeoutError
        try:
            found = socket.create_connection((address, target.port), timeout=left)
        except OSError as error:
            last = error
            continue
        found.settimeout(TOTAL_SECONDS)
        return found
    raise last


def _shut(connection: socket.socket) -> None:
    # Not that of an SSLSocket, which would pull the TLS state away under the thread that reads.
    with contextlib.suppress(OSError):
        socket.socket.shutdown(connection, socket.SHUT_RDWR)


@cache
def _public_tls() -> ssl.SSLContext:
    return ssl.create_default_context(cafile=DEFAULT_CA_BUNDLE_PATH)


def _reason(error: Exception) -> str:
    if isinstance(error, ssl.SSLError):
        return "tls_failed"
    if isinstance(error, TimeoutError):
        return "timed_out"
    return "bad_reply" if isinstance(error, http.client.HTTPException) else "connection_failed"


def _read_some(reply: http.client.HTTPResponse) -> None:
    """Read what little is polite. The status is the answer, however the rest comes along."""
    with contextlib.suppress(OSError, http.client.HTTPException):
        reply.read(_LARGEST_REPLY)


def _seconds(text: str) -> int | None:
    """A Retry-After, in seconds or as a date."""
    if text.isascii() and text.isdigit():
        return int(text[:9])
    try:
        moment = parsedate_to_datetime(text)
    except ValueError:
        return None
    return int((moment.replace(tzinfo=moment.tzinfo or UTC) - datetime.now(UTC)).total_seconds())
