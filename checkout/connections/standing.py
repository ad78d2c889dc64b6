"""What becomes of a connection that sold, and the entry in the ledger that tells its merchant of it, in one statement.

What was never active has no such entry: nothing was sold through it.
"""

from collections.abc import Iterable
from datetime import datetime

from django.utils import timezone

from merchants.models import Connection
from rako.core.facts import Fact, state, stating_if
from rako.core.ids import new_id
from rako.core.postgres import Statement, send

Status = Connection.Status
# What the ledger calls arriving in a state.
_TOLD = {Status.DEGRADED: "degraded", Status.ACTIVE: "restored", Status.DISCONNECTED: "disconnected"}
_CHANGE = """
UPDATE merchants_connection SET status = %s, disconnected_at = %s WHERE id = %s AND status = ANY(%s) RETURNING id
"""


def degrade(connection: Connection) -> bool:
    """Sell nothing more through an active one whose credentials are refused; whether it was us who found out."""
    return _move(connection, (Status.ACTIVE,), Status.DEGRADED, "credentials_refused")


def restore(connection: Connection) -> bool:
    """Sell again through a degraded one: its credentials are good; whether it was degraded."""
    return _move(connection, (Status.DEGRADED,), Status.ACTIVE, "credentials_accepted")


def end(connection: Connection, *, revoked_at: datetime | None = None) -> bool:
    """Sell nothing more through it for good: it was asked for, or revoked at the processor; False if that was known."""
    # In this order: one that becomes active in between is ended as that.
    if _end_pending(connection):
        return True
    standing = (Status.ACTIVE, Status.DEGRADED)
    return _move(connection, standing, Status.DISCONNECTED, "revoked" if revoked_at else "asked", revoked_at)


def tell_of_return(connection: Connection) -> None:
    """`connection.restored` of one that had ended, inside the transaction that has it stand again."""
    state(_fact(connection, Status.ACTIVE, "connected", timezone.now()))


def _end_pending(connection: Connection) -> bool:
    now = timezone.now()
    [won] = send(_change(connection, (Status.PENDING,), Status.DISCONNECTED, now))
    if won:
        connection.status, connection.disconnected_at = Status.DISCONNECTED, now
    return bool(won)


def _move(
    connection: Connection, origins: Iterable[Status], to: Status, because: str, at: datetime | None = None
) -> bool:
    now = timezone.now()
    ended_at = now if to == Status.DISCONNECTED else None
    change = _change(connection, origins, to, ended_at)
    [won] = send(stating_if(change, _fact(connection, to, because, at or now)))
    if won:
        connection.status, connection.disconnected_at = to, ended_at
    return bool(won)


def _change(connection: Connection, origins: Iterable[Status], to: Status, ended_at: datetime | None) -> Statement:
    # Compare and swap: whoever ended or repaired it meanwhile has the last word.
    return Statement(_CHANGE, [str(to), ended_at, connection.pk, [str(origin) for origin in origins]])


def _fact(connection: Connection, to: Status, because: str, at: datetime) -> Fact:
    kind = f"connection.{_TOLD[to]}"
    return Fact(
        stream_id=connection.pk,
        kind=kind,
        facts={"connection_id": connection.pk, "status": str(to), "reason": because},
        for_merchant={"processor": connection.kind},
        occurred_at=at,
        # It may happen again; that it happens once is the change's own doing.
        idempotency_key=f"{kind}:{new_id()}",
        merchant_id=connection.merchant_id,
    )
