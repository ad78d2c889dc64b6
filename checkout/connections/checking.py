"""Whether a connection still works: asked of the processor now, and what follows from the answer."""

from checkout.connections.errors import CredentialsRefused, Disconnected
from checkout.connections.probing import probe
from merchants.models import Connection

Status = Connection.Status


def check(connection: Connection) -> Connection:
    """Probe it: a degraded one that is good is active again, an active one whose key is refused becomes degraded.

    Raises what `probing.probe` does, for whoever asked to read. Not to be called inside a transaction.
    """
    own = Connection.objects.select_related("merchant").get(pk=connection.pk)
    if own.status == Status.DISCONNECTED:
        raise Disconnected()
    try:
        probe(own)
    except CredentialsRefused:
        _move(own, Status.ACTIVE, Status.DEGRADED)
        raise
    _move(own, Status.DEGRADED, Status.ACTIVE)
    return own


def _move(own: Connection, origin: Status, to: Status) -> None:
    # Compare and swap: whoever disconnected or repaired it meanwhile has the last word.
    if Connection.objects.filter(pk=own.pk, status=origin).update(status=to):
        own.status = to
