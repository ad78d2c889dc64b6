"""The sandbox PSP as a Django app."""

from django.apps import AppConfig


class SandboxConfig(AppConfig):
    """Installed in every mode so that the schema is one; in live mode nothing registers or mounts it."""

    name = "checkout.connectors.sandbox"
    label = "sandbox"
    verbose_name = "Sandbox PSP"
    default_auto_field = "django.db.models.BigAutoField"
