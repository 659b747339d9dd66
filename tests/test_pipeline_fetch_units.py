"""Work units in the fetch: how many are open at once, and what is left to the garbage collector."""

import gc

import pytest

from pipeline.fetch.engine import all_there_is_kept, num_open_units


@pytest.mark.parametrize(
    ("pairs_per_unit", "num_open"), [(1, 16), (500, 16), (501, 15), (1_000, 8), (4_000, 2), (90_000, 2)]
)
def test_pairs_that_wait_are_bounded_but_two_units_are_open(pairs_per_unit: int, num_open: int) -> None:
    assert num_open_units(pairs_per_unit) == num_open


def test_what_is_there_before_a_fetch_is_not_looked_through_and_is_given_back() -> None:
    with all_there_is_kept():
        assert gc.get_freeze_count() > 10_000
        assert len(gc.get_objects()) < 10_000
    assert gc.get_freeze_count() == 0
