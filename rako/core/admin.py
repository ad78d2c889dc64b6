"""What all admin pages share: nothing is deleted, ids are found exactly, money is in major units, acts are logged."""

from collections.abc import Iterator
from functools import reduce
from operator import or_
from typing import TYPE_CHECKING, Any, ClassVar

from django import forms
from django.contrib import admin, messages
from django.contrib.admin.models import CHANGE, LogEntry
from django.contrib.admin.utils import quote
from django.contrib.auth import get_permission_codename
from django.core import paginator
from django.db import models, transaction
from django.db.models import Q, QuerySet
from django.db.models.functions import Now
from django.http import HttpRequest, HttpResponse, HttpResponseRedirect
from django.shortcuts import redirect
from django.template.response import TemplateResponse
from django.urls import reverse
from django.utils.functional import cached_property
from django.utils.text import capfirst

from rako.core.admin_text import list_url
from rako.core.ids import is_id

# Generic for the type checker only.
if TYPE_CHECKING:
    ModelAdmin = admin.ModelAdmin[Any]
    TabularInline = admin.TabularInline[Any, Any]
    ModelForm = forms.ModelForm[Any]
    Paginator = paginator.Paginator[Any]
else:
    ModelAdmin = admin.ModelAdmin
    TabularInline = admin.TabularInline
    ModelForm = forms.ModelForm
    Paginator = paginator.Paginator

_FROM_OBJECT = "_object"
_MOST_COUNTED = 10_000


class NeverDelete:
    """Money and evidence hang on almost every row: the admin deletes nothing."""

    def has_delete_permission(self, request: HttpRequest, obj: Any = None) -> bool:
        return False


class BoundedPaginator(Paginator):
    """Counts no further than anybody turns pages: to count millions takes seconds, and tells nobody anything."""

    @cached_property
    def count(self) -> int:
        rows: Any = self.object_list
        return int(rows.order_by()[:_MOST_COUNTED].count())

    @property
    def is_cut(self) -> bool:
        """Whether there may be more rows than were counted."""
        return self.count == _MOST_COUNTED


class RakoAdmin(NeverDelete, ModelAdmin):
    """Every admin page of ours. `id_fields` are compared exactly when the search term has the shape of an id;
    `has_stream` says that the ledger may hold a stream with the row's id."""

    id_fields: ClassVar[tuple[str, ...]] = ("pk",)
    has_stream = False
    paginator = BoundedPaginator
    list_select_related: ClassVar[tuple[str, ...]] = ()
    list_per_page = 50
    show_full_result_count = False

    def get_search_results(self, request: HttpRequest, queryset: QuerySet[Any], search_term: str) -> Any:
        wanted = search_term.strip().upper()
        if is_id(wanted):  # an index finds it, which it could not for a part of the id in any case
            return queryset.filter(reduce(or_, (Q(**{name: wanted}) for name in self.id_fields))), False
        return super().get_search_results(request, queryset, search_term)

    def changelist_view(self, request: HttpRequest, extra_context: dict[str, Any] | None = None) -> Any:
        """The list, headed by what it is narrowed to if a link led here."""
        narrowed = "".join(
            f" of {name.removesuffix('__id__exact').replace('_', ' ')} {value}"
            for name, value in request.GET.items()
            if name.endswith("__id__exact")
        )
        title = f"{capfirst(self.opts.verbose_name_plural)}{narrowed}"
        return super().changelist_view(request, {"title": title} | (extra_context or {}))

    def get_fieldsets(self, request: HttpRequest, obj: Any = None) -> Any:
        """A row that is yet to be made has no record of itself."""
        fieldsets = super().get_fieldsets(request, obj)
        return fieldsets if obj is not None else [part for part in fieldsets if part[0] != "Record"]

    def render_change_form(self, request: HttpRequest, context: Any, *args: Any, **options: Any) -> Any:
        """The page of a row offers the row's actions, and the lists of what belongs to it."""
        row = context.get("original")
        if row is not None:
            acts: Any = self.get_actions(request).items()
            context["object_actions"] = [(name, act[2]) for name, act in acts if self.action_fits(name, row)]
            context["object_links"] = self.object_links(request, row)
            context["related_lists"] = [*self._ledger(request, row), *self._related_lists(request, row)]
        return super().render_change_form(request, context, *args, **options)

    def action_fits(self, action: str, row: Any) -> bool:
        """Whether to offer an action on the row's page."""
        return True

    def object_links(self, request: HttpRequest, row: Any) -> list[tuple[str, str]]:
        """Buttons on the row's page that only lead somewhere: label and address."""
        return []

    def response_action(self, request: HttpRequest, *args: Any, **options: Any) -> Any:
        """An action that was started on a row's page returns there."""
        response = super().response_action(request, *args, **options)
        if _FROM_OBJECT in request.POST and isinstance(response, HttpResponseRedirect):
            page = f"admin:{self.opts.app_label}_{self.opts.model_name}_change"
            return redirect(page, quote(request.POST["_selected_action"]))
        return response

    def may(self, request: HttpRequest, what: str) -> bool:
        """Whether the user has the model's permission `what`, even where its form is closed to everybody."""
        user: Any = request.user
        return bool(user.has_perm(f"{self.opts.app_label}.{get_permission_codename(what, self.opts)}"))

    def move(self, request: HttpRequest, chosen: QuerySet[Any], said: str, **values: Any) -> list[Any]:
        """Set `values` on the chosen rows that differ, log `said` for each, and tell the user; returns those rows."""
        rows = self.model._default_manager.filter(pk__in=chosen.order_by().values("pk")).exclude(**values)
        with transaction.atomic():
            moved = list(rows.select_related(*self.list_select_related).select_for_update(of=("self",)))
            self.model._default_manager.filter(pk__in=[row.pk for row in moved]).update(**values, **self._stamp())
            log_acts(request, moved, said)
        if moved:
            self.message_user(request, f"{said.partition(':')[0]}: {_names(moved)}.", messages.SUCCESS)
        else:
            self.message_user(request, "Nothing to do: what you chose is so already.", messages.WARNING)
        return moved

    def ask_reason(self, request: HttpRequest, chosen: QuerySet[Any], action: str, title: str) -> str | HttpResponse:
        """The reason the user gave for an action, or the page that asks for it."""
        asked = self.ask(request, chosen, action, title, ReasonForm)
        return asked if isinstance(asked, HttpResponse) else str(asked["reason"])

    def ask(
        self, request: HttpRequest, chosen: QuerySet[Any], action: str, title: str, form_class: "type[ReasonForm]"
    ) -> dict[str, Any] | HttpResponse:
        """The same with more to fill in than the reason."""
        form = form_class(request.POST if "reason" in request.POST else None)
        if form.is_valid():
            return form.cleaned_data
        context = self.admin_site.each_context(request) | {
            "opts": self.opts,
            "title": title,
            "form": form,
            "action": action,
            "chosen": chosen[:20],
            "count": chosen.count(),
            "selected": request.POST.getlist("_selected_action"),
            "select_across": request.POST.get("select_across", "0"),
            "from_object": _FROM_OBJECT in request.POST,
        }
        return TemplateResponse(request, "admin/reason.html", context)

    def _stamp(self) -> dict[str, Any]:
        # An UPDATE passes auto_now by.
        return {"updated_at": Now()} if hasattr(self.model, "updated_at") else {}

    def _ledger(self, request: HttpRequest, row: models.Model) -> Iterator[tuple[str, str]]:
        """The row's stream in the ledger, which is an app of its own: known here by its address alone."""
        user: Any = request.user
        if self.has_stream and user.has_perm("ledger.view_entry"):
            yield "Ledger timeline", reverse("admin:ledger_stream", args=[quote(row.pk)])

    def _related_lists(self, request: HttpRequest, row: models.Model) -> Iterator[tuple[str, str]]:
        for relation in self.opts.related_objects:
            model: Any = relation.related_model
            if self.admin_site.is_registered(model) and self.admin_site.get_model_admin(model).has_view_permission(
                request
            ):
                key = f"{relation.field.name}__{self.opts.pk.name}"
                yield capfirst(model._meta.verbose_name_plural), list_url(model, **{key: str(row.pk)})


class ReadOnlyAdmin(RakoAdmin):
    """Records: to be looked at, by superusers too."""

    ordering: ClassVar[tuple[str, ...]] = ("-pk",)

    def has_add_permission(self, request: HttpRequest) -> bool:
        return False

    def has_change_permission(self, request: HttpRequest, obj: Any = None) -> bool:
        return False


class ReadOnlyInline(NeverDelete, TabularInline):
    """Rows that belong to the page's row, each with a link to its own page."""

    extra = 0
    show_change_link = True

    def get_readonly_fields(self, request: HttpRequest, obj: Any = None) -> Any:
        return self.fields

    def has_add_permission(self, request: HttpRequest, obj: Any = None) -> bool:
        return False

    def has_change_permission(self, request: HttpRequest, obj: Any = None) -> bool:
        return False


class ReasonForm(forms.Form):
    """Why somebody acts."""

    reason = forms.CharField(
        max_length=300,
        widget=forms.Textarea(attrs={"rows": 3, "class": "vLargeTextField", "autofocus": True}),
        help_text="Kept for ever in the history, for colleagues and auditors to read.",
    )


def log_acts(request: HttpRequest, rows: list[Any], said: str) -> None:
    """Enter into the admin log that the user did something to these rows."""
    if rows:
        user: Any = request.user
        LogEntry.objects.log_actions(user.pk, rows, CHANGE, said)


def _names(rows: list[Any]) -> str:
    more = f" and {len(rows) - 10} more" if len(rows) > 10 else ""
    return ", ".join(str(row) for row in rows[:10]) + more
