"""The keys that sign notes, as others know them: verifier keys (vkeys) of C2SP signed-note.

Two kinds are known: 0x01, plain Ed25519, and 0x04, the cosignature of a witness (C2SP tlog-cosignature,
`cosignature/v1`), which signs the text together with the time at which it saw it.
"""

import hashlib
import re
import struct
from dataclasses import dataclass

from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PublicKey

from rako.core.tlog.encoding import MAX_SIZE, decode_base64, encode_base64

ED25519 = 0x01
COSIGNATURE = 0x04
_COSIGNATURE_FORM = struct.Struct(">Q64s")
_VKEY = re.compile(r"([^+]+)\+([0-9a-f]{8})\+([A-Za-z0-9+/=]+)\Z")


class NoteError(Exception):
    """The text is no signed note, no verifier key, or not signed by a key that is trusted."""


@dataclass(frozen=True, slots=True)
class Verifier:
    """A public key that is trusted to sign notes under a name. `parse_vkey` makes one."""

    name: str
    algorithm: int
    public_key: bytes

    @property
    def key_id(self) -> bytes:
        """Four bytes that tell this key from others of its name. They identify it and prove nothing."""
        material = self.name.encode() + b"\n" + bytes([self.algorithm]) + self.public_key
        return hashlib.sha256(material).digest()[:4]

    @property
    def vkey(self) -> str:
        """The key as text: `<name>+<key id in hex>+<base64 of the algorithm and the key>`."""
        return f"{self.name}+{self.key_id.hex()}+{encode_base64(bytes([self.algorithm]) + self.public_key)}"

    def verify(self, text: str, signature: bytes) -> int | None:
        """Check a signature over a note's text; a cosignature's time (unix seconds), else None. Raises NoteError."""
        time, signed = None, text
        if self.algorithm == COSIGNATURE:
            time, signature = _split_cosignature(signature)
            signed = cosigned_text(text, time)
        try:
            Ed25519PublicKey.from_public_bytes(self.public_key).verify(signature, signed.encode())
        except InvalidSignature:
            raise NoteError(f"the signature of {self.name} does not hold") from None
        return time


def parse_vkey(text: str) -> Verifier:
    """Read a verifier key. Raises NoteError unless it is canonical, of a known kind, and its key id is its own."""
    match = _VKEY.match(text)
    if match is None:
        raise NoteError("not a verifier key")
    try:
        material = decode_base64(match[3])
    except ValueError:
        raise NoteError("not a verifier key") from None
    if len(material) != 33 or material[0] not in (ED25519, COSIGNATURE):
        raise NoteError("not a key of a known kind")
    verifier = Verifier(key_name(match[1]), material[0], material[1:])
    if verifier.vkey != text:
        raise NoteError("the key id is not this key's")
    return verifier


def key_name(name: str) -> str:
    """The name back. Raises NoteError if no key can have it: empty, not Unicode, with spaces, a plus or controls."""
    if not name or "+" in name or any(c.isspace() or c < " " or "\ud800" <= c <= "\udfff" for c in name):
        raise NoteError("not a key name")
    return name


def cosigned_text(text: str, time: int) -> str:
    """What a witness signs who saw a checkpoint of this text at `time` (unix seconds)."""
    return f"cosignature/v1\ntime {time}\n{text}"


def _split_cosignature(signature: bytes) -> tuple[int, bytes]:
    if len(signature) != _COSIGNATURE_FORM.size:
        raise NoteError("not a cosignature")
    time, signed = _COSIGNATURE_FORM.unpack(signature)
    if time > MAX_SIZE:
        raise NoteError("a cosignature of no possible time")
    return time, signed
