"""Whether a key works, and for what: by reading one of each."""

from collections.abc import Callable

from checkout.connectors.base import ConnectionHealth, ConnectionSecrets
from checkout.connectors.hyperswitch import errors, reading
from checkout.connectors.hyperswitch.client import Client
from checkout.connectors.hyperswitch.snapshots import readable


def health(client: Client, connection: ConnectionSecrets) -> ConnectionHealth:
    """The account and mode that the key opens, and what it may not read.

    The mode is the key's prefix, which the client has checked. Raises ConnectionRevoked for a key that opens nothing.
    """
    probes: dict[str, Callable[[], object]] = {
        "payments": lambda: client.get("/payments/list", {"limit": "1"}),
        "refunds": lambda: client.post("/refunds/list", {"limit": 1}),
        "disputes": lambda: client.get("/disputes/list", {"limit": "1"}),
    }
    missing, answers = [], {}
    for name, ask in probes.items():
        try:
            answers[name] = ask()
        except errors.Forbidden:
            missing.append(name)
        except errors.Missing:
            pass  # there are none yet
    with readable():
        account_id = _account(answers.get("payments")) or connection.account_id
    return ConnectionHealth(account_id=account_id, is_live=connection.is_live, missing=missing)


def _account(answer: object) -> str:
    """Whose the newest payment is; "" if there is none."""
    found = reading.bodies(reading.body(answer).get("data")) if answer is not None else []
    return reading.optional_text(found[0], "merchant_id") if found else ""
