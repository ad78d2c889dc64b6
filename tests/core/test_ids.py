import time

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from merchants.models import Merchant
from rako.core.ids import is_id, new_id


def test_a_new_id_has_the_shape_of_an_id():
    found = new_id()

    assert is_id(found)
    assert len(found) == 26


def test_ids_never_repeat():
    assert len({new_id() for _ in range(10_000)}) == 10_000


def test_ids_sort_by_time():
    earlier = new_id()
    time.sleep(0.002)

    assert earlier < new_id()


GOOD = "01J9ZZZZZZZZZZZZZZZZZZZZZZ"


@pytest.mark.parametrize(
    "value",
    [
        "", GOOD[:-1], GOOD + "0", GOOD.lower(), GOOD + "\n", " " + GOOD, "8" + GOOD[1:], GOOD[:-1] + "I",
        GOOD[:-1] + "L", GOOD[:-1] + "O", GOOD[:-1] + "U", GOOD[:-1] + "٣", GOOD[:-1] + "\x00", None, 1, [GOOD],
    ],
)  # fmt: skip
def test_any_other_shape_is_no_id(value):
    assert not is_id(value)


@settings(deadline=None)
@given(st.text())
def test_what_strangers_send_is_hardly_ever_an_id(value):
    assert not is_id(value)


@pytest.mark.django_db
def test_ids_are_compared_bytewise():
    names = ["0B" + "0" * 24, "0a" + "0" * 24, "00" + "0" * 24]
    Merchant.objects.bulk_create(Merchant(pk=name, name=name) for name in names)

    assert list(Merchant.objects.order_by("pk").values_list("pk", flat=True)) == sorted(names)
