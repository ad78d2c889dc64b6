"""Facts stay facts: each guard is tried with raw SQL, as a bug or an intruder would."""

from datetime import UTC, datetime

import pytest
from django.apps import apps
from django.db import IntegrityError, connection, transaction

from ledger.dispute_claims import about_conversion
from ledger.disputes import open_dispute
from ledger.fraud_rules import Signal
from ledger.holds import place
from ledger.lifecycle import Told, tell
from ledger.models import Checkpoint, Conversion, Cosignature, Entry, Event, Head, LogKey, Milestone, Side, Tile
from ledger.models.log import Verification
from ledger.sequencer import Sequencer
from merchants.models import CommissionTerms, Offer
from rako.core.append_only import GUARDED_TABLES, AppendOnlyError, AppendOnlyModel
from rako.core.ids import new_id
from sessions_app.clicks import log_click
from sessions_app.models import AttributionKey, Recommendation
from settlement.models import (
    Batch,
    Invoice,
    Line,
    MerchantPayment,
    Payout,
    PayoutFile,
    Statement,
    Waiting,
)
from tests.checkout.psp import checkout_of, deliver, paid_event
from tests.factories import RecommendationFactory

TABLES = sorted(GUARDED_TABLES)
# What a lifecycle moves; every other column of a guarded table is a fact.
CHANGEABLE = {
    "ledger_conversion": {
        *("status", "verification_level", "validation_ends_at", "is_held", "is_superseded"),
        *("corrected_value_minor", "refunded_minor"),
        *("reversed_commission_minor", "reversed_fee_minor", "reversed_payout_minor"),
    },
    "ledger_dispute": {
        *("conversion_id", "state", "due_at", "ended_at"),
        *("decision", "decided_value_minor", "decided_by", "reason"),
    },
    "ledger_fraudhold": {"state", "ended_at", "reason"},
    "ledger_event": {"conversion_id"},  # once: see below
    "merchants_signingkey": {"valid_to"},
    "settlement_invoice": {"paid_at"},
    "settlement_statement": {"payout_id"},
    "settlement_payout": {"state", "attempts", "file_id", "failure", "submitted_at", "paid_at"},
    "settlement_payoutfile": {"content"},  # its encryption: the hash stays
    "checkout_webhookreceipt": {
        *("state", "attempts", "processed_at", "result", "failed_check", "reason", "conversion_id"),
        *("awaits", "retry_at"),
    },
}
MOVES_MONEY = "entry_id IN (SELECT entry_id FROM ledger_posting)"
RESTRICTED, REFUSED_AT_INSERT = "23001", "23000"
APPEND_ONLY = [model for model in apps.get_models() if issubclass(model, AppendOnlyModel)]
HASHES = {"lines_sha256": "0" * 64, "document_sha256": "0" * 64}
LONG_AGO = datetime(2020, 1, 1, tzinfo=UTC)


@pytest.fixture
def facts(db):
    """A sale from recommendation to conversion: at least one row in every guarded table."""
    recommendation = RecommendationFactory()
    checkout = checkout_of(recommendation)
    assert deliver(checkout.connection, paid_event(checkout)).json()["status"] == "conversion_recorded"
    AttributionKey.objects.create(key_id="0" * 16, public_key="A" * 43)
    log_click(recommendation, address="203.0.113.9", user_agent="Mozilla/5.0")
    tell(checkout.merchant_id, Told(Event.Kind.REFUNDED, "sale not told yet", "re_1", LONG_AGO, 100))
    sale = Conversion.objects.get()
    Milestone.objects.create(conversion=sale, name="approved", reference="m1", occurred_at=LONG_AGO, sha256="0" * 64)
    place(sale.pk, Signal("one_hour", 10, 9))
    open_dispute(about_conversion(sale, Side.MERCHANT, "merchant_dispute", None), "No such order of ours")
    Sequencer().tick()
    checkpoint = Checkpoint.objects.create(head=Head.objects.get(), note="note")
    Cosignature.objects.create(checkpoint=checkpoint, witness="witness.example", line="line")
    LogKey.objects.create(vkey="vkey", purpose=LogKey.Purpose.CHECKPOINT)
    Tile.objects.create(level=0, index=0, hashes=b"", root=b"")
    Verification.objects.create(mode=Verification.Mode.FULL, entries=1, size=1, is_sound=True, seconds=0.1)
    settled(Conversion.objects.get())
    run("SET CONSTRAINTS ALL IMMEDIATE")


def settled(sale):
    """A month with a row in each of its tables."""
    parties = {"merchant_id": sale.merchant_id, "builder_id": sale.builder_id}
    split = {"commission_minor": 800, "fee_minor": 160, "payout_minor": 640}
    batch = Batch.objects.create(
        period="2026-01", rule_version=1, cut=0, inputs={}, line_count=1, document=b"{}", **HASHES
    )
    Line.objects.create(batch=batch, conversion=sale, currency="GBP", up_to_seq=1, is_late=False, **parties, **split)
    Waiting.objects.create(batch=batch, conversion=sale, reason="held", after_seq=0, payout_minor=0)
    payout_file = PayoutFile.objects.create(provider="bank_file", currency="GBP", content="", sha256="")
    about = {"batch": batch, "currency": "GBP"}
    Payout.objects.create(builder=sale.builder, amount_minor=640, file=payout_file, **about)
    amounts = dict.fromkeys(("opening_minor", "earned_minor", "reversed_minor", "paid_minor", "closing_minor"), 0)
    Statement.objects.create(number="STM-1", builder=sale.builder, line_count=1, **about, **amounts)
    money = {"net_minor": 800, "vat_rate": 0, "vat_minor": 0, "total_minor": 800}
    dates = {"issued_on": LONG_AGO, "due_on": LONG_AGO}
    Invoice.objects.create(
        kind="invoice",
        number="INV-1",
        merchant=sale.merchant,
        line_count=1,
        seller={},
        buyer={},
        **about,
        **money,
        **dates,
    )
    MerchantPayment.objects.create(
        merchant=sale.merchant, currency="GBP", amount_minor=800, reference="r", received_on=LONG_AGO
    )


def run(sql, *values):
    with connection.cursor() as cursor:
        cursor.execute(sql, values)
        return cursor.fetchall() if cursor.description else cursor.rowcount


def refused(sql, *codes):
    """Whether PostgreSQL refuses a statement as a change of facts (and not for any other reason)."""
    try:
        with transaction.atomic():
            run(sql)
    except IntegrityError as error:
        return error.__cause__.sqlstate in (RESTRICTED, *codes)
    return False


def columns(table, *, generated="NEVER"):
    sql = "SELECT column_name::text FROM information_schema.columns WHERE table_name = %s AND is_generated = %s"
    return {name for (name,) in run(sql, table, generated)}


def keys_of(table):
    model = next(model for model in apps.get_models() if model._meta.db_table == table)
    # An entry's id is always a new one; whoever wants to hit one goes by the id it is told by.
    return ["entry_id"] if model is Entry else [field.column for field in model._meta.pk_fields]


def test_every_append_only_model_is_guarded():
    assert {model._meta.db_table for model in APPEND_ONLY} <= GUARDED_TABLES


def test_every_guarded_table_has_a_row_to_try(facts):
    assert [table for table in TABLES if not run(f"SELECT 1 FROM {table} LIMIT 1")] == []


@pytest.mark.parametrize("table", TABLES)
def test_only_lifecycle_columns_can_be_updated(facts, table):
    waiting = " WHERE conversion_id IS NULL" if table == "ledger_event" else ""
    writable = {name for name in columns(table) if not refused(f"UPDATE {table} SET {name} = {name}{waiting}")}

    assert writable == CHANGEABLE.get(table, set())


def test_a_computed_hash_cannot_be_computed_anew(facts):
    assert columns("ledger_entry", generated="ALWAYS") == {"leaf_hash"}
    assert refused("UPDATE ledger_entry SET leaf_hash = DEFAULT")


@pytest.mark.parametrize("table", TABLES)
def test_no_table_can_be_emptied(facts, table):
    assert refused(f"DELETE FROM {table}")


def test_erasing_an_opening_leaves_its_entry(facts):
    entries = Entry.objects.count()

    assert run(f"DELETE FROM ledger_opening WHERE NOT {MOVES_MONEY}") > 0
    assert Entry.objects.count() == entries


def test_an_opening_that_tells_whose_money_it_is_is_kept(facts):
    assert refused(f"DELETE FROM ledger_opening WHERE {MOVES_MONEY}")


def test_an_event_finds_its_conversion_once(facts):
    claim = f"UPDATE ledger_event SET conversion_id = '{Conversion.objects.get().pk}'"

    assert run(f"{claim} WHERE conversion_id IS NULL") == 1
    assert refused(claim)
    assert refused("UPDATE ledger_event SET conversion_id = NULL")


@pytest.mark.parametrize("table", TABLES)
def test_no_table_can_be_truncated(facts, table):
    run(f"ALTER TABLE {table} ENABLE ALWAYS TRIGGER {table}_no_truncate")

    assert refused(f"TRUNCATE {table} CASCADE")


def test_truncating_the_registry_does_not_reach_the_facts(facts):
    for table in TABLES:
        run(f"ALTER TABLE {table} ENABLE ALWAYS TRIGGER {table}_no_truncate")

    assert refused("TRUNCATE merchants_merchant CASCADE")


@pytest.mark.parametrize("table", TABLES)
def test_an_upsert_changes_no_fact(facts, table):
    names, keys = ", ".join(sorted(columns(table))), ", ".join(keys_of(table))
    upsert = f"INSERT INTO {table} ({names}) SELECT {names} FROM {table} ON CONFLICT ({keys}) DO UPDATE SET "
    protected = columns(table) - CHANGEABLE.get(table, set())

    # A second head of one size does not even get as far as the conflict.
    left = [name for name in protected if not refused(f"{upsert} {name} = EXCLUDED.{name}", REFUSED_AT_INSERT)]
    assert left == []


@pytest.mark.parametrize("table", TABLES)
def test_a_merge_changes_no_fact(facts, table):
    same = " AND ".join(f"{table}.{key} = other.{key}" for key in keys_of(table))
    merge = f"MERGE INTO {table} USING {table} AS other ON {same} WHEN MATCHED THEN "
    protected = columns(table) - CHANGEABLE.get(table, set())

    assert [name for name in protected if not refused(f"{merge} UPDATE SET {name} = other.{name}")] == []
    assert refused(f"{merge} DELETE")


@pytest.mark.parametrize("table", TABLES)
def test_a_session_that_claims_to_be_a_replica_is_refused_too(facts, table):
    key = keys_of(table)[0]
    run("SET LOCAL session_replication_role = replica")

    assert refused(f"UPDATE {table} SET {key} = {key}")
    assert refused(f"DELETE FROM {table}")


def test_a_conversions_level_may_change(facts):
    assert Conversion.objects.update(verification_level="reconciled") == 1


@pytest.mark.django_db
@pytest.mark.parametrize("claim", ["2020-01-01", "2999-01-01"])
@pytest.mark.parametrize("role", ["origin", "replica"])
def test_when_an_entry_was_recorded_cannot_be_claimed(claim, role):
    run(f"SET LOCAL session_replication_role = {role}")

    found = run(
        "INSERT INTO ledger_entry (entry_id, stream_id, stream_seq, kind, idempotency_key, occurred_at, body, "
        "recorded_at) VALUES ('e', 's', 1, 'k', 'i', now(), '{}', %s) "
        "RETURNING abs(extract(epoch FROM clock_timestamp() - recorded_at))",
        claim,
    )

    assert found[0][0] < 5


@pytest.mark.django_db
def test_the_orm_cannot_claim_it_either():
    told = {"occurred_at": LONG_AGO, "recorded_at": LONG_AGO, "kind": "test", "body": b"{}"}

    entry = Entry.objects.create(stream_id=new_id(), stream_seq=1, idempotency_key="own", **told)

    entry.refresh_from_db()
    assert (entry.occurred_at, entry.recorded_at > LONG_AGO) == (LONG_AGO, True)


@pytest.mark.parametrize("model", APPEND_ONLY, ids=lambda model: model.__name__)
@pytest.mark.parametrize(
    "change",
    [
        lambda rows, row: rows.update(pk=row.pk),
        lambda rows, row: rows.delete(),
        lambda rows, row: rows.filter(pk=row.pk).delete(),
        lambda rows, row: rows.bulk_update([row], ["id"]),
        lambda rows, row: row.save(),
        lambda rows, row: row.save(force_update=True),
        lambda rows, row: row.delete(),
        lambda rows, row: type(row)._base_manager.update(pk=row.pk),
    ],
    ids=["update", "delete", "filter", "bulk_update", "save", "force", "delete-one", "base-manager"],
)
def test_python_refuses_before_postgresql_is_asked(model, change):
    row = model(
        pk=(1, 1) if len(model._meta.pk_fields) > 1 else 1, **({"offer": Offer()} if model is CommissionTerms else {})
    )
    row._state.adding = False  # as if it had been read

    with pytest.raises(AppendOnlyError, match=model.__name__):
        change(model.objects.all(), row)


@pytest.mark.parametrize(
    "evade",
    [
        lambda row: CommissionTerms.objects.bulk_create(
            [row], update_conflicts=True, unique_fields=["id"], update_fields=["amount_minor"]
        ),
        lambda row: CommissionTerms.objects.filter(pk=row.pk)._raw_delete("default"),
        lambda row: row.save_base(force_update=True),
    ],
    ids=["bulk_create", "raw_delete", "save_base"],
)
def test_whatever_evades_python_meets_postgresql(facts, evade):
    with pytest.raises(IntegrityError, match="its rows are facts"), transaction.atomic():
        evade(CommissionTerms.objects.get())


def test_a_row_with_a_known_id_is_inserted_not_updated(facts):
    known = Recommendation.objects.get()
    copy = Recommendation(**{field.attname: getattr(known, field.attname) for field in Recommendation._meta.fields})

    with pytest.raises(IntegrityError, match="duplicate key"), transaction.atomic():
        copy.save()
