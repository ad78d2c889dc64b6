"""The connector contract for Hyperswitch.

`credentials` are `{"api_key": "snd_…" or "prod_…", "profile_id": "pro_…"}`, `account_id` is the merchant id, the
webhook secrets are the profile's `payment_response_hash_key`s. The canonical payment is the payment id: a link is one.
"""

from collections.abc import Mapping
from datetime import datetime
from typing import Any, ClassVar

from django.utils import timezone

from checkout.connectors.base import (
    Attempt,
    ChargeResult,
    ChargeStatus,
    CheckoutLink,
    CheckoutRequest,
    ConnectionHealth,
    ConnectionRevoked,
    ConnectionSecrets,
    DisputeSnapshot,
    MalformedEvent,
    NotPayable,
    OutcomeEvent,
    Page,
    PaymentSnapshot,
    PaymentState,
    PspBusy,
    PspFault,
    PspRejected,
    RefundSnapshot,
    StoredCharge,
    VerifiedEvent,
)
from checkout.connectors.hyperswitch import (
    errors,
    ids,
    lists,
    outcomes,
    payments,
    probes,
    signature,
    snapshots,
    statuses,
)
from checkout.connectors.hyperswitch.client import Client
from checkout.connectors.hyperswitch.reading import Body


class HyperswitchConnector:
    """Acts for one merchant account and profile. Each call raises ConnectionRevoked if its key is no longer good, or of
    the other mode, and what `errors` lists; each ends within 25 seconds.
    """

    kind: ClassVar[str] = "hyperswitch"
    # It keeps them, but tells them only to its administrators' key.
    keeps_events: ClassVar[bool] = False

    def __init__(self, connection: ConnectionSecrets) -> None:
        self._connection = connection

    def verify_connection(self) -> ConnectionHealth:
        """Which rights the key lacks. Whose account it opens is told once there is a payment, and believed before."""
        return probes.health(self._client(), self._connection)

    def create_checkout(self, request: CheckoutRequest) -> CheckoutLink:
        """Make the payment link; the same attempt again gives the same link.

        Raises NotPayable for an amount or a time that Hyperswitch cannot take, KeyReuseMismatch, and ConnectionRevoked
        if the account has no such profile.
        """
        content = payments.link_content(request, self._profile_id())
        try:
            made = payments.make(self._client(), content)
        except errors.Missing:
            raise ConnectionRevoked() from None
        snapshots.check_account(made, self._connection)
        with errors.in_effect(), snapshots.readable():
            return CheckoutLink(content["payment_id"], _page(made), payments.expires_at(made, content))

    def expire_checkout(self, psp_id: str) -> PaymentState:
        """Cancel a link, or a charge that waits for its buyer. EXPIRED if it can no longer be paid, else how it stands.

        Raises PspBusy for a link whose last card was declined: Hyperswitch does not cancel it, and the buyer may try
        another card until it runs out, unless the account allows no second try. Raises PspRejected for one that is
        not there.
        """
        client = self._client()
        found = payments.cancel(client, psp_id, "closed by the seller") or payments.look(client, psp_id)
        if found is None:
            raise PspRejected()
        with snapshots.readable():
            state = statuses.payment_state(found, timezone.now())
        if state == PaymentState.OPEN:
            raise PspBusy(retry_after=60)
        return PaymentState.EXPIRED if state == PaymentState.FAILED else state

    def charge_stored_method(self, request: StoredCharge) -> ChargeResult:
        """Charge without the buyer; the same attempt again gives the same charge as it stands now.

        If the bank asks for the buyer and gives no address to send them to, the charge is cancelled and a payment link
        takes its place. Raises NotPayable for a method that is none or not there, KeyReuseMismatch.
        """
        client = self._client()
        try:
            found = payments.make(client, payments.charge_content(request, self._profile_id()))
        except errors.Missing:
            raise NotPayable() from None
        with errors.in_effect(), snapshots.readable():
            snapshots.check_account(found, self._connection)
            return _result(self._with_buyer(client, request, found))

    def find_attempt(self, attempt: Attempt) -> PaymentSnapshot | None:
        """What an attempt has come to: its link or charge, or the link that took the charge's place."""
        found = payments.look_for(self._client(), attempt.attempt_id)
        return None if found is None else snapshots.payment(found, self._connection)

    def get_payment(self, payment_ref: str) -> PaymentSnapshot | None:
        """A payment as it stands at its processor now; None if the account has no such payment."""
        found = payments.look(self._client(), payment_ref)
        return None if found is None else snapshots.payment(found, self._connection)

    def verify_webhook(self, body: bytes, headers: Mapping[str, str], *, now: datetime) -> VerifiedEvent:
        """Authenticate a delivery. Raises BadSignature, or MalformedEvent for one of another account.

        No time is signed: `now` decides nothing, and who repeats a delivery repeats its `event_id`.
        """
        signature.verify(body, headers.get(signature.HEADER), self._connection.webhook_secrets)
        event = self.read_event(body)
        if outcomes.account_of(event) != self._connection.account_id:
            raise MalformedEvent()
        return event

    def read_event(self, body: bytes) -> VerifiedEvent:
        """Read a delivery that was authenticated before it was stored. Raises MalformedEvent."""
        return outcomes.parse(body, is_live=self._connection.is_live)

    def normalize(self, event: VerifiedEvent) -> list[OutcomeEvent]:
        """What an event says about a sale. Raises MalformedEvent."""
        return outcomes.read(event)

    def list_payments(self, since: datetime, until: datetime, *, cursor: str = "") -> Page[PaymentSnapshot]:
        """Payments created in [since, until); a page may be empty and go on.

        Lists carry neither refunds nor links: `refunded_minor` is 0 here, and a declined link is FAILED.
        """
        client = self._client()
        found, left = lists.by_windows(
            lambda window: lists.payments_page(client, window), "created", since, until, cursor
        )
        items = [snapshots.payment(payments.whole(client, one), self._connection, is_listed=True) for one in found]
        return lists.page_of(items, since, until, lambda item: item.created_at, left)

    def list_refunds(self, since: datetime, until: datetime, *, cursor: str = "") -> Page[RefundSnapshot]:
        """Refunds created in [since, until)."""
        found, left = lists.refunds_page(self._client(), since, until, cursor)
        with snapshots.readable():
            items = [snapshots.refund(one) for one in found]
        return lists.page_of(items, since, until, lambda item: item.created_at, left)

    def list_disputes(self, since: datetime, until: datetime, *, cursor: str = "") -> Page[DisputeSnapshot]:
        """Disputes created in [since, until); a page may be empty and go on."""
        client = self._client()
        found, left = lists.by_windows(
            lambda window: lists.disputes_page(client, window), "created_at", since, until, cursor
        )
        with snapshots.readable():
            items = [snapshots.dispute(one) for one in found]
        return lists.page_of(items, since, until, lambda item: item.created_at, left)

    def list_events(self, since: datetime, until: datetime, *, cursor: str = "") -> Page[VerifiedEvent]:
        """Nothing: a merchant's key may not ask for them."""
        return Page([])

    def _client(self) -> Client:
        return Client(self._connection.credentials.get("api_key"), is_live=self._connection.is_live)

    def _profile_id(self) -> str:
        profile_id: Any = self._connection.credentials.get("profile_id")
        if not isinstance(profile_id, str) or not profile_id:
            raise ConnectionRevoked()
        return profile_id

    def _with_buyer(self, client: Client, request: StoredCharge, found: Body) -> Body:
        """The charge, or the link in its place. It is cancelled first: of two that can be paid, both might be."""
        is_replaced = payments.was_replaced(found)
        if found.get("status") == "requires_customer_action" and not snapshots.page_url(found):
            charge_id = ids.payment_of(request.attempt_id)
            ended = payments.cancel(client, charge_id, statuses.STEP_UP_REASON)
            is_replaced = ended is not None and ended.get("status") == "cancelled"
            found = ended or payments.look(client, charge_id) or found
        return payments.make(client, payments.step_up_content(request, self._profile_id())) if is_replaced else found


def _result(found: Body) -> ChargeResult:
    status = statuses.charge_status(found, timezone.now())
    payment_id = str(found["payment_id"])
    return ChargeResult(
        status=status,
        psp_id=payment_id,
        confirmation=payment_id,
        decline_reason=statuses.decline_reason(found) if status == ChargeStatus.DECLINED else "",
        next_action_url=_page(found) if status == ChargeStatus.REQUIRES_ACTION else "",
    )


def _page(found: Body) -> str:
    """Where the buyer goes. Raises PspFault if the reply does not say."""
    url = snapshots.page_url(found)
    if not url:
        raise PspFault()
    return url
