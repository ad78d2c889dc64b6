"""Proofs as they are built: they hold for whoever has only the log's key, and open to each party its own alone."""

import base64
import hashlib
import json

import pytest
from django.conf import settings
from django.db import connection

from ledger import proofs
from ledger.conversions import record_conversion
from ledger.models import Cosignature, Entry, Leaf, LogKey
from ledger.proofs import NoCheckpoint, NotSequencedYet, RecommendationNotRecorded, conversion_proof, entry_proof
from ledger.sequencer import Sequencer
from rako.core.receipts import receipt_signer
from rako.core.tlog.checkpoints import open_checkpoint
from rako.core.tlog.hashing import leaf_hash
from rako.core.tlog.notes import note_text, open_note, parse_vkey
from rako.core.tlog.proofs import parse_proof, verify_inclusion
from tests.core.tlog.naive import NaiveTree
from tests.core.tlog.stub_witness import WitnessKey
from tests.factories import OfferFactory
from tests.ledger.conftest import make_proof
from tests.ledger.log import append, append_many, publish_log, sell

ORIGIN = "rako.sh/ledger"


@pytest.fixture
def publish(db, tmp_path):
    return lambda: publish_log(tmp_path / "signer")


@pytest.fixture
def sale(agent):
    return sell(agent, OfferFactory())


def log_verifiers():
    return [parse_vkey(vkey) for vkey in LogKey.objects.filter(purpose="checkpoint").values_list("vkey", flat=True)]


def entry(**query):
    return Entry.objects.select_related("leaf").get(**query)


# --- Paths


@pytest.fixture
def leaves(db):
    """600 entries in the tree: two full tiles and a rest."""
    append_many(600)
    Sequencer().tick()
    return [bytes(row) for row in Leaf.objects.order_by("index").values_list("leaf_hash", flat=True)]


def test_every_path_is_that_of_the_rfc(leaves):
    naive, somewhere = NaiveTree(leaves), (0, 1, 254, 255, 256, 257, 299, 511, 512, 599)

    wrong = [
        (size, index)
        for size in (1, 2, 3, 255, 256, 257, 300, 511, 512, 513, 600)
        for index in {*somewhere, size // 2, size - 1} & set(range(size))
        if proofs.tree_around(size, [index]).inclusion(index) != naive.path(index, 0, size)
    ]

    assert wrong == []


@pytest.mark.parametrize(("old_size", "size"), [(1, 1), (1, 600), (255, 256), (256, 600), (257, 513), (599, 600)])
def test_consistency_paths_are_those_of_the_rfc(leaves, old_size, size):
    assert proofs.consistency_path(old_size, size) == NaiveTree(leaves).proof(old_size, 0, size)


@pytest.mark.parametrize(
    ("size", "indices"), [(600, [0]), (600, [511]), (600, [599]), (600, [3, 300, 598]), (300, [3, 299])]
)
def test_any_number_of_paths_needs_one_query(leaves, size, indices, django_assert_num_queries):
    with django_assert_num_queries(1):
        tree = proofs.tree_around(size, indices)
        for index in indices:
            tree.inclusion(index)


def test_what_was_not_read_ahead_is_still_found(leaves):
    assert proofs.tree_around(600, [599]).inclusion(3) == NaiveTree(leaves).path(3, 0, 600)


# --- An entry's proof


def test_an_entrys_proof_holds_offline(publish):
    appended = [append() for _ in range(5)][2]
    publish()
    body = bytes(entry(pk=appended.id).body)

    text = entry_proof(entry(pk=appended.id))

    proof = parse_proof(text)
    checkpoint = open_checkpoint(proof.checkpoint_note, log_verifiers(), ORIGIN)
    assert verify_inclusion(leaf_hash(body), proof.index, checkpoint.size, proof.path, checkpoint.root)
    assert not verify_inclusion(leaf_hash(body + b" "), proof.index, checkpoint.size, proof.path, checkpoint.root)


@pytest.mark.parametrize("ticks", [0, 1])
def test_before_the_first_checkpoint_there_is_no_proof(db, ticks):
    appended = append()
    for _ in range(ticks):
        Sequencer().tick()

    with pytest.raises(NotSequencedYet) as refusal:
        entry_proof(entry(pk=appended.id))
    assert (refusal.value.status, refusal.value.code, refusal.value.retry_after) == (503, "not_sequenced_yet", 1)


@pytest.mark.parametrize("ticks", [0, 1])
def test_an_entry_behind_the_newest_checkpoint_has_no_proof_yet(publish, ticks):
    append()
    publish()
    late = append()
    for _ in range(ticks):
        Sequencer().tick()

    with pytest.raises(NotSequencedYet):
        entry_proof(entry(pk=late.id))


# --- Checkpoints and keys


def test_a_checkpoint_is_shown_with_all_its_cosignatures(publish):
    append()
    checkpoint, witnesses = publish(), [WitnessKey("b.example/w"), WitnessKey("a.example/w")]
    for witness in witnesses:
        line = witness.line(note_text(checkpoint.note))
        Cosignature.objects.create(checkpoint=checkpoint, witness=witness.name, line=line)

    size, note = proofs.find_checkpoint()

    opened = open_note(note, [*log_verifiers(), *(parse_vkey(witness.vkey) for witness in witnesses)])
    assert (size, opened.names) == (1, (ORIGIN, "a.example/w", "b.example/w"))


def test_an_old_checkpoint_is_found_by_its_size(publish):
    notes = {}
    for _ in range(3):
        append()
        checkpoint = publish()
        notes[checkpoint.pk] = checkpoint.note

    assert {size: proofs.find_checkpoint(size).note for size in notes} == notes
    with pytest.raises(NoCheckpoint):
        proofs.find_checkpoint(4)


def test_keys_of_the_past_come_after_those_of_today(publish):
    append()
    publish()
    newer = LogKey.objects.create(vkey=WitnessKey(ORIGIN).vkey, purpose="checkpoint")

    keys = proofs.log_keys()

    assert (len(keys["checkpoint"]), keys["checkpoint"][0]) == (2, newer.vkey)
    assert keys["receipt"] == [receipt_signer().vkey]


def test_a_receipt_key_that_was_never_published_is_told_all_the_same(publish, settings):
    append()
    publish()
    old = receipt_signer().vkey
    settings.SECRET_KEY = "another"

    assert proofs.log_keys()["receipt"] == [receipt_signer().vkey, old]


# --- A conversion's proof


def decoded(file):
    """All that a file says, with the base64 in it undone."""
    parts = [json.dumps({key: value for key, value in file.items() if key != "entries"})]
    for shown in file["entries"]:
        parts += [base64.b64decode(shown[name]).decode() for name in ("body", "opening") if shown[name]]
    return "\n".join(parts)


def test_it_tells_the_whole_history_in_order(sale, publish):
    report = make_proof(source="merchant_report", level="merchant_reported", reference="ORDER-9")
    record_conversion(sale.recommendation, report)
    append()
    publish()

    file = conversion_proof(sale, "merchant")

    bodies = [json.loads(base64.b64decode(shown["body"])) for shown in file["entries"]]
    assert [body["kind"] for body in bodies] == ["recommendation.recorded", "conversion.recorded", "evidence.attached"]
    assert [body["stream_id"] for body in bodies] == [sale.recommendation_id, sale.pk, sale.pk]
    assert (file["party"], file["origin"], file["conversionId"]) == ("merchant", ORIGIN, sale.pk)
    assert file["aapCode"] == sale.recommendation.aap_code


def test_all_its_paths_lead_to_one_checkpoint(sale, publish):
    publish()
    note_something(sale)
    append()
    publish()

    file = conversion_proof(sale, "agent")

    checkpoint = open_checkpoint(file["checkpoint"], log_verifiers(), ORIGIN)
    for shown in file["entries"]:
        leaf = leaf_hash(base64.b64decode(shown["body"]))
        path = [base64.b64decode(step) for step in shown["inclusion"]]
        assert verify_inclusion(leaf, shown["index"], checkpoint.size, path, checkpoint.root)
    assert checkpoint.size == Leaf.objects.count()


def note_something(sale):
    """One more entry in the sale's stream."""
    return append(stream_id=sale.pk, kind="conversion.noted", merchant_id=sale.merchant_id, agent_id=sale.agent_id)


def test_while_a_part_of_it_is_not_signed_there_is_no_file(sale, publish):
    publish()
    before = len(conversion_proof(sale, "agent")["entries"])
    note_something(sale)

    with pytest.raises(NotSequencedYet):
        conversion_proof(sale, "agent")
    publish()
    assert len(conversion_proof(sale, "agent")["entries"]) == before + 1


def test_a_sale_on_a_recommendation_that_was_never_recorded_has_no_proof(recommendation, publish):
    sale = record_conversion(recommendation, make_proof()).conversion
    publish()

    with pytest.raises(RecommendationNotRecorded):
        conversion_proof(sale, "merchant")


def test_each_party_sees_its_own_openings_alone(sale, publish):
    publish()
    merchants, agents = (decoded(conversion_proof(sale, party)) for party in ("merchant", "agent"))
    payment = sale.evidence.get().reference

    assert [word in merchants for word in (sale.order_reference, payment, sale.builder_id, sale.agent_id)] == [
        True,
        True,
        False,
        False,
    ]
    assert [word in agents for word in (sale.order_reference, payment, sale.builder_id, sale.agent_id)] == [
        False,
        False,
        True,
        True,
    ]


def test_an_opening_is_what_was_sealed(sale, publish):
    publish()

    for party in ("merchant", "agent"):
        for shown in conversion_proof(sale, party)["entries"]:
            seal = json.loads(base64.b64decode(shown["body"]))["sealed"].get(party)
            opening = shown["opening"] and hashlib.sha256(base64.b64decode(shown["opening"])).hexdigest()
            assert opening == seal


def test_an_erased_opening_leaves_the_entry_provable(sale, publish):
    publish()
    with connection.cursor() as cursor:
        cursor.execute("DELETE FROM ledger_opening WHERE entry_id NOT IN (SELECT entry_id FROM ledger_posting)")

    file = conversion_proof(sale, "merchant")

    assert {shown["opening"] is None for shown in file["entries"]} == {True, False}


def test_a_long_history_needs_no_more_queries_than_a_short_one(sale, publish, django_assert_max_num_queries):
    for _ in range(20):
        note_something(sale)
    publish()
    conversion_proof(sale, "agent")  # the code keys are remembered

    with django_assert_max_num_queries(6):
        assert len(conversion_proof(sale, "agent")["entries"]) == 22


def test_the_receipts_in_it_are_those_given_before(sale, publish):
    publish()

    for shown in conversion_proof(sale, "agent")["entries"]:
        note = open_note(shown["receipt"], [parse_vkey(receipt_signer().vkey)])
        assert note.names == (f"{settings.RAKO_LEDGER_ORIGIN}/receipt",)
        assert shown["entryId"] in note.text
