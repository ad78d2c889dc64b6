"""base64url without padding, in its one canonical spelling."""

import base64
import binascii


def encode(raw: bytes) -> str:
    """Bytes as text."""
    return base64.urlsafe_b64encode(raw).rstrip(b"=").decode()


def decode(text: str) -> bytes:
    """The bytes again. Raises ValueError for whatever `encode` would not have written."""
    try:
        raw = base64.urlsafe_b64decode(text + "=" * (-len(text) % 4))
    except binascii.Error:
        raise ValueError("not base64url") from None
    if encode(raw) != text:  # unused trailing bits: another spelling of the same bytes
        raise ValueError("not canonical base64url")
    return raw
