"""Work units in the fetch: how many are open at once."""

import pytest

from pipeline.fetch.engine import num_open_units


@pytest.mark.parametrize(
    ("pairs_per_unit", "num_open"), [(1, 16), (500, 16), (501, 15), (1_000, 8), (4_000, 2), (90_000, 2)]
)
def test_pairs_that_wait_are_bounded_but_two_units_are_open(pairs_per_unit: int, num_open: int) -> None:
    assert num_open_units(pairs_per_unit) == num_open
