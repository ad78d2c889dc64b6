"""Connections, checkouts and the webhook inbox in the admin."""

import pytest
from django.contrib.admin.models import LogEntry

from checkout.models import WebhookReceipt
from ledger.models import Conversion
from merchants.models import Connection
from tests import staff
from tests.checkout import psp
from tests.factories import MerchantFactory


@pytest.fixture
def boss(db):
    return staff.superuser()


@pytest.fixture
def refused(checkout):
    """A receipt that was refused because of an amount that the code does not agree to."""
    event = psp.paid_event(checkout, amount_total=1)
    psp.deliver(checkout.connection, event)
    return WebhookReceipt.objects.get()


def connect(client, merchant):
    return client.post(staff.page(Connection, "add"), {"merchant": merchant.pk, "kind": "sandbox"}, follow=True)


def test_staff_connect_a_merchant_to_the_sandbox(boss):
    merchant = MerchantFactory(connected=False)
    assert f"{staff.page(Connection, 'add')}?merchant={merchant.pk}" in staff.shown(boss, merchant)

    connect(boss, merchant)

    link = merchant.connections.get()
    assert (link.kind, link.status) == ("sandbox", "active")
    assert LogEntry.objects.filter(object_id=link.pk).exists()


def test_a_connected_merchant_is_not_connected_again(boss):
    merchant = MerchantFactory()

    reply = connect(boss, merchant)

    assert staff.said(reply) == ["The merchant has a live connection: disconnect it first."]
    assert merchant.connections.count() == 1


def test_live_mode_offers_no_sandbox(boss, settings):
    settings.RAKO_MODE = "live"

    assert 'value="sandbox"' not in boss.get(staff.page(Connection, "add")).content.decode()


def test_disconnecting_stops_selling_and_keeps_its_reason(boss, recommendation, post_checkout):
    link = Connection.objects.get()

    staff.act(boss, "disconnect_now", link, reason="Contract ended")

    assert post_checkout(recommendation).status_code >= 400
    assert Connection.objects.get().disconnected_at is not None
    assert LogEntry.objects.get(object_id=link.pk).change_message == "Disconnected: Contract ended"


def test_a_merchant_is_connected_anew_after_it_was_disconnected(boss):
    merchant = MerchantFactory()
    staff.act(boss, "disconnect_now", merchant.connections.get(), reason="Moved")

    connect(boss, merchant)

    assert sorted(merchant.connections.values_list("status", flat=True)) == ["active", "disconnected"]


def test_connections_are_not_edited(boss):
    MerchantFactory()
    link = Connection.objects.get()

    assert boss.post(staff.page(Connection, "change", link.pk), {"kind": "x"}).status_code == 403


def test_a_receipt_shows_why_it_was_refused_and_what_was_received(boss, refused):
    page = staff.shown(boss, refused)

    assert refused.failed_check in page
    assert refused.sha256 in page
    assert "&quot;amount_total&quot;: 1" in page
    assert "sandbox-signature" in page


def test_a_receipt_is_processed_again_and_the_result_is_told(boss, refused):
    reply = staff.act(boss, "process_again", refused)

    refused.refresh_from_db()
    assert refused.attempts == 2
    assert refused.failed_check in staff.said(reply)[0]
    assert LogEntry.objects.get(object_id=refused.pk).change_message.startswith("Processed again: rejected")


def test_processing_again_records_no_sale_twice(boss, checkout):
    psp.deliver(checkout.connection, psp.paid_event(checkout))

    reply = staff.act(boss, "process_again", WebhookReceipt.objects.get())

    assert staff.said(reply)[0].endswith(": duplicate")
    assert Conversion.objects.count() == 1


def test_a_receipt_that_cannot_be_processed_hides_no_other(boss, refused, settings):
    Connection.objects.update(kind="gone")

    reply = staff.act(boss, "process_again", refused)

    assert "failed (ConnectionRevoked)" in staff.said(reply)[0]


def test_view_only_staff_cannot_replay_or_disconnect(refused):
    auditor = staff.viewer()

    staff.act(auditor, "process_again", refused)
    staff.act(auditor, "disconnect_now", Connection.objects.get(), reason="No")

    refused.refresh_from_db()
    assert (refused.attempts, Connection.objects.get().status) == (1, "active")
