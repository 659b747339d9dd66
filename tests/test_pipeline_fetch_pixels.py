"""Bytes to stored pictures: every mode and orientation, hundreds of broken files, mutations of sound ones."""

import io
import random
import time
from pathlib import Path

import imagehash
import numpy as np
import pytest
from numpy.typing import NDArray
from PIL import Image, ImageDraw, ImageOps

from filters.checks import ImageChecks
from filters.contrast import Contrast
from filters.images import ImageRules, open_picture, read_header
from filters.reasons import Drop, Reason
from pipeline.fetch.decode import Decoded, dct_scale, decode
from pipeline.fetch.pixels import EncodedPicture, encode_picture, thumbnail
from pipeline.limits import Encode

BAD_IMAGES = Path(__file__).parent.parent / "../shared/data/badimages"
ALL_SIDES = ImageChecks(header=ImageRules(min_side_px=1, max_aspect=100.0), contrast=Contrast(min_contrast=0))
BLANK_TOO = ImageChecks(contrast=Contrast(min_contrast=0))
FORMATS = ("JPEG", "PNG", "WEBP", "GIF", "TIFF", "BMP")

pytestmark = pytest.mark.filterwarnings("ignore::UserWarning:PIL")


def quarters(side_px: int = 96) -> Image.Image:
    """Return a picture whose quarters are red, green, blue and white: no turn of it looks like another."""
    picture = Image.new("RGB", (side_px, side_px), "white")
    draw, half = ImageDraw.Draw(picture), side_px // 2
    draw.rectangle((0, 0, half - 1, half - 1), fill="red")
    draw.rectangle((half, 0, side_px, half - 1), fill="lime")
    draw.rectangle((0, half, half - 1, side_px), fill="blue")
    return picture


def saved(image: Image.Image, name: str = "PNG", **options: object) -> bytes:
    buffer = io.BytesIO()
    image.save(buffer, name, **options)
    return buffer.getvalue()


def stored(data: bytes, side_px: int = 256) -> EncodedPicture:
    picture = encode_picture(data, BLANK_TOO, Encode(side_px=side_px))
    assert isinstance(picture, EncodedPicture), picture
    return picture


def pixels(data: bytes) -> NDArray[np.int16]:
    """Return the pixels (H, W, 3) that a reader of the shard will see."""
    return np.asarray(Image.open(io.BytesIO(stored(data).data)).convert("RGB"), dtype=np.int16)


def mean_difference(data: bytes, expected: Image.Image) -> float:
    return float(np.abs(pixels(data) - np.asarray(expected.convert("RGB"), dtype=np.int16)).mean())


# Modes


def test_sixteen_bits_are_scaled_and_not_clipped_to_white() -> None:
    ramp = np.linspace(0, 65535, 96 * 96).astype(np.uint16).reshape(96, 96)
    data = saved(Image.fromarray(ramp))
    assert mean_difference(data, Image.fromarray((ramp >> 8).astype(np.uint8))) < 2
    assert abs(float(pixels(data).mean()) - 127.5) < 2


def test_a_cmyk_jpeg_keeps_its_colours() -> None:
    assert mean_difference(saved(quarters().convert("CMYK"), "JPEG", quality=95), quarters()) < 8


@pytest.mark.parametrize(("mode", "name"), [("P", "PNG"), ("L", "PNG"), ("1", "TIFF"), ("YCbCr", "JPEG")])
def test_a_picture_of_any_mode_looks_as_it_did(mode: str, name: str) -> None:
    image = quarters().convert(mode)
    assert mean_difference(saved(image, name), image) < 8


def test_transparent_parts_turn_white_and_half_transparent_ones_half_way() -> None:
    image = Image.new("RGBA", (96, 96), (255, 0, 0, 255))
    image.paste((0, 0, 0, 0), (0, 0, 48, 96))
    image.paste((0, 0, 0, 128), (0, 0, 48, 48))
    seen = pixels(saved(image))
    assert seen[72, 24].min() > 250
    assert abs(int(seen[24, 24].mean()) - 127) < 5
    assert seen[48, 80].tolist() == pytest.approx([254, 0, 0], abs=4)


def test_a_transparent_palette_colour_turns_white() -> None:
    palette = quarters().quantize(4)
    black = palette.getpixel((10, 10))
    seen = pixels(saved(palette, "GIF", transparency=black))
    assert seen[10, 10].min() > 250
    assert seen[10, 80].tolist() == pytest.approx([0, 255, 0], abs=8)


@pytest.mark.parametrize("name", ["GIF", "WEBP", "PNG"])
def test_of_an_animation_the_first_frame_is_kept(name: str) -> None:
    frames = [Image.new("RGB", (96, 96), colour) for colour in ("red", "blue", "lime")]
    data = saved(frames[0], name, save_all=True, append_images=frames[1:], duration=100)
    assert mean_difference(data, frames[0]) < 3


def test_the_stored_jpeg_has_no_metadata() -> None:
    exif = Image.Exif()
    exif[0x010E] = "where the photographer lives"
    data = stored(saved(quarters(), "JPEG", exif=exif.tobytes())).data
    assert b"photographer" not in data
    assert dict(Image.open(io.BytesIO(data)).getexif()) == {}


# Orientation

UNDO = {
    1: None,
    2: Image.Transpose.FLIP_LEFT_RIGHT,
    3: Image.Transpose.ROTATE_180,
    4: Image.Transpose.FLIP_TOP_BOTTOM,
    5: Image.Transpose.TRANSPOSE,
    6: Image.Transpose.ROTATE_90,
    7: Image.Transpose.TRANSVERSE,
    8: Image.Transpose.ROTATE_270,
}


@pytest.mark.parametrize("orientation", UNDO)
def test_a_picture_is_stored_upright_whatever_its_exif_orientation(orientation: int) -> None:
    undo = UNDO[orientation]
    turned = quarters() if undo is None else quarters().transpose(undo)
    exif = Image.Exif()
    exif[0x0112] = orientation
    for name in ("JPEG", "PNG", "WEBP"):
        assert mean_difference(saved(turned, name, exif=exif.tobytes()), quarters()) < 8


def test_a_picture_that_lies_on_its_side_is_stored_standing() -> None:
    exif = Image.Exif()
    exif[0x0112] = 6
    picture = stored(saved(Image.new("RGB", (400, 200)), "JPEG", exif=exif.tobytes()), side_px=100)
    assert (picture.width, picture.height) == (100, 200)


# Sizes


@pytest.mark.parametrize(
    ("size", "expected"),
    [
        ((512, 512), (256, 256)),
        ((1000, 500), (512, 256)),
        ((500, 1000), (256, 512)),
        ((257, 300), (256, 299)),
        ((256, 300), (256, 300)),
        ((255, 700), (255, 700)),
        ((64, 64), (64, 64)),
    ],
)
def test_the_shorter_side_is_brought_down_and_the_ratio_kept(
    size: tuple[int, int], expected: tuple[int, int]
) -> None:
    for name in ("JPEG", "PNG"):
        picture = stored(saved(Image.new("RGB", size, "green"), name))
        assert (picture.width, picture.height) == expected
        assert (picture.original_width, picture.original_height) == size
        assert Image.open(io.BytesIO(picture.data)).size == expected


def textured(width_px: int, height_px: int) -> Image.Image:
    noise = np.random.default_rng(0).integers(0, 255, (12, 16, 3), dtype=np.uint8)
    return Image.fromarray(noise).resize((width_px, height_px), Image.Resampling.BICUBIC)


@pytest.mark.parametrize(
    ("size", "scale"),
    [
        ((511, 511), 1),
        ((512, 512), 2),
        ((1024, 800), 2),
        ((1024, 1024), 4),
        ((2048, 2300), 4),
        ((4000, 3000), 4),
    ],
)
def test_a_jpeg_is_decoded_at_the_smallest_scale_that_leaves_enough(
    size: tuple[int, int], scale: int
) -> None:
    data = saved(textured(*size), "JPEG")
    header = read_header(data)
    assert header is not None
    decoded = decode(data, header, dct_scale(header, 256))
    assert isinstance(decoded, Decoded)
    assert decoded.image.size == tuple(-(-side // scale) for side in size)
    assert min(decoded.image.size) >= 256
    assert decoded.full_size == size


@pytest.mark.parametrize("name", FORMATS)
def test_the_hash_is_that_of_the_decoded_pixels_before_resizing(name: str) -> None:
    data = saved(textured(1400, 1200), name)
    with Image.open(io.BytesIO(data)) as image:
        image.draft("RGB", (512, 512))
        expected = imagehash.phash(ImageOps.exif_transpose(image).convert("RGB"))
    assert f"{stored(data).phash:016x}" == str(expected)


def test_the_same_bytes_give_the_same_bytes() -> None:
    data = saved(textured(700, 600), "JPEG")
    assert stored(data) == stored(data)


# What is no sound picture


def survive(data: bytes) -> EncodedPicture | Drop:
    """Pass bytes through all that the fetch does with them."""
    picture = encode_picture(data, ALL_SIDES, Encode())
    small = thumbnail(data)
    assert small is None or small.startswith(b"\xff\xd8")
    if isinstance(picture, EncodedPicture):
        assert Image.open(io.BytesIO(picture.data)).size == (picture.width, picture.height)
    return picture


def test_every_bad_picture_of_others_test_suites_is_stored_or_dropped_in_time() -> None:
    if not BAD_IMAGES.is_dir():
        pytest.skip(f"{BAD_IMAGES} is not there: these are other projects' files and not ours to ship")
    slowest_s, verdicts = 0.0, []
    for path in sorted(path for path in BAD_IMAGES.rglob("*") if path.is_file()):
        started = time.process_time()
        verdicts.append(survive(path.read_bytes()))
        slowest_s = max(slowest_s, time.process_time() - started)
    reasons = {verdict.reason for verdict in verdicts if isinstance(verdict, Drop)}
    assert reasons >= {Reason.NOT_AN_IMAGE, Reason.IMAGE_CORRUPT, Reason.IMAGE_TOO_MANY_PIXELS}
    assert sum(isinstance(verdict, EncodedPicture) for verdict in verdicts) > 150
    assert slowest_s < 5


@pytest.mark.parametrize("name", FORMATS)
def test_no_mutation_of_a_sound_picture_does_harm(name: str) -> None:
    chance = random.Random(name)
    sound = saved(textured(120, 90), name)
    for _ in range(40):
        data = bytearray(sound)
        for _ in range(chance.choice((1, 3, 20))):
            place = chance.randrange(len(data) if chance.random() < 0.5 else min(200, len(data)))
            data[place] = chance.randrange(256)
        survive(bytes(data[: chance.choice((len(data), chance.randrange(len(data))))]))


@pytest.mark.parametrize("name", ["JPEG", "PNG"])
def test_a_picture_that_breaks_off_is_corrupt_and_not_half_grey(name: str) -> None:
    data = saved(textured(700, 600), name)
    drop = encode_picture(data[: len(data) // 2], ImageChecks(), Encode())
    assert isinstance(drop, Drop)
    assert drop.reason == Reason.IMAGE_CORRUPT


@pytest.mark.parametrize("scale", [1, 2, 4])
@pytest.mark.parametrize("mode", ["RGB", "L", "CMYK"])
@pytest.mark.parametrize("progressive", [True, False])
def test_a_jpeg_has_the_pixels_that_pillow_decodes(scale: int, mode: str, progressive: bool) -> None:
    data = saved(textured(301, 203).convert(mode), "JPEG", progressive=progressive, quality=80)
    header, expected = read_header(data), Image.open(io.BytesIO(data))
    expected.draft(None, (301 // scale, 203 // scale))
    assert header is not None
    for decoded in (decode(data, header, scale), decode(data, header, scale, open_picture(data))):
        assert isinstance(decoded, Decoded)
        if mode != "CMYK":  # its inks go through another profile
            assert decoded.image.tobytes() == expected.convert("RGB").tobytes()
        assert decoded.image.size == expected.size
