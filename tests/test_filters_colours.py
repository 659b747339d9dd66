"""The second opinion on copies: mean colours of cells, and how far they may differ."""

import random

import numpy as np
import pytest
from PIL import Image

from filters.colours import agree, cells_of, colours_of, differences


def random_cells(rng: random.Random, grey: bool) -> list[tuple[int, int, int]]:
    values = [tuple(rng.randrange(256) for _ in range(3)) for _ in range(16)]
    return [(value[0],) * 3 if grey else value for value in values]  # type: ignore[misc]


def slow_difference(one: list[tuple[int, int, int]], other: list[tuple[int, int, int]]) -> float:
    greys = [all(max(cell) - min(cell) <= 8 for cell in cells) for cells in (one, other)]
    if greys[0] == greys[1]:
        pairs = zip(one, other, strict=True)
        return float(max(abs(a - b) for p, q in pairs for a, b in zip(p, q, strict=True)))
    lumas = [[0.299 * r + 0.587 * g + 0.114 * b for r, g, b in cells] for cells in (one, other)]
    return float(max(abs(a - b) for a, b in zip(*lumas, strict=True)))


def test_differences_are_those_of_the_slow_version() -> None:
    rng = random.Random(3)
    pairs = [[random_cells(rng, grey) for grey in rng.choices([True, False], k=2)] for _ in range(60)]
    one, other = (np.array([pair[side] for pair in pairs], dtype=np.uint8) for side in (0, 1))
    assert differences(one, other).tolist() == pytest.approx([slow_difference(*pair) for pair in pairs])


def test_the_cells_are_read_back_row_by_row() -> None:
    image = Image.new("RGB", (40, 40))
    image.paste((200, 100, 50), (10, 0, 20, 10))
    cells = cells_of([colours_of(image)])
    assert cells.shape == (1, 16, 3)
    assert cells[0, 1].tolist() == [200, 100, 50] and cells[0].sum() == 350


@pytest.mark.parametrize(("level", "agreed"), [(47, True), (48, True), (49, False)])
def test_copies_may_differ_up_to_the_limit(level: int, agreed: bool) -> None:
    red, other = (colours_of(Image.new("RGB", (64, 64), (200 - d, 0, 0))) for d in (0, level))
    assert agree([red], [other], 48).tolist() == [agreed]


def test_a_grey_copy_agrees_with_its_original_and_unknown_colours_with_all() -> None:
    image = Image.merge(
        "RGB", [Image.linear_gradient("L"), *(Image.new("L", (256, 256), c) for c in (0, 90))]
    )
    blue = colours_of(Image.new("RGB", (9, 9), "blue"))
    made = [colours_of(image), colours_of(image), colours_of(image), None]
    assert agree(made, [colours_of(image.convert("L")), blue, None, None], 48).tolist() == [
        True,
        False,
        True,
        True,
    ]
