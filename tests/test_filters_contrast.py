"""Blank pictures: the limit, and what it does to real drawings."""

from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from filters.contrast import Contrast
from filters.looks import greys_32
from filters.reasons import Reason

CLIP_ART = Path("../shared/data/pairs/openclipart/images")


def halves(difference: int) -> np.ndarray:
    """Greys whose standard deviation is half the difference."""
    grey = np.full((32, 32), 100, dtype=np.uint8)
    grey[:16] += difference
    return grey


@pytest.mark.parametrize(("difference", "dropped"), [(0, True), (1, True), (2, False), (3, False)])
def test_a_picture_below_the_limit_is_dropped(difference: int, dropped: bool) -> None:
    limits = Contrast()
    drop = limits.check(limits.measure(halves(difference)))
    assert (drop is not None) is dropped
    assert drop is None or (drop.reason, drop.detail) == (
        Reason.IMAGE_FLAT,
        f"contrast {difference / 2:.2f} < 1 levels",
    )


def test_no_limit_keeps_a_blank_picture() -> None:
    assert Contrast(min_contrast=0).check(0.0) is None


@pytest.mark.parametrize("limit", [-0.1, 127.1])
def test_a_limit_that_keeps_nothing_is_refused(limit: float) -> None:
    with pytest.raises(ValueError, match=r"min_contrast .* give 0 to 127"):
        Contrast(min_contrast=limit)


def test_of_real_drawings_only_an_empty_page_is_blank() -> None:
    if not CLIP_ART.exists():
        pytest.skip("no clip art: ../shared/data/pairs is absent")
    limits, paths = Contrast(), sorted(CLIP_ART.rglob("*_01.png"))[::12]
    faint = [
        CLIP_ART / f"{name}.png"
        for name in ("geography/tasmania-outline", "computer/icons/button2_fudriot_omic.ch_01")
    ]
    for path in [*paths, *faint, CLIP_ART / "recreation/sports/football_pitch__andy_bur_01.png"]:
        with Image.open(path) as image:
            blank = limits.check(limits.measure(greys_32(white_behind(image)))) is not None
        assert blank == path.name.startswith("football_pitch"), path


def white_behind(image: Image.Image) -> Image.Image:
    page = Image.new("RGBA", image.size, "white")
    page.alpha_composite(image.convert("RGBA"))
    return page.convert("RGB")
