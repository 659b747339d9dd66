"""All near pairs against the slow obvious way: every hash with every other."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray

from filters import near
from filters.hashes import hamming
from filters.near import near_pairs, near_values, rows_for, rows_of


def hashes_of(values: list[int]) -> NDArray[np.uint64]:
    return np.array(values, dtype=np.uint64)


def slow_near_pairs(values: list[int], max_distance: int) -> list[list[int]]:
    """Compare everything with everything; a copy is linked to the first of its kind alone."""
    pairs = []
    for right, value in enumerate(values):
        for left in range(right):
            is_link_of_copy = value in values[:right] or values[left] in values[:left]
            if is_link_of_copy and not (values[left] == value and values.index(value) == left):
                continue
            if hamming(values[left], value) <= max_distance:
                pairs.append([left, right])
    return sorted(pairs)


def flipped(value: int, bits: list[int]) -> int:
    for bit in bits:
        value ^= 1 << bit
    return value


# Values that differ in a few bits from one of three, so that near pairs occur.
NEAR = st.builds(
    flipped, st.sampled_from([0, (1 << 64) - 1, 0x123456789ABCDEF0]), st.lists(st.integers(0, 63), max_size=5)
)


@given(st.lists(NEAR, max_size=12), st.integers(0, 16))
def test_near_pairs_are_those_of_the_slow_way(values: list[int], max_distance: int) -> None:
    assert near_pairs(hashes_of(values), max_distance).tolist() == slow_near_pairs(values, max_distance)


@given(st.integers(0, (1 << 64) - 1), st.lists(st.integers(0, 63), max_size=4, unique=True))
def test_near_hashes_share_a_key_in_some_row(value: int, bits: list[int]) -> None:
    hashes = hashes_of([value, flipped(value, bits)])
    rows = rows_of(6, max_distance=4)
    assert len(rows) == 15
    assert any(np.ptp(row.keys(row.arrange(hashes))) == 0 for row in rows)


@given(st.integers(0, (1 << 64) - 1), st.integers(0, 14))
def test_a_row_is_a_rearrangement_of_the_bits(value: int, number: int) -> None:
    row = rows_of(6, max_distance=4)[number]
    arranged = row.arrange(hashes_of([value]))
    assert int(arranged[0]).bit_count() == value.bit_count()
    assert row.restore(arranged).tolist() == [value]


@settings(max_examples=25, deadline=None)
@given(
    st.integers(0, 1 << 32),
    st.integers(0, 6),
    st.sampled_from([(1 << 64) - 1, 0xFFF, 0xFFF << 50, 0x1111 << 9]),
)
def test_many_hashes_that_share_their_keys_are_cut_by_their_other_bits(
    seed: int, max_distance: int, free_bits: int
) -> None:
    random = np.random.default_rng(seed).integers(0, 1 << 64, 300, dtype=np.uint64)
    hashes = np.unique(random & np.uint64(free_bits))
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(near, "MAX_RUN", 5)
        found = near_values(hashes, max_distance)
    every = np.bitwise_count(hashes[:, None] ^ hashes[None, :]) <= max_distance
    expected = [[int(hashes[i]), int(hashes[j])] for i, j in np.argwhere(np.triu(every, 1))]
    assert sorted(found.tolist()) == sorted(expected)


@pytest.mark.parametrize("num_hashes", [10**4, 10**6, 10**8, 10**10])
@pytest.mark.parametrize("max_distance", [0, 1, 4, 8])
def test_more_hashes_get_longer_keys_and_never_very_many_rows(num_hashes: int, max_distance: int) -> None:
    rows, more = rows_for(num_hashes, max_distance), rows_for(10 * num_hashes, max_distance)
    assert len(rows) <= near.MAX_ROWS
    assert more[0].key_bits >= rows[0].key_bits


def test_many_equal_hashes_give_one_link_each() -> None:
    pairs = near_pairs(np.full(100_000, 7, dtype=np.uint64), max_distance=4)
    assert pairs.shape == (99_999, 2)
    assert not pairs[:, 0].any()


@pytest.mark.parametrize("num_hashes", [0, 1])
def test_fewer_than_two_hashes_have_no_pairs(num_hashes: int) -> None:
    assert near_pairs(hashes_of([5] * num_hashes), max_distance=4).shape == (0, 2)


@pytest.mark.parametrize("max_distance", [-1, 17])
def test_a_distance_out_of_range_is_refused(max_distance: int) -> None:
    with pytest.raises(ValueError, match=f"max_distance {max_distance} of 64 bits: give 0 to 16"):
        near_pairs(hashes_of([1, 2]), max_distance)
