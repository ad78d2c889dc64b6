"""What the ledger's admin templates say in the same words as its columns."""

from django import template

from ledger.admin.panel import Panel, panel
from rako.core import admin_text

register = template.Library()
register.filter("moment", admin_text.moment_text)
register.filter("thousands", admin_text.number_text)
register.simple_tag(admin_text.badge, name="badge")


@register.inclusion_tag("admin/ledger/panel.html")
def ledger_panel() -> dict[str, Panel | None]:
    """The ledger on the front page of the admin."""
    return {"panel": panel()}
