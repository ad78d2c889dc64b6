"""Payments in the admin, and what staff let happen to them in the place of merchants and buyers' banks."""

from collections.abc import Callable
from typing import Any

from django import forms
from django.contrib import admin, messages
from django.core.exceptions import ValidationError
from django.db.models import Q, QuerySet
from django.http import HttpRequest, HttpResponse
from django.template.response import TemplateResponse

from checkout.connectors.sandbox import disputes, refunds
from checkout.connectors.sandbox.admin.records import SaleAdmin
from checkout.connectors.sandbox.models import Dispute, DisputeStatus, Payment, PaymentStatus, Refund, RefundStatus
from rako.core.admin import ReasonForm, log_acts
from rako.core.errors import Conflict
from rako.core.money import from_text, major_text

_Deed = Callable[[Payment], Refund | Dispute]
_FAILABLE = Q(status__in=[RefundStatus.PENDING, RefundStatus.SUCCEEDED])
_LOSABLE = Q(status=DisputeStatus.OPEN)
_INQUIRY = Q(status=DisputeStatus.INQUIRY)
_TAKEN = Q(status__in=[DisputeStatus.OPEN, DisputeStatus.LOST])
_WINNABLE = _INQUIRY | _TAKEN


class RefundForm(ReasonForm):
    """How much to give back, and why."""

    field_order = ("amount_minor", "is_pending", "reason")
    amount_minor = forms.CharField(label="Amount", max_length=16)
    is_pending = forms.BooleanField(
        label="Takes its time", required=False, help_text="Pending at first, as refunds of some banks are."
    )

    def __init__(self, payment: Payment, *args: Any, **options: Any) -> None:
        super().__init__(*args, **options)
        self._payment = payment
        left = major_text(refunds.refundable_minor(payment), payment.currency)
        amount = self.fields["amount_minor"]
        amount.initial, amount.help_text = left, f"{payment.currency}, at most {left}."
        amount.widget.attrs |= {"inputmode": "decimal", "autofocus": True}
        self.fields["reason"].widget.attrs.pop("autofocus")

    def clean_amount_minor(self) -> int:
        try:
            amount = from_text(self.cleaned_data["amount_minor"].strip(), self._payment.currency)
        except ValueError as error:
            raise ValidationError(f"The amount {error}.") from None
        if not 0 < amount <= refunds.refundable_minor(self._payment):
            raise ValidationError("The amount must be above zero and at most what is left.")
        return amount


class PaymentAdmin(SaleAdmin):
    """Payments; the card's last four digits are all there is of it."""

    list_display = (
        "id",
        "merchant_name",
        "amount",
        "status",
        "decline_code",
        "card_last4",
        "off_session",
        "created_at",
    )
    list_filter = ("status", "off_session", "decline_code", "currency", "created_at")
    search_fields = ("=id", "=idempotency_key", "merchant_name", "item_name", "=page__id", "=account__id")
    actions = ("refund", "fail_refund", "open_dispute", "open_inquiry", "lose_dispute", "win_dispute")

    def has_reverse_permission(self, request: HttpRequest) -> bool:
        """Letting things happen to payments is the one change that staff make."""
        return self.may(request, "change")

    def action_fits(self, action: str, row: Payment) -> bool:
        if row.status != PaymentStatus.SUCCEEDED:
            return False
        inquired, taken = row.disputes.filter(_INQUIRY).exists(), row.disputes.filter(_TAKEN).exists()
        is_free = refunds.refundable_minor(row) > 0 and not taken
        fits: dict[str, Callable[[], bool]] = {
            "refund": lambda: is_free,
            "fail_refund": lambda: row.refunds.filter(_FAILABLE).exists(),
            "open_dispute": lambda: is_free or inquired,
            "open_inquiry": lambda: is_free and not inquired,
            "lose_dispute": lambda: row.disputes.filter(_LOSABLE).exists(),
            "win_dispute": lambda: row.disputes.filter(_WINNABLE).exists(),
        }
        return fits[action]()

    @admin.action(description="Refund…", permissions=["reverse"])
    def refund(self, request: HttpRequest, chosen: QuerySet[Payment]) -> HttpResponse | None:
        """Give back a part of one payment, or all of it."""
        payment = chosen.first()
        if payment is None or chosen.count() != 1:
            self.message_user(request, "Choose one payment to refund.", messages.ERROR)
            return None
        form = RefundForm(payment, request.POST if "reason" in request.POST else None)
        if not form.is_valid():
            return self._ask_amount(request, chosen, form)
        amount, is_pending = form.cleaned_data["amount_minor"], form.cleaned_data["is_pending"]
        reason = form.cleaned_data["reason"]
        self._let(
            request, chosen, f"Refunded: {reason}", lambda one: refunds.refund(one, amount, is_pending=is_pending)
        )
        return None

    @admin.action(description="Refund fails…", permissions=["reverse"])
    def fail_refund(self, request: HttpRequest, chosen: QuerySet[Payment]) -> HttpResponse | None:
        """The buyer's bank sends the newest refund back."""
        title = "Refund fails: the buyer's bank sends the newest one back, even if it had succeeded"

        def fail(payment: Payment) -> Refund:
            found = payment.refunds.filter(_FAILABLE).order_by("-created_at", "-pk").first()
            if found is None:
                raise Conflict("There is no refund that could fail")
            return refunds.fail_refund(found.pk)

        return self._confirm(request, chosen, "fail_refund", title, "Refund failed", fail)

    @admin.action(description="Open dispute…", permissions=["reverse"])
    def open_dispute(self, request: HttpRequest, chosen: QuerySet[Payment]) -> HttpResponse | None:
        """The buyer's bank takes back whatever was not refunded; an open inquiry grows into it."""
        title = "Open a dispute: the buyer's bank takes back what was not refunded, until it has decided"
        return self._confirm(request, chosen, "open_dispute", title, "Dispute opened", disputes.open_dispute)

    @admin.action(description="Open inquiry…", permissions=["reverse"])
    def open_inquiry(self, request: HttpRequest, chosen: QuerySet[Payment]) -> HttpResponse | None:
        """The buyer's bank asks, and takes nothing yet."""
        title = "Open an inquiry: the buyer's bank asks after the payment, and takes nothing yet"
        return self._confirm(
            request,
            chosen,
            "open_inquiry",
            title,
            "Inquiry opened",
            lambda payment: disputes.open_dispute(payment, is_inquiry=True),
        )

    @admin.action(description="Dispute lost…", permissions=["reverse"])
    def lose_dispute(self, request: HttpRequest, chosen: QuerySet[Payment]) -> HttpResponse | None:
        """The bank keeps the money."""
        title = "Dispute lost: the buyer's bank keeps the money"
        return self._confirm(
            request,
            chosen,
            "lose_dispute",
            title,
            "Dispute lost",
            lambda payment: disputes.lose(_dispute(payment, _LOSABLE).pk),
        )

    @admin.action(description="Dispute won…", permissions=["reverse"])
    def win_dispute(self, request: HttpRequest, chosen: QuerySet[Payment]) -> HttpResponse | None:
        """The bank gives the money back, even after the dispute was lost; an inquiry is closed."""
        title = "Dispute won: the buyer's bank gives the money back; an inquiry is closed"
        return self._confirm(
            request,
            chosen,
            "win_dispute",
            title,
            "Dispute won",
            lambda payment: disputes.win(_dispute(payment, _WINNABLE).pk),
        )

    def _confirm(
        self, request: HttpRequest, chosen: QuerySet[Payment], action: str, title: str, said: str, deed: _Deed
    ) -> HttpResponse | None:
        reason = self.ask_reason(request, chosen, action, title)
        if isinstance(reason, HttpResponse):
            return reason
        self._let(request, chosen, f"{said}: {reason}", deed)
        return None

    def _let(self, request: HttpRequest, chosen: QuerySet[Payment], said: str, deed: _Deed) -> None:
        """Do it to each payment, log it, and tell of those to which it cannot be done."""
        for payment in chosen:
            try:
                done = deed(payment)
            except Conflict as error:
                self.message_user(request, f"{payment}: {error}.", messages.ERROR)
                continue
            log_acts(request, [payment], said)
            told = f"{said.partition(':')[0]}: {done.money} of {payment}."
            self.message_user(request, told, messages.SUCCESS)

    def _ask_amount(self, request: HttpRequest, chosen: QuerySet[Payment], form: RefundForm) -> HttpResponse:
        context = self.admin_site.each_context(request) | {
            "opts": self.opts,
            "title": "Refund: money goes back to the buyer",
            "form": form,
            "chosen": chosen,
            "from_object": "_object" in request.POST,
        }
        return TemplateResponse(request, "sandbox/refund.html", context)


def _dispute(payment: Payment, fitting: Q) -> Dispute:
    found = payment.disputes.filter(fitting).order_by("-created_at", "-pk").first()
    if found is None:
        raise Conflict("There is no dispute that this could happen to")
    return found
