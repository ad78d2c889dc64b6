"""The admin as a whole: its name, the log of what staff did, staff accounts, and background jobs."""

from typing import Any

from django.contrib import admin
from django.contrib.admin.models import LogEntry
from django.contrib.auth.admin import GroupAdmin, UserAdmin
from django.contrib.auth.models import Group, User
from django.http import HttpRequest
from django.utils.html import format_html
from procrastinate.contrib.django.admin import ProcrastinateJobAdmin
from procrastinate.contrib.django.models import ProcrastinateJob

from rako.core.admin import NeverDelete, ReadOnlyAdmin

admin.site.site_header = admin.site.site_title = "Rako"
admin.site.index_title = "Registry, sessions, payments and ledger"

for model in (User, Group, ProcrastinateJob):
    admin.site.unregister(model)


@admin.register(LogEntry)
class LogEntryAdmin(ReadOnlyAdmin):
    """Who did what here, and why."""

    list_display = ("action_time", "user", "row", "said", "content_type")
    list_filter = ("action_flag", ("content_type", admin.RelatedOnlyFieldListFilter))
    list_select_related = ("user", "content_type")
    date_hierarchy = "action_time"
    id_fields = ("object_id",)
    search_fields = ("object_repr", "change_message", "user__username")
    search_help_text = "Words of a reason, a name, a user name, or the id of what was changed."
    fields = ("action_time", "user", "content_type", "row", "said")

    @admin.display(description="what", ordering="object_repr")
    def row(self, entry: LogEntry) -> str:
        """What was changed, with a link."""
        address = entry.get_admin_url()
        return format_html('<a href="{}">{}</a>', address, entry.object_repr) if address else entry.object_repr

    @admin.display(description="act", ordering="change_message")
    def said(self, entry: LogEntry) -> str:
        """What was done, with the reason where one was asked for."""
        return entry.get_change_message() or entry.get_action_flag_display()


@admin.register(User)
class StaffAdmin(NeverDelete, UserAdmin):  # type: ignore[type-arg]  # generic for the type checker only
    """Accounts are switched off, not deleted: the log of what they did would go with them."""


@admin.register(Group)
class RoleAdmin(NeverDelete, GroupAdmin):
    """Roles: which permissions go together."""


@admin.register(ProcrastinateJob)
class JobAdmin(ProcrastinateJobAdmin):
    """Background jobs; the library lets whoever sees them cancel them."""

    show_full_result_count = False

    def get_actions(self, request: HttpRequest) -> dict[str, Any]:
        user: Any = request.user
        may_act = user.has_perm("procrastinate.change_procrastinatejob")
        return super().get_actions(request) if may_act else {}
