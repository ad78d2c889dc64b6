"""The sequencer takes every committed entry once and in time, whoever else writes, sequences or has another clock."""

import json
import subprocess
import sys
import threading
import time
from datetime import datetime

import pytest
from django.db import IntegrityError, connection

from ledger.management.commands.sequencer import _sequence
from ledger.sequencer import LogError, Sequencer, lag
from tests.core.tlog.stored_log import DEPTH, dice
from tests.ledger import children
from tests.ledger.soundness import assert_sound, rows
from tests.ledger.told import as_owner, drain, tell, tell_in_bulk, tell_many
from tests.ledger.writers import Writer
from tests.threads import race

pytestmark = pytest.mark.django_db
by_several = pytest.mark.django_db(transaction=True)  # connections


@pytest.fixture
def other():
    """A second connection, for a transaction that stays open meanwhile."""
    found = connection.copy()
    found.set_autocommit(False)
    yield found
    found.close()


@pytest.fixture
def running():
    """A sequencer that works at the command's own pace."""
    stop = threading.Event()
    thread = threading.Thread(target=_sequence, args=(stop, 0.2))
    thread.start()
    yield
    stop.set()
    thread.join()


def inclusion_seconds():
    """For each entry: how long after its statement the head with it was written."""
    return [
        float(seconds)
        for (seconds,) in rows(
            "SELECT extract(epoch FROM "
            "(SELECT created_at FROM ledger_head WHERE size > index ORDER BY size LIMIT 1) - recorded_at) "
            "FROM ledger_leaf leaf JOIN ledger_entry entry ON entry.id = leaf.entry_id"
        )
    ]


def test_an_empty_ledger_has_nothing_to_sequence():
    assert (Sequencer().tick(), assert_sound(), lag()) == (0, 0, (0, 0))


def test_a_batch_is_taken_whole_and_then_nothing_is_left():
    tell_many(3)
    assert lag()[0] == 3

    sequencer = Sequencer()

    assert (sequencer.tick(), sequencer.tick(), assert_sound(), lag()) == (3, 0, 3, (0, 0))


def test_more_than_a_batch_takes_several():
    tell_many(25)
    sequencer = Sequencer(batch=10)

    assert [sequencer.tick() for _ in range(4)] == [10, 10, 5, 0]
    assert assert_sound() == 25


@by_several
def test_an_entry_that_commits_late_is_taken_once(other):
    sequencer = Sequencer()
    tell_in_bulk(1, first=100, using=other)
    tell()

    assert (sequencer.tick(), sequencer.tick()) == (1, 0)
    other.commit()

    assert (sequencer.tick(), sequencer.tick(), assert_sound()) == (1, 0, 2)


@by_several
def test_a_transaction_older_than_the_look_may_write_after_it(other):
    with other.cursor() as cursor:
        cursor.execute("SELECT pg_current_xact_id()")
    sequencer = Sequencer()
    tell()
    sequencer.tick()
    tell_in_bulk(1, first=100, using=other)
    tell()
    sequencer.tick()
    other.commit()

    assert (sequencer.tick(), assert_sound()) == (1, 3)


@by_several
def test_what_was_rolled_back_leaves_no_hole(other):
    tell_in_bulk(5, first=100, using=other)
    tell()
    other.rollback()

    assert (Sequencer().tick(), assert_sound()) == (1, 1)


@by_several
def test_no_interleaving_of_ten_transactions_loses_an_entry():
    sequencers, writers = [Sequencer(), Sequencer(batch=2)], [Writer(number) for number in range(5)]
    for seed in range(12 * DEPTH):
        chance = dice(seed)
        for writer in writers:
            writer.plan(chance, transactions=2)
        while busy := [writer for writer in writers if writer.ahead]:
            if chance.random() < 0.3:
                chance.choice(sequencers).tick()
            else:
                chance.choice(busy).step(chance)

        drain(chance.choice(sequencers))
        kept = [entry_id for writer in writers for entry_id in writer.kept]
        assert rows("SELECT count(*) FROM ledger_leaf") == [(len(kept),)], f"with seed {seed}"
    for writer in writers:
        writer.close()
    assert assert_sound(kept) == len(kept)


@by_several
def test_others_do_not_wait_for_a_transaction_that_stays_open(other, running):
    tell_in_bulk(1, first=100, using=other)
    until = time.monotonic() + 2 * min(DEPTH, 15)
    while time.monotonic() < until:
        tell()
        time.sleep(0.02)
    time.sleep(0.5)

    waited = inclusion_seconds()
    assert len(waited) > 50
    assert max(waited) < 1
    other.commit()
    drain(Sequencer())
    assert_sound()


@by_several
def test_while_hundreds_are_told_a_second_each_is_in_the_log_within_one(running):
    def write(number):
        for turn in range(60 * DEPTH):
            tell(number * 1000 + turn)
            time.sleep(0.01)

    race(write, 4)
    time.sleep(0.5)

    assert (len(inclusion_seconds()), lag()[0]) == (240 * DEPTH, 0)
    assert max(inclusion_seconds()) < 1
    assert_sound()


@by_several
def test_two_sequencers_take_turns():
    sequencers, chance = [Sequencer(), Sequencer(batch=100)], dice(7)
    for turn in range(12 * DEPTH):
        tell_in_bulk(chance.randint(1, 300), first=turn * 1000)
        sequencers[turn % 2].tick()
        if turn % 3 == 0:
            sequencers[0].tick()

    drain(sequencers[1])
    assert_sound()


@by_several
def test_eight_sequencers_at_once_take_each_entry_once():
    tell_in_bulk(600)

    outcomes = race(lambda _: [Sequencer(batch=50).tick() for _ in range(5)])

    assert all(isinstance(outcome, list) for outcome in outcomes)
    drain(Sequencer())
    assert assert_sound() == 600


@by_several
def test_a_sequencer_behind_the_lock_does_nothing_and_does_not_wait(other):
    sequencer = Sequencer()
    tell()
    with other.cursor() as cursor:
        sequencer._lock(cursor)

    assert sequencer.tick() == 0
    other.commit()
    assert (sequencer.tick(), assert_sound()) == (1, 1)


@by_several
def test_a_large_backlog_is_drained_in_little_memory(settings, tmp_path):
    settings.RAKO_SIGNER_DIR = tmp_path / "signer"
    count = 20_000 * min(DEPTH, 5)
    tell_in_bulk(count)

    said, megabytes = children.outcome(children.sequence_once)

    assert said == f"{count} entries sequenced, the newest checkpoint has {count}\n"
    assert megabytes < 200


@pytest.mark.parametrize(
    ("table", "guard"), [("ledger_leaf", "ledger_leaf_no_change"), ("ledger_tile", "ledger_tile_no_change")]
)
def test_nothing_is_built_on_a_tree_with_missing_parts(table, guard):
    tell_in_bulk(300)
    Sequencer().tick()
    column = "index < 400 AND index > 290" if table == "ledger_leaf" else "level = 0"
    as_owner(f"DELETE FROM {table} WHERE {column}", guards=(f"{table}.{guard}",))
    tell()

    with pytest.raises(LogError):
        Sequencer().tick()
    assert rows("SELECT max(size) FROM ledger_head") == [(300,)]


def test_nothing_is_built_on_a_changed_tree():
    tell_in_bulk(5)
    Sequencer().tick()
    guard = "ledger_leaf.ledger_leaf_no_change"
    as_owner("UPDATE ledger_leaf SET leaf_hash = sha256('x') WHERE index = 2", guards=(guard,))
    tell()

    with pytest.raises(LogError, match="root of the head at 5"):
        Sequencer().tick()


def test_no_head_is_written_while_the_clock_is_behind_the_last_one():
    guard = "ledger_head.ledger_head_no_change"
    tell()
    sequencer = Sequencer()
    sequencer.tick()
    as_owner("UPDATE ledger_head SET created_at = created_at + interval '1 hour'", guards=(guard,))
    tell()

    with pytest.raises(IntegrityError, match="the clock went back"):
        sequencer.tick()

    assert rows("SELECT count(*) FROM ledger_leaf") == [(1,)]
    as_owner("UPDATE ledger_head SET created_at = created_at - interval '1 hour'", guards=(guard,))
    assert (sequencer.tick(), assert_sound()) == (1, 2)


@by_several
@pytest.mark.parametrize("hours", [-1, 1])
def test_the_clock_of_the_application_does_not_say_when_an_entry_was_recorded(hours):
    database = json.dumps({name: str(connection.settings_dict[name]) for name in children.PLACES})
    before = datetime.now().astimezone()
    command = [sys.executable, "-m", "tests.ledger.skewed_clock", str(hours), database]
    entry_id = subprocess.run(command, check=True, capture_output=True, text=True).stdout.strip()
    after = datetime.now().astimezone()

    [(occurred_at, recorded_at)] = rows(
        "SELECT occurred_at, recorded_at FROM ledger_entry WHERE entry_id = %s", entry_id
    )
    assert abs((occurred_at - before).total_seconds() - hours * 3600) < 60, "the clock was not skewed"
    assert before.timestamp() - 1 <= recorded_at.timestamp() <= after.timestamp() + 1
