"""Payments: charged, held, settled, stepped up, canceled. Each public function is one transaction.

The order of locks is always page, then payment. Whoever comes second finds what the first one left, and whatever
can no longer happen is answered with the payment as it stands.
"""

from datetime import timedelta

from django.conf import settings
from django.db import transaction
from django.utils import timezone

from checkout.connectors.base import KeyReuseMismatch, StoredCharge
from checkout.connectors.sandbox import cards, events, intake, jobs
from checkout.connectors.sandbox.cards import Behaviour, Card
from checkout.connectors.sandbox.models import (
    STEP_UP_WINDOW,
    Account,
    PagePayment,
    PageStatus,
    Payment,
    PaymentPage,
    PaymentStatus,
)

BATCH = 100


@transaction.atomic
def charge_stored(account: Account, request: StoredCharge) -> Payment:
    """Charge a stored payment method; the same attempt again returns the same payment as it stands now.

    Raises PspRejected for an unknown payment method, NotPayable or PspRejected for a request out of bounds,
    KeyReuseMismatch for a used attempt id.
    """
    intake.check_sale(request)
    card = cards.STORED_METHODS.get(_method_of(request))
    if card is None:
        raise intake.refusal("no such payment method")
    payment, is_new = _payment_of(account, request)
    if is_new:
        charge(payment, card)
    return payment


@transaction.atomic
def answer_step_up(payment_id: str, *, approve: bool) -> Payment:
    """What the buyer said when asked; without effect if nothing was asked or it is too late. Raises DoesNotExist."""
    payment = _lock(payment_id)
    if not payment.is_answerable(timezone.now()):
        return payment
    if approve:
        _succeed(payment)
    else:
        _decline(payment, "authentication_refused")
    return payment


@transaction.atomic
def complete_delayed(payment_id: str) -> Payment:
    """Settle a processing payment the way it was meant to; without effect on any other. Raises DoesNotExist."""
    payment = _lock(payment_id)
    if payment.status != PaymentStatus.PROCESSING:
        return payment
    if payment.settles_as == PaymentStatus.SUCCEEDED:
        _settle(payment)
    else:
        _fail_to_settle(payment)
    return payment


@transaction.atomic
def cancel_charge(payment_id: str) -> Payment:
    """Give up a charge without the buyer that still waits for a step-up; no other. Raises DoesNotExist."""
    payment = _lock(payment_id)
    if payment.status == PaymentStatus.REQUIRES_ACTION and payment.off_session:
        cancel(payment)
    return payment


def cancel_unanswered() -> int:
    """Cancel a batch of charges whose step-up nobody answered in time; how many there were."""
    waiting = Payment.objects.filter(
        status=PaymentStatus.REQUIRES_ACTION, off_session=True, created_at__lte=timezone.now() - STEP_UP_WINDOW
    )
    found = list(waiting.order_by("created_at").values_list("pk", flat=True)[:BATCH])
    for payment_id in found:
        cancel_charge(payment_id)
    return len(found)


def settle_overdue() -> int:
    """Settle a batch of processing payments whose job got lost; how many there were."""
    overdue = Payment.objects.filter(status=PaymentStatus.PROCESSING, settles_at__lte=timezone.now())
    found = list(overdue.order_by("settles_at").values_list("pk", flat=True)[:BATCH])
    for payment_id in found:
        complete_delayed(payment_id)
    return len(found)


def charge(payment: Payment, card: Card) -> None:
    """Do to a locked or new payment what the card does, and tell of it. Part of the caller's transaction."""
    payment.card_brand, payment.card_last4, payment.decline_code = card.brand, card.last4, ""
    match card.behaviour:
        case Behaviour.SUCCEEDS:
            _succeed(payment)
        case Behaviour.IS_DECLINED:
            _decline(payment, card.decline_code)
        case Behaviour.ASKS_STEP_UP:
            _move(payment, PaymentStatus.REQUIRES_ACTION)
        case Behaviour.SUCCEEDS_LATER:
            _hold(payment, PaymentStatus.SUCCEEDED)
        case Behaviour.FAILS_LATER:
            _hold(payment, PaymentStatus.FAILED)


def cancel(payment: Payment) -> None:
    """End a locked payment that took no money, and tell of it. Part of the caller's transaction."""
    _move(payment, PaymentStatus.CANCELED)
    events.tell_payment(events.PAYMENT_CANCELED, payment)


def _succeed(payment: Payment) -> None:
    _move(payment, PaymentStatus.SUCCEEDED)
    if payment.page:
        _complete(payment.page, payment, PagePayment.PAID)
    events.tell_payment(events.PAYMENT_SUCCEEDED, payment)


def _decline(payment: Payment, code: str) -> None:
    """On a page the buyer may try another card; without a buyer that was all."""
    payment.decline_code = code
    _move(payment, PaymentStatus.REQUIRES_PAYMENT_METHOD if payment.page else PaymentStatus.FAILED)
    events.tell_payment(events.PAYMENT_FAILED, payment)


def _hold(payment: Payment, settles_as: PaymentStatus) -> None:
    delay: int = settings.RAKO_SANDBOX_DELAY_SECONDS
    payment.settles_as, payment.settles_at = settles_as, timezone.now() + timedelta(seconds=delay)
    _move(payment, PaymentStatus.PROCESSING)
    if payment.page:
        _complete(payment.page, payment, PagePayment.PROCESSING)
    events.tell_payment(events.PAYMENT_PROCESSING, payment)
    jobs.defer_settlement(payment.pk, delay)


def _settle(payment: Payment) -> None:
    payment.settles_as, payment.settles_at = "", None
    _move(payment, PaymentStatus.SUCCEEDED)
    if payment.page:
        _set_money(payment.page, PagePayment.PAID)
        events.tell_page(events.PAGE_SETTLED, payment.page, payment)
    events.tell_payment(events.PAYMENT_SUCCEEDED, payment)


def _fail_to_settle(payment: Payment) -> None:
    payment.settles_as, payment.settles_at, payment.decline_code = "", None, "card_declined"
    _move(payment, PaymentStatus.FAILED)
    if payment.page:
        _set_money(payment.page, PagePayment.UNPAID)
        events.tell_page(events.PAGE_NOT_SETTLED, payment.page, payment)
    events.tell_payment(events.PAYMENT_FAILED, payment)


def _move(payment: Payment, status: PaymentStatus) -> None:
    payment.status = status
    payment.save()


def _complete(page: PaymentPage, payment: Payment, money: PagePayment) -> None:
    page.status = PageStatus.COMPLETE
    _set_money(page, money)
    events.tell_page(events.PAGE_COMPLETED, page, payment)


def _set_money(page: PaymentPage, money: PagePayment) -> None:
    page.payment_status = money
    page.save(update_fields=["status", "payment_status"])


def _lock(payment_id: str) -> Payment:
    page_id = Payment.objects.values_list("page_id", flat=True).get(pk=payment_id)
    page = PaymentPage.objects.select_for_update().get(pk=page_id) if page_id else None
    payment = Payment.objects.select_for_update().get(pk=payment_id)
    payment.page = page
    return payment


def _payment_of(account: Account, request: StoredCharge) -> tuple[Payment, bool]:
    content = {
        "amount_minor": request.money.amount_minor,
        "currency": request.money.currency,
        "merchant_name": request.merchant_name,
        "item_name": request.item_name,
        "metadata": dict(request.metadata),
    }
    digest = intake.digest(content | {"payment_method": _method_of(request)})
    payment, is_new = Payment.objects.get_or_create(
        account=account,
        idempotency_key=request.attempt_id,
        defaults=content | {"request_digest": digest, "off_session": True},
    )
    if payment.request_digest != digest:
        raise intake.refusal("the attempt id was used for another charge", KeyReuseMismatch)
    return payment, is_new


def _method_of(request: StoredCharge) -> str:
    """The payment method without the customer in front of it, whom the sandbox does not know."""
    return request.payment_method.rpartition("/")[2]
