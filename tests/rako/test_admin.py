"""Every page of the admin, whoever registered it."""

from datetime import date, timedelta
from pathlib import Path
from typing import Any

import pytest
from django.contrib import admin
from django.contrib.auth.models import Group, User
from django.db import connection, models
from django.test import Client
from django.test.utils import CaptureQueriesContext
from django.utils import timezone

from checkout.connectors.sandbox import disputes, refunds
from checkout.connectors.sandbox.models import Payment
from checkout.models import Authorization, Checkout, Finding
from ledger.dispute_claims import about_conversion
from ledger.disputes import open_dispute
from ledger.fraud_rules import Signal
from ledger.holds import place
from ledger.lifecycle import Told, tell
from ledger.models import Event, Side, Verification
from ledger.publishing import Publisher
from ledger.sequencer import Sequencer
from merchants import keyring
from merchants.models import Connection, Merchant
from notifications.endpoints import create_endpoint, send_test
from notifications.models import Endpoint
from rako.core.money import Money
from settlement.payouts import send_payouts
from settlement.receivables import record_payment
from tests import staff
from tests.checkout import psp
from tests.factories import AgentKeyFactory, MerchantKeyFactory, RecommendationFactory, SessionFactory
from tests.settlement.by_hand import documents
from tests.settlement.payouts import account, ordered

MODELS = sorted(admin.site._registry, key=lambda model: model._meta.label)
ADDED_BY_HAND = {
    "auth.Group",
    "auth.User",
    "merchants.Connection",
    "merchants.Merchant",
    "merchants.MerchantKey",
    "merchants.Offer",
    "sessions_app.Agent",
    "sessions_app.AgentKey",
    "sessions_app.Builder",
    "settlement.BankAccount",
    "settlement.MerchantPayment",
}
every_model = pytest.mark.parametrize("model", MODELS, ids=lambda model: model._meta.label)


def sale(client: Client) -> None:
    """A sale from search to conversion, with a row of every kind left behind."""
    key = AgentKeyFactory()
    recommendation = RecommendationFactory(session=SessionFactory(agent=key.agent))
    merchant = recommendation.offer.merchant
    MerchantKeyFactory(merchant=merchant)
    recommendation.clicks.create(visitor="ab", is_bot=False, slot=1)
    checkout = psp.checkout_of(recommendation)
    soon = timezone.now() + timedelta(hours=1)
    Authorization.objects.create(
        agent_id=key.agent_id, reference="m", checkout=checkout, max_amount_minor=1, currency="GBP", expires_at=soon
    )
    for event in psp.pay(checkout):
        psp.deliver(checkout.connection, event)
    conversion = checkout.session.conversions.get()
    paid = Payment.objects.get(pk=Checkout.objects.get(pk=checkout.pk).confirmation)
    refunds.refund(paid, 100)
    disputes.open_dispute(paid, 200)
    Finding.objects.create(connection=checkout.connection, merchant=merchant, kind="stale_pending", is_money=False)
    tell(
        merchant.pk,
        Told(Event.Kind.VALIDATED, conversion.order_reference, conversion.pk, conversion.validation_ends_at),
    )
    place(conversion.pk, Signal("one_hour", 10, 9))
    open_dispute(about_conversion(conversion, Side.MERCHANT, "merchant_dispute", None), "No such order of ours")
    builder = ordered(key.agent.builder, batch=documents(conversion)).builder
    account(builder)
    send_payouts()
    send_test(create_endpoint({"merchant_id": merchant.pk}, url="https://hooks.example/"))
    record_payment(merchant, Money(1, "GBP"), reference="bank-1", received_on=date(2026, 1, 1))
    Sequencer().tick()
    Publisher().publish()
    Verification.objects.create(mode="full", entries=1, size=1, is_sound=True, seconds=0.1)
    Group.objects.create(name=merchant.name)
    staff.act(client, "suspend", merchant, reason="Late payments")


@pytest.fixture
def boss(db: None, settings: Any, tmp_path: Path) -> Client:
    settings.RAKO_SIGNER_DIR = tmp_path  # a signer remembers its log, and each test has its own
    keyring.private_key_for(timezone.now())
    return staff.superuser()


def queries(client: Client, model: type[models.Model]) -> int:
    with CaptureQueriesContext(
        connection,
    ) as captured:
        assert client.get(staff.page(model, "changelist")).status_code == 200
    return len(captured)


@every_model
def test_lists_answer_with_as_many_queries_for_many_rows_as_for_one(boss: Client, model: Any) -> None:
    sale(boss)
    first = queries(boss, model)
    for _ in range(3):
        sale(boss)

    assert queries(boss, model) <= first


@every_model
def test_rows_have_a_page(boss: Client, model: Any) -> None:
    sale(boss)
    row = model._default_manager.latest("pk")

    assert boss.get(staff.page(model, "change", row.pk)).status_code == 200


@every_model
def test_only_the_registry_and_staff_are_added_by_hand(boss: Client, model: Any) -> None:
    expected = 200 if model._meta.label in ADDED_BY_HAND else 403

    assert boss.get(staff.page(model, "add")).status_code == expected


@every_model
def test_nothing_is_deleted(boss: Client, model: Any) -> None:
    sale(boss)
    row = model._default_manager.latest("pk")

    assert boss.post(staff.page(model, "delete", row.pk), {"post": "yes"}).status_code == 403
    staff.act(boss, "delete_selected", row, post="yes")
    assert model._default_manager.filter(pk=row.pk).exists()


@every_model
def test_an_id_finds_its_row(boss: Client, model: Any) -> None:
    sale(boss)
    row = model._default_manager.latest("pk")

    reply = boss.get(staff.page(model, "changelist"), {"q": row.pk})

    assert reply.status_code == 200
    if len(str(row.pk)) == 26:
        assert row in reply.context["cl"].queryset


@every_model
def test_credentials_are_on_no_page(boss: Client, model: Any) -> None:
    sale(boss)
    secrets = [
        secret
        for link in Connection.objects.all()
        for secret in (link.credentials["secret_key"], *link.webhook_secrets)
    ]
    secrets += [endpoint.secret for endpoint in Endpoint.objects.all()]
    row = model._default_manager.latest("pk")

    text = staff.shown(boss, row) + boss.get(staff.page(model, "changelist")).content.decode()

    assert not [secret for secret in secrets if secret in text]


@every_model
def test_view_only_staff_look_and_cannot_act(boss: Client, model: Any) -> None:
    sale(boss)
    auditor = staff.viewer()
    row = model._default_manager.latest("pk")
    actions = admin.site._registry[model].get_actions(_request_of("auditor"))

    assert auditor.get(staff.page(model, "change", row.pk)).status_code == 200
    assert auditor.post(staff.page(model, "change", row.pk), {"name": "x"}).status_code == 403
    assert auditor.get(staff.page(model, "add")).status_code == 403
    assert set(actions) <= {"send_again"}  # repeats a webhook, which its receiver must bear anyway


def _request_of(name: str) -> Any:
    request: Any = type("Request", (), {"GET": {}})()
    request.user = User.objects.get(username=name)
    return request


def test_the_log_tells_who_did_what_and_why(boss: Client) -> None:
    sale(boss)

    reply = boss.get(staff.page(admin.models.LogEntry, "changelist"), {"q": Merchant.objects.get().pk})

    assert "Suspended: Late payments" in reply.content.decode()


def test_the_front_page_shows_the_ledger_at_a_bounded_cost(boss: Client) -> None:
    sale(boss)

    with CaptureQueriesContext(connection) as captured:
        page = boss.get("/admin/").content.decode()

    assert "sound, full, 0 minutes ago" in page
    assert "adds up to zero" in page
    assert len(captured) <= 20


def test_a_list_counts_no_further_than_anybody_turns_pages(boss: Client, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("rako.core.admin._MOST_COUNTED", 2)
    for _ in range(3):
        sale(boss)

    reply = boss.get(staff.page(Verification, "changelist"))

    assert "2 or more verifications" in " ".join(reply.content.decode().split())


def test_the_front_page_is_rakos(boss: Client) -> None:
    assert "<title>Registry, sessions, payments and ledger | Rako</title>" in " ".join(
        boss.get("/admin/").content.decode().split()
    )
