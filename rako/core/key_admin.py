"""The admin pages of API keys: issued and shown once, revoked at once, never edited."""

from typing import Any, ClassVar

from django import forms
from django.contrib import admin, messages
from django.core.exceptions import ValidationError
from django.db.models import QuerySet
from django.http import HttpRequest, HttpResponse
from django.utils import timezone
from django.utils.html import format_html

from rako.core.admin import ModelForm, RakoAdmin, ReasonForm, log_acts
from rako.core.admin_text import number_text
from rako.core.api_keys import ApiKey
from rako.core.rate_limits import LIMITS, Tier


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


def limit_text(key: ApiKey) -> str:
    """How many requests a minute a key may make."""
    limit = LIMITS.get(Tier(key.tier), key.rate_limit)
    return "no limit" if limit is None else number_text(limit)


def _check_limit(form: forms.BaseForm) -> None:
    """Only enterprise keys have a number of their own: PostgreSQL says so, and here it is said in words."""
    tier, limit = form.cleaned_data.get("tier"), form.cleaned_data.get("rate_limit")
    if limit is not None and tier != Tier.ENTERPRISE:
        form.add_error("rate_limit", "Only enterprise keys have a number of their own: leave it empty.")
    elif limit == 0:
        form.add_error("rate_limit", "A key that may do nothing is better revoked.")


class LimitForm(ReasonForm):
    """How often a key may call from now on."""

    tier = forms.ChoiceField(choices=Tier.choices)
    rate_limit = forms.IntegerField(
        required=False,
        min_value=0,
        max_value=2**31 - 1,
        label="Requests a minute",
        help_text="Of the enterprise tier only; empty: no limit.",
    )
    field_order = ("tier", "rate_limit", "reason")

    def clean(self) -> dict[str, Any]:
        """Only enterprise keys have a number."""
        _check_limit(self)
        return self.cleaned_data


class ApiKeyForm(ModelForm):
    """What staff decide about a new key; its tier is the standard one unless told."""

    def __init__(self, *args: Any, **options: Any) -> None:
        super().__init__(*args, **options)
        if "tier" in self.fields:
            self.fields["tier"].required = False

    def clean_tier(self) -> str:
        return self.cleaned_data["tier"] or Tier.STANDARD

    def clean(self) -> Any:
        """Only enterprise keys have a number."""
        _check_limit(self)
        return self.cleaned_data

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
    list_filter = (KeyState, "tier")
    actions = ("revoke_now", "change_limit")
    search_help_text = "Name, prefix, or an id."

    def get_list_display(self, request: HttpRequest) -> tuple[str, ...]:
        return ("name", "prefix", "state", self.owner, "tier", "per_minute", "created_at", "expires_at", "revoked_at")

    def get_fields(self, request: HttpRequest, obj: Any = None) -> tuple[str, ...]:
        if obj is None:
            return ("name", self.owner, "tier", "rate_limit", "expires_at")
        limits = ("tier", "per_minute")
        return ("id", "prefix", "state", "name", self.owner, *limits, "expires_at", "created_at", "revoked_at")

    def get_form(self, request: HttpRequest, obj: Any = None, change: bool = False, **options: Any) -> Any:
        texts = {
            "name": "What it is for: “production”, “staging”. The key itself is shown once, after saving.",
            "expires_at": "Empty: it works until it is revoked.",
        }
        return super().get_form(request, obj, change, **options | {"help_texts": texts})

    def has_change_permission(self, request: HttpRequest, obj: Any = None) -> bool:
        return False

    def has_revoke_permission(self, request: HttpRequest) -> bool:
        """Revoking and limits are all that can be changed of a key."""
        return self.may(request, "change")

    def save_model(self, request: HttpRequest, obj: ApiKey, form: Any, change: bool) -> None:
        """Issue the key under the id the form's row already has, and show it this once."""
        decided = {name: getattr(obj, name) for name in ("name", self.owner, "tier", "rate_limit", "expires_at")}
        _, key = type(obj).issue(id=obj.pk, **decided)
        obj.refresh_from_db()
        said = format_html("The key is <code>{}</code> – copy it now, it is not shown again.", key)
        self.message_user(request, said, messages.SUCCESS)

    @admin.display(description="state")
    def state(self, key: ApiKey) -> str:
        """Whether it works."""
        return key_state(key)

    @admin.display(description="requests a minute")
    def per_minute(self, key: ApiKey) -> str:
        """The limit that counts."""
        return limit_text(key)

    def action_fits(self, action: str, row: ApiKey) -> bool:
        return key_state(row) == "usable"

    @admin.action(description="Change limit…", permissions=["revoke"])
    def change_limit(self, request: HttpRequest, chosen: QuerySet[Any]) -> HttpResponse | None:
        """Another tier or number, from the next request on."""
        title = "How often may these keys call?"
        asked = self.ask(request, chosen, "change_limit", title, LimitForm)
        if isinstance(asked, HttpResponse):
            return asked
        limit = {"tier": asked["tier"], "rate_limit": asked["rate_limit"]}
        said = limit_text(self.model(**limit))
        self.move(request, chosen, f"Limit changed to {asked['tier']} ({said}): {asked['reason']}", **limit)
        return None

    @admin.action(description="Revoke now", permissions=["revoke"])
    def revoke_now(self, request: HttpRequest, chosen: QuerySet[Any]) -> None:
        """End the keys; the next request that comes with one is refused."""
        keys = [key for key in chosen if key.revoked_at is None]
        for key in keys:
            key.revoke()
        log_acts(request, keys, "Revoked")
        self.message_user(request, f"{len(keys)} key(s) revoked: they work no more.", messages.SUCCESS)
