"""The admin: reads everything, changes nothing, sends events again."""

import pytest
from django.contrib.auth.models import User
from django.test import Client
from django.urls import reverse

from checkout.connectors.sandbox.models import Account, Delivery, Event
from tests.checkout.sandbox import factories

MODELS = ["account", "paymentpage", "payment", "refund", "dispute", "event", "delivery"]


@pytest.fixture
def staff(db: None) -> Client:
    client = Client()
    client.force_login(User.objects.create_superuser("staff"))
    return client


@pytest.mark.parametrize("model", MODELS)
def test_records_are_listed_and_found(staff: Client, account: Account, model: str) -> None:
    factories.paid_page(account)

    reply = staff.get(reverse(f"admin:sandbox_{model}_changelist"), {"q": Event.objects.earliest("pk").pk})

    assert reply.status_code == 200


@pytest.mark.parametrize("model", MODELS)
def test_records_are_not_made_by_hand(staff: Client, model: str) -> None:
    assert staff.get(reverse(f"admin:sandbox_{model}_add")).status_code == 403


def test_records_are_read_only(staff: Client, account: Account) -> None:
    page = factories.paid_page(account)
    address = reverse("admin:sandbox_paymentpage_change", args=[page.pk])

    assert staff.get(address).status_code == 200
    assert staff.post(address, {"status": "open"}).status_code == 403


def test_no_secret_is_shown(staff: Client, account: Account) -> None:
    page = factories.paid_page(account)

    shown = staff.get(reverse("admin:sandbox_paymentpage_change", args=[page.pk])).content.decode()

    assert account.secret_key not in shown
    assert account.webhook_secret not in shown


def test_events_are_sent_again(staff: Client, account: Account) -> None:
    factories.paid_page(account)
    event = Event.objects.earliest("pk")

    staff.post(reverse("admin:sandbox_event_changelist"), {"action": "send_again", "_selected_action": [event.pk]})

    assert Delivery.objects.filter(event=event).count() == 2
