"""Balances can be made anew at any time, and are exact at any moment (R32)."""

import time
from io import StringIO

import pytest
from django.core.management import call_command
from django.db import connection, transaction

from ledger.models import Account
from ledger.projections import balance_of, differences, rebuild
from ledger.sequencer import Sequencer
from rako.core.ids import new_id
from tests.ledger.tampering import BUILDER, MERCHANT, rows, tell_small
from tests.threads import race

BALANCES = "SELECT account, owner_id, currency, balance_minor FROM ledger_balance ORDER BY 1, 2, 3"
# A thousand postings of one account, in one statement.
MANY = """
SELECT count(ledger_append(
    upper(lpad(to_hex(%s + n), 26, '0')), lpad((%s + n)::text, 26, '0'), 'test.told', '{}', md5(n::text), now(),
    'many:' || %s + n, NULL, NULL, NULL, NULL, NULL,
    array_fill('fee_revenue'::text, '{50}') || array_fill('bank_clearing'::text, '{50}'), array_fill(''::text, '{100}'),
    array_fill('GBP'::text, '{100}'), array_fill(1::bigint, '{50}') || array_fill(-1::bigint, '{50}')
)) FROM generate_series(1, 10) AS n
"""


def tell_many(times):
    with connection.cursor() as cursor:
        for number in range(times):
            cursor.execute(MANY, [number * 100] * 3)


def check():
    """The exit code of `rebuild_projections --check`, and its last line."""
    out, code = StringIO(), 0
    try:
        call_command("rebuild_projections", "--check", stdout=out)
    except SystemExit as stop:
        code = stop.code
    return code, out.getvalue().splitlines()[-1]


def test_rebuilt_balances_are_the_same_to_the_byte(db):
    tell_small(range(30))
    Sequencer().tick()
    tell_small(range(30, 33))  # not sequenced: in no balance
    before = rows(BALANCES)

    count = rebuild()

    assert rows(BALANCES) == before
    assert count == len(before) == 3


def test_a_rebuilt_balance_goes_on_growing(db):
    tell_small(range(3))
    Sequencer().tick()
    rebuild()
    tell_small(range(3, 6))
    Sequencer().tick()

    assert differences() == []
    assert balance_of(Account.MERCHANT_ACCRUED, MERCHANT, "GBP") == 1600


def test_wrong_balances_are_named_and_made_right(db):
    tell_small(range(6))
    Sequencer().tick()
    assert check() == (0, "0 balances differ from their postings")

    with connection.cursor() as cursor:
        cursor.execute("UPDATE ledger_balance SET balance_minor = 7 WHERE account = 'fee_pending'")
        cursor.execute("DELETE FROM ledger_balance WHERE account = 'merchant_accrued'")
        cursor.execute("INSERT INTO ledger_balance VALUES ('bad_debt', '', 'GBP', 1)")
    found = {(row.account, row.stored, row.summed) for row in differences()}

    assert found == {("fee_pending", 7, -320), ("merchant_accrued", None, 1600), ("bad_debt", 1, None)}
    assert check() == (3, "3 balances differ from their postings")
    out = StringIO()
    call_command("rebuild_projections", stdout=out)
    assert out.getvalue().splitlines()[-1] == "3 balances rebuilt, 3 were wrong"
    assert check()[0] == 0


def test_a_balance_counts_what_is_not_sequenced_yet(db):
    def accrued():
        return balance_of(Account.MERCHANT_ACCRUED, MERCHANT, "GBP")

    assert accrued() == 0
    tell_small(range(3))
    assert accrued() == 800
    Sequencer().tick()
    assert accrued() == 800
    tell_small(range(3, 6))
    assert accrued() == 1600
    assert balance_of(Account.BUILDER_PENDING, BUILDER, "GBP") == -1280
    assert balance_of(Account.MERCHANT_ACCRUED, MERCHANT, "EUR") == 0
    assert balance_of(Account.MERCHANT_ACCRUED, new_id(), "GBP") == 0


@pytest.mark.django_db(transaction=True)
def test_a_balance_is_exact_while_it_is_sequenced():
    """Whoever looks sees each committed posting once, whatever the sequencer and a rebuild do meanwhile."""
    told = 8

    def work(number):
        seen = []
        if number == 0:
            for first in range(0, 3 * told, 3):
                with transaction.atomic():
                    tell_small(range(first, first + 3))
        else:
            until = time.monotonic() + 1
            while time.monotonic() < until:
                if number == 1:
                    Sequencer().tick()
                elif number == 2:
                    rebuild()
                else:
                    seen.append(balance_of(Account.MERCHANT_ACCRUED, MERCHANT, "GBP"))
        return seen

    for seen in race(work, 4):
        assert not isinstance(seen, Exception), seen
        assert seen == sorted(seen)
        assert set(seen) <= {800 * number for number in range(told + 1)}
    while Sequencer().tick():
        pass
    assert differences() == []
    assert balance_of(Account.MERCHANT_ACCRUED, MERCHANT, "GBP") == 800 * told


def test_a_balance_of_many_postings_is_read_in_no_time(db):
    tell_many(20)
    Sequencer().tick()
    tell_many_more = [20 * 100] * 3
    with connection.cursor() as cursor:
        cursor.execute(MANY, tell_many_more)
        cursor.execute("ANALYZE ledger_entry, ledger_posting, ledger_leaf")

    took = []
    for _ in range(9):
        began = time.perf_counter()
        assert balance_of(Account.FEE_REVENUE, "", "GBP") == 50 * 10 * 21
        took.append(time.perf_counter() - began)

    assert min(took) < 0.005
