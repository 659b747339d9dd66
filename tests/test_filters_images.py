"""Headers of real, broken and hostile pictures; sides, aspect and area at their limits."""

import struct
import zlib
from io import BytesIO
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st
from PIL import Image

from filters.images import ImageHeader, ImageRules, read_header, sniff_format
from filters.reasons import Drop, Reason

BAD_IMAGES = Path("../shared/data/badimages")
FORMATS = ["jpeg", "png", "webp", "gif", "bmp", "tiff"]


def encoded(name: str, size: tuple[int, int] = (70, 65)) -> bytes:
    buffer = BytesIO()
    Image.new("RGB", size, "red").save(buffer, name)
    return buffer.getvalue()


@pytest.mark.parametrize("name", FORMATS)
def test_a_header_tells_format_and_sides(name: str) -> None:
    assert read_header(encoded(name)) == ImageHeader(format=name, width_px=70, height_px=65)


@pytest.mark.parametrize("data", [b"", b"<html>", b"\xff\xd8\xff", b"RIFF0000WEBP", b"BM", b"GIF89a"])
def test_bytes_without_a_header_have_none(data: bytes) -> None:
    assert read_header(data) is None


@pytest.mark.parametrize("name", ["ppm", "ico", "tga"])
def test_other_formats_are_not_read(name: str) -> None:
    assert sniff_format(encoded(name)) is None
    assert read_header(encoded(name)) is None


def test_a_declared_gigapixel_is_told_and_not_decoded() -> None:
    data = encoded("png").replace(struct.pack(">II", 70, 65), struct.pack(">II", 50_000, 50_000))
    data = data[:29] + struct.pack(">I", zlib.crc32(data[12:29])) + data[33:]
    assert read_header(data) == ImageHeader(format="png", width_px=50_000, height_px=50_000)


@pytest.mark.filterwarnings("ignore")  # Pillow warns of broken EXIF data
@given(
    st.sampled_from(FORMATS).map(encoded),
    st.lists(st.tuples(st.integers(0, 199), st.binary(min_size=1, max_size=4)), max_size=6),
    st.integers(0, 4000),
)
def test_no_damaged_header_raises(data: bytes, damage: list[tuple[int, bytes]], length: int) -> None:
    for position, replacement in damage:
        data = data[:position] + replacement + data[position + len(replacement) :]
    header = read_header(data[:length])
    assert header is None or header.format in FORMATS


@pytest.mark.filterwarnings("ignore")
@given(st.binary())
def test_no_bytes_raise(data: bytes) -> None:
    for start in (b"\xff\xd8\xff", b"\x89PNG\r\n\x1a\n", b"GIF89a", b"BM", b"II*\x00", b"RIFF0000WEBP", b""):
        read_header(start + data)


@pytest.mark.filterwarnings("ignore")
def test_real_odd_pictures_have_the_header_that_pillow_opens() -> None:
    if not BAD_IMAGES.exists():
        pytest.skip(f"{BAD_IMAGES} is absent: third-party pictures are not part of the project")
    num_read = 0
    for path in sorted(path for path in BAD_IMAGES.rglob("*") if path.is_file()):
        header = read_header(path.read_bytes())
        if header and header.width_px * header.height_px < 100_000_000:
            with Image.open(path) as image:
                assert (header.width_px, header.height_px) == image.size, path
            num_read += 1
    assert num_read > 300


LIMITS = [
    (64, 64, None),
    (63, 64, Drop(Reason.IMAGE_TOO_SMALL, "shorter side 63 px < 64 px")),
    (64, 63, Drop(Reason.IMAGE_TOO_SMALL, "shorter side 63 px < 64 px")),
    (192, 64, None),
    (193, 64, Drop(Reason.IMAGE_EXTREME_ASPECT, "aspect 3.02 > 3")),
    (64, 193, Drop(Reason.IMAGE_EXTREME_ASPECT, "aspect 3.02 > 3")),
    (10_000, 10_000, None),
    (10_000, 10_001, Drop(Reason.IMAGE_TOO_MANY_PIXELS, "10000 x 10001 = 100010000 px > 100000000 px")),
    (200_000_000, 1, Drop(Reason.IMAGE_TOO_MANY_PIXELS, "200000000 x 1 = 200000000 px > 100000000 px")),
]


@pytest.mark.parametrize(("width_px", "height_px", "drop"), LIMITS)
def test_sides_are_judged_at_their_limits(width_px: int, height_px: int, drop: Drop | None) -> None:
    header = ImageHeader(format="png", width_px=width_px, height_px=height_px)
    assert ImageRules().check_header(header) == drop


def test_limits_that_keep_nothing_are_refused() -> None:
    with pytest.raises(ValueError, match="keep no picture: give a side >= 1"):
        ImageRules(min_side_px=64, max_pixels=4095)
