"""Merchants whose payments do not agree with their processor's: nothing of theirs is settled meanwhile."""

from django.db.models import QuerySet

from merchants.models import Merchant


def merchants_with_findings() -> QuerySet[Merchant, str]:
    """Their ids. By the relation's name: whoever keeps findings is above this app."""
    rows = Merchant.objects.filter(payment_findings__state="open", payment_findings__is_money=True)
    return rows.order_by("pk").values_list("pk", flat=True).distinct()
