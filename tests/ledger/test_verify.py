"""What a superuser could do to the ledger, and that the verification names it (R23)."""

import pytest
from django.db import connection

from ledger.projections import rebuild
from ledger.verification import stories, walk
from ledger.verification.outside import read_checkpoints
from ledger.verification.run import Scope, verify
from tests.ledger.tampering import (  # fixtures
    as_superuser,
    log,
    rows,
    sequence,
    signer,
    undone,
)

__all__ = ["log", "signer"]

REWRITTEN = "convert_to(replace(convert_from(body, 'UTF8'), '\"number\":52', '\"number\":53'), 'UTF8')"
ENTRY = "(SELECT id FROM ledger_entry WHERE convert_from(body, 'UTF8') LIKE '%\"number\":{},%')"
HARMLESS = "FUNCTION rako_refuse_change() RETURNS trigger LANGUAGE plpgsql AS 'BEGIN RETURN OLD; END'"
FIRST_SALE = "(SELECT min(id) FROM ledger_conversion)"


@pytest.fixture
def kept(signer, tmp_path):
    """The newest checkpoint, as somebody kept it outside."""
    file = tmp_path / "kept.txt"
    notes = [note for (note,) in rows("SELECT note FROM ledger_checkpoint ORDER BY size DESC LIMIT 2")]
    file.write_text("\n".join(notes))
    return tuple(read_checkpoints(str(file)))


def index_of(number):
    return rows(f"SELECT index FROM ledger_leaf WHERE entry_id = {ENTRY.format(number)}")[0][0]


def found(**scope):
    return {finding.check for finding in verify(Scope(**scope)).kept}


def test_an_untouched_ledger_is_sound(signer, kept):
    report = verify(Scope(notes=kept))

    assert report.kept == []
    assert report.checked["leaves"] == rows("SELECT count(*) FROM ledger_entry")[0][0] > 256
    assert (report.checked["conversions"], report.checked["checkpoints from outside"]) == (3, 2)


@pytest.mark.parametrize(
    ("number", "check", "tampering"),
    [
        (52, "V2", f"UPDATE ledger_entry SET body = {REWRITTEN} WHERE id = {ENTRY.format(52)}"),
        (52, "V8", f"UPDATE ledger_entry SET body = '{{}}' WHERE id = {ENTRY.format(52)}"),
        (52, "V8", f"UPDATE ledger_entry SET body = '\\xff00' WHERE id = {ENTRY.format(52)}"),
        (52, "V8", f"UPDATE ledger_entry SET occurred_at = now() WHERE id = {ENTRY.format(52)}"),
        (52, "V8", f"UPDATE ledger_entry SET merchant_id = '{'0' * 26}' WHERE id = {ENTRY.format(52)}"),
        (54, "V8", f"UPDATE ledger_posting SET amount_minor = amount_minor * 2 WHERE entry_id = {ENTRY.format(54)}"),
        (54, "V8", f"UPDATE ledger_posting SET owner_id = '{'0' * 26}' WHERE entry_id = {ENTRY.format(54)}"),
        (54, "V8", f"DELETE FROM ledger_posting WHERE entry_id = {ENTRY.format(54)}"),
        (52, "V8", f"UPDATE ledger_opening SET content = content || ' ' WHERE entry_id = {ENTRY.format(52)}"),
        (52, "V1", f"DELETE FROM ledger_entry WHERE id = {ENTRY.format(52)}"),
        (52, "V1", f"DELETE FROM ledger_leaf WHERE entry_id = {ENTRY.format(52)}"),
    ],
)  # fmt: skip
def test_the_first_bad_entry_is_named(signer, number, check, tampering):
    index = index_of(number)

    as_superuser(tampering)

    report = verify(Scope())
    assert report.first.index == index
    assert check in {finding.check for finding in report.kept if finding.index == index}


def test_swapped_leaves_are_found(signer):
    swap = "UPDATE ledger_leaf SET {0} = other.{0} FROM ledger_leaf other WHERE ledger_leaf.index + other.index = 401 "
    ours = swap + "AND ledger_leaf.index IN (200, 201)"

    # By their hashes only; and with their entries, as if these had always been sequenced so.
    for columns in (["leaf_hash"], ["leaf_hash", "entry_id"]):
        with undone():
            as_superuser("ALTER TABLE ledger_leaf DROP CONSTRAINT ledger_leaf_entry_id_key", *map(ours.format, columns))
            assert verify(Scope()).first.index == 200


@pytest.mark.parametrize(
    ("check", "tampering"),
    [
        ("V4", "UPDATE ledger_tile SET hashes = set_byte(hashes, 40, get_byte(hashes, 40) # 1)"),
        ("V4", "UPDATE ledger_tile SET root = set_byte(root, 0, get_byte(root, 0) # 128)"),
        ("V4", "DELETE FROM ledger_tile"),
        ("V4", "INSERT INTO ledger_tile SELECT level, 1, hashes, root FROM ledger_tile"),
        ("V3", "UPDATE ledger_head SET root = sha256(root) WHERE size = (SELECT min(size) FROM ledger_head)"),
        ("V5", "UPDATE ledger_checkpoint SET note = replace(note, E'\\n\\n', E'\\nmore\\n\\n')"),
        ("V5", "UPDATE ledger_checkpoint SET note = (SELECT max(note) FROM ledger_checkpoint)"),
        ("V5", "DELETE FROM ledger_logkey"),
        ("V10", "UPDATE ledger_balance SET balance_minor = balance_minor + 1 WHERE account = 'fee_pending'"),
        ("V10", "DELETE FROM ledger_balance WHERE account = 'builder_pending'"),
        ("V12", "UPDATE ledger_head SET created_at = created_at - interval '1 hour' WHERE size > 100"),
        ("V12", "UPDATE ledger_checkpoint SET created_at = created_at - interval '1 hour' WHERE size > 100"),
        ("V13", "UPDATE ledger_evidence SET sha256 = repeat('0', 64)"),
        ("V13", "UPDATE ledger_evidence SET transaction_value_minor = 1"),
        ("V13", "UPDATE ledger_evidence SET details = '{}'"),
        ("V13", "DELETE FROM ledger_evidence"),
        ("V10", "UPDATE ledger_conversion SET status = 'settled'"),
        ("V10", "UPDATE ledger_conversion SET verification_level = 'reconciled'"),
        ("V10", "UPDATE ledger_conversion SET validation_ends_at = now()"),
        ("V8", "UPDATE ledger_conversion SET builder_payout_minor = 800, network_fee_minor = 0"),
        ("V8", "UPDATE ledger_conversion SET transaction_value_minor = 1"),
        ("V8", "UPDATE ledger_conversion SET refunds_reverse_cpa = true"),
        ("V8", "UPDATE ledger_conversion SET attribution_path = 'influence'"),
        ("V8", "UPDATE ledger_conversion SET code_sha256 = repeat('0', 64)"),
        ("V8", f"UPDATE ledger_conversion SET order_reference = 'other' WHERE id = {FIRST_SALE}"),
        ("V8", "UPDATE ledger_conversion SET first_validation_ends_at = now()"),
        ("V8", "DELETE FROM ledger_conversion"),
        ("V8", "UPDATE ledger_event SET amount_minor = 1"),
        ("V8", "DELETE FROM ledger_event"),
        ("V9", "UPDATE ledger_entry SET stream_seq = 9 WHERE stream_seq = 2"),
    ],
)  # fmt: skip
def test_what_contradicts_the_entries_is_found(signer, check, tampering):
    as_superuser(tampering)

    assert check in found()


def test_what_does_not_balance_is_found_wherever_it_is(signer):
    """Among entries that are looked at, among those before them, and where there is no entry."""
    entry = ENTRY.format(54)
    as_superuser(f"UPDATE ledger_posting SET amount_minor = 1 + amount_minor WHERE entry_id = {entry} AND place = 1")
    index = index_of(54)

    for since in (0, index, index + 1):
        assert [find.index for find in unbalanced(since)] == [index]
    as_superuser(f"DELETE FROM ledger_entry WHERE id = {entry}")
    assert [find.index for find in unbalanced(0)] == [index]


def unbalanced(since):
    return [find for find in verify(Scope(since=since)).kept if find.detail.endswith("do not add up to zero")]


def test_raw_bytes_of_a_webhook_are_held_against_the_evidence(signer):
    with connection.cursor() as cursor:
        cursor.execute("SET CONSTRAINTS ALL IMMEDIATE")
        cursor.execute("ALTER TABLE checkout_webhookreceipt DISABLE TRIGGER checkout_webhookreceipt_no_change")
        cursor.execute("UPDATE checkout_webhookreceipt SET body = body || ' '")
        cursor.execute("ALTER TABLE checkout_webhookreceipt ENABLE ALWAYS TRIGGER checkout_webhookreceipt_no_change")

    assert found() == {"V13"}


def test_backdating_is_found(signer):
    """With a body and hashes that agree, for whoever might make the tree anew, too."""
    earlier = "(recorded_at - interval '2 hours')"
    iso = """to_char({} AT TIME ZONE 'UTC', 'YYYY-MM-DD"T"HH24:MI:SS.MS"Z"')"""
    told = f"replace(convert_from(body, 'UTF8'), {iso.format('recorded_at')}, {iso.format(earlier)})"
    newest = "(SELECT entry_id FROM ledger_leaf ORDER BY index DESC LIMIT 1)"

    as_superuser(
        f"UPDATE ledger_entry SET body = convert_to({told}, 'UTF8'), recorded_at = {earlier} WHERE id = {newest}",
        "UPDATE ledger_leaf SET leaf_hash = (SELECT leaf_hash FROM ledger_entry WHERE id = ledger_leaf.entry_id)",
    )

    assert "V12" in found()


def test_an_erased_opening_is_no_finding(signer):
    with connection.cursor() as cursor:
        cursor.execute("DELETE FROM ledger_opening WHERE entry_id NOT IN (SELECT entry_id FROM ledger_posting)")

    report = verify(Scope())

    assert report.kept == []
    assert report.checked["openings erased"] > 300


def test_an_erased_opening_does_not_hide_whose_money_it_is(signer):
    money = "(SELECT entry_id FROM ledger_posting WHERE account LIKE 'builder%' ORDER BY entry_id LIMIT 1)"
    as_superuser(f"DELETE FROM ledger_opening WHERE party = 'agent' AND entry_id = {money}")

    assert found() == {"V8"}


def cut_tail():
    """The newest 70 entries vanish, with everything that knows of them in the database."""
    (size,) = rows("SELECT size FROM ledger_head ORDER BY size DESC OFFSET 1 LIMIT 1")[0]
    tail = f"(SELECT entry_id FROM ledger_leaf WHERE index >= {size})"
    as_superuser(
        f"DELETE FROM ledger_checkpoint WHERE size > {size}",
        f"DELETE FROM ledger_head WHERE size > {size}",
        f"DELETE FROM ledger_tile WHERE index >= {size} >> 8 * (level + 1)",
        f"DELETE FROM ledger_posting WHERE entry_id IN {tail}",
        f"DELETE FROM ledger_opening WHERE entry_id IN {tail}",
        f"DELETE FROM ledger_entry WHERE id IN {tail}",
        f"DELETE FROM ledger_leaf WHERE index >= {size}",
        rebuild,
    )


def rewrite(settings, tmp_path):
    """One entry is left out, and everything is sequenced and signed anew, by a new signer."""
    forgotten = rows(f"SELECT id FROM {ENTRY.format(280 - 1)} entry")[0][0]
    as_superuser(
        *(f"DELETE FROM ledger_{table}" for table in ("checkpoint", "head", "tile", "leaf", "balance", "logkey")),
        *(f"DELETE FROM ledger_{table} WHERE entry_id = {forgotten}" for table in ("posting", "opening")),
        f"DELETE FROM ledger_entry WHERE id = {forgotten}",
    )
    settings.RAKO_SIGNER_DIR = tmp_path / "another signer"
    sequence()


def test_a_tail_that_was_cut_off_is_known_to_the_signer(signer):
    cut_tail()

    report = verify(Scope())

    assert {(finding.check, finding.subject) for finding in report.kept} == {("V6", "the signer")}
    assert "truncated" in report.first.detail


def test_a_tail_that_was_cut_off_with_the_signer_is_found_with_a_checkpoint_only(signer, kept, settings, tmp_path):
    cut_tail()
    settings.RAKO_SIGNER_DIR = tmp_path / "lost"

    assert found() == set()
    assert found(notes=kept) == {"V6"}


def test_a_log_that_was_rewritten_is_found_with_a_checkpoint_only(signer, kept, settings, tmp_path):
    rewrite(settings, tmp_path)

    assert found() == set()
    report = verify(Scope(notes=kept))
    assert {finding.check for finding in report.kept} == {"V6"}
    assert any("no key of this log" in finding.detail for finding in report.kept)
    assert any("rewritten" in finding.detail or "truncated" in finding.detail for finding in report.kept)


@pytest.mark.parametrize("width", [1, 7, 64, 256, 300])
def test_however_the_log_is_cut_into_chunks_the_verdict_is_the_same(signer, kept, monkeypatch, width):
    monkeypatch.setattr(walk, "CHUNK", width)
    monkeypatch.setattr(stories, "CHUNK", 1)

    assert found(notes=kept) == set()
    as_superuser("UPDATE ledger_head SET root = sha256(root) WHERE size = (SELECT max(size) FROM ledger_head)")
    assert found(notes=kept) == {"V3", "V5"}


@pytest.mark.parametrize("column", ["body", "stream_seq", "kind", "recorded_at"])
def test_an_emptied_column_does_not_end_the_run(signer, column):
    as_superuser(
        f"ALTER TABLE ledger_entry ALTER COLUMN {column} DROP NOT NULL",
        f"UPDATE ledger_entry SET {column} = NULL WHERE id = {ENTRY.format(52)}",
    )

    assert verify(Scope()).first.index == index_of_leaf_without(column)


def index_of_leaf_without(column):
    return rows(f"SELECT index FROM ledger_leaf JOIN ledger_entry ON id = ledger_leaf.entry_id WHERE {column} IS NULL")[
        0
    ][0]
