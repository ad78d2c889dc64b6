"""The pages that a buyer sees: the payment page, its step-up, and what to say when there is nothing to pay."""

from collections.abc import Callable
from functools import wraps
from typing import Any

from django.http import HttpRequest, HttpResponse, HttpResponseRedirect
from django.shortcuts import render
from django.urls import reverse
from django.utils import timezone
from django.views.decorators.cache import cache_control
from django.views.decorators.clickjacking import xframe_options_deny
from django.views.decorators.csrf import csrf_protect
from django.views.decorators.debug import sensitive_post_parameters
from django.views.decorators.http import require_http_methods

from checkout.connectors.sandbox import cards, ids, pages, payments
from checkout.connectors.sandbox.forms import CardForm
from checkout.connectors.sandbox.models import PagePayment, PageStatus, Payment, PaymentPage, PaymentStatus

# No form-action: browsers apply it to the redirect after the form as well, which leads to the merchant.
_POLICY = "default-src 'none'; style-src 'unsafe-inline'; base-uri 'none'; frame-ancestors 'none'"


class SeeOther(HttpResponseRedirect):
    """303: whatever the method was, GET that."""

    status_code = 303


def buyer_page(view: Callable[..., HttpResponse]) -> Callable[..., HttpResponse]:
    """What holds for all of them: never stored, never framed, CSRF-checked, nothing loaded, nothing reported."""

    @require_http_methods(["GET", "HEAD", "POST"])
    @sensitive_post_parameters()
    @cache_control(no_store=True)
    @xframe_options_deny
    @csrf_protect
    @wraps(view)
    def handle(request: HttpRequest, *args: Any, **names: Any) -> HttpResponse:
        response = view(request, *args, **names)
        response["Content-Security-Policy"] = _POLICY
        return response

    return handle


@buyer_page
def page(request: HttpRequest, page_id: str) -> HttpResponse:
    """The payment page; a POST pays."""
    subject = _page(page_id)
    if subject is None:
        return _not_found(request)
    if request.method == "POST":
        return _pay(request, subject)
    if not subject.takes_payment(timezone.now()):
        return _state(request, subject)
    payment = _payment_of(subject)
    return _card_form(request, subject, CardForm(), notice=_decline_message(payment), status=200)


@buyer_page
def page_step_up(request: HttpRequest, page_id: str) -> HttpResponse:
    """The bank's question during a payment on a page."""
    subject = _page(page_id)
    payment = _payment_of(subject) if subject else None
    if subject is None or payment is None:
        return _not_found(request)
    if request.method == "POST":
        payment = payments.answer_step_up(payment.pk, approve=_is_approval(request))
        return _after_attempt(subject, payment)
    if not payment.is_answerable(timezone.now()):
        return _to_page(subject)
    return _step_up(request, payment)


@buyer_page
def payment_step_up(request: HttpRequest, payment_id: str) -> HttpResponse:
    """The bank's question about a charge that was made without the buyer."""
    payment = None
    if ids.has_shape(ids.PAYMENT, payment_id):
        payment = Payment.objects.select_related("account").filter(pk=payment_id, off_session=True).first()
    if payment is None:
        return _not_found(request)
    if request.method == "POST":
        payments.answer_step_up(payment.pk, approve=_is_approval(request))
        return SeeOther(request.path)
    if payment.is_answerable(timezone.now()):
        return _step_up(request, payment)
    return render(request, "sandbox/charge_state.html", {"sale": payment, "state": _charge_state(payment)})


def _pay(request: HttpRequest, subject: PaymentPage) -> HttpResponse:
    form = CardForm(request.POST)
    if not form.is_valid():
        if not subject.takes_payment(timezone.now()):
            return _to_page(subject)
        return _card_form(request, subject, form, notice="", status=422)
    payment = pages.pay_page(subject.pk, form.card)
    if payment and payment.status == PaymentStatus.REQUIRES_PAYMENT_METHOD:
        return _card_form(request, subject, CardForm(), notice=_decline_message(payment), status=402)
    return _after_attempt(subject, payment)


def _after_attempt(subject: PaymentPage, payment: Payment | None) -> HttpResponse:
    if payment and payment.status in (PaymentStatus.SUCCEEDED, PaymentStatus.PROCESSING):
        return SeeOther(subject.success_url)
    if payment and payment.status == PaymentStatus.REQUIRES_ACTION:
        return SeeOther(reverse("sandbox:page_step_up", args=[subject.pk]))
    return _to_page(subject)


def _to_page(subject: PaymentPage) -> HttpResponse:
    return SeeOther(reverse("sandbox:page", args=[subject.pk]))


def _card_form(request: HttpRequest, subject: PaymentPage, form: CardForm, *, notice: str, status: int) -> HttpResponse:
    example = cards.by_name(request.GET.get("card", ""))
    context = {
        "sale": subject,
        "form": form,
        "notice": notice,
        "cards": cards.CARDS,
        "example": example if request.method != "POST" else None,
        "example_expiry": cards.EXAMPLE_EXPIRY,
        "example_cvc": cards.EXAMPLE_CVC,
    }
    return render(request, "sandbox/page.html", context, status=status)


def _step_up(request: HttpRequest, payment: Payment) -> HttpResponse:
    return render(request, "sandbox/step_up.html", {"sale": payment})


def _state(request: HttpRequest, subject: PaymentPage) -> HttpResponse:
    if subject.status == PageStatus.COMPLETE:
        state, status = subject.payment_status, 200
    else:
        state, status = ("closed" if subject.account.is_closed else "expired"), 410
    return render(request, "sandbox/page_state.html", {"sale": subject, "state": state}, status=status)


def _charge_state(payment: Payment) -> str:
    if payment.status == PaymentStatus.SUCCEEDED:
        return PagePayment.PAID
    if payment.status == PaymentStatus.PROCESSING:
        return PagePayment.PROCESSING
    return "refused" if payment.decline_code == "authentication_refused" else "ended"


def _not_found(request: HttpRequest) -> HttpResponse:
    return render(request, "sandbox/not_found.html", status=404)


def _page(page_id: str) -> PaymentPage | None:
    if not ids.has_shape(ids.PAGE, page_id):
        return None
    return PaymentPage.objects.select_related("account").filter(pk=page_id).first()


def _payment_of(subject: PaymentPage) -> Payment | None:
    return Payment.objects.filter(page=subject).select_related("page__account").first()


def _decline_message(payment: Payment | None) -> str:
    return cards.DECLINE_MESSAGES.get(payment.decline_code, "") if payment else ""


def _is_approval(request: HttpRequest) -> bool:
    return request.POST.get("answer") == "approve"
