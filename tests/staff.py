"""People in the admin, for tests: who they are and what they do there."""

from typing import Any

from django.contrib.auth.models import Permission, User
from django.db import models
from django.test import Client
from django.urls import reverse


def superuser() -> Client:
    """Staff who may do everything."""
    return _as(User.objects.create_superuser("boss"))


def viewer() -> Client:
    """Staff who may view everything and do nothing."""
    user = User.objects.create_user("auditor", is_staff=True)
    user.user_permissions.set(Permission.objects.filter(codename__startswith="view_"))
    return _as(user)


def page(model: type[models.Model], kind: str, *args: Any) -> str:
    """The address of a model's `changelist`, `add` or `change` page."""
    return reverse(f"admin:{model._meta.app_label}_{model._meta.model_name}_{kind}", args=args)


def shown(client: Client, row: models.Model) -> str:
    """A row's page as text."""
    return client.get(page(type(row), "change", row.pk)).content.decode()


def act(client: Client, action: str, *rows: models.Model, **more: Any) -> Any:
    """Choose rows in their list, run an action, and follow to the page that tells of it."""
    fields = {"action": action, "_selected_action": [row.pk for row in rows]}
    return client.post(page(type(rows[0]), "changelist"), fields | more, follow=True)


def said(reply: Any) -> list[str]:
    """The messages on a page."""
    return [str(message) for message in reply.context["messages"]]


def _as(user: User) -> Client:
    client = Client()
    client.force_login(user)
    return client
