"""The two spellings that every C2SP format of this log uses – base64 and decimal – read in their one canonical form.

Whoever signs or compares text must not meet two texts of one meaning, so every other spelling is refused.
"""

import base64
import binascii
import re

from rako.core.tlog.hashing import HASH_SIZE

MAX_SIZE = 2**63 - 1
_DECIMAL = re.compile(r"(0|[1-9][0-9]{0,18})\Z")


def encode_base64(raw: bytes) -> str:
    """Standard base64 with padding (RFC 4648, section 4)."""
    return base64.b64encode(raw).decode()


def decode_base64(text: str) -> bytes:
    """The bytes of canonical, padded, standard base64. Raises ValueError for any other spelling."""
    try:
        raw = base64.b64decode(text, validate=True)
    except (binascii.Error, ValueError):
        raise ValueError("not base64") from None
    if encode_base64(raw) != text:  # unused trailing bits or missing padding: another spelling of the same bytes
        raise ValueError("not canonical base64")
    return raw


def decode_hash(text: str) -> bytes:
    """A SHA-256 hash in base64. Raises ValueError unless it is exactly 32 bytes."""
    raw = decode_base64(text)
    if len(raw) != HASH_SIZE:
        raise ValueError("not a hash of 32 bytes")
    return raw


def decode_decimal(text: str) -> int:
    """A whole number from 0 to 2^63-1 in ASCII digits. Raises ValueError for signs, spaces and leading zeros."""
    if not _DECIMAL.match(text) or int(text) > MAX_SIZE:
        raise ValueError("not a decimal number")
    return int(text)
