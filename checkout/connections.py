"""Connecting a merchant to a payment processor, and letting go of it."""

from django.conf import settings
from django.db import IntegrityError, transaction
from django.utils import timezone

from checkout.connectors.sandbox import accounts
from merchants.models import Connection, Merchant
from rako.core.errors import Conflict, Forbidden
from rako.core.ids import new_id


class AlreadyConnected(Conflict):
    code, message = "already_connected", "The merchant has a live connection: disconnect it first"


@transaction.atomic
def connect_sandbox(merchant: Merchant) -> Connection:
    """Open an account at the sandbox PSP and connect the merchant to it. Raises AlreadyConnected."""
    if settings.RAKO_MODE != "sandbox":
        raise Forbidden("The sandbox PSP exists only in sandbox mode")
    connection_id = new_id()
    account = accounts.open_account(merchant.name, f"/v1/webhooks/sandbox/{connection_id}")
    try:
        with transaction.atomic():
            return Connection.objects.create(
                id=connection_id,
                merchant=merchant,
                kind="sandbox",
                account_id=account.pk,
                credentials={"secret_key": account.secret_key},
                webhook_secrets=[account.webhook_secret],
            )
    except IntegrityError:
        raise AlreadyConnected() from None


def disconnect(connection: Connection) -> None:
    """Start no more checkouts through it. Its webhooks are still heard: open pages may yet be paid, and must count."""
    Connection.objects.filter(pk=connection.pk).exclude(status="disconnected").update(
        status="disconnected", disconnected_at=timezone.now()
    )
