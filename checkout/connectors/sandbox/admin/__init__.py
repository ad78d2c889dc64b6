"""The sandbox PSP in the admin, in sandbox mode only."""

from django.conf import settings
from django.contrib import admin

from checkout.connectors.sandbox.admin import payments, records
from checkout.connectors.sandbox.models import Account, Delivery, Dispute, Event, Payment, PaymentPage, Refund

if settings.RAKO_MODE == "sandbox":
    admin.site.register(Account, records.AccountAdmin)
    admin.site.register(PaymentPage, records.PaymentPageAdmin)
    admin.site.register(Payment, payments.PaymentAdmin)
    admin.site.register([Refund, Dispute], records.ReversalAdmin)
    admin.site.register(Event, records.EventAdmin)
    admin.site.register(Delivery, records.DeliveryAdmin)
