"""Where webhooks may go: public addresses on https. Whoever names a URL must not reach our own network with it.

A URL is judged when it is given and each time something is sent, its host's addresses each time something is sent:
what a name resolves to is its owner's to change at any moment.
"""

import ipaddress
import re
import socket
from collections.abc import Callable
from typing import NamedTuple
from urllib.parse import SplitResult, urlsplit

from django.conf import settings

LONGEST_URL = 500
Resolver = Callable[[str, int], list[str]]
Address = ipaddress.IPv4Address | ipaddress.IPv6Address

_PRINTABLE = re.compile(r"[!-~]+\Z")
_LABEL = r"[a-z0-9_]([a-z0-9_-]{0,61}[a-z0-9_])?"
_NAME = re.compile(rf"{_LABEL}(\.{_LABEL})*\Z")
# What the C library reads as an IPv4 address although it looks like none: 127.1, 0x7f.1, 2130706433, 017700000001.
_NUMERIC_END = re.compile(r"(^|\.)(0x[0-9a-f]*|[0-9]+)\Z")
_PORTS = {443, 8443}
# All that IANA lists as not globally reachable, and multicast.
_SPECIAL = [
    ipaddress.ip_network(text)
    for text in (
        *("0.0.0.0/8", "10.0.0.0/8", "100.64.0.0/10", "127.0.0.0/8", "169.254.0.0/16", "172.16.0.0/12"),
        *("192.0.0.0/24", "192.0.2.0/24", "192.88.99.0/24", "192.168.0.0/16", "198.18.0.0/15", "198.51.100.0/24"),
        *("203.0.113.0/24", "224.0.0.0/4", "240.0.0.0/4"),
        # Of IPv6 only 2000::/3 is given out at all; these are its parts that lead elsewhere (Teredo, 6to4) or nowhere.
        *("2001::/23", "2001:db8::/32", "2002::/16", "3fff::/20"),
    )
]
_GLOBAL_IPV6 = ipaddress.ip_network("2000::/3")


class BadAddress(ValueError):
    """A URL or address that nothing is sent to; the text says why, and begins with a verb."""


class Target(NamedTuple):
    """A URL that may be sent to, if its addresses may."""

    is_tls: bool
    host: str
    port: int
    path: str


def target_of(url: str) -> Target:
    """The parts of a URL. Raises BadAddress."""
    # urlsplit drops tabs and newlines, and others read a backslash as a slash: neither is ever right.
    if len(url) > LONGEST_URL or not _PRINTABLE.match(url) or "\\" in url:
        raise BadAddress(f"must be a URL of at most {LONGEST_URL} ASCII characters")
    try:
        parts = urlsplit(url)
        port = parts.port
    except ValueError:
        raise BadAddress("must be a URL") from None
    host = parts.hostname or ""
    if parts.scheme not in ("https", "http") or not host:
        raise BadAddress("must be an https URL")
    if "[" in parts.netloc and ":" not in host:
        raise BadAddress("must be a URL")
    if "@" in parts.netloc or "#" in url:
        raise BadAddress("must have no credentials and no fragment")
    local = _check_host(host)
    if parts.scheme == "http" and not local:
        raise BadAddress("must be an https URL")
    if port is None:
        port = 443 if parts.scheme == "https" else 80
    if port not in _PORTS and not local:
        raise BadAddress(f"must have one of the ports {', '.join(map(str, sorted(_PORTS)))}")
    return Target(parts.scheme == "https", host, port, _path(parts))


def resolve(host: str, port: int) -> list[str]:
    """The addresses of a host. Raises OSError."""
    found = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM)
    return list(dict.fromkeys(str(address[0]) for *_, address in found))


def allowed(target: Target, addresses: list[str]) -> list[str]:
    """The addresses to connect to. Raises BadAddress if a single one is not to be reached: nobody needs such a mix."""
    for text in addresses:
        address = _read(text)
        if address is None or not (_is_loopback(address) or (target.is_tls and is_public(address))):
            raise BadAddress("leads to an address that is not public")
    return addresses


def is_public(address: Address) -> bool:
    """Whether an address belongs to the internet at large. IPv4 inside of IPv6 does not: there is no need for it."""
    if address.version == 6 and address not in _GLOBAL_IPV6:
        return False
    return not any(address.version == network.version and address in network for network in _SPECIAL)


def _check_host(host: str) -> bool:
    """Whether a host is this machine, where that is allowed. Raises BadAddress unless it is that, or may be public."""
    address = _read(host)
    if address is not None:
        if not _is_loopback(address) and not is_public(address):
            raise BadAddress("leads to an address that is not public")
        return _is_loopback(address)
    if host == "localhost" and settings.RAKO_WEBHOOK_LOOPBACK:
        return True
    if len(host) > 253 or "." not in host or not _NAME.match(host) or _NUMERIC_END.search(host):
        raise BadAddress("must have the full name of a host")
    return False


def _is_loopback(address: Address) -> bool:
    """Whether an address is this machine's own, and may be sent to: in the sandbox."""
    return bool(settings.RAKO_WEBHOOK_LOOPBACK) and address.is_loopback


def _read(text: str) -> Address | None:
    try:
        return None if "%" in text else ipaddress.ip_address(text)  # no zones
    except ValueError:
        return None


def _path(parts: SplitResult) -> str:
    return (parts.path or "/") + (f"?{parts.query}" if parts.query else "")
