"""Hosted payment pages: made once per attempt, paid once or expired. Each public function is one transaction."""

import contextlib

from django.db import IntegrityError, transaction
from django.utils import timezone

from checkout.connectors.base import CheckoutRequest, KeyReuseMismatch
from checkout.connectors.sandbox import events, intake, payments
from checkout.connectors.sandbox.cards import Card
from checkout.connectors.sandbox.models import Account, PageStatus, Payment, PaymentPage, PaymentStatus

BATCH = 100
# The fields that a page's payment takes over from it.
_SHARED = ("account", "amount_minor", "currency", "merchant_name", "item_name", "metadata")


def create_page(account: Account, request: CheckoutRequest) -> PaymentPage:
    """Open a page; the same attempt again returns the same page as it stands now.

    Raises NotPayable or PspRejected for a request out of bounds, KeyReuseMismatch for a used attempt id.
    """
    intake.check_sale(request)
    intake.check_address(request.success_url, "success_url")
    intake.check_address(request.cancel_url, "cancel_url")
    return _page_of(account, request)


@transaction.atomic
def pay_page(page_id: str, card: Card) -> Payment | None:
    """Try a card. Returns the payment as it stands then, or None if the page takes none any more.

    A page that was paid already returns the payment that did it: a double click pays once. Raises DoesNotExist.
    """
    page = _lock(page_id)
    payment = Payment.objects.select_for_update().filter(page=page).first()
    if page.status == PageStatus.COMPLETE:
        return payment
    if not page.takes_payment(timezone.now()):
        return None
    payment = payment or Payment(page=page, **{name: getattr(page, name) for name in _SHARED})
    payment.page = page
    payments.charge(payment, card)
    return payment


@transaction.atomic
def expire_page(page_id: str) -> PaymentPage:
    """Close an open page for good; any other stays as it is. Raises DoesNotExist."""
    page = _lock(page_id)
    if page.status == PageStatus.OPEN:
        _expire(page)
    return page


@transaction.atomic
def expire_overdue() -> int:
    """Close a batch of pages whose time is over, leaving aside those that somebody is paying; how many."""
    overdue = PaymentPage.objects.filter(status=PageStatus.OPEN, expires_at__lte=timezone.now())
    batch = overdue.order_by("expires_at").select_related("account")
    closed = list(batch.select_for_update(skip_locked=True, of=("self",))[:BATCH])
    for page in closed:
        _expire(page)
    return len(closed)


def _lock(page_id: str) -> PaymentPage:
    return PaymentPage.objects.select_related("account").select_for_update(of=("self",)).get(pk=page_id)


def _expire(page: PaymentPage) -> None:
    page.status = PageStatus.EXPIRED
    page.save(update_fields=["status"])
    payment = Payment.objects.select_for_update().filter(page=page).first()
    events.tell_page(events.PAGE_EXPIRED, page, payment)
    if payment and payment.status != PaymentStatus.CANCELED:
        payment.page = page
        payments.cancel(payment)


def _page_of(account: Account, request: CheckoutRequest) -> PaymentPage:
    content = {
        "amount_minor": request.money.amount_minor,
        "currency": request.money.currency,
        "merchant_name": request.merchant_name,
        "item_name": request.item_name,
        "success_url": request.success_url,
        "cancel_url": request.cancel_url,
        "metadata": dict(request.metadata),
    }
    digest = intake.digest(content | {"expires_at": int(request.expires_at.timestamp())})
    attempt = {"account": account, "idempotency_key": request.attempt_id}
    if request.expires_at > timezone.now():
        # Insert rather than ask first: an attempt is nearly always new.
        with contextlib.suppress(IntegrityError), transaction.atomic():
            return PaymentPage.objects.create(
                **attempt, **content, request_digest=digest, expires_at=request.expires_at
            )
    page = PaymentPage.objects.select_related("account").filter(**attempt).first()
    if page is None:
        raise intake.refusal("expires_at has passed")
    if page.request_digest != digest:
        raise intake.refusal("the attempt id was used for another page", KeyReuseMismatch)
    return page
