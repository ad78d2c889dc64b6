"""A real shop's orders through the batch API, validated and settled month by month, against plain Python.

Every fortieth order here; all 69,659 of them in `make replay`.
"""

import os
from datetime import UTC, datetime, time, timedelta
from itertools import groupby
from pathlib import Path

import pytest
from django.db.models import Sum

from benchmarks.replay.comparing import disagreements
from benchmarks.replay.expected import months
from benchmarks.replay.market import open_market, recommend, row_of
from benchmarks.replay.orders import CannotFetch, orders
from ledger.models import Conversion
from ledger.validation import close_validation_periods
from settlement.closing import settle
from settlement.periods import Period
from tests.conftest import Api

ROOT = Path(__file__).resolve().parent.parent.parent


@pytest.fixture(scope="module")
def every_fortieth():
    try:
        return orders(ROOT / ".counterparties" / "replay")[::40]
    except CannotFetch as error:
        if os.environ.get("RAKO_TEST_REQUIRE"):
            raise
        pytest.skip(f"!! NOT TESTED: {error}")


@pytest.mark.django_db(transaction=True)  # eighteen months take longer than one transaction may
def test_eighteen_months_come_out_as_plain_python_reckons_them(every_fortieth):
    market = open_market()
    merchant = Api(market.key)
    expected = months(every_fortieth, lambda order: market.agent_of(order).builder_id)

    wrong = []
    for period, rows in groupby(sorted(every_fortieth, key=lambda order: order.on), key=lambda order: order.period):
        told = recommend(market, list(rows))
        reply = merchant.post("/v1/conversions", {"conversions": [row_of(*row) for row in told]}).json()
        assert reply["recorded"] == len(told)
        ended = datetime.combine(told[-1][0].on, time(), UTC) + timedelta(days=1)
        assert sum(step.validated for step in close_validation_periods(ended)) == len(told)
        settle(Period(period))
        wrong += disagreements(period, expected[period])

    assert wrong == []
    assert len(expected) == 18
    value = Conversion.objects.aggregate(total=Sum("transaction_value_minor"))["total"]
    assert value == sum(order.value_minor for order in every_fortieth)
