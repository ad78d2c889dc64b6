"""The platform's webhook: one address that hears of the accounts of all merchants who let the platform in.

The account in the body is a claim until the signature over it holds, and until then nothing is looked up by it: what a
stranger is told, and after what time, is the same whether we know the account or not.
"""

from collections.abc import Mapping
from datetime import datetime

from django.conf import settings
from django.db.models import Case, IntegerField, Value, When
from django.utils import timezone

from checkout import inbox
from checkout.connectors.base import BadSignature, ConnectionSecrets, MalformedEvent, VerifiedEvent
from checkout.connectors.registry import connector_with, kinds
from checkout.outcomes import Result
from merchants.models import Connection
from rako.core.errors import NotFound

# A signed event that concerns nobody here is answered 200: Stripe sends whatever is not for days, and then closes the
# address for everybody.
_OTHER_MODE = Result("ignored", reason="The event is of the other mode: nothing is sold in it here")
_NOBODYS = Result("ignored", reason="No merchant is connected through this account")


def receive_for_platform(kind: str, body: bytes, headers: Mapping[str, str]) -> Result:
    """Authenticate a delivery with the platform's secrets, and receive it for the connection of its account.

    Raises NotFound for a kind without such an address, BadSignature or MalformedEvent with nothing stored.
    """
    account_of = kinds()[kind].account_of if kind in kinds() else None
    if account_of is None:
        raise NotFound()
    is_live = settings.RAKO_MODE == "live"
    account = account_of(body) or ""
    event = _verified(kind, account, is_live, body, headers, timezone.now())
    if event.is_live != is_live:
        return _OTHER_MODE
    connection = _connection_of(kind, account)
    # It is verified once more there, with the connection's own account and mode.
    return _NOBODYS if connection is None else inbox.receive(connection, body, headers)


def _verified(
    kind: str, account: str, is_live: bool, body: bytes, headers: Mapping[str, str], now: datetime
) -> VerifiedEvent:
    """The event, of whichever mode: a live endpoint is sent the connected accounts' test events too."""
    try:
        return connector_with(kind, _of_platform(account, is_live)).verify_webhook(body, headers, now=now)
    except BadSignature:
        raise
    except MalformedEvent:
        return connector_with(kind, _of_platform(account, not is_live)).verify_webhook(body, headers, now=now)


def _of_platform(account: str, is_live: bool) -> ConnectionSecrets:
    """A connection as it would be if the account were connected."""
    credentials = {"mode": Connection.Mode.CONNECT.value}
    return ConnectionSecrets("", account, is_live, credentials, webhook_secrets=())


def _connection_of(kind: str, account: str) -> Connection | None:
    """The account's connection: the one that stands, or else the last that did, for pages that are paid late."""
    stands = Case(When(status="disconnected", then=Value(1)), default=Value(0), output_field=IntegerField())
    known = Connection.objects.filter(kind=kind, account_id=account, mode=Connection.Mode.CONNECT)
    return known.order_by(stands, "-pk").first()
