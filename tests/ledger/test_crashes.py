"""Whatever dies – a sequencer, a reply, the server, the disk – what was acknowledged is kept once, the log goes on."""

import contextlib
import secrets
import time

import pytest
from django.db import DatabaseError, OperationalError, connection, transaction

from ledger.models import Checkpoint, Entry, Head
from ledger.publishing import Publisher, open_signer
from ledger.sequencer import Sequencer
from rako.core.embedded_postgres import ensure_running
from rako.core.postgres_programs import until
from tests.conftest import Api
from tests.core.tlog.stored_log import DEPTH, dice
from tests.factories import MerchantKeyFactory, RecommendationFactory
from tests.ledger import children
from tests.ledger.clusters import connected_to, database_in, dump, kill_server, new_database, own_server, restore
from tests.ledger.cutting_proxy import cutting
from tests.ledger.small_disk import NoSmallDisk, small_disk
from tests.ledger.soundness import assert_sound, rows
from tests.ledger.told import drain, tell, tell_in_bulk, tell_many

pytestmark = pytest.mark.django_db(transaction=True)

STEPS = ["_lock", "_look", "_read", "_write_leaves", "_write_tiles", "_write_balances", "_write_head", "tick"]


# A sequencer that is killed.


@pytest.mark.parametrize("step", STEPS)
def test_a_sequencer_killed_at_any_step_is_followed_by_one_that_finishes(step):
    kept = tell_in_bulk(300)

    assert children.outcome(children.tick_and_die, step, "before") == -9
    assert rows("SELECT count(*) FROM ledger_head") == [(0,)]
    assert children.outcome(children.tick_and_die, step, "after") == -9
    assert rows("SELECT count(*) FROM ledger_head") == [(int(step == "tick"),)]

    kept += tell_in_bulk(5, first=1000)
    drain(Sequencer())
    assert assert_sound(kept) == 305


def test_two_sequencers_killed_at_random_under_four_writers_lose_and_repeat_nothing(tmp_path):
    chance, files = dice(9), [tmp_path / str(number) for number in range(4)]
    writers = [children.start(children.tell_for_ever, file) for file in files]
    sequencers = [children.start(children.tick_for_ever) for _ in range(2)]
    for kill in range(20 * DEPTH):
        time.sleep(chance.uniform(0.01, 0.12))
        children.end(sequencers[kill % 2])
        sequencers[kill % 2] = children.start(children.tick_for_ever)
    children.end(*writers, *sequencers)

    drain(Sequencer())
    acknowledged = told(files)
    assert assert_sound(acknowledged) >= len(acknowledged) > 100
    assert rows("SELECT count(*) FROM ledger_head")[0][0] > 5, "they were killed before they did anything"


def told(files):
    """What the writers know to be in the ledger: each line they finished."""
    return [line for file in files if file.exists() for line in file.read_text().split("\n")[:-1]]


# A COMMIT that is carried out, and whose reply is lost.


@pytest.fixture
def cutter(tmp_path):
    with cutting(tmp_path) as found:
        yield found


def lost(cutter, text, call):
    """Make the call; the reply to the statement with the text does not arrive."""
    cutter.cut_at(text)
    with pytest.raises(OperationalError):
        call()
    connection.close()
    assert cutter.cuts


def test_a_sequencer_whose_commit_was_not_answered_goes_on_behind_it(cutter):
    kept, sequencer = tell_in_bulk(300), Sequencer()

    lost(cutter, "COMMIT", sequencer.tick)

    kept += tell_in_bulk(5, first=1000)
    assert (sequencer.tick(), sequencer.tick()) == (5, 0)
    assert assert_sound(kept) == 305


def test_a_fact_whose_acknowledgement_was_lost_is_not_recorded_twice(cutter):
    lost(cutter, "ledger_append", lambda: tell(key="once"))

    again = tell(key="once")

    assert (again.is_new, Entry.objects.get().entry_id) == (False, again.entry_id)


def test_facts_of_a_transaction_whose_commit_was_not_answered_are_not_recorded_twice(cutter):
    def sale():
        with transaction.atomic():
            return [tell(1, key="first"), tell(2, key="second")]

    lost(cutter, "COMMIT", sale)

    assert [entry.is_new for entry in sale()] == [False, False]
    drain(Sequencer())
    assert assert_sound() == 2


def test_a_checkpoint_whose_insert_was_not_answered_is_the_same_the_next_time(cutter, settings, tmp_path):
    settings.RAKO_SIGNER_DIR = tmp_path / "signer"
    tell_many(3)
    drain(Sequencer())
    publisher = Publisher()

    lost(cutter, "COMMIT", publisher.publish)

    head = Head.objects.get()
    assert publisher.publish().note == open_signer().sign(3, bytes(head.root), [], old_size=3)
    assert Checkpoint.objects.count() == 1


# A server that is killed.


@pytest.fixture(scope="module")
def own(django_db_setup, django_db_blocker):
    """A server of our own whose database `rako` has our tables."""
    schema = dump("--schema-only")
    with django_db_blocker.unblock(), own_server() as folder:
        with connected_to(**database_in(folder)):
            restore(schema)
        yield folder


@pytest.fixture
def server(own):
    """That server, with Django's connection to a new copy of its database."""
    with new_database(own):
        yield own


def test_a_server_killed_under_load_loses_nothing_it_acknowledged(server, tmp_path):
    files = [tmp_path / str(number) for number in range(4)]
    writers = [children.start(children.tell_for_ever, file) for file in files]
    sequencer = children.start(children.sequence_for_ever)
    for kill in range(2 if DEPTH < 5 else 6):
        before = len(told(files))
        assert until(lambda before=before: len(told(files)) > before + 60, 20), "the writers are stuck"
        kill_server(server, and_sessions=kill % 2 == 0)
        ensure_running(server)
    before = len(told(files))
    assert until(lambda: len(told(files)) > before + 30, 20), "the writers are stuck"
    assert all(process.is_alive() for process in (*writers, sequencer))
    children.end(*writers, sequencer)

    drain(Sequencer())
    acknowledged = told(files)
    assert assert_sound(acknowledged) >= len(acknowledged) > 150


def test_transaction_ids_given_out_again_after_a_crash_hide_no_entry(server):
    with connection.cursor() as cursor:  # what is not flushed for a COMMIT's sake stays in memory
        cursor.execute("ALTER SYSTEM SET wal_writer_delay = '10s'")
        cursor.execute("SELECT pg_reload_conf()")
    sequencer = Sequencer()
    tell()
    assert sequencer.tick() == 1
    with connection.cursor() as cursor:
        for _ in range(100):
            cursor.execute("BEGIN; SELECT pg_current_xact_id(); ROLLBACK")
    assert sequencer.tick() == 0
    horizon = int(rows("SELECT pg_snapshot_xmin(pg_current_snapshot())::text")[0][0])
    kill_server(server, and_sessions=True)
    ensure_running(server)
    connection.close()  # by somebody else of the same process: the sequencer has seen no error

    told_anew = tell()

    [(given,)] = rows("SELECT xid::text::bigint FROM ledger_entry WHERE id = %s", told_anew.id)
    assert given < horizon, "no id came back: this server does not show what is tested here"
    assert sequencer.tick() == 1


def test_what_a_crash_could_take_back_is_not_acknowledged():
    with connection.cursor() as cursor:
        cursor.execute("SET synchronous_commit = off")

    with pytest.raises(DatabaseError, match="ledger entries need synchronous_commit"):
        tell()

    connection.close()  # and the setting with it
    assert not Entry.objects.exists()


# A disk that is full.


@pytest.fixture
def disk(own, capsys):
    try:
        with small_disk(own) as found:
            yield found
    except NoSmallDisk as reason:
        with capsys.disabled():
            print(f"\nNOT TESTED, what happens when the disk is full: {reason}")
        pytest.skip(str(reason))


@pytest.fixture
def report(disk):
    """Reports a sale over HTTP."""
    recommendation = RecommendationFactory()
    merchant = Api(MerchantKeyFactory(merchant=recommendation.offer.merchant).secret)
    body = {"sessionId": recommendation.session_id, "orderReference": "ORDER-1", "transactionValue": 10}
    return lambda: merchant.post("/v1/conversions", body)


def fill_up():
    """Tell until there is room for nothing; gives what was acknowledged."""
    acknowledged = []
    for size in (2000, 200, 0):
        with contextlib.suppress(OperationalError):
            while True:
                acknowledged.append(tell(filling=secrets.token_hex(size)).entry_id)
    return acknowledged


def test_a_full_disk_acknowledges_nothing_and_is_recovered_from(disk, report):
    before = set(Entry.objects.values_list("entry_id", flat=True))
    acknowledged, sequencer = fill_up(), Sequencer()

    with pytest.raises(OperationalError):
        tell()
    refused = report()
    with pytest.raises(OperationalError):
        sequencer.tick()

    assert (refused.status_code, list(refused.json())) == (503, ["error"])
    assert set(Entry.objects.values_list("entry_id", flat=True)) == {*before, *acknowledged}
    assert not rows("SELECT FROM ledger_leaf")

    disk.free()

    assert tell().is_new
    assert report().status_code == 200
    drain(sequencer)
    assert assert_sound(acknowledged) > len(acknowledged) > 20
