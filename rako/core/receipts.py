"""Receipts: our signed word, given with the reply, that a fact is in the ledger.

Whoever keeps one can show that an entry was left out of the log. The key is derived from the deployment's secret key
for this one use; the sequencer publishes its public half for good.
"""

from functools import lru_cache

from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from cryptography.hazmat.primitives.hashes import SHA256
from cryptography.hazmat.primitives.kdf.hkdf import HKDF
from django.conf import settings

from rako.core.facts import Appended
from rako.core.tlog.notes import NoteSigner
from rako.core.tlog.receipts import receipt_name, receipt_text
from rako.core.wire import instant

# What replies say of the field.
RECEIPT = "Signed note: the entry's id, leaf hash and time. Keep it to show that the ledger must contain the entry."


def receipt_for(entry: Appended) -> str:
    """The signed note over an entry's id, leaf hash and time."""
    return receipt_signer().sign(
        receipt_text(settings.RAKO_LEDGER_ORIGIN, entry.entry_id, bytes(entry.leaf_hash), instant(entry.recorded_at))
    )


def receipt_signer() -> NoteSigner:
    """What signs receipts, with its public key as `.vkey`."""
    return _signer(settings.SECRET_KEY, settings.RAKO_LEDGER_ORIGIN)


@lru_cache(maxsize=4)
def _signer(secret: str, origin: str) -> NoteSigner:
    seed = HKDF(algorithm=SHA256(), length=32, salt=None, info=b"rako ledger receipts").derive(secret.encode())
    return NoteSigner(receipt_name(origin), Ed25519PrivateKey.from_private_bytes(seed))
