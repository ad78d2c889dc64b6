"""Builders, agents and their keys; sessions, recommendations and clicks to be read."""

from typing import Any, ClassVar

from django.contrib import admin
from django.db.models import QuerySet
from django.http import HttpRequest, HttpResponse
from django.utils.safestring import SafeString

from rako.core import aap_code
from rako.core.admin import RakoAdmin, ReadOnlyAdmin, ReadOnlyInline
from rako.core.admin_text import badge, money_column, pretty_json
from rako.core.key_admin import ApiKeyAdmin
from sessions_app.models import Agent, AgentKey, Builder, Click, Recommendation, Session


class SwitchAdmin(RakoAdmin):
    """Parties that can be switched off: their keys then work no more, and what they earned stays."""

    list_filter: ClassVar[tuple[Any, ...]] = ("is_active",)
    date_hierarchy = "created_at"
    actions: tuple[str, ...] = ("activate", "deactivate")
    readonly_fields: ClassVar[tuple[str, ...]] = ("id", "created_at")

    def has_switch_permission(self, request: HttpRequest) -> bool:
        """Switching on and off."""
        return self.may(request, "change")

    def action_fits(self, action: str, row: Any) -> bool:
        return bool(row.is_active) == (action == "deactivate")

    @admin.action(description="Activate", permissions=["switch"])
    def activate(self, request: HttpRequest, chosen: QuerySet[Any]) -> None:
        """Let their keys work again."""
        self.move(request, chosen, "Activated", is_active=True)

    @admin.action(description="Deactivate", permissions=["switch"])
    def deactivate(self, request: HttpRequest, chosen: QuerySet[Any]) -> None:
        """Their keys work no more."""
        self.move(request, chosen, "Deactivated", is_active=False)


class AgentInline(ReadOnlyInline):
    """The builder's agents."""

    model = Agent
    fields = ("name", "is_active", "created_at")

    def get_queryset(self, request: HttpRequest) -> QuerySet[Any]:
        return super().get_queryset(request).select_related("builder")


@admin.register(Builder)
class BuilderAdmin(SwitchAdmin):
    """Who builds agents and earns commissions."""

    list_display = ("name", "email", "is_active", "fraud", "created_at")
    list_filter = ("is_active", ("fraud_found_at", admin.EmptyFieldListFilter))
    search_fields = ("name", "email")
    search_help_text = "Name, e-mail address, or id."
    inlines = (AgentInline,)
    actions = ("activate", "deactivate", "lift_flag")
    readonly_fields = ("id", "created_at", "fraud")
    fieldsets = (
        (None, {"fields": ("name", "email", "is_active", "fraud")}),
        ("Record", {"fields": ("id", "created_at")}),
    )

    @admin.display(description="fraud found", ordering="fraud_found_at")
    def fraud(self, builder: Builder) -> str | SafeString:
        """When staff last confirmed that a sale of theirs was fraud."""
        found = builder.fraud_found_at
        return "–" if found is None else badge(f"{found:%Y-%m-%d}", "bad")

    def has_review_permission(self, request: HttpRequest) -> bool:
        """Who may confirm fraud may also say that a builder is trusted again."""
        user: Any = request.user
        return bool(user.has_perm("ledger.review_fraudhold"))

    def action_fits(self, action: str, row: Builder) -> bool:
        return row.fraud_found_at is not None if action == "lift_flag" else super().action_fits(action, row)

    @admin.action(description="Lift the fraud flag…", permissions=["review"])
    def lift_flag(self, request: HttpRequest, chosen: QuerySet[Any]) -> HttpResponse | None:
        """Trust them again: payouts that waited are sent."""
        title = "Lift the fraud flag: payouts that waited go out with the next file"
        reason = self.ask_reason(request, chosen, "lift_flag", title)
        if isinstance(reason, HttpResponse):
            return reason
        self.move(request, chosen, f"Fraud flag lifted: {reason}", fraud_found_at=None)
        return None


class AgentKeyInline(ReadOnlyInline):
    """The agent's keys."""

    model = AgentKey
    fields = ("name", "prefix", "state", "tier", "created_at", "expires_at")
    ordering = ("-pk",)
    state = ApiKeyAdmin.state


@admin.register(Agent)
class AgentAdmin(SwitchAdmin):
    """Programs that recommend. Their builder stands, since it earns what they recommended."""

    list_display = ("name", "builder", "is_active", "builder_is_active", "created_at")
    list_select_related = ("builder",)
    search_fields = ("name", "builder__name")
    search_help_text = "Agent, builder, or the id of either."
    id_fields = ("pk", "builder")
    autocomplete_fields = ("builder",)
    inlines = (AgentKeyInline,)
    fieldsets = (
        (None, {"fields": ("builder", "name", "is_active")}),
        ("Record", {"fields": ("id", "created_at")}),
    )

    def get_readonly_fields(self, request: HttpRequest, obj: Agent | None = None) -> tuple[str, ...]:
        return self.readonly_fields if obj is None else (*self.readonly_fields, "builder")

    @admin.display(description="builder active", boolean=True, ordering="builder__is_active")
    def builder_is_active(self, agent: Agent) -> bool:
        """An inactive builder switches all its agents off."""
        return agent.builder.is_active


@admin.register(AgentKey)
class AgentKeyAdmin(ApiKeyAdmin):
    """Agents' keys."""

    owner = "agent"
    list_select_related = ("agent__builder",)
    autocomplete_fields = ("agent",)
    search_fields = ("name", "prefix", "agent__name", "agent__builder__name")
    id_fields = ("pk", "agent", "agent__builder")


class RecommendationInline(ReadOnlyInline):
    """What was recommended in the session."""

    model = Recommendation
    fields = ("offer", "price", "context", "created_at")
    ordering = ("pk",)
    price = money_column("offer__price_minor", "price now", "offer__currency")

    def get_queryset(self, request: HttpRequest) -> QuerySet[Any]:
        return super().get_queryset(request).select_related("offer")


# No date hierarchy here: agents make sessions and clicks by the million, and no index orders them by time.
@admin.register(Session)
class SessionAdmin(ReadOnlyAdmin):
    """Agents' searches and what came of them."""

    has_stream = True
    list_display = ("id", "agent", "status", "asked", "is_open", "created_at", "expires_at")
    list_filter = ("status", "created_at")
    list_select_related = ("agent__builder",)
    search_fields = ("agent__name", "agent__builder__name")
    search_help_text = "Agent, builder, or an id (session, agent, builder)."
    id_fields = ("pk", "agent", "agent__builder")
    inlines = (RecommendationInline,)
    fields = ("id", "agent", "status", "is_open", "search", "created_at", "expires_at")

    @admin.display(description="asked for")
    def asked(self, session: Session) -> str:
        """The search in one line."""
        return ", ".join(f"{name} {value}" for name, value in session.query.items()) or "everything"

    @admin.display(description="asked for")
    def search(self, session: Session) -> SafeString:
        """The search as it was kept; prices in minor units."""
        return pretty_json(session.query)

    @admin.display(description="open", boolean=True, ordering="expires_at")
    def is_open(self, session: Session) -> bool:
        """Whether its 24 hours are still running."""
        return not session.is_expired


@admin.register(Recommendation)
class RecommendationAdmin(ReadOnlyAdmin):
    """The facts attribution rests on: an offer, recommended under the exact code it carried."""

    has_stream = True
    list_display = ("id", "offer", "merchant", "agent", "session_id", "created_at")
    list_filter = ("offer__vertical", "created_at")
    list_select_related = ("offer__merchant", "agent__builder")
    search_fields = ("agent__name", "offer__name", "offer__provider", "offer__merchant__name")
    search_help_text = "Agent, offer, provider, merchant, or an id (recommendation, session, agent, offer)."
    id_fields = ("pk", "session", "agent", "offer", "offer__merchant")
    fieldsets = (
        (None, {"fields": ("id", "session", "agent", "offer", "context", "fallback_url", "created_at")}),
        ("AAP Code", {"fields": ("aap_code", "code_says")}),
    )

    @admin.display(description="merchant", ordering="offer__merchant__name")
    def merchant(self, recommendation: Recommendation) -> str:
        """Who sells it."""
        return str(recommendation.offer.merchant)

    @admin.display(description="what it says")
    def code_says(self, recommendation: Recommendation) -> SafeString | str:
        """The payload under the signature."""
        try:
            return pretty_json(aap_code.decode(recommendation.aap_code).payload)
        except aap_code.InvalidCode as error:
            return f"not a code: {error}"


@admin.register(Click)
class ClickAdmin(ReadOnlyAdmin):
    """Visits to recommendations' links."""

    list_display = ("id", "recommendation", "offer", "is_bot", "visitor", "clicked_at")
    list_filter = ("is_bot", "clicked_at")
    list_select_related = ("recommendation__offer",)
    search_fields = ("visitor__exact",)
    search_help_text = "The id of a recommendation, session or offer, or a visitor's hash."
    id_fields = ("recommendation", "recommendation__session", "recommendation__offer")
    fields = ("recommendation", "visitor", "is_bot", "clicked_at")

    @admin.display(description="offer")
    def offer(self, click: Click) -> str:
        """What the link was for."""
        return str(click.recommendation.offer)
