"""What the report draws: the funnel as a stream, boxes of domains, clouds of terms, maps of colours."""

import colorsys
import io
import re
from collections import Counter

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from PIL import Image

from manifests.report.cloud import cloud, state_of
from manifests.report.colours import HUES, LIGHTS, STARTS, ColourFigures, colour_map, hue_places, light_places
from manifests.report.pixels import measure_pictures
from manifests.report.sankey import NARROW, WIDE, sankey
from manifests.report.treemap import Box, squarify, treemap
from manifests.schema import StageCount

STAGES = [
    StageCount(stage="match", num_in=200, num_out=50, dropped={"no_query": 140, "url_invalid": 10}),
    StageCount(stage="fetch", num_in=50, num_out=50),
    StageCount(stage="image", num_in=50, num_out=20, dropped={"image_too_small": 30}),
]


def _anchor(stage: str, reason: str) -> str:
    return f"{stage}-{reason}"


def _widths(drawn: str, kind: str) -> list[float]:
    return [float(wide) for wide in re.findall(rf'class="{kind}[^"]*"[^>]* width="([\d.]+)"', drawn)]


def test_what_enters_a_stage_is_as_wide_as_what_leaves_it() -> None:
    wide = sankey(STAGES, _anchor).partition(NARROW.kind)[0]
    assert _widths(wide, "node") == pytest.approx([share * WIDE.widest for share in (1, 0.25, 0.25, 0.1)])
    assert _widths(wide, "stream") == pytest.approx([share * WIDE.widest for share in (0.25, 0.25, 0.1)])
    # A branch goes from x to its bend (V, A) and ends H at the reasons: between its V's lies its thickness.
    branches = re.findall(r'class="gone" d="M([\d.]+) [^"]*A[^"]*A[\d. ]+ 0 0 1 ([\d.]+) ', wide)
    found = [float(right) - float(left) for left, right in branches]
    assert found == pytest.approx([share * WIDE.widest for share in (0.7, 0.05, 0.15)], abs=0.02)


def test_a_branch_leads_to_its_samples_and_says_how_many() -> None:
    drawn = sankey(STAGES, _anchor)
    links = re.findall(r'href="#([^"]+)" aria-label="([^"]+)"', drawn)
    once = [
        ("match-no_query", "no query: 140 (70.0 %)"),
        ("match-url_invalid", "url invalid: 10 (5.0 %)"),
        ("image-image_too_small", "image too small: 30 (60.0 %)"),
    ]
    assert links == once * 2  # for a wide and for a narrow window


@pytest.mark.parametrize("stages", [[], [StageCount(stage="match", num_in=0, num_out=0)]])
def test_a_funnel_of_nothing_is_not_drawn(stages: list[StageCount]) -> None:
    assert sankey(stages, _anchor) == ""


@given(st.lists(st.integers(1, 10_000), min_size=1, max_size=40))
def test_boxes_have_the_areas_asked_for_and_do_not_overlap(areas: list[int]) -> None:
    areas.sort(reverse=True)
    boxes = squarify(areas, Box(1, 2, 2, 1))
    scale = 2 / sum(areas)
    assert [box.wide * box.high for box in boxes] == pytest.approx([area * scale for area in areas], rel=1e-6)
    assert all(box.x >= 1 - 1e-9 and box.x + box.wide <= 3 + 1e-9 for box in boxes)
    assert all(box.y >= 2 - 1e-9 and box.y + box.high <= 3 + 1e-9 for box in boxes)
    for place, one in enumerate(boxes):
        for two in boxes[:place]:
            across = min(one.x + one.wide, two.x + two.wide) - max(one.x, two.x)
            down = min(one.y + one.high, two.y + two.high) - max(one.y, two.y)
            assert min(across, down) < 1e-9


def test_equal_areas_give_boxes_near_to_squares() -> None:
    boxes = squarify([1] * 32, Box(0, 0, 2, 1))
    assert max(max(box.wide / box.high, box.high / box.wide) for box in boxes) < 2


def test_the_map_puts_domains_of_one_ending_together_and_rare_ones_in_one_box() -> None:
    drawn = treemap(
        Counter({f"host{n}.org": 90 for n in range(40)} | {f"h{n}.de": 1 for n in range(60)}), title="t"
    )
    assert drawn.count("shade0") == 40
    assert drawn.count("shade1") == 30 or drawn.count("shade2") == 30
    assert "30 more: 30" in drawn
    assert "100 of them" in drawn


def _term(number: int, matched: int, tried: int, kept: int) -> dict[str, object]:
    return {
        "query_id": number,
        "text": f"t{number}",
        "num_matched": matched,
        "num_tried": tried,
        "num_kept": kept,
    }


def test_a_word_is_larger_the_more_pairs_it_kept_and_marked_by_its_state() -> None:
    rows = [_term(0, 100, 90, 80), _term(1, 10, 10, 2), _term(2, 30, 20, 9)]
    sizes = re.findall(r'<li class="(\w*)" style="font-size:([\d.]+)rem"', cloud(rows, "num_kept", 80))
    assert [state for state, _ in sizes] == ["full", "", "starved"]
    assert float(sizes[0][1]) == 2.3 > float(sizes[2][1]) > float(sizes[1][1]) == 0.85
    assert [state_of(row, None) for row in rows] == ["", "", ""]


def test_hues_and_lightness_are_those_of_the_slow_obvious_way() -> None:
    colours = np.random.default_rng(0).integers(0, 256, (500, 3)).astype(float)
    colours = colours[np.ptp(colours, axis=1) >= 20]
    for colour, hue, light in zip(colours, hue_places(colours), light_places(colours), strict=True):
        degrees = round(360 * colorsys.rgb_to_hsv(*(colour / 255))[0], 9)  # 290 is 290, not just below
        place = sum(degrees >= start for start in STARTS) % len(STARTS)
        assert HUES[1 + place] == HUES[hue]
        assert light == int((0.299 * colour[0] + 0.587 * colour[1] + 0.114 * colour[2]) * 5 / 256)
    greys = np.array([[0, 0, 0], [255, 255, 255], [120.0, 110, 125]])
    assert [HUES[place] for place in hue_places(greys)] == ["grey"] * 3
    assert [LIGHTS[place] for place in light_places(greys)] == ["darkest", "lightest", "middle"]


def test_pictures_are_counted_by_the_mean_of_their_cells() -> None:
    figures = ColourFigures()
    figures.add_cells(["ff0000" * 16, "c00000" * 8 + "ff0000" * 8, "000000" * 8 + "ffffff" * 8])
    red, middle = (HUES.index("red"), 1), (HUES.index("grey"), 2)
    assert figures.counts == {red: 2, middle: 1}
    assert figures.sums[red].tolist() == [255 + 223.5, 0, 0]
    assert figures.contrasts == {0: 1, int(0.299 * 31.5) // 8: 1, 15: 1}
    assert "rgb(239,0,0)" in colour_map(figures)


def _encoded(pixels: np.ndarray) -> bytes:
    buffer = io.BytesIO()
    Image.fromarray(pixels.astype(np.uint8)).save(buffer, "PNG")
    return buffer.getvalue()


def test_entropy_and_contrast_are_least_of_a_flat_picture_and_most_of_noise() -> None:
    flat, noise = np.full((64, 64), 90), np.random.default_rng(0).integers(0, 256, (64, 64))
    halves = np.repeat([[0] * 64, [255] * 64], 32, axis=0)
    found = measure_pictures([_encoded(pixels) for pixels in (flat, noise, halves)] + [b"no picture"])
    assert found.entropies == {0: 1, 15: 1, 2: 1}  # half bits: 0, 7.9, 1
    assert found.contrasts == {0: 1, int(noise.std() / 8): 1, 15: 1}
    assert (found.num_measured, found.num_unreadable) == (3, 1)
    assert found.means[0] == (90, 90, 90)
