"""The strengths of regularisation that a probe chooses from, and the paper's search (CLIP, app. A.3)."""

from collections.abc import Callable, Sequence

STEPS_PER_DECADE = 8
NUM_STEPS = 12 * STEPS_PER_DECADE  # 96, from 1e-6 to 1e6
_FIRST_STEP = 2 * STEPS_PER_DECADE

STRENGTHS = tuple(10 ** (step / STEPS_PER_DECADE - 6) for step in range(NUM_STEPS + 1))


def search(values_of: Callable[[Sequence[int]], Sequence[float]]) -> dict[int, float]:
    """Return what `values_of` says of each place in STRENGTHS that the search visits, in their order.

    It begins with 1e-6, 1e-4, 1e-2, 1, 1e2, 1e4 and 1e6, and then halves the interval around the peak until
    there are 8 steps per decade. `values_of` gets places to measure together, each only once.
    """
    places = list(range(0, NUM_STEPS + 1, _FIRST_STEP))
    visited = dict(zip(places, values_of(places), strict=True))
    step = _FIRST_STEP
    while step > 1:
        step //= 2
        peak = best(visited)
        places = [place for place in (peak - step, peak + step) if 0 <= place <= NUM_STEPS]
        visited |= zip(places, values_of(places), strict=True)
    return dict(sorted(visited.items()))


def best(visited: dict[int, float]) -> int:
    """Return the place of the highest value; of equal ones that of the strongest regularisation."""
    return max(visited, key=lambda place: (visited[place], place))
