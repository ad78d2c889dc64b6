"""What each kind of entry becomes: the catalogue is a contract, and covers what happens."""

import json
import re
import subprocess
from pathlib import Path

import pytest
from django.utils import timezone

from ledger.dispute_claims import about_conversion
from ledger.disputes import open_dispute, withdraw
from ledger.lifecycle import Told as Happened
from ledger.lifecycle import tell
from ledger.models import Entry, Event, Side
from notifications.catalogue import ENDPOINT_DISABLED, EVENT_TYPES, PING
from notifications.models import Message
from notifications.signing import new_secret, signed_headers
from settlement.payouts import record_answer, send_payouts
from settlement.providers.base import Answer
from tests.factories import BuilderFactory, OfferFactory
from tests.notifications.conftest import endpoint_of, follow
from tests.settlement.months import JANUARY, close, confirmed, happened, sold
from tests.settlement.payouts import account
from tests.tools.foreign import require

Kind = Event.Kind
ROOT = Path(__file__).resolve().parents[2]


@pytest.fixture
def parties(db):
    """A merchant and a builder, each with an endpoint, and what makes sales theirs."""
    builder, offer = BuilderFactory(), OfferFactory()
    to_merchant = endpoint_of(offer.merchant, "https://hooks.example/m")
    to_builder = endpoint_of(builder, "https://hooks.example/b")
    return to_merchant, to_builder, {"session__agent__builder": builder, "offer": offer}


def told(endpoint):
    """What an endpoint is told, oldest first: type and data."""
    follow()
    sent = [json.loads(row.payload) for row in Message.objects.filter(endpoint=endpoint).order_by("pk")]
    return [(each["type"], each["data"]) for each in sent]


def test_a_recorded_sale(parties):
    to_merchant, _, of_theirs = parties
    conversion = sold(JANUARY, **of_theirs)

    [(name, data)] = told(to_merchant)

    assert name == "conversion.recorded"
    assert data == {
        "conversionId": conversion.pk,
        "sessionId": conversion.session_id,
        "recommendationId": conversion.recommendation_id,
        "merchantId": conversion.merchant_id,
        "offerId": conversion.offer_id,
        "status": "pending",
        "transactionValue": 10,
        "currency": "GBP",
        "commission": {"amount": 8, "networkFee": 1.6, "builderPayout": 6.4, "type": "cpa"},
        "attributionPath": "aap_flow",
        "verificationLevel": conversion.verification_level,
        "validationEndsAt": "2026-02-14T12:00:00.000Z",
        "orderReference": conversion.order_reference,
        "entryId": Entry.objects.get(stream_id=conversion.pk).entry_id,
    }


def test_the_time_is_that_of_what_happened(parties):
    sold(JANUARY, **parties[2])
    follow()

    sent = json.loads(Message.objects.filter(endpoint=parties[0]).get().payload)

    assert sent["timestamp"] == "2026-01-15T12:00:00.000Z"


def test_a_validated_sale_and_its_clawback(parties):
    _, to_builder, of_theirs = parties
    conversion = confirmed(JANUARY, **of_theirs)
    happened(conversion, Kind.DISPUTE_LOST, JANUARY)

    (_, recorded), (validated, data), (clawed_back, after) = told(to_builder)

    assert (validated, data["status"], data["statusBefore"]) == ("conversion.validated", "validated", "pending")
    assert recorded["status"] == "pending"  # as it was then
    assert data["retained"] == {"amount": 8, "networkFee": 1.6, "builderPayout": 6.4}
    assert (clawed_back, after["cause"], after["status"]) == ("conversion.clawed_back", "dispute_lost", "clawed_back")
    assert after["retained"] == {"amount": 0, "networkFee": 0, "builderPayout": 0}
    assert after["currency"] == "GBP"


def test_a_part_refund_is_no_clawback(parties):
    to_merchant, _, of_theirs = parties
    conversion = sold(JANUARY, **of_theirs)
    tell(conversion.merchant_id, Happened(Kind.REFUNDED, conversion.order_reference, "re_1", JANUARY, 400))

    _, (name, data) = told(to_merchant)

    assert (name, data["eventAmount"], data["status"]) == ("conversion.refunded", 4, "pending")


def test_fraud_during_validation_rejects(parties):
    conversion = sold(JANUARY, **parties[2])
    happened(conversion, Kind.FRAUD_FOUND, JANUARY)

    _, (name, data) = told(parties[1])

    assert (name, data["cause"]) == ("conversion.rejected", "fraud_found")


def test_a_dispute_from_its_beginning_to_its_end(parties):
    to_merchant, to_builder, of_theirs = parties
    conversion = sold(JANUARY, **of_theirs)
    claim = about_conversion(conversion, Side.MERCHANT, "merchant_dispute", None)
    dispute = open_dispute(claim, "It was a test order of our own")
    withdraw(dispute, Side.MERCHANT)

    names = [name for name, _ in told(to_builder) if name.startswith("dispute.")]

    assert names[0] == "dispute.opened"
    assert "dispute.message_added" in names
    assert names[-1] == "dispute.withdrawn"
    assert "test order" not in json.dumps(told(to_merchant))


def test_a_month_and_its_payout(parties):
    to_merchant, to_builder, of_theirs = parties
    for _ in range(4):
        confirmed(JANUARY, **of_theirs)
    follow()
    Message.objects.all().delete()
    batch = close(1)
    account(of_theirs["session__agent__builder"])
    send_payouts()
    payout = batch.payouts.get()
    record_answer(Answer(payout.pk, True), file_id="")

    to_merchant, to_builder = told(to_merchant), told(to_builder)

    names = ["conversions.settlement_pending", "invoice.issued", "conversions.settled"]
    assert [name for name, _ in to_merchant] == names
    assert to_merchant[1][1]["invoiceId"] == batch.invoices.get().pk
    assert to_merchant[1][1]["total"] == 32
    names = ["conversions.settlement_pending", "statement.issued", "payout.ordered", "payout.submitted", "payout.paid"]
    assert [name for name, _ in to_builder] == [*names, "conversions.settled"]
    assert to_builder[1][1]["statementId"] == batch.statements.get().pk
    assert {data["amount"] for name, data in to_builder if name.startswith("payout.")} == {25.6}


def test_the_documents_name_every_event_type():
    named = set(re.findall(r"`([a-z_]+\.[a-z_]+)`", (ROOT / "docs" / "webhooks.md").read_text()))

    assert {*EVENT_TYPES, PING, ENDPOINT_DISABLED} <= named


def test_the_documented_check_in_node_holds(parties, tmp_path):
    """The document's own code, run: it accepts what we sign, and nothing else."""
    [code] = re.findall(r"```js\n(.*?)```", (ROOT / "docs" / "webhooks.md").read_text(), re.DOTALL)
    endpoint, body = parties[0], '{"type":"test.ping","é":1}'
    signed = signed_headers("msg_1", body, timezone.now(), [new_secret(), endpoint.secret])
    asked = json.dumps([endpoint.secret, body, signed])
    script = tmp_path / "check.mjs"
    script.write_text(f"{code}\nconst [secret, body, headers] = {asked};\n{_NODE}")

    done = subprocess.run([require("node"), script], capture_output=True, text=True, timeout=30, check=False)

    assert (done.stdout, done.stderr) == ("test.ping refused refused\n", "")


_NODE = """
const refused = (...given) => { try { handle(...given); return "ACCEPTED"; } catch { return "refused"; } };
const old = { ...headers, "webhook-timestamp": "1674087231" };
console.log(handle(secret, body, headers).type, refused(secret, body + " ", headers), refused(secret, body, old));
"""
