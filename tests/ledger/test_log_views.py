"""The log over HTTP: anyone can audit it, and nobody reads another's entries in it."""

import base64
import json
import logging

import pytest

from ledger.models import Conversion, Entry, Leaf
from ledger.sequencer import Sequencer
from rako.core.receipts import receipt_signer
from rako.core.tlog.checkpoints import open_checkpoint
from rako.core.tlog.hashing import leaf_hash
from rako.core.tlog.notes import open_note, parse_vkey
from rako.core.tlog.proofs import parse_proof, verify_consistency, verify_inclusion
from rako.core.tlog.tile_paths import tile_path
from rako.core.tlog.tree import Tree
from rako.core.tlog.witness import Witness
from tests.conftest import Api
from tests.core.tlog.stub_witness import WitnessKey
from tests.factories import AgentKeyFactory, MerchantFactory, OfferFactory
from tests.ledger.log import append, append_many, publish_log, sell

ORIGIN = "rako.sh/ledger"
UNKNOWN = "01ARZ3NDEKTSV4RRFFQ69G5FAV"


@pytest.fixture
def publish(db, tmp_path):
    return lambda: publish_log(tmp_path / "signer")


@pytest.fixture
def sale(agent):
    return sell(agent, OfferFactory())


@pytest.fixture
def parties(sale, as_agent, as_merchant):
    return {"agent": as_agent, "merchant": as_merchant(sale.merchant)}


@pytest.fixture
def strangers(sale, as_merchant):
    """Another agent of the same builder, another merchant, and somebody without a key."""
    agent = AgentKeyFactory(agent__builder=sale.builder)
    return {"agent": Api(agent.secret), "merchant": as_merchant(MerchantFactory(connected=False))}


def opened(client, **params):
    """The checkpoint that the log shows, checked with the keys that it shows."""
    keys = client.get("/v1/ledger/keys").json()["checkpoint"]
    note = client.get("/v1/ledger/checkpoint", **params).content.decode()
    return open_checkpoint(note, map(parse_vkey, keys), ORIGIN)


def fill(publish, *sizes):
    """Let the log grow to each size, with a checkpoint at each."""
    for size in sizes:
        append_many(size - Leaf.objects.count())
        publish()


# --- Checkpoints


def test_the_newest_checkpoint_is_told_and_never_kept(as_stranger, publish):
    fill(publish, 2, 3)

    reply = as_stranger.get("/v1/ledger/checkpoint")

    assert (reply.headers["Content-Type"], reply.headers["Cache-Control"]) == ("text/plain; charset=utf-8", "no-store")
    assert opened(as_stranger).size == 3


def test_a_stored_checkpoint_is_told_by_its_size(as_stranger, publish):
    fill(publish, 2, 3)

    assert opened(as_stranger, size=2).size == 2
    assert as_stranger.get("/v1/ledger/checkpoint", size=1).headers["X-Error-Code"] == "no_checkpoint"


@pytest.mark.parametrize("path", ["checkpoint", "tile/0/000.p/1", "consistency?from=1&to=1"])
def test_before_the_first_checkpoint_there_is_nothing(db, as_stranger, path):
    append()
    Sequencer().tick()

    reply = as_stranger.get(f"/v1/ledger/{path}")

    assert reply.status_code == 404
    assert list(reply.json()) == ["error"]


# --- Tiles


@pytest.mark.parametrize("size", [1, 255, 256, 257, 513])
def test_an_auditor_rebuilds_the_root_from_tiles_alone(as_stranger, publish, size):
    fill(publish, size)
    checkpoint = opened(as_stranger)

    tree = Tree(size, lambda *place: as_stranger.get(f"/v1/ledger/{tile_path(*place)}").content)

    assert tree.root() == checkpoint.root


@pytest.mark.parametrize(
    ("path", "length"), [("0/000", 256), ("0/000.p/255", 255), ("0/001.p/44", 44), ("1/000.p/1", 1)]
)
def test_a_tile_may_be_kept_for_ever(as_stranger, publish, path, length):
    fill(publish, 300)

    reply = as_stranger.get(f"/v1/ledger/tile/{path}")

    assert reply.headers["Content-Type"] == "application/octet-stream"
    assert reply.headers["Cache-Control"] == "public, max-age=31536000, immutable"
    assert len(reply.content) == 32 * length


@pytest.mark.parametrize(
    "path",
    [
        "0/001", "0/001.p/45", "0/002.p/1", "1/000", "1/000.p/2", "1/001.p/1", "2/000.p/1", "63/000.p/1",
        "0/000.p/0", "0/000.p/256", "0/0", "0/00", "0/0000", "00/000", "0/x000/000", "0/x001/000", "64/000", "-1/000",
        "0/000.p/01", "0/000/p/1", "0/x999/x999/x999/x999/x999/x999/999", "entries/000", "entries/000.p/1", "", "0",
    ],
)  # fmt: skip
def test_what_is_no_tile_or_not_one_yet_is_not_found(as_stranger, publish, path):
    fill(publish, 300)

    reply = as_stranger.get(f"/v1/ledger/tile/{path}")

    assert (reply.status_code, list(reply.json())) == (404, ["error"])


def test_what_no_checkpoint_vouches_for_is_not_shown(as_stranger, publish):
    fill(publish, 255)
    append()
    Sequencer().tick()

    replies = [as_stranger.get(f"/v1/ledger/tile/0/000{width}").status_code for width in ("", ".p/255")]

    assert replies == [404, 200]


def test_tiles_hold_hashes_and_nothing_else(as_stranger, sale, publish):
    publish()
    stored = [bytes(row) for row in Leaf.objects.order_by("index").values_list("leaf_hash", flat=True)]

    shown = as_stranger.get(f"/v1/ledger/tile/0/000.p/{len(stored)}").content

    assert shown == b"".join(stored)
    assert stored == [leaf_hash(bytes(entry.body)) for entry in Entry.objects.order_by("leaf__index")]


# --- Consistency


@pytest.mark.parametrize("to", [3, 256, 300])
@pytest.mark.parametrize("size", [1, 2, 3])
def test_the_log_shows_that_it_only_grew(as_stranger, publish, size, to):
    fill(publish, size, *([to] if to > size else []))
    if to < 300:
        fill(publish, 300)
    old, new = opened(as_stranger, size=size), opened(as_stranger, size=to)

    proof = as_stranger.get("/v1/ledger/consistency", **{"from": size, "to": to}).json()

    path = [base64.b64decode(node) for node in proof["path"]]
    assert (proof["from"], proof["to"]) == (size, to)
    assert verify_consistency(size, to, old.root, new.root, path)


@pytest.mark.parametrize(
    "query", ["", "from=1", "to=2", "from=0&to=2", "from=3&to=2", "from=1&to=4", "from=-1&to=2", "from=1&to=x"]
)
def test_sizes_that_the_log_never_had_are_refused(as_stranger, publish, query):
    fill(publish, 3)

    reply = as_stranger.get(f"/v1/ledger/consistency?{query}")

    assert (reply.status_code, reply.headers["X-Error-Code"]) == (400, "invalid_field")


# --- Keys


def test_the_keys_of_log_receipts_and_witnesses_are_public(as_stranger, publish, settings):
    fill(publish, 1)
    witness = WitnessKey("witness.example/w1")
    settings.RAKO_WITNESSES = [Witness(witness.vkey, "http://127.0.0.1:1")]

    keys = as_stranger.get("/v1/ledger/keys").json()

    assert (keys["origin"], keys["receipt"], keys["witnesses"]) == (ORIGIN, [receipt_signer().vkey], [witness.vkey])
    assert [parse_vkey(key).name for key in keys["checkpoint"]] == [ORIGIN]


# --- A party's own entries


def entries_of(sale):
    return Entry.objects.filter(stream_id__in=[sale.pk, sale.recommendation_id])


@pytest.mark.parametrize("party", ["agent", "merchant"])
def test_a_party_reads_the_exact_bytes_of_its_entries(sale, parties, publish, party):
    publish()

    for entry in entries_of(sale):
        shown = parties[party].get(f"/v1/ledger/entries/{entry.entry_id}").json()

        body = base64.b64decode(shown["body"])
        assert body == bytes(entry.body)
        assert leaf_hash(body) == base64.b64decode(shown["leafHash"])
        assert shown["index"] == entry.leaf.pk
        assert json.loads(body)["recorded_at"] == shown["recordedAt"]


def test_the_reply_has_these_fields(sale, parties):
    entry = Entry.objects.get(stream_id=sale.pk)

    shown = parties["merchant"].get(f"/v1/ledger/entries/{entry.entry_id}").json()

    assert list(shown) == [
        "entryId", "index", "kind", "streamId", "streamSeq", "recordedAt", "leafHash", "body", "opening", "receipt",
    ]  # fmt: skip
    assert (shown["index"], shown["kind"], shown["streamId"]) == (None, "conversion.recorded", sale.pk)


def test_an_entry_is_read_with_its_receipt_before_it_is_sequenced(sale, parties):
    entry = Entry.objects.get(stream_id=sale.pk)

    shown = parties["agent"].get(f"/v1/ledger/entries/{entry.entry_id}").json()

    receipt = open_note(shown["receipt"], [parse_vkey(receipt_signer().vkey)]).text
    assert receipt == f"{ORIGIN}/receipt\n{entry.entry_id}\n{shown['leafHash']}\n{shown['recordedAt']}\n"


def test_each_party_is_shown_its_own_opening(sale, parties):
    entry = Entry.objects.get(stream_id=sale.pk)

    openings = {
        party: json.loads(base64.b64decode(client.get(f"/v1/ledger/entries/{entry.entry_id}").json()["opening"]))
        for party, client in parties.items()
    }

    assert openings["merchant"]["order_reference"] == sale.order_reference
    assert openings["agent"]["builder_id"] == sale.builder_id
    assert openings["merchant"].keys() & openings["agent"].keys() == {"nonce"}


@pytest.mark.parametrize("party", ["agent", "merchant"])
def test_an_entrys_proof_convinces_whoever_has_the_log_key(sale, parties, publish, party):
    append()
    publish()
    entry = Entry.objects.get(stream_id=sale.pk)
    keys = [parse_vkey(key) for key in parties[party].get("/v1/ledger/keys").json()["checkpoint"]]

    reply = parties[party].get(f"/v1/ledger/entries/{entry.entry_id}/proof")

    proof = parse_proof(reply.content.decode())
    checkpoint = open_checkpoint(proof.checkpoint_note, keys, ORIGIN)
    assert reply.headers["Content-Type"] == "text/plain; charset=utf-8"
    assert verify_inclusion(leaf_hash(bytes(entry.body)), proof.index, checkpoint.size, proof.path, checkpoint.root)


def test_what_is_not_signed_yet_can_be_asked_for_again_in_a_second(sale, parties, publish):
    entry = Entry.objects.get(stream_id=sale.pk)
    paths = [f"/v1/ledger/entries/{entry.entry_id}/proof", f"/v1/conversions/{sale.pk}/proof"]

    early = [parties["agent"].get(path) for path in paths]
    publish()
    late = [parties["agent"].get(path).status_code for path in paths]

    assert [(reply.status_code, reply.headers["Retry-After"]) for reply in early] == [(503, "1")] * 2
    assert {reply.headers["X-Error-Code"] for reply in early} == {"not_sequenced_yet"}
    assert late == [200, 200]


@pytest.mark.parametrize("party", ["agent", "merchant"])
def test_a_conversions_proof_is_a_file_to_keep(sale, parties, publish, party):
    publish()

    reply = parties[party].get(f"/v1/conversions/{sale.pk}/proof")

    assert reply.headers["Content-Disposition"] == f'attachment; filename="conversion-{sale.pk}.proof.json"'
    assert (reply.headers["Content-Type"], reply.headers["Cache-Control"]) == ("application/json", "no-store")
    assert (reply.json()["format"], reply.json()["party"]) == ("rako-conversion-proof@v1", party)


def test_proofs_need_few_queries(sale, parties, publish, django_assert_max_num_queries):
    append()
    publish()
    entry = Entry.objects.get(stream_id=sale.pk)
    paths = [f"/v1/ledger/entries/{entry.entry_id}/proof", f"/v1/conversions/{sale.pk}/proof"]
    parties["agent"].get(paths[1])  # the code keys are remembered

    for path, most in zip(paths, [6, 9], strict=True):
        with django_assert_max_num_queries(most):
            assert parties["agent"].get(path).status_code == 200


# --- Privacy (attack: reading another party's business out of the log)


@pytest.mark.parametrize("suffix", ["", "/proof"])
@pytest.mark.parametrize("kind", ["agent", "merchant"])
def test_another_partys_entry_does_not_exist(sale, strangers, publish, kind, suffix):
    publish()

    for entry in entries_of(sale):
        theirs = strangers[kind].get(f"/v1/ledger/entries/{entry.entry_id}{suffix}")
        nobodys = strangers[kind].get(f"/v1/ledger/entries/{UNKNOWN}{suffix}")

        assert (theirs.status_code, theirs.content) == (404, nobodys.content)


@pytest.mark.parametrize("kind", ["agent", "merchant"])
def test_another_partys_proof_of_a_conversion_does_not_exist(sale, strangers, publish, kind):
    publish()

    theirs, nobodys = (strangers[kind].get(f"/v1/conversions/{pk}/proof") for pk in (sale.pk, UNKNOWN))

    assert (theirs.status_code, theirs.content) == (404, nobodys.content)


def test_without_a_key_no_entry_is_shown(sale, as_stranger, publish):
    publish()
    entry = Entry.objects.get(stream_id=sale.pk)
    paths = [
        f"ledger/entries/{entry.entry_id}",
        f"ledger/entries/{entry.entry_id}/proof",
        f"conversions/{sale.pk}/proof",
    ]

    assert [as_stranger.get(f"/v1/{path}").status_code for path in paths] == [401] * 3


def test_an_entry_of_no_party_is_for_nobody(parties):
    entry = append()

    statuses = {client.get(f"/v1/ledger/entries/{entry.entry_id}").status_code for client in parties.values()}

    assert statuses == {404}


def test_an_entry_of_one_party_is_not_for_the_other(sale, parties):
    entry = append(merchant_id=sale.merchant_id)

    statuses = [parties[party].get(f"/v1/ledger/entries/{entry.entry_id}").status_code for party in parties]

    assert statuses == [404, 200]


def test_two_like_sales_have_hashes_that_tell_nothing(agent, as_stranger, publish):
    offer = OfferFactory()
    for _ in range(2):
        sell(agent, offer)
    publish()

    hashes = as_stranger.get(f"/v1/ledger/tile/0/000.p/{Leaf.objects.count()}").content

    assert len({hashes[at : at + 32] for at in range(0, len(hashes), 32)}) == Leaf.objects.count()
    assert Conversion.objects.values("transaction_value_minor", "commission_minor").distinct().count() == 1


def test_no_log_file_holds_what_an_entry_says(sale, parties, publish, caplog):
    caplog.set_level(logging.DEBUG)
    publish()
    entry = Entry.objects.get(stream_id=sale.pk)
    paths = [
        f"ledger/entries/{entry.entry_id}",
        f"ledger/entries/{entry.entry_id}/proof",
        f"conversions/{sale.pk}/proof",
    ]

    for client in parties.values():
        for path in paths:
            assert client.get(f"/v1/{path}").status_code == 200

    facts = json.loads(bytes(entry.body))
    said = [bytes(entry.body).decode(), base64.b64encode(bytes(entry.body)).decode()[:60], facts["nonce"]]
    said += [*facts["sealed"].values(), sale.order_reference, sale.builder_id]
    assert "rako.access" in {record.name for record in caplog.records}
    assert [text for text in said if text in caplog.text] == []
