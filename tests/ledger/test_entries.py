import hashlib

import orjson
import pytest
from django.db import IntegrityError, transaction
from django.utils import timezone
from hypothesis import given
from hypothesis import strategies as st

from ledger import entries
from ledger.models import Entry
from rako.core.append_only import AppendOnlyError
from rako.core.ids import new_id
from tests.threads import race


def append(stream_id, key=None, **facts):
    key = key or new_id()
    return entries.append(stream_id, "test.fact", facts, occurred_at=timezone.now(), idempotency_key=key)


def test_postgres_computes_the_rfc_6962_leaf_hash(db):
    entry = append(new_id(), note="ü")

    stored = Entry.objects.get(pk=entry.pk)
    assert bytes(stored.leaf_hash) == hashlib.sha256(b"\x00" + bytes(stored.body)).digest()


def test_equal_facts_have_different_hashes(db):
    first, second = append(new_id(), amount=1), append(new_id(), amount=1)

    assert Entry.objects.get(pk=first.pk).leaf_hash != Entry.objects.get(pk=second.pk).leaf_hash


def test_an_idempotency_key_is_used_once(db):
    append(new_id(), key="once")

    with pytest.raises(IntegrityError, match="idempotency_key"), transaction.atomic():
        append(new_id(), key="once")


def test_the_orm_refuses_to_change_an_entry(db):
    entry = append(new_id())

    with pytest.raises(AppendOnlyError):
        entry.save()
    with pytest.raises(AppendOnlyError):
        Entry.objects.all().delete()


@pytest.mark.parametrize("facts", [{"a": 1.5}, {"a": {"b": [1.0]}}, {"a": float("nan")}])
def test_floats_are_refused(facts):
    with pytest.raises(TypeError, match="no floats"):
        entries.canonical(facts)


_json = st.recursive(
    st.none() | st.booleans() | st.integers(-(2**53), 2**53) | st.text(st.characters(exclude_categories=["Cs"])),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.text("abcxyz_", max_size=6), inner, max_size=4),
    max_leaves=12,
)


@given(st.dictionaries(st.text("abcxyz_", max_size=6), _json, max_size=6))
def test_canonical_bodies_read_back_to_the_same_bytes(facts):
    raw = entries.canonical(facts)

    assert entries.canonical(orjson.loads(raw)) == raw


@pytest.mark.django_db(transaction=True)
def test_a_stream_never_forks_under_eight_writers():
    stream = new_id()

    outcomes = race(lambda n: append(stream, number=n))

    kept = [entry for entry in outcomes if isinstance(entry, Entry)]
    assert sorted(entry.stream_seq for entry in kept) == list(range(1, len(kept) + 1))
    assert all(isinstance(error, IntegrityError) for error in outcomes if error not in kept)
