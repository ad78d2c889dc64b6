"""The admin pages of API keys: issued and shown once, revoked at once, never edited."""

from typing import Any, ClassVar

from django.contrib import admin, messages
from django.core.exceptions import ValidationError
from django.db.models import QuerySet
from django.http import HttpRequest
from django.utils import timezone
from django.utils.html import format_html

from rako.core.admin import ModelForm, RakoAdmin, log_acts
from rako.core.api_keys import ApiKey


def key_state(key: ApiKey) -> str:
    """Whether a key works: usable, expired or revoked."""
    if key.revoked_at is not None:
        return "revoked"
    return "expired" if key.expires_at is not None and key.expires_at <= timezone.now() else "usable"


class KeyState(admin.SimpleListFilter):
    """Filters keys by their state."""

    title = "state"
    parameter_name = "state"

    def lookups(self, request: HttpRequest, model_admin: Any) -> list[tuple[str, str]]:
        return [(state, state.capitalize()) for state in ("usable", "expired", "revoked")]

    def queryset(self, request: HttpRequest, queryset: QuerySet[Any]) -> QuerySet[Any]:
        if self.value() == "usable":
            return queryset.filter(pk__in=queryset.model.objects.usable().values("pk"))
        if self.value() == "expired":
            return queryset.filter(revoked_at=None, expires_at__lte=timezone.now())
        return queryset.filter(revoked_at__isnull=False) if self.value() == "revoked" else queryset


class ApiKeyForm(ModelForm):
    """What staff decide about a new key."""

    def clean_expires_at(self) -> Any:
        """A key that has expired before it begins is a slip."""
        until = self.cleaned_data["expires_at"]
        if until is not None and until <= timezone.now():
            raise ValidationError("This moment is past: leave it empty for a key without an end.")
        return until


class ApiKeyAdmin(RakoAdmin):
    """Keys of one kind. `owner` names the relation to whom they belong."""

    owner: ClassVar[str]
    form = ApiKeyForm
    ordering = ("-pk",)
    date_hierarchy = "created_at"
    list_filter = (KeyState,)
    actions = ("revoke_now",)
    search_help_text = "Name, prefix, or an id."

    def get_list_display(self, request: HttpRequest) -> tuple[str, ...]:
        return ("name", "prefix", "state", self.owner, "created_at", "expires_at", "revoked_at")

    def get_fields(self, request: HttpRequest, obj: Any = None) -> tuple[str, ...]:
        issuing = ("name", self.owner, "expires_at")
        return issuing if obj is None else ("id", "prefix", "state", *issuing, "created_at", "revoked_at")

    def get_form(self, request: HttpRequest, obj: Any = None, change: bool = False, **options: Any) -> Any:
        texts = {
            "name": "What it is for: “production”, “staging”. The key itself is shown once, after saving.",
            "expires_at": "Empty: it works until it is revoked.",
        }
        return super().get_form(request, obj, change, **options | {"help_texts": texts})

    def has_change_permission(self, request: HttpRequest, obj: Any = None) -> bool:
        return False

    def has_revoke_permission(self, request: HttpRequest) -> bool:
        """Revoking is the one change that a key can undergo."""
        return self.may(request, "change")

    def save_model(self, request: HttpRequest, obj: ApiKey, form: Any, change: bool) -> None:
        """Issue the key under the id the form's row already has, and show it this once."""
        owner = {self.owner: getattr(obj, self.owner)}
        _, key = type(obj).issue(id=obj.pk, name=obj.name, expires_at=obj.expires_at, **owner)
        obj.refresh_from_db()
        said = format_html("The key is <code>{}</code> – copy it now, it is not shown again.", key)
        self.message_user(request, said, messages.SUCCESS)

    @admin.display(description="state")
    def state(self, key: ApiKey) -> str:
        """Whether it works."""
        return key_state(key)

    def action_fits(self, action: str, row: ApiKey) -> bool:
        return key_state(row) == "usable"

    @admin.action(description="Revoke now", permissions=["revoke"])
    def revoke_now(self, request: HttpRequest, chosen: QuerySet[Any]) -> None:
        """End the keys; the next request that comes with one is refused."""
        keys = [key for key in chosen if key.revoked_at is None]
        for key in keys:
            key.revoke()
        log_acts(request, keys, "Revoked")
        self.message_user(request, f"{len(keys)} key(s) revoked: they work no more.", messages.SUCCESS)
