"""What the front page of the admin says of payments."""

from django import template
from django.db.models import Count, Q

from checkout.models import Finding
from rako.core.admin_text import list_url

register = template.Library()


@register.inclusion_tag("admin/checkout/panel.html")
def payments_panel() -> dict[str, object]:
    """How many findings of reconciliation are open, and how many merchants are not settled because of them."""
    held = Count("merchant", filter=Q(is_money=True), distinct=True)
    told = Finding.objects.filter(state=Finding.State.OPEN).aggregate(open=Count("pk"), held=held)
    return told | {"url": list_url(Finding, state=Finding.State.OPEN)}
