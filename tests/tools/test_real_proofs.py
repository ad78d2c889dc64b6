"""The whole way: a sale over the API, its proof downloaded by both parties, and judged by programs that are not ours
to trust – the stand-alone verifier, Node and OpenSSL."""

import base64
import json
import os
import re
import subprocess
import sys
from datetime import timedelta

import pytest
from django.test import Client
from django.utils import timezone

from ledger.conversions import record_conversion
from ledger.lifecycle import Told, tell
from ledger.models import Checkpoint, Conversion, Event
from sessions_app.models import Recommendation
from tests.checkout.psp import checkout_of, deliver, paid_event
from tests.factories import OfferFactory
from tests.ledger.conftest import make_proof
from tests.ledger.log import append_many, publish_log
from tests.tools.conftest import SCRIPT
from tests.tools.foreign import node_verdict, openssl_verifies

HOTEL = {
    "city": "Porto",
    "country": "Portugal",
    "stars": 4,
    "board": "breakfast",
    "free_cancellation": True,
    "max_guests": 2,
}
PARTIES = ("merchant", "agent")
STRIDE = max(1, 23 // int(os.environ.get("RAKO_TEST_DEPTH", "1")))  # 1 in 23 bytes unless asked for more


@pytest.fixture
def publish(db, tmp_path):
    return lambda: publish_log(tmp_path / "signer")


@pytest.fixture
def sale(as_agent, publish):
    """A SIM searched, recommended and paid, in the midst of a log."""
    append_many(300)
    offer = OfferFactory()
    session = as_agent.get("/v1/offers", vertical="sim").json()["sessionId"]
    asked = as_agent.post("/v1/recommend", {"sessionId": session, "offerId": offer.pk, "context": "fits"}).json()
    checkout = checkout_of(Recommendation.objects.get(pk=asked["recommendationId"]))
    told = deliver(checkout.connection, paid_event(checkout)).json()
    append_many(11)
    publish()
    return Conversion.objects.get(pk=told["conversionId"])


@pytest.fixture
def parties(sale, as_agent, as_merchant):
    return {"agent": as_agent, "merchant": as_merchant(sale.merchant)}


@pytest.fixture
def download(sale, parties, tmp_path):
    """Saves what a party downloads; returns where."""

    def get(party):
        reply = parties[party].get(f"/v1/conversions/{sale.pk}/proof")
        assert reply.status_code == 200, reply.content
        path = tmp_path / f"{party}.proof.json"
        path.write_bytes(reply.content)
        return path

    return get


def verify(*words):
    """The stand-alone verifier on a stranger's machine: isolated, in an empty environment."""
    command = [sys.executable, "-I", str(SCRIPT), *map(str, words)]
    environment = {"PATH": os.environ["PATH"]}
    return subprocess.run(
        command, env=environment, cwd="/", capture_output=True, encoding="utf-8", timeout=60, check=False
    )


def pins(client, folder):
    """The keys fetched from the authority, as its document on verifying has it."""
    keys = client.get("/v1/ledger/keys").json()
    jwks = folder / "jwks.json"
    jwks.write_bytes(client.get("/.well-known/jwks.json").content)
    return ["--log-key", keys["checkpoint"][0], "--receipt-key", keys["receipt"][0], "--code-key", jwks]


@pytest.mark.parametrize("party", PARTIES)
def test_a_real_sale_is_proven_to_a_stranger(sale, download, party):
    done = verify(download(party))

    assert (done.returncode, done.stderr) == (0, ""), done.stdout
    assert "\nPROVEN\n" in done.stdout
    assert "8.00 GBP: 6.40 GBP builder payout and 1.60 GBP network fee" in done.stdout


@pytest.mark.parametrize("party", PARTIES)
def test_it_is_proven_by_the_keys_that_the_authority_publishes(parties, download, tmp_path, party):
    done = verify(download(party), *pins(parties[party], tmp_path))

    assert (done.returncode, "WARNING" in done.stdout) == (0, False), done.stdout


@pytest.mark.parametrize("party", PARTIES)
def test_node_comes_to_the_same_verdict(download, party):
    path, size = download(party), Checkpoint.objects.get().pk

    assert node_verdict(path) == (0, f"holds: 2 entries of a ledger of {size}\n")


@pytest.mark.parametrize("party", PARTIES)
def test_openssl_accepts_every_signature(download, party):
    file = json.loads(download(party).read_text())

    assert openssl_verifies(file["checkpoint"], file["keys"]["checkpoint"][0])
    assert [openssl_verifies(shown["receipt"], file["keys"]["receipt"][0]) for shown in file["entries"]] == [True, True]


def told(sale, kind, reference, **more):
    event = Told(
        kind=kind, sale_reference=sale.order_reference, reference=reference, occurred_at=timezone.now(), **more
    )
    assert tell(sale.merchant_id, event) is not None


def told_much(sale):
    """A second piece of evidence, a partial refund that failed after all, a dispute won, the end of validation …"""
    report = make_proof(source="merchant_report", level="merchant_reported", reference="ORDER-77")
    record_conversion(sale.recommendation, report)
    told(sale, Event.Kind.REFUNDED, "re_1", amount_minor=300)
    told(sale, Event.Kind.REFUND_FAILED, "re_1")
    told(sale, Event.Kind.DISPUTE_OPENED, "dp_1", reason="never received")
    told(sale, Event.Kind.DISPUTE_WON, "dp_1")
    sale.refresh_from_db()
    assert sale.validation_ends_at is not None
    late = Told(Event.Kind.VALIDATED, sale.order_reference, "val_1", sale.validation_ends_at + timedelta(seconds=1))
    assert tell(sale.merchant_id, late) is not None


@pytest.mark.parametrize("party", PARTIES)
def test_a_sale_with_a_long_story_is_proven_too(sale, publish, download, party):
    told_much(sale)
    publish()

    done = verify(download(party))

    assert done.returncode == 0, done.stdout
    assert "8 entries are in canonical form" in done.stdout
    assert node_verdict(download(party))[0] == 0


@pytest.mark.parametrize(
    ("vertical", "terms", "value"),
    [
        ("sim", {"type": "cpa", "amount_minor": 800}, 1000),
        ("hotels", {"type": "percentage", "rate": 5}, 1000),
    ],
)
def test_a_reported_sale_is_proven(as_agent, as_merchant, publish, tmp_path, vertical, terms, value):
    criteria = {"criteria": HOTEL} if vertical == "hotels" else {}
    offer = OfferFactory(vertical=vertical, terms=terms, **criteria)
    session = as_agent.get("/v1/offers", vertical=vertical).json()["sessionId"]
    as_agent.post("/v1/recommend", {"sessionId": session, "offerId": offer.pk})
    report = {"sessionId": session, "orderReference": "ORDER-77", "transactionValue": value / 100}
    conversion = as_merchant(offer.merchant).post("/v1/conversions", report).json()["conversionId"]
    publish()

    for client in (as_agent, as_merchant(offer.merchant)):
        path = tmp_path / "reported.json"
        path.write_bytes(client.get(f"/v1/conversions/{conversion}/proof").content)
        done = verify(path)
        assert done.returncode == 0, done.stdout


@pytest.mark.parametrize("party", PARTIES)
def test_a_sale_that_passed_to_another_path_is_proven_and_so_is_the_one_that_has_it(
    as_agent, publish, as_merchant, tmp_path, party
):
    offer = OfferFactory()
    session = as_agent.get("/v1/offers", vertical="sim").json()["sessionId"]
    link = as_agent.post("/v1/recommend", {"sessionId": session, "offerId": offer.pk}).json()["recommendationId"]
    Client().get(f"/r/{link}", headers={"User-Agent": "Mozilla/5.0 (iPhone)"})
    merchant = as_merchant(offer.merchant)
    report = {"orderReference": "ORDER-77", "transactionValue": 10}
    old = merchant.post(f"/r/{link}/convert", report).json()["conversionId"]
    told(Conversion.objects.get(pk=old), Event.Kind.REFUNDED, "re_1", amount_minor=300)
    new = merchant.post("/v1/conversions", report | {"sessionId": session}).json()["conversionId"]
    publish()

    path, client = tmp_path / "proof.json", {"agent": as_agent, "merchant": merchant}[party]
    for conversion, status, left in ((old, "rejected", "0.00 GBP"), (new, "pending_validation", "8.00 GBP")):
        path.write_bytes(client.get(f"/v1/conversions/{conversion}/proof").content)
        done = verify(path)
        assert done.returncode == 0, done.stdout
        assert re.search(f"Status now +{status}", done.stdout), done.stdout
        assert re.search(f"Left of it +{left}", done.stdout), done.stdout
        assert node_verdict(path)[0] == 0


def test_an_older_checkpoint_from_elsewhere_is_joined_to_the_proof(sale, parties, publish, download, tmp_path):
    older = parties["agent"].get("/v1/ledger/checkpoint").content
    append_many(40)
    publish()
    path = download("agent")
    sizes = {"from": Checkpoint.objects.earliest("pk").pk, "to": Checkpoint.objects.latest("pk").pk}
    (tmp_path / "older").write_bytes(older)
    (tmp_path / "join").write_bytes(parties["agent"].get("/v1/ledger/consistency", **sizes).content)

    done = verify(path, "--checkpoint", tmp_path / "older", "--consistency", tmp_path / "join")

    assert done.returncode == 0, done.stdout
    assert f"the ledger of {sizes['to']} entries holds the one of {sizes['from']} unchanged" in done.stdout


# --- Each party's file holds its own secrets alone


def said(file):
    """The bytes of a file with all base64 in it undone, keys and private texts of every entry."""
    parts = [json.dumps(file).encode()]
    for shown in file["entries"]:
        parts += [base64.b64decode(shown[name]) for name in ("body", "opening") if shown[name]]
    return b"\n".join(parts)


@pytest.mark.parametrize("party", PARTIES)
def test_a_file_tells_nothing_of_the_other_party(sale, publish, download, party):
    told_much(sale)
    publish()
    evidence = [row.reference for row in sale.evidence.all()]
    of_merchant = [sale.order_reference, "ORDER-77", "re_1", "dp_1", *evidence]
    of_agent = [sale.agent_id, sale.builder_id]

    text = said(json.loads(download(party).read_text())).decode()

    own, others = (of_merchant, of_agent) if party == "merchant" else (of_agent, of_merchant)
    assert [word for word in own if word not in text] == []
    assert [word for word in others if word in text] == []


# --- One flipped bit anywhere


@pytest.mark.parametrize("party", PARTIES)
def test_a_flipped_bit_anywhere_is_refused(download, verdict, party):
    raw, passed = download(party).read_bytes(), []
    assert verdict(raw) == (0, None)

    for turn, at in enumerate(range(0, len(raw), STRIDE)):
        bent = raw[:at] + bytes([raw[at] ^ 1 << turn % 8]) + raw[at + 1 :]
        if verdict(bent)[0] == 0 and not is_name_of_a_key(raw, at):
            passed.append((at, raw[at - 40 : at + 20]))

    assert passed == []


def is_name_of_a_key(raw, at):
    """Whether a byte is in the `keyId` of a code key: a name for people, which nothing rests on."""
    return re.search(rb'"keyId":"[0-9a-f]*\Z', raw[:at]) is not None


def test_a_sale_with_milestones_is_proven(as_agent, as_merchant, publish, tmp_path):
    offer = OfferFactory(vertical="broadband")
    session = as_agent.get("/v1/offers", vertical="broadband").json()["sessionId"]
    as_agent.post("/v1/recommend", {"sessionId": session, "offerId": offer.pk})
    merchant = as_merchant(offer.merchant)
    sold = {"sessionId": session, "orderReference": "B1", "transactionValue": 30}
    path = f"/v1/conversions/{merchant.post('/v1/conversions', sold).json()['conversionId']}"
    reached = {"occurredAt": timezone.now().isoformat(), "reference": "visit-1"}
    for name in ("install_scheduled", "service_activated"):
        assert merchant.post(f"{path}/milestones", {"milestone": name} | reached).status_code == 200
    assert merchant.post(f"{path}/cancel", {"reason": "moved house"}).status_code == 200
    publish()

    proof = tmp_path / "proof.json"
    proof.write_bytes(merchant.get(f"{path}/proof").content)

    done = verify(proof)
    assert (done.returncode, done.stderr) == (0, ""), done.stdout
    assert len(json.loads(proof.read_text())["entries"]) == 6
