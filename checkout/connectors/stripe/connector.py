"""The connector contract for Stripe, on the merchant's own account.

A connection's credentials are `{"api_key": "rk_…"}`, a restricted key of the merchant's, or `{"mode": "connect"}` where
the merchant let the platform in by OAuth: then the settings have the key, and the secrets of the platform's endpoint.
"""

from collections.abc import Mapping
from datetime import datetime
from typing import ClassVar

from django.conf import settings

from checkout.connectors.base import (
    Attempt,
    ChargeResult,
    CheckoutLink,
    CheckoutRequest,
    ConnectionHealth,
    ConnectionSecrets,
    DisputeSnapshot,
    MalformedEvent,
    OutcomeEvent,
    Page,
    PaymentSnapshot,
    PaymentState,
    PspRejected,
    RefundSnapshot,
    StoredCharge,
    VerifiedEvent,
)
from checkout.connectors.stripe import attempts, charges, events, health, lists, outcomes, sessions, signature
from checkout.connectors.stripe.client import Calls, calls_for, is_connect

account_of = events.account_of


class StripeConnector:
    """Acts for one account at Stripe. An operation ends within 25 seconds, and raises nothing but ConnectorErrors."""

    kind: ClassVar[str] = "stripe"
    keeps_events: ClassVar[bool] = True

    def __init__(self, connection: ConnectionSecrets) -> None:
        self._connection = connection

    def verify_connection(self) -> ConnectionHealth:
        """Whose account it is and which rights the key lacks.

        Raises KeyRefused, with a sentence for the form, for a key of another kind or mode; ConnectionRevoked for one
        that is no longer good.
        """
        if is_connect(self._connection):
            return health.of_connected(self._calls())
        health.check_key(self._connection.credentials.get("api_key", ""), self._connection.is_live)
        return health.of_key(self._calls())

    def create_checkout(self, request: CheckoutRequest) -> CheckoutLink:
        """Make the hosted page; the same attempt again gives the same page.

        Stripe keeps pages open for 35 minutes to a day: the link says when it is to be over, and the caller closes it.
        Raises NotPayable, or KeyReuseMismatch if the attempt was used for other money.
        """
        return sessions.create(self._calls(), request)

    def expire_checkout(self, psp_id: str) -> PaymentState:
        """Close an open page, or cancel a charge; the state it is in now. Raises PspRejected for an unknown one."""
        if psp_id.startswith("cs_"):
            return sessions.expire(self._calls(), psp_id)
        if psp_id.startswith("pi_"):
            return charges.cancel(self._calls(), psp_id)
        raise PspRejected()

    def charge_stored_method(self, request: StoredCharge) -> ChargeResult:
        """Charge without the buyer; the same attempt again gives the same charge, and the same refusal.

        Where the bank wants the buyer, the charge is cancelled and the result is a hosted page for the same attempt
        (REQUIRES_ACTION): `psp_id` and `confirmation` are the page's, which is closed like any other. Where the page
        cannot be made, the charge is DECLINED for `authentication_required`.
        Raises NotPayable for a payment method that the account does not hold for a customer.
        """
        return charges.charge(self._calls(), request)

    def find_attempt(self, attempt: Attempt) -> PaymentSnapshot | None:
        """What Stripe holds for an attempt; without `psp_id`, what was made between five minutes before it and half an
        hour after. None if there is nothing. Raises PspTimeout if there is too much to look through."""
        return attempts.find(self._calls(), attempt)

    def get_payment(self, payment_ref: str) -> PaymentSnapshot | None:
        """A payment intent, or a session, as it stands now; None if the account has no such payment."""
        return attempts.find_object(self._calls(), payment_ref)

    def verify_webhook(self, body: bytes, headers: Mapping[str, str], *, now: datetime) -> VerifiedEvent:
        """Authenticate a delivery. Raises BadSignature, or MalformedEvent for one of another account or mode."""
        by_platform = is_connect(self._connection)
        secrets = settings.RAKO_STRIPE_PLATFORM_WEBHOOK_SECRETS if by_platform else self._connection.webhook_secrets
        signature.verify(body, headers.get(signature.HEADER), secrets, now)
        event = self.read_event(body)
        account = event.payload.get("account")
        is_ours = account == self._connection.account_id or (account is None and not by_platform)
        if not is_ours or event.is_live != self._connection.is_live:
            raise MalformedEvent()
        return event

    def read_event(self, body: bytes) -> VerifiedEvent:
        """Read a delivery that was authenticated before it was stored. Raises MalformedEvent."""
        return events.parse(body)

    def normalize(self, event: VerifiedEvent) -> list[OutcomeEvent]:
        """What an event says about a sale. Raises MalformedEvent."""
        return outcomes.read(event, self._connection.account_id)

    def list_payments(self, since: datetime, until: datetime, *, cursor: str = "") -> Page[PaymentSnapshot]:
        """Payment intents created in [since, until), newest first. `psp_id` is theirs, even if a session made them."""
        return lists.payments(self._calls(), since, until, cursor)

    def list_refunds(self, since: datetime, until: datetime, *, cursor: str = "") -> Page[RefundSnapshot]:
        """Refunds created in [since, until), newest first."""
        return lists.refunds(self._calls(), since, until, cursor)

    def list_disputes(self, since: datetime, until: datetime, *, cursor: str = "") -> Page[DisputeSnapshot]:
        """Disputes created in [since, until), newest first."""
        return lists.disputes(self._calls(), since, until, cursor)

    def list_events(self, since: datetime, until: datetime, *, cursor: str = "") -> Page[VerifiedEvent]:
        """The events of that time that say something about a sale, newest first; Stripe keeps them for thirty days."""
        return lists.told(self._calls(), since, until, cursor)

    def _calls(self) -> Calls:
        return calls_for(self._connection)
