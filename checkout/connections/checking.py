"""Whether a connection still works: asked of the processor now, and what follows from the answer."""

from checkout.connections.errors import CredentialsRefused, Disconnected
from checkout.connections.probing import probe
from checkout.connections.standing import degrade, restore
from merchants.models import Connection


def check(connection: Connection) -> Connection:
    """Probe it: a degraded one that is good is active again, an active one whose key is refused becomes degraded.

    Raises what `probing.probe` does, for whoever asked to read. Not to be called inside a transaction.
    """
    own = Connection.objects.select_related("merchant").get(pk=connection.pk)
    if own.status == Connection.Status.DISCONNECTED:
        raise Disconnected()
    try:
        probe(own)
    except CredentialsRefused:
        degrade(own)
        raise
    restore(own)
    return own
