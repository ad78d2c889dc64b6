import json

import pytest
from django.core.management import CommandError, call_command
from django.db import connection
from django.utils import timezone

from checkout import inbox
from checkout.connections import disconnect
from checkout.models import Checkout, WebhookReceipt
from ledger.models import Conversion, Entry, Evidence
from merchants.models import Connection
from rako.core.ids import new_id
from tests.checkout.psp import checkout_of, deliver, paid_event, pay
from tests.factories import RecommendationFactory
from tests.threads import race


def test_what_came_is_stored_byte_for_byte(checkout):
    event = paid_event(checkout)

    deliver(checkout.connection, event)

    receipt = WebhookReceipt.objects.get()
    assert bytes(receipt.body) == json.dumps(event).encode()
    assert receipt.headers["sandbox-signature"].startswith("t=")


@pytest.mark.parametrize(
    "changes",
    [
        {"header": None},
        {"secret": "whsec_wrong"},
        {"header": "t=1,v1=00"},
        {"ago": 302},
        {"ago": -310},
        {"body": b"\xff\xfe"},
        {"body": b"[]"},
        {"body": b"null"},
    ],
)
def test_what_is_not_the_psps_is_refused_and_not_stored(checkout, changes):
    response = deliver(checkout.connection, paid_event(checkout), **changes)

    assert response.status_code == 400
    assert (WebhookReceipt.objects.count(), Conversion.objects.count()) == (0, 0)


def test_an_altered_body_is_refused(checkout):
    event = paid_event(checkout)
    from checkout.connectors.sandbox import signature

    good = signature.sign(json.dumps(event).encode(), checkout.connection.webhook_secrets[0], timezone.now())
    event["data"]["object"]["amount_total"] = 1

    response = deliver(checkout.connection, event, header=good)

    assert (response.status_code, response.json()) == (400, {"error": "Invalid signature"})


@pytest.mark.parametrize("changes", [{"account": "acct_other"}, {"livemode": True}])
def test_another_accounts_or_modes_event_is_refused(checkout, changes):
    response = deliver(checkout.connection, paid_event(checkout) | changes)

    assert (response.status_code, WebhookReceipt.objects.count()) == (400, 0)


@pytest.mark.parametrize("kind", ["sandbox", "stripe"])
def test_an_unknown_address_does_not_exist(as_stranger, db, kind):
    assert as_stranger.post(f"/v1/webhooks/{kind}/{new_id()}").status_code == 404


def test_a_delivery_again_is_a_duplicate(checkout):
    event = paid_event(checkout)
    first = deliver(checkout.connection, event).json()

    second = deliver(checkout.connection, event).json()

    assert (second["status"], second["conversionId"]) == ("duplicate", first["conversionId"])


def test_two_events_of_one_payment_are_one_conversion(checkout):
    replies = [deliver(checkout.connection, event).json()["status"] for event in pay(checkout)]

    assert sorted(replies) == ["conversion_recorded", "duplicate"]
    assert (Conversion.objects.count(), Evidence.objects.count()) == (1, 1)


def test_a_success_counts_even_if_it_arrives_after_the_expiry(checkout):
    event = paid_event(checkout)
    Checkout.objects.filter(pk=checkout.pk).update(state="expired")

    response = deliver(checkout.connection, event)

    checkout.refresh_from_db()
    assert (response.json()["status"], checkout.state) == ("conversion_recorded", "succeeded")


def test_a_late_word_of_failure_does_not_undo_a_success(checkout):
    paid = paid_event(checkout)
    deliver(checkout.connection, paid)
    late = paid | {"id": "evt_late", "type": "checkout.session.expired"}
    late["data"]["object"] |= {"status": "expired", "payment_status": "unpaid"}

    deliver(checkout.connection, late)

    checkout.refresh_from_db()
    assert (checkout.state, Conversion.objects.count()) == ("succeeded", 1)


def test_a_rotated_secret_works_beside_the_new_one(checkout):
    old = checkout.connection.webhook_secrets[0]
    checkout.connection.webhook_secrets = ["whsec_new", old]
    checkout.connection.save()

    replies = [
        deliver(checkout.connection, event, secret=secret)
        for event, secret in zip(pay(checkout), (old, "whsec_new"), strict=True)
    ]

    assert [response.status_code for response in replies] == [200, 200]


def test_a_disconnected_merchants_payments_are_still_recorded(checkout):
    event = paid_event(checkout)
    disconnect(checkout.connection)

    assert deliver(checkout.connection, event).json()["status"] == "conversion_recorded"


def break_processing(checkout):
    """A fault on our side: the conversion's table cannot be written."""
    with connection.cursor() as cursor:
        cursor.execute("ALTER TABLE ledger_conversion ADD CONSTRAINT out_of_order CHECK (false) NOT VALID")


def mend_processing():
    with connection.cursor() as cursor:
        cursor.execute("ALTER TABLE ledger_conversion DROP CONSTRAINT out_of_order")


@pytest.mark.django_db(transaction=True)
def test_a_fault_of_ours_answers_5xx_and_loses_nothing():
    checkout = checkout_of(RecommendationFactory())
    event = paid_event(checkout)
    break_processing(checkout)

    response = deliver(checkout.connection, event)
    mend_processing()

    assert (response.status_code, WebhookReceipt.objects.get().state) == (500, "received")
    assert deliver(checkout.connection, event).json()["status"] == "conversion_recorded"


@pytest.mark.django_db(transaction=True)
def test_the_sweep_processes_what_a_fault_left_behind():
    checkout = checkout_of(RecommendationFactory())
    event = paid_event(checkout)
    break_processing(checkout)
    deliver(checkout.connection, event)
    mend_processing()
    with connection.cursor() as cursor:  # thirty seconds pass
        cursor.execute("ALTER TABLE checkout_webhookreceipt DISABLE TRIGGER checkout_webhookreceipt_no_change")
        cursor.execute("UPDATE checkout_webhookreceipt SET received_at = received_at - interval '31 seconds'")
        cursor.execute("ALTER TABLE checkout_webhookreceipt ENABLE ALWAYS TRIGGER checkout_webhookreceipt_no_change")

    done = inbox.sweep()

    assert (done, Conversion.objects.count()) == (1, 1)


@pytest.mark.django_db(transaction=True)
def test_eight_deliveries_at_once_are_processed_once():
    checkout = checkout_of(RecommendationFactory())
    event = paid_event(checkout)

    replies = race(lambda _: deliver(checkout.connection, event).json()["status"])

    assert sorted(replies) == ["conversion_recorded"] + ["duplicate"] * 7
    assert (WebhookReceipt.objects.count(), Conversion.objects.count()) == (1, 1)
    assert list(Entry.objects.order_by("id").values_list("kind", flat=True)) == [
        *("checkout.started", "checkout.opened", "conversion.recorded", "checkout.succeeded")
    ]


@pytest.mark.django_db(transaction=True)
def test_two_events_of_one_payment_at_once_are_one_conversion():
    checkout = checkout_of(RecommendationFactory())
    events = pay(checkout)

    replies = race(lambda number: deliver(checkout.connection, events[number]).json()["status"], times=2)

    assert sorted(replies) == ["conversion_recorded", "duplicate"]
    assert Conversion.objects.count() == 1


def test_replaying_a_credited_delivery_changes_nothing(checkout, capsys):
    deliver(checkout.connection, paid_event(checkout))
    before = Entry.objects.count()

    call_command("replay_webhook", WebhookReceipt.objects.get().pk)

    assert Entry.objects.count() == before
    assert "duplicate" in capsys.readouterr().out


def test_replaying_a_refused_delivery_judges_it_anew(checkout):
    event = paid_event(checkout)
    Connection.objects.update(account_id="acct_mistyped")  # a mistake of ours, mended below
    receipt = WebhookReceipt.objects.create(
        connection=checkout.connection,
        event_id=event["id"],
        event_type=event["type"],
        headers={},
        body=json.dumps(event).encode(),
        sha256="0" * 64,
    )
    assert inbox.process(receipt.pk)[1].failed_check == "authentic"
    Connection.objects.update(account_id=checkout.connection.account_id)

    call_command("replay_webhook", event["id"])

    assert Conversion.objects.count() == 1


def test_replaying_an_unknown_delivery_says_so(db):
    with pytest.raises(CommandError, match="no webhook has the id nonsense"):
        call_command("replay_webhook", "nonsense")


def test_processing_costs_a_fixed_number_of_queries(checkout, django_assert_max_num_queries):
    event = paid_event(checkout)

    with django_assert_max_num_queries(18):
        deliver(checkout.connection, event)


def test_sweeping_an_empty_inbox_does_nothing(db):
    assert inbox.sweep() == 0
