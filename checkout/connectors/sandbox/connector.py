"""The connector contract for the sandbox PSP. Calls go to its functions; what happens comes back as webhooks only."""

from collections.abc import Mapping
from datetime import datetime
from typing import ClassVar

from django.utils import timezone

from checkout.connectors.base import (
    ChargeResult,
    ChargeStatus,
    CheckoutLink,
    CheckoutRequest,
    ConnectionRevoked,
    ConnectionSecrets,
    MalformedEvent,
    OutcomeEvent,
    PaymentSnapshot,
    PaymentState,
    StoredCharge,
    VerifiedEvent,
)
from checkout.connectors.sandbox import accounts, ids, intake, outcomes, pages, payments, signature
from checkout.connectors.sandbox.models import Account, PagePayment, PageStatus, Payment, PaymentPage, PaymentStatus

_CHARGE_STATUSES = {
    PaymentStatus.REQUIRES_ACTION: ChargeStatus.REQUIRES_ACTION,
    PaymentStatus.PROCESSING: ChargeStatus.PROCESSING,
    PaymentStatus.SUCCEEDED: ChargeStatus.SUCCEEDED,
}
_PAYMENT_STATES = {
    PaymentStatus.REQUIRES_ACTION: PaymentState.OPEN,
    PaymentStatus.PROCESSING: PaymentState.PENDING,
    PaymentStatus.SUCCEEDED: PaymentState.SUCCEEDED,
}
_COMPLETE_STATES = {
    PagePayment.PAID: PaymentState.SUCCEEDED,
    PagePayment.PROCESSING: PaymentState.PENDING,
    PagePayment.UNPAID: PaymentState.FAILED,
}


class SandboxConnector:
    """Acts for one account of the sandbox PSP; each call raises ConnectionRevoked if its key is no longer good."""

    kind: ClassVar[str] = "sandbox"

    def __init__(self, connection: ConnectionSecrets) -> None:
        self._connection = connection

    def create_checkout(self, request: CheckoutRequest) -> CheckoutLink:
        """Make the hosted page; the same attempt again gives the same page.

        Raises PspRejected for a request out of bounds, or if the attempt was used for another page.
        """
        page = pages.create_page(self._account(), request)
        return CheckoutLink(psp_id=page.pk, url=page.url, expires_at=page.expires_at)

    def expire_checkout(self, psp_id: str) -> PaymentState:
        """Close an open page, or a charge that waits for its step-up; the state it is in now. Raises PspRejected."""
        account = self._account()
        if ids.has_shape(ids.PAGE, psp_id) and PaymentPage.objects.filter(pk=psp_id, account=account).exists():
            return _page_state(pages.expire_page(psp_id))
        if ids.has_shape(ids.PAYMENT, psp_id) and Payment.objects.filter(pk=psp_id, account=account).exists():
            return _payment_state(payments.cancel_charge(psp_id))
        raise intake.refusal("no such page or payment")

    def charge_stored_method(self, request: StoredCharge) -> ChargeResult:
        """Charge without the buyer; the same attempt again gives the same charge as it stands now.

        Raises PspRejected for an unknown payment method or a request out of bounds.
        """
        payment = payments.charge_stored(self._account(), request)
        status = _CHARGE_STATUSES.get(PaymentStatus(payment.status), ChargeStatus.DECLINED)
        return ChargeResult(
            status=status,
            psp_id=payment.pk,
            confirmation=payment.pk,
            decline_reason=payment.decline_code,
            next_action_url=payment.step_up_url if status == ChargeStatus.REQUIRES_ACTION else "",
        )

    def find_attempt(self, attempt_id: str) -> PaymentSnapshot | None:
        """The page or charge of an attempt as it stands now; None if the call never reached the PSP."""
        own = {"account": self._account(), "idempotency_key": attempt_id}
        page = PaymentPage.objects.select_related("account").filter(**own).first()
        if page:
            return PaymentSnapshot(page.pk, _page_state(page), page.url, page.expires_at)
        payment = Payment.objects.filter(**own).first()
        if payment:
            return PaymentSnapshot(payment.pk, _payment_state(payment), payment.step_up_url, payment.expires_at)
        return None

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

    def _account(self) -> Account:
        if self._connection.is_live:
            raise ConnectionRevoked()
        return accounts.authenticate(self._connection.account_id, self._connection.credentials.get("secret_key", ""))


def _page_state(page: PaymentPage) -> PaymentState:
    if page.status == PageStatus.COMPLETE:
        return _COMPLETE_STATES[PagePayment(page.payment_status)]
    return PaymentState.OPEN if page.takes_payment(timezone.now()) else PaymentState.EXPIRED


def _payment_state(payment: Payment) -> PaymentState:
    return _PAYMENT_STATES.get(PaymentStatus(payment.status), PaymentState.FAILED)
