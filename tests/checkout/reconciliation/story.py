"""What happens around a reconciliation, for tests: sales, what the PSP tells or keeps to itself, and what is left."""

from datetime import timedelta
from typing import Any

from django.db import connection as database
from django.db.models import Sum
from django.utils import timezone

from checkout.connectors.base import StoredCharge
from checkout.connectors.registry import connector_for
from checkout.connectors.sandbox import payments
from checkout.connectors.sandbox.models import Account, Event, Payment
from checkout.models import Checkout, Finding
from checkout.purchase import _charge_request
from checkout.reconciliation.run import Tally, reconcile
from checkout.reconciliation.windows import Window
from checkout.start import checkout_request, claim
from ledger.models import Conversion, Entry, Posting
from ledger.models import Event as Happened
from merchants.models import Connection
from rako.core.ids import new_id
from rako.core.money import Money
from tests.checkout.psp import deliver, pay


def window(days: float = 2) -> Window:
    """From some days ago until everything that a test has just done."""
    return Window(timezone.now() - timedelta(days=days), timezone.now() + timedelta(seconds=1))


def look(connection: Connection, *, fixing: bool = False, days: float = 2) -> Tally:
    """Reconcile."""
    return reconcile(connection, window(days), is_fixing=fixing)


def open_kinds(connection: Connection, **more: Any) -> set[str]:
    """Reconcile; the kinds of what is open then."""
    look(connection, **more)
    return set(Finding.objects.filter(connection=connection, state="open").values_list("kind", flat=True))


def sold(checkout: Checkout) -> Payment:
    """The buyer pays, and all that the PSP tells of it arrives."""
    for payload in pay(checkout):
        deliver(checkout.connection, payload)
    return paid(checkout)


def paid(checkout: Checkout) -> Payment:
    """The payment of a checkout's page."""
    return Payment.objects.get(page=checkout.psp_id)


def deliver_all(connection: Connection) -> list[str]:
    """All that the PSP ever told of an account arrives, perhaps once more; the words of the replies."""
    told = Event.objects.filter(account=connection.account_id).order_by("created_at", "pk")
    return [deliver(connection, event.payload).json()["status"] for event in told]


def sql(statement: str, *values: Any) -> None:
    """Make a state at the PSP that the sandbox itself would refuse."""
    with database.cursor() as cursor:
        cursor.execute("SET session_replication_role = replica")
        cursor.execute(statement, values or None)
        cursor.execute("SET session_replication_role = origin")


def yesterday() -> None:
    """Turn the clock: all that the PSP has told so far, it told a day ago. (It tells seconds, and tests are quick.)"""
    sql(
        "UPDATE sandbox_event "
        "SET payload = jsonb_set(payload, '{created}', to_jsonb((payload->>'created')::int - 86400))"
    )


def balances() -> dict[str, int]:
    """What each account comes to."""
    rows = Posting.objects.values("account").annotate(total=Sum("amount_minor"))
    return {row["account"]: row["total"] for row in rows if row["total"]}


def recorded() -> tuple[Any, ...]:
    """All that is recorded of sales: nothing of it may change when something is told again."""
    return (
        list(Conversion.objects.order_by("pk").values_list("pk", "status", "verification_level")),
        sorted(Happened.objects.values_list("kind", "reference", "amount_minor")),
        balances(),
        Entry.objects.count(),
    )


def references(kind: str) -> list[str]:
    """What the open findings of a kind are about."""
    return list(Finding.objects.filter(kind=kind, state="open").values_list("reference", flat=True))


def attempted(recommendation, method=None, *, state="unknown"):
    """A call whose answer never reached us, twenty minutes ago."""
    connection = recommendation.offer.merchant.connections.get()
    mode = "autonomous" if method else "checkout"
    checkout, _ = claim(recommendation, connection, mode=mode, payment_method=method)
    before = timezone.now() - timedelta(minutes=20)
    Checkout.objects.filter(pk=checkout.pk).update(created_at=before)
    checkout.refresh_from_db()
    psp = connector_for(connection)
    if method:
        psp.charge_stored_method(_charge_request(checkout))
    else:
        psp.create_checkout(checkout_request(checkout))
    Checkout.objects.filter(pk=checkout.pk).update(state=state, updated_at=before)
    return checkout


def foreign_payment(connection, **metadata):
    """A payment of the merchant's that we did not ask for."""
    request = StoredCharge(new_id(), Money(1000, "GBP"), "Own shop", "Socks", "pm_card_visa", metadata)
    return payments.charge_stored(Account.objects.get(pk=connection.account_id), request)
