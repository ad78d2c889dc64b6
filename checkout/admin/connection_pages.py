"""The connection admin's own pages: new secrets, and the way to Stripe and back.

None of them runs in a transaction, as the admin's own forms do: they ask payment processors.
"""

from typing import Any

from django import forms
from django.conf import settings
from django.contrib import messages
from django.core.exceptions import PermissionDenied
from django.http import HttpRequest, HttpResponse, HttpResponseNotAllowed
from django.shortcuts import get_object_or_404, redirect
from django.template.response import TemplateResponse
from django.urls import path, reverse
from django.utils.decorators import method_decorator
from django.views.decorators.debug import sensitive_post_parameters

from checkout.admin.connection_forms import KeyForm, WebhookSecretForm
from checkout.connections import add_webhook_secret, oauth, replace_key
from checkout.connections.rotation import takes_key, takes_secret
from merchants.models import Connection, Merchant
from rako.core.admin import RakoAdmin, log_acts
from rako.core.admin_text import change_url
from rako.core.errors import RakoError

_HIDDEN = method_decorator(sensitive_post_parameters())


class ConnectionPages(RakoAdmin):
    """Mixed into the admin of connections."""

    def get_urls(self) -> list[Any]:
        view = self.admin_site.admin_view
        return [
            path("stripe/return/", view(self.oauth_return), name="merchants_connection_oauth_return"),
            path("stripe/<str:merchant_id>/", view(self.oauth_begin), name="merchants_connection_oauth"),
            path("<str:pk>/secret/", view(self.secret_page), name="merchants_connection_secret"),
            path("<str:pk>/key/", view(self.key_page), name="merchants_connection_key"),
            *super().get_urls(),
        ]

    def object_links(self, request: HttpRequest, row: Connection) -> list[tuple[str, str]]:
        if not self.may(request, "change") or row.status == Connection.Status.DISCONNECTED:
            return []
        pages = [("Webhook secret…", "secret", takes_secret), ("API key…", "key", takes_key)]
        shown = [(label, page) for label, page, fits in pages if self.is_known(row) and fits(row)]
        return [(label, reverse(f"admin:merchants_connection_{page}", args=[row.pk])) for label, page in shown]

    def is_known(self, row: Connection) -> bool:
        """Whether its connector exists here."""
        raise NotImplementedError

    @_HIDDEN
    def secret_page(self, request: HttpRequest, pk: str) -> HttpResponse:
        """Put a webhook secret in front of the one there is."""
        own = self._changeable(request, pk)
        form = WebhookSecretForm(*_posted(request), connection=own)
        if form.is_valid():
            if self._told(request, lambda: add_webhook_secret(own, form.cleaned_data["webhook_secret"])):
                log_acts(request, [own], "Added a webhook secret")
                self.message_user(
                    request, "The webhook secret is added: deliveries signed with it count.", messages.SUCCESS
                )
                return redirect(change_url(own))
            form = WebhookSecretForm(connection=own)
        return self._page(request, own, form, "Add webhook secret")

    @_HIDDEN
    def key_page(self, request: HttpRequest, pk: str) -> HttpResponse:
        """Act with another key of the same account."""
        own = self._changeable(request, pk)
        form = KeyForm(*_posted(request), connection=own)
        if form.is_valid():
            if self._told(request, lambda: replace_key(own, form.cleaned_data)):
                log_acts(request, [own], "Replaced the API key")
                self.message_user(
                    request, "The API key is replaced: revoke the old one at the processor.", messages.SUCCESS
                )
                return redirect(change_url(own))
            form = KeyForm(connection=own)
        return self._page(request, own, form, "Replace API key")

    def oauth_begin(self, request: HttpRequest, merchant_id: str) -> HttpResponse:
        """Say what is about to happen; then send the merchant to Stripe."""
        if not self.has_add_permission(request):
            raise PermissionDenied
        merchant = get_object_or_404(Merchant, pk=merchant_id)
        if request.method != "POST":
            title = f"Connect {merchant} with Stripe"
            context = {"title": title, "merchant": merchant, "is_offered": oauth.is_offered()}
            return self._template(request, "admin/checkout/oauth.html", context)
        back = settings.RAKO_BASE_URL + reverse("admin:merchants_connection_oauth_return")
        session_key = request.session.session_key or ""
        try:
            return redirect(oauth.begin(merchant, session_key=session_key, redirect_uri=back))
        except RakoError as error:
            return self._failed(request, error, change_url(merchant))

    def oauth_return(self, request: HttpRequest) -> HttpResponse:
        """Where Stripe sends the browser back to. The address holds a code, so no page is shown at it."""
        if request.method != "GET":
            return HttpResponseNotAllowed(["GET"])
        if not self.has_add_permission(request):
            raise PermissionDenied
        try:
            merchant = oauth.claim(request.GET.get("state", ""), session_key=request.session.session_key or "")
        except RakoError as error:
            return self._failed(request, error, reverse("admin:merchants_connection_changelist"))
        try:
            made = oauth.finish(merchant, request.GET.dict())
        except RakoError as error:
            return self._failed(request, error, change_url(merchant))
        self.log_addition(request, made, f"Connected with Stripe Connect: {made.account_id}")
        self.message_user(request, f"{merchant} is connected with Stripe: {made.account_id}.", messages.SUCCESS)
        return redirect(change_url(made))

    def _changeable(self, request: HttpRequest, pk: str) -> Connection:
        if not self.may(request, "change"):
            raise PermissionDenied
        own: Connection = get_object_or_404(self.get_queryset(request), pk=pk)
        if not self.is_known(own):
            raise PermissionDenied
        return own

    def _told(self, request: HttpRequest, act: Any) -> bool:
        """Do it, or tell why it was not done."""
        try:
            act()
        except RakoError as error:
            self.message_user(request, f"{error}.", messages.ERROR)
            return False
        return True

    def _failed(self, request: HttpRequest, error: RakoError, address: str) -> HttpResponse:
        self.message_user(request, f"Not connected: {error}.", messages.ERROR)
        return redirect(address)

    def _page(self, request: HttpRequest, own: Connection, form: forms.Form, title: str) -> HttpResponse:
        context = {"title": title, "form": form, "connection": own, "address": change_url(own)}
        return self._template(request, "admin/checkout/secret.html", context)

    def _template(self, request: HttpRequest, name: str, context: dict[str, Any]) -> HttpResponse:
        shared = self.admin_site.each_context(request) | {"opts": self.opts}
        return TemplateResponse(request, name, shared | context)


def _posted(request: HttpRequest) -> tuple[Any, ...]:
    return (request.POST,) if request.method == "POST" else ()
