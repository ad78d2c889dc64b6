"""The composition root as a Django app: it owns the commands that span several apps, and the system checks."""

from django.apps import AppConfig


class RakoConfig(AppConfig):
    name = "rako"

    def ready(self) -> None:
        from rako import checks  # noqa: F401, PLC0415  # registers the checks
        from rako.core import openapi  # noqa: F401, PLC0415  # registers the extensions
