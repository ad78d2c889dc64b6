"""What merchants pay on their invoices. Payments and credit notes cover invoices in the order of their numbers."""

from collections.abc import Iterator
from datetime import date, timedelta

from django.db import IntegrityError, transaction
from django.db.models import QuerySet, Sum
from django.utils import timezone

from merchants.models import Merchant
from rako.core.errors import BadRequest, Conflict
from rako.core.money import EXPONENTS, MAX_MINOR, Money
from rako.core.postgres import violated
from settlement.models import Invoice, MerchantPayment
from settlement.telling import tell_of_payment, tell_of_settled_document

LONGEST_REFERENCE = 140
_ONE_DAY = timedelta(days=1)  # the bank's day may have begun where ours has not


def record_payment(
    merchant: Merchant, money: Money, *, reference: str, received_on: date
) -> tuple[MerchantPayment, bool]:
    """Record a payment, once per reference, and what it pays; whether it is new comes with it.

    What is too much stays as credit for later invoices. Raises BadRequest, and Conflict if the reference is another
    payment's.
    """
    check_payment(merchant, money, reference=reference, received_on=received_on)
    try:
        with transaction.atomic():
            _hold(merchant.pk)
            payment = MerchantPayment.objects.create(
                merchant=merchant,
                currency=money.currency,
                amount_minor=money.amount_minor,
                reference=reference,
                received_on=received_on,
            )
            tell_of_payment(payment)
            _cover(merchant.pk, money.currency)
    except IntegrityError as error:
        if violated(error) != "merchant_payment_recorded_once":
            raise
        check_payment(merchant, money, reference=reference, received_on=received_on)
        return MerchantPayment.objects.get(merchant=merchant, reference=reference), False
    return payment, True


def check_payment(merchant: Merchant, money: Money, *, reference: str, received_on: date) -> None:
    """Raise BadRequest for what cannot be recorded, and Conflict if the reference is another payment's."""
    if money.currency not in EXPONENTS:
        raise BadRequest(f"currency must be one of {', '.join(sorted(EXPONENTS))}")
    if not 0 < money.amount_minor <= MAX_MINOR:
        raise BadRequest("amount must be more than zero, and not absurd")
    if not reference or len(reference) > LONGEST_REFERENCE or not reference.isprintable():
        raise BadRequest(f"reference must have 1 to {LONGEST_REFERENCE} printable characters")
    if received_on > timezone.now().date() + _ONE_DAY:
        raise BadRequest("received_on is in the future")
    known = MerchantPayment.objects.filter(merchant=merchant, reference=reference).first()
    if known is not None and (Money(known.amount_minor, known.currency), known.received_on) != (money, received_on):
        raise Conflict(f"The reference is that of another payment: {Money(known.amount_minor, known.currency)}")


def cover_invoices() -> int:
    """Let what merchants have paid, or were credited, cover what was invoiced since; returns how many documents that
    settled."""
    unpaid = Invoice.objects.filter(paid_at=None)
    parties = unpaid.order_by("merchant_id", "currency").values_list("merchant_id", "currency").distinct()
    return sum(_cover_alone(merchant_id, currency) for merchant_id, currency in list(parties))


@transaction.atomic
def _cover_alone(merchant_id: str, currency: str) -> int:
    _hold(merchant_id)
    return _cover(merchant_id, currency)


def _cover(merchant_id: str, currency: str) -> int:
    """Mark as paid what is covered. Hold the merchant: of two payments at once, each would not see the other."""
    documents = Invoice.objects.filter(merchant=merchant_id, currency=currency).order_by("number")
    invoices, notes = (documents.filter(kind=kind) for kind in (Invoice.Kind.INVOICE, Invoice.Kind.CREDIT_NOTE))
    funds, invoiced = funds_minor(merchant_id, currency), _total(invoices)
    covered = _paid_in_turn(invoices, funds)
    # A note is used up where without it, and without those after it, something would be owed still.
    unused = max(funds - invoiced, 0)
    applied = _paid_in_turn(notes, _total(notes) - unused)
    return sum(map(_settle, [*covered, *applied]))


def _paid_in_turn(documents: QuerySet[Invoice], left: int) -> Iterator[Invoice]:
    """The unpaid among the first documents whose totals come to no more than what is left for them."""
    for row in documents:
        left -= row.total_minor
        if left < 0:
            return
        if row.paid_at is None:
            yield row


def _settle(document: Invoice) -> bool:
    document.paid_at = timezone.now()
    is_new = Invoice.objects.filter(pk=document.pk, paid_at=None).update(paid_at=document.paid_at)
    if is_new:
        tell_of_settled_document(document)
    return bool(is_new)


def funds_minor(merchant_id: str, currency: str) -> int:
    """What there is to cover a merchant's invoices with: all that it ever paid and was credited."""
    payments = MerchantPayment.objects.filter(merchant=merchant_id, currency=currency)
    notes = Invoice.objects.filter(merchant=merchant_id, currency=currency, kind=Invoice.Kind.CREDIT_NOTE)
    paid: int = payments.aggregate(sum=Sum("amount_minor", default=0))["sum"]
    return paid + _total(notes)


def _total(documents: QuerySet[Invoice]) -> int:
    total: int = documents.aggregate(sum=Sum("total_minor", default=0))["sum"]
    return total


def _hold(merchant_id: str) -> None:
    Merchant.objects.select_for_update(no_key=True).get(pk=merchant_id)
