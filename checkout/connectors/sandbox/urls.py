"""The addresses of the buyer's pages. The project mounts them at /sandbox/, in sandbox mode only."""

from django.urls import path

from checkout.connectors.sandbox import views

app_name = "sandbox"
urlpatterns = [
    path("pay/<str:page_id>", views.page, name="page"),
    path("pay/<str:page_id>/step-up", views.page_step_up, name="page_step_up"),
    path("payments/<str:payment_id>/step-up", views.payment_step_up, name="payment_step_up"),
]
