"""What the sandbox tests are made of."""

from datetime import timedelta
from typing import Any

from django.utils import timezone

from checkout.connectors.base import Attempt, CheckoutRequest, ConnectionSecrets, StoredCharge
from checkout.connectors.sandbox import cards, pages, payments
from checkout.connectors.sandbox.connector import SandboxConnector
from checkout.connectors.sandbox.models import Account, Event, Payment, PaymentPage
from rako.core.ids import new_id
from rako.core.money import Money

SUCCEEDS = cards.by_number("4242424242424242")
IS_DECLINED = cards.by_number("4000000000000002")
ASKS_STEP_UP = cards.by_number("4000000000003220")
SUCCEEDS_LATER = cards.by_number("4000000000006009")
FAILS_LATER = cards.by_number("4000000000006108")


def checkout_request(**changes: Any) -> CheckoutRequest:
    """A page for £129.00 that is open for an hour."""
    fields: dict[str, Any] = {
        "attempt_id": new_id(),
        "money": Money(12_900, "GBP"),
        "merchant_name": "Northwind Running",
        "item_name": "Trail Runner 2",
        "success_url": "https://shop.example/thanks",
        "cancel_url": "https://shop.example/basket",
        "expires_at": timezone.now() + timedelta(hours=1),
        "metadata": {"rako_transaction_id": "t1"},
    }
    return CheckoutRequest(**fields | changes)


def stored_charge(**changes: Any) -> StoredCharge:
    """A charge of £6.00 that succeeds."""
    fields: dict[str, Any] = {
        "attempt_id": new_id(),
        "money": Money(600, "GBP"),
        "merchant_name": "Northwind Running",
        "item_name": "Race socks",
        "payment_method": "pm_card_visa",
        "metadata": {"rako_transaction_id": "t2"},
    }
    return StoredCharge(**fields | changes)


def attempt(attempt_id: str) -> Attempt:
    """An attempt of which we know our own id alone."""
    return Attempt(attempt_id, psp_id="", created_at=timezone.now())


def paid(account: Account, **changes: Any) -> Payment:
    """A charge that was paid."""
    return payments.charge_stored(account, stored_charge(**changes))


def connector_of(account: Account, **changes: Any) -> SandboxConnector:
    """The connector with the account's own secrets."""
    fields: dict[str, Any] = {
        "connection_id": new_id(),
        "account_id": account.pk,
        "is_live": False,
        "credentials": {"secret_key": account.secret_key},
        "webhook_secrets": [account.webhook_secret],
    }
    return SandboxConnector(ConnectionSecrets(**fields | changes))


def paid_page(account: Account) -> PaymentPage:
    """A page that was paid."""
    page = pages.create_page(account, checkout_request())
    assert SUCCEEDS is not None
    pages.pay_page(page.pk, SUCCEEDS)
    return PaymentPage.objects.get(pk=page.pk)


def overdue(subject: PaymentPage | Payment) -> None:
    """Turn the clock: the time of a page, or of a step-up, is over."""
    past = timezone.now() - timedelta(hours=2)
    moment = {"expires_at": past} if isinstance(subject, PaymentPage) else {"created_at": past}
    type(subject).objects.filter(pk=subject.pk).update(**moment)


def told() -> list[str]:
    """The types of all events, in order."""
    return list(Event.objects.order_by("created_at", "pk").values_list("type", flat=True))
