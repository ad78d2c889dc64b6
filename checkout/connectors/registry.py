"""Which connectors exist. The sandbox is there only in sandbox mode."""

from django.conf import settings

from checkout.connectors.base import ConnectionRevoked, ConnectionSecrets, PaymentConnector
from checkout.connectors.sandbox.connector import SandboxConnector
from merchants.models import Connection

_CONNECTORS: dict[str, type[PaymentConnector]] = {}
if settings.RAKO_MODE == "sandbox":
    _CONNECTORS[SandboxConnector.kind] = SandboxConnector


def is_known(kind: str) -> bool:
    """Whether there is a connector of that kind here."""
    return kind in _CONNECTORS


def connector_for(connection: Connection) -> PaymentConnector:
    """The connector of a connection, with its secrets decrypted. Raises ConnectionRevoked for an unknown kind."""
    if connection.kind not in _CONNECTORS:
        raise ConnectionRevoked()
    secrets = ConnectionSecrets(
        connection_id=connection.pk,
        account_id=connection.account_id,
        is_live=connection.is_live,
        credentials=connection.credentials,
        webhook_secrets=connection.webhook_secrets,
    )
    return _CONNECTORS[connection.kind](secrets)
