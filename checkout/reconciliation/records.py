"""Our records of a page of a PSP's objects, read in as many queries however long the page is."""

from collections import defaultdict
from collections.abc import Collection, Iterable, Mapping

from checkout.models import Checkout, PspObject
from ledger.models import Event, Evidence
from merchants.models import Connection
from rako.core.ids import is_id


class Records:
    """What is recorded of some payments at a connection, and of what was told of them."""

    def __init__(self, connection: Connection, psp_ids: Iterable[str], pointers: Iterable[str] = ()) -> None:
        self.connection = connection
        named = {psp_id for psp_id in psp_ids if psp_id}
        objects = PspObject.objects.filter(connection=connection, psp_id__in=named)
        self._objects = dict(objects.values_list("psp_id", "checkout_id"))
        wanted = {*self._objects.values(), *(pointer for pointer in pointers if is_id(pointer))}
        of_account = Checkout.objects.filter(
            pk__in=wanted, merchant=connection.merchant_id, connection__account_id=connection.account_id
        )
        rows = list(of_account.select_related("session"))
        self._checkouts = {row.pk: row for row in rows if row.connection_id == connection.pk}
        self._earlier = {row.pk for row in rows} - set(self._checkouts)
        ours = Evidence.objects.filter(merchant=connection.merchant_id, source=Evidence.Source.PSP_EVENT)
        self.evidence = {row.reference: row for row in ours.filter(reference__in=named)}
        sessions = {row.session_id for row in self._checkouts.values()}
        # By a payment: a sale that the merchant reported still wants the payment's own proof.
        paid = ours.filter(conversion__session__in=sessions)
        self.paid = set(paid.values_list("conversion__session_id", flat=True))
        self._told: dict[str, dict[str, Event]] = defaultdict(dict)
        self._refunds: dict[str, list[Event]] = defaultdict(list)
        events = Event.objects.filter(merchant=connection.merchant_id, is_inherited=False)
        for event in events.filter(sale_reference__in=named):
            self._told[event.reference][event.kind] = event
            if event.kind == Event.Kind.REFUNDED:
                self._refunds[event.sale_reference].append(event)

    def checkout_of(
        self, psp_ids: Collection[str], metadata: Mapping[str, str] | None = None, attempt_id: str = ""
    ) -> Checkout | None:
        """Whose the objects are: by our own notes first, then by what the PSP's object points to."""
        pointed = (metadata or {}).get("aap_checkout_id") or attempt_id
        noted = (self._objects[psp_id] for psp_id in psp_ids if psp_id in self._objects)
        return self._checkouts.get(next(noted, pointed))

    def is_earlier(self, pointer: str) -> bool:
        """Whether it points to a checkout through a connection that the merchant had to this account before."""
        return pointer in self._earlier

    def told(self, reference: str) -> Mapping[str, Event]:
        """What was told of a refund or dispute, by kind."""
        return self._told.get(reference, {})

    def refunded_minor(self, payment_ref: str) -> int:
        """What the refunds of a payment come to, without those that failed."""
        refunds = self._refunds.get(payment_ref, [])
        kept = [event for event in refunds if Event.Kind.REFUND_FAILED not in self._told[event.reference]]
        return sum(event.amount_minor or 0 for event in kept)
