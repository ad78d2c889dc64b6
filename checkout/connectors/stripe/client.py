"""Calls to Stripe for one connection: its key and account, within one span of time, answers as plain dictionaries."""

import logging
import threading
from collections.abc import Callable, Mapping
from http.cookiejar import DefaultCookiePolicy
from time import monotonic
from typing import Any

import requests
import stripe
import urllib3
from django.conf import settings

from checkout.connectors.base import ConnectionRevoked, ConnectionSecrets, PspFault, PspUnavailable
from checkout.connectors.stripe.errors import is_unclear, translated
from checkout.connectors.stripe.reading import Thing
from checkout.connectors.time_left import end_of_call

VERSION = stripe.api_version  # the library's types are those of this version
# Seconds that the calls for one operation may take together; a request of a client ends within 25.
LONGEST = 22.0
_PAUSE = 0.5  # the library's, before it tries again
_SHORTEST = 1.0
_AMBIGUOUS = 500
_PIECE = 65_536
_LARGEST = 16 * 1024 * 1024

# At INFO the library logs what Stripe says of parameters.
logging.getLogger("stripe").setLevel(logging.WARNING)

log = logging.getLogger("rako.stripe")
_local = threading.local()


class HttpClient(stripe.RequestsClient):
    """The library's, which remembers whether one of its tries ended without saying what came of it.

    The library's timeout is for each piece of an answer; here the whole of it has to come in that time.
    """

    was_unclear = False

    def request(  # type: ignore[override]  # the library overrides it so, too
        self, method: str, url: str, headers: Mapping[str, str] | None, post_data: Any = None
    ) -> tuple[bytes, int, Mapping[str, str]]:
        ends_at = monotonic() + sum(self._timeout)  # type: ignore[arg-type]  # we always give it a pair
        try:
            raw, status, said = super().request_stream(method, url, headers, post_data)
            answer = self._read(raw, ends_at), status, said
        except stripe.APIConnectionError as error:
            self.was_unclear |= is_unclear(error)
            raise
        self.was_unclear |= answer[1] >= _AMBIGUOUS
        return answer

    def _read(self, raw: Any, ends_at: float) -> bytes:
        content = b""
        try:
            while piece := raw.read1(_PIECE, decode_content=True):
                content += piece
                if len(content) > _LARGEST or monotonic() > ends_at:
                    raise requests.ReadTimeout("the answer is too long in coming")
        except (requests.RequestException, urllib3.exceptions.HTTPError) as error:
            raw.close()
            is_late = isinstance(error, requests.Timeout | urllib3.exceptions.TimeoutError)
            lost = error if is_late else requests.ConnectionError("the answer broke off")
            self._handle_request_error(requests.ReadTimeout(str(error)) if is_late else lost)
        raw.release_conn()  # read to its end: the connection serves again
        return content


def make_http_client(timeout: tuple[float, float]) -> HttpClient:
    """How requests are sent, with seconds to connect and to wait for an answer; connections are kept per thread."""
    if not hasattr(_local, "session"):
        _local.session = requests.Session()
        _local.session.cookies.set_policy(DefaultCookiePolicy(allowed_domains=()))
    return HttpClient(timeout=timeout, session=_local.session)


def is_connect(connection: ConnectionSecrets) -> bool:
    """Whether the merchant let the platform in by OAuth, rather than gave it a key."""
    return connection.credentials.get("mode") == "connect"


def api_key(connection: ConnectionSecrets) -> str:
    """The key to act with. Raises ConnectionRevoked if there is none for the connection's mode."""
    key = settings.RAKO_STRIPE_PLATFORM_KEY if is_connect(connection) else connection.credentials.get("api_key", "")
    mode = "live" if connection.is_live else "test"
    if not isinstance(key, str) or not key.isascii() or not key.isprintable() or f"k_{mode}_" not in key[:8]:
        raise ConnectionRevoked()
    return key


def make_client(key: str, account: str | None, http: HttpClient, retries: int) -> stripe.StripeClient:
    """The library's client, at the addresses that the settings name."""
    return stripe.StripeClient(
        key,
        stripe_account=account,
        stripe_version=VERSION,
        client_id=settings.RAKO_STRIPE_CLIENT_ID or None,
        base_addresses={"api": settings.RAKO_STRIPE_API_BASE, "connect": settings.RAKO_STRIPE_CONNECT_BASE},
        max_network_retries=retries,
        http_client=http,
    )


class Calls:
    """What one operation asks of Stripe. Whatever goes wrong in `ask` is a ConnectorError."""

    def __init__(self, key: str, account: str | None = None) -> None:
        self._key = key
        self._account = account
        self._ends_at = end_of_call(LONGEST)

    @property
    def is_live(self) -> bool:
        return "k_live_" in self._key[:8]

    def ask(self, call: Callable[[stripe.StripeClient], stripe.StripeObject], *, retries: int = 1) -> Thing:
        """Make one call, tried twice unless time is short; the answer is read before it is given back.

        Raises PspUnavailable if no time is left, and whatever `errors` makes of a failure.
        """
        http = make_http_client(self._timeout())
        tries = retries if self._left() > 2 * self._one_try() + 2 * _PAUSE else 0
        client = make_client(self._key, self._account, http, tries)
        try:
            return call(client).to_dict(for_json=True)
        except stripe.StripeError as error:
            # Not chained: a traceback would show what Stripe says of the request.
            raise translated(error, was_unclear=http.was_unclear) from None
        except (AttributeError, LookupError, TypeError, ValueError, RecursionError) as error:
            # JSON, but not what the library makes objects of.
            log.warning("Stripe's answer could not be read: %s", type(error).__name__)
            raise PspFault() from None

    def _timeout(self) -> tuple[float, float]:
        if self._left() < _SHORTEST:
            raise PspUnavailable()
        connect, read = settings.RAKO_PSP_CONNECT_MS / 1000, settings.RAKO_PSP_READ_MS / 1000
        shrunk = min(1.0, self._left() / (connect + read))
        return connect * shrunk, read * shrunk

    def _one_try(self) -> float:
        return float(settings.RAKO_PSP_CONNECT_MS + settings.RAKO_PSP_READ_MS) / 1000

    def _left(self) -> float:
        return self._ends_at - monotonic()


def calls_for(connection: ConnectionSecrets) -> Calls:
    """Calls with the credentials of a connection. Raises ConnectionRevoked if it has none for its mode."""
    return Calls(api_key(connection), connection.account_id if is_connect(connection) else None)
