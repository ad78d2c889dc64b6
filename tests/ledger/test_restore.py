"""The restore drill: a log goes on in another cluster, where transaction ids start anew. An older one is not signed."""

from contextlib import ExitStack

import pytest
from django.core.management import call_command
from django.db import connection

from ledger.models import Checkpoint
from ledger.publishing import Publisher, open_signer
from ledger.sequencer import Sequencer, lag
from rako.core.tlog.checkpoints import open_checkpoint
from rako.core.tlog.notes import parse_vkey
from rako.core.tlog.signer import Refused
from tests.ledger.clusters import dump, new_database, own_server, restore
from tests.ledger.soundness import assert_sound, rows
from tests.ledger.told import drain, tell, tell_in_bulk, tell_many

pytestmark = pytest.mark.django_db(transaction=True)

OLD, NEW, WAITING, LATE = 300, 200, 25, 15
# Transactions that cost nothing: they move the ids on.
BURN = "DO $$ BEGIN FOR n IN 1..20000 LOOP PERFORM pg_current_xact_id(); COMMIT; END LOOP; END $$"


@pytest.fixture(scope="module")
def other_cluster(django_db_setup, django_db_blocker):
    with django_db_blocker.unblock(), own_server() as folder:
        yield folder


@pytest.fixture
def restored(other_cluster, settings, tmp_path):
    """Makes a database of the other cluster out of a dump, and goes there."""
    settings.RAKO_SIGNER_DIR = tmp_path / "signer"

    def go(script):
        stack.enter_context(new_database(other_cluster))
        restore(script)

    with ExitStack() as stack:
        yield go


def sequenced(count, *, first):
    """So many more entries in the log, in several batches."""
    told = tell_in_bulk(count, first=first)
    drain(Sequencer(batch=90))
    return told


@pytest.fixture
def source(restored):
    """A log of 500 that is signed, with entries that wait, some with smaller ids than others that do not.

    Its transaction ids are far ahead of the other cluster's.
    """
    with connection.cursor() as cursor:
        cursor.execute(BURN)
    late = connection.copy()
    late.set_autocommit(False)
    waiting = tell_in_bulk(LATE, first=9000, using=late)
    told = sequenced(OLD, first=0) + sequenced(NEW, first=1000)
    Publisher().publish()
    late.commit()
    late.close()
    return told + waiting + tell_in_bulk(WAITING - LATE, first=2000)


def newest_head():
    return rows("SELECT size, root, horizon::text::bigint, floor, cluster FROM ledger_head ORDER BY size DESC LIMIT 1")[
        0
    ]


def current_transaction():
    return rows("SELECT pg_current_xact_id()::text::bigint, system_identifier FROM pg_control_system()")[0]


def test_a_restored_log_goes_on_where_it_ended(source, restored):
    before = newest_head()
    script = dump()
    restored(script)
    transaction_id, cluster = current_transaction()
    assert cluster != before[4]
    assert transaction_id < before[2], "the ids are not behind: nothing is tested"
    call_command("migrate", check_unapplied=True, verbosity=0)

    told = [*source, *tell_many(3)]
    assert lag()[0] == WAITING + 3
    sequencer = Sequencer()
    assert (sequencer.tick(), sequencer.tick(), lag()[0]) == (WAITING + 3, 0, 0)

    head = newest_head()
    assert head[2] <= current_transaction()[0], "the horizon is another cluster's"
    assert head[3:] == (rows("SELECT max(entry_id) FROM ledger_leaf WHERE index < %s", before[0])[0][0], cluster)
    assert rows("SELECT root FROM ledger_head WHERE size = %s", before[0]) == [(before[1],)]
    assert assert_sound(told) == OLD + NEW + WAITING + 3


def test_a_restored_log_is_signed_as_a_continuation(source, restored):
    first = Checkpoint.objects.latest("pk")
    restored(dump())
    drain(Sequencer())

    checkpoint = Publisher().publish()

    # The signer has checked the consistency proof from the checkpoint that was signed on the old cluster.
    opened = open_checkpoint(checkpoint.note, [parse_vkey(open_signer().vkey)], "rako.sh/ledger")
    assert (first.pk, opened.size) == (OLD + NEW, OLD + NEW + WAITING)


def test_a_restored_log_goes_on_through_restarts_in_the_middle(source, restored):
    restored(dump())
    told = [*source, *tell_many(4)]

    taken = []
    while taken[-1:] != [0]:
        taken.append(Sequencer(batch=10).tick())

    assert taken == [10, 10, 9, 0]
    told += tell_many(2)
    assert (Sequencer(batch=10).tick(), Sequencer(batch=10).tick()) == (2, 0)
    assert newest_head()[4] == current_transaction()[1]
    assert assert_sound(told) == OLD + NEW + WAITING + 6


def test_an_entry_that_commits_late_on_the_new_cluster_is_taken(source, restored):
    restored(dump())
    sequencer, other = Sequencer(), connection.copy()
    other.set_autocommit(False)
    tell_in_bulk(1, first=5000, using=other)
    tell()
    sequencer.tick()
    other.commit()
    other.close()

    assert (sequencer.tick(), assert_sound()) == (1, OLD + NEW + WAITING + 2)


def test_a_restored_log_can_be_restored_again(source, restored):
    restored(dump())
    tell()
    drain(Sequencer())
    tell()
    again = dump()
    restored(again)

    tell()
    drain(Sequencer())

    assert assert_sound() == OLD + NEW + WAITING + 3


def test_a_log_restored_from_an_older_dump_is_not_signed_but_goes_on(restored):
    sequenced(OLD, first=0)
    Publisher().publish()
    older = dump()
    sequenced(NEW, first=1000)
    signed = Publisher().publish()
    restored(older)

    reasons = []
    for count in (1, NEW - 1, 50):
        with pytest.raises(Refused) as refused:
            Publisher().publish()
        reasons.append((refused.value.reason, refused.value.size))
        tell_in_bulk(count, first=3000 + count * 1000)
        drain(Sequencer())
    with pytest.raises(Refused, match="inconsistent"):
        Publisher().publish()

    assert reasons == [("shrunk", 500), ("shrunk", 500), ("fork", 500)]
    assert (signed.pk, open_signer().last[0]) == (OLD + NEW, OLD + NEW)
    assert [checkpoint.pk for checkpoint in Checkpoint.objects.all()] == [OLD]
    assert assert_sound() == OLD + NEW + 50
