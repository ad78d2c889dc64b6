"""A long value is spread, and read as it was."""

import pytest

from checkout.connectors.metadata import fitted, joined


@pytest.mark.parametrize("length", [0, 1, 499, 500, 501, 1000, 1001, 1600])
def test_what_was_spread_is_joined(length):
    metadata = {"aap_code": "x" * length, "aap_offer_id": "o", "aap_code_of": "y"}

    spread = fitted(metadata)

    assert max(map(len, spread.values())) <= 500
    assert joined(spread) == metadata


def test_a_name_that_looks_like_a_part_is_none():
    metadata = {"aap_code": "short", "aap_code_2": "other"}

    assert joined(fitted(metadata)) == metadata
