"""Which connectors exist. The sandbox is there only in sandbox mode."""

from django.conf import settings

from checkout.connectors.base import ConnectionSecrets, PaymentConnector
from checkout.connectors.sandbox.connector import SandboxConnector
from merchants.models import Connection
from rako.core.errors import NotFound

_CONNECTORS: dict[str, type[PaymentConnector]] = {}
if settings.RAKO_MODE == "sandbox":
    _CONNECTORS[SandboxConnector.kind] = SandboxConnector


def connector_for(connection: Connection) -> PaymentConnector:
    """The connector of a merchant's connection, with its secrets decrypted. Raises NotFound for an unknown kind."""
    if connection.kind not in _CONNECTORS:
        raise NotFound()
    secrets = ConnectionSecrets(
        connection_id=connection.pk,
        account_id=connection.account_id,
        is_live=connection.is_live,
        credentials=connection.credentials,
        webhook_secrets=connection.webhook_secrets,
    )
    return _CONNECTORS[connection.kind](secrets)
