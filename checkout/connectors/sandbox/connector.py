"""The connector contract for the sandbox PSP. Calls go to its functions; what happens comes back as webhooks only."""

from collections.abc import Mapping
from datetime import datetime
from typing import ClassVar

import orjson

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
    OutcomeEvent,
    Page,
    PaymentSnapshot,
    PaymentState,
    RefundSnapshot,
    StoredCharge,
    VerifiedEvent,
)
from checkout.connectors.sandbox import (
    accounts,
    cards,
    ids,
    intake,
    lists,
    outcomes,
    pages,
    payments,
    signature,
    snapshots,
)
from checkout.connectors.sandbox.models import Account, Payment, PaymentPage, PaymentStatus

_CHARGE_STATUSES = {
    PaymentStatus.REQUIRES_ACTION: ChargeStatus.REQUIRES_ACTION,
    PaymentStatus.PROCESSING: ChargeStatus.PROCESSING,
    PaymentStatus.SUCCEEDED: ChargeStatus.SUCCEEDED,
}


class SandboxConnector:
    """Acts for one account of the sandbox PSP; each call raises ConnectionRevoked if its key is no longer good."""

    kind: ClassVar[str] = "sandbox"
    keeps_events: ClassVar[bool] = True

    def __init__(self, connection: ConnectionSecrets) -> None:
        self._connection = connection

    def verify_connection(self) -> ConnectionHealth:
        """Whose account the key opens. There are no live accounts here and a key lacks no right."""
        account = accounts.owner_of(self._connection.credentials.get("secret_key", ""))
        return ConnectionHealth(account_id=account.pk, is_live=False)

    def create_checkout(self, request: CheckoutRequest) -> CheckoutLink:
        """Make the hosted page; the same attempt again gives the same page.

        Raises NotPayable or PspRejected for a request out of bounds, KeyReuseMismatch if the attempt was used for
        another page.
        """
        page = pages.create_page(self._account(), request)
        return CheckoutLink(psp_id=page.pk, url=page.url, expires_at=page.expires_at)

    def expire_checkout(self, psp_id: str) -> PaymentState:
        """Close an open page, or a charge that waits for its step-up. Returns EXPIRED, also for one that had failed, or
        PENDING/SUCCEEDED when the buyer was faster. Raises PspRejected for one that is not there."""
        account = self._account()
        if ids.has_shape(ids.PAGE, psp_id) and PaymentPage.objects.filter(pk=psp_id, account=account).exists():
            state = snapshots.page_state(pages.expire_page(psp_id))
        elif ids.has_shape(ids.PAYMENT, psp_id) and Payment.objects.filter(pk=psp_id, account=account).exists():
            state = snapshots.payment_state(payments.cancel_charge(psp_id))
        else:
            raise intake.refusal("no such page or payment")
        return PaymentState.EXPIRED if state == PaymentState.FAILED else state

    def charge_stored_method(self, request: StoredCharge) -> ChargeResult:
        """Charge without the buyer; the same attempt again gives the same charge as it stands now.

        Raises PspRejected for an unknown payment method, NotPayable or PspRejected for a request out of bounds,
        KeyReuseMismatch if the attempt was used for another charge.
        """
        payment = payments.charge_stored(self._account(), request)
        status = _CHARGE_STATUSES.get(PaymentStatus(payment.status), ChargeStatus.DECLINED)
        return ChargeResult(
            status=status,
            psp_id=payment.pk,
            confirmation=payment.pk,
            decline_reason=cards.decline_reason(payment.decline_code) if status == ChargeStatus.DECLINED else "",
            next_action_url=payment.step_up_url if status == ChargeStatus.REQUIRES_ACTION else "",
        )

    def find_attempt(self, attempt: Attempt) -> PaymentSnapshot | None:
        """The page or charge of an attempt as it stands now; None if the call never reached the PSP."""
        account = self._account()
        if not intake.is_storable(attempt.attempt_id):
            return None
        page = PaymentPage.objects.select_related("account").filter(account=account, idempotency_key=attempt.attempt_id)
        for found in page:
            paying = lists.payments(account).filter(page=found).first()
            return snapshots.of_payment(paying) if paying else snapshots.of_page(found)
        charge = lists.payments(account).filter(idempotency_key=attempt.attempt_id).first()
        return snapshots.of_payment(charge) if charge else None

    def get_payment(self, payment_ref: str) -> PaymentSnapshot | None:
        """A payment as it stands now; None if the account has no such payment."""
        account = self._account()
        if not ids.has_shape(ids.PAYMENT, payment_ref):
            return None
        found = lists.payments(account).filter(pk=payment_ref).first()
        return snapshots.of_payment(found) if found else None

    def verify_webhook(self, body: bytes, headers: Mapping[str, str], *, now: datetime) -> VerifiedEvent:
        """Authenticate a delivery. Raises BadSignature, or MalformedEvent for one of another account or mode."""
        signature.verify(body, headers.get(signature.HEADER.lower()), self._connection.webhook_secrets, now)
        event = self.read_event(body)
        is_ours = outcomes.account_of(event) == self._connection.account_id
        if not is_ours or event.is_live != self._connection.is_live:
            raise MalformedEvent()
        return event

    def read_event(self, body: bytes) -> VerifiedEvent:
        """Read a delivery that was authenticated before it was stored. Raises MalformedEvent."""
        return outcomes.parse(body)

    def normalize(self, event: VerifiedEvent) -> list[OutcomeEvent]:
        """What an event says about a sale. Raises MalformedEvent."""
        return outcomes.read(event)

    def list_payments(self, since: datetime, until: datetime, *, cursor: str = "") -> Page[PaymentSnapshot]:
        """Payments, tried ones included; a page that nobody tried to pay on has none."""
        rows, cursor = lists.page(lists.payments(self._account()), since, until, cursor)
        return Page([snapshots.of_payment(row) for row in rows], cursor)

    def list_refunds(self, since: datetime, until: datetime, *, cursor: str = "") -> Page[RefundSnapshot]:
        """Refunds."""
        rows, cursor = lists.page(lists.refunds(self._account()), since, until, cursor)
        return Page([snapshots.of_refund(row) for row in rows], cursor)

    def list_disputes(self, since: datetime, until: datetime, *, cursor: str = "") -> Page[DisputeSnapshot]:
        """Disputes."""
        rows, cursor = lists.page(lists.disputes(self._account()), since, until, cursor)
        return Page([snapshots.of_dispute(row) for row in rows], cursor)

    def list_events(self, since: datetime, until: datetime, *, cursor: str = "") -> Page[VerifiedEvent]:
        """Events, which are kept for ever."""
        rows, cursor = lists.page(lists.events(self._account()), since, until, cursor)
        return Page([outcomes.parse(orjson.dumps(row.payload)) for row in rows], cursor)

    def _account(self) -> Account:
        if self._connection.is_live:
            raise ConnectionRevoked()
        return accounts.authenticate(self._connection.account_id, self._connection.credentials.get("secret_key", ""))
