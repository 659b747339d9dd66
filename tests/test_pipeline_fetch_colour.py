"""Depths, colour profiles and transparency against references computed some other way."""

import io
import struct
import zlib
from pathlib import Path

import numpy as np
import pytest
from numpy.typing import NDArray
from PIL import Image, ImageCms

from filters.checks import ImageChecks
from filters.images import ImageRules, read_header
from filters.reasons import Drop, Reason
from pipeline.fetch.colour import on_white, transform_of
from pipeline.fetch.decode import Decoded, decode
from pipeline.fetch.pixels import encode_picture
from pipeline.limits import Encode
from tests.test_pipeline_fetch_pixels import quarters, saved, textured

GROCERY = Path(__file__).parent.parent / "../shared/data/pairs/grocery/images"
BAD_IMAGES = Path(__file__).parent.parent / "../shared/data/badimages"
LOSSLESS = Encode(format="png", resize="no")

pytestmark = pytest.mark.filterwarnings("ignore::UserWarning:PIL")


def decoded(data: bytes) -> NDArray[np.uint8]:
    """Return the pixels (H, W, 3) of a sound picture."""
    header = read_header(data)
    assert header is not None
    picture = decode(data, header)
    assert isinstance(picture, Decoded), picture
    return np.asarray(picture.image)


def dropped(data: bytes) -> Drop:
    drop = encode_picture(data, ImageChecks(header=ImageRules(min_side_px=1)), LOSSLESS)
    assert isinstance(drop, Drop), drop
    return drop


def png(samples: NDArray[np.uint16], colour_type: int, extra: bytes = b"") -> bytes:
    """Return a 16-bit PNG, made by hand: Pillow writes no colour of 16 bits."""

    def chunk(name: bytes, data: bytes) -> bytes:
        return struct.pack(">I", len(data)) + name + data + struct.pack(">I", zlib.crc32(name + data))

    height, width = samples.shape[:2]
    rows = b"".join(b"\0" + row.astype(">u2").tobytes() for row in samples)
    head = chunk(b"IHDR", struct.pack(">IIBBBBB", width, height, 16, colour_type, 0, 0, 0))
    return b"\x89PNG\r\n\x1a\n" + head + extra + chunk(b"IDAT", zlib.compress(rows)) + chunk(b"IEND", b"")


# Depth


@pytest.mark.parametrize(("colour_type", "channels"), [(0, 1), (2, 3), (4, 2), (6, 4)])
def test_sixteen_bits_of_every_colour_type_keep_their_upper_eight(colour_type: int, channels: int) -> None:
    samples = np.random.default_rng(0).integers(0, 65536, (40, 50, channels)).astype(np.uint16)
    if channels in (2, 4):
        samples[..., -1] = 65535
    colours = (samples >> 8).astype(np.uint8)[..., : channels - 1 + channels % 2]
    expected = np.broadcast_to(colours, (40, 50, 3))
    np.testing.assert_array_equal(decoded(png(samples, colour_type)), expected)


def test_a_transparent_grey_of_sixteen_bits_turns_white() -> None:
    samples = np.full((4, 4, 1), 1000, dtype=np.uint16)
    samples[0, 0] = 1001
    name, data = b"tRNS", struct.pack(">H", 1001)
    extra = struct.pack(">I", 2) + name + data + struct.pack(">I", zlib.crc32(name + data))
    seen = decoded(png(samples, 0, extra))
    assert seen[0, 0].tolist() == [255, 255, 255]
    assert seen[1, 1].tolist() == [3, 3, 3]


def test_twelve_bits_are_not_taken_for_sixteen() -> None:
    if not BAD_IMAGES.is_dir():
        pytest.skip(f"{BAD_IMAGES} is not there: these are other projects' files and not ours to ship")
    path = next(BAD_IMAGES.rglob("12bit.cropped.tif"))
    with Image.open(path) as image:
        assert image.mode == "I;16" and np.asarray(image).max() < 4096
        expected = np.asarray(image) >> 4
    np.testing.assert_array_equal(decoded(path.read_bytes())[..., 0], expected)
    assert expected.any()


def test_floats_from_zero_to_one_are_scaled_and_others_have_no_white() -> None:
    ramp = np.linspace(0, 1, 64 * 64, dtype=np.float32).reshape(64, 64)
    seen = decoded(saved(Image.fromarray(ramp), "TIFF"))
    np.testing.assert_array_equal(seen[..., 1], np.rint(ramp * 255).astype(np.uint8))
    for wrong, detail in (
        (ramp * 300, "samples from 0 to 300, not 0 to 1"),
        (ramp - 1, "samples from -1 to 0"),
    ):
        drop = dropped(saved(Image.fromarray(wrong), "TIFF"))
        assert drop.reason == Reason.IMAGE_NO_WHITE and drop.detail.startswith(detail)
    assert dropped(saved(Image.fromarray(ramp * np.nan), "TIFF")).reason == Reason.IMAGE_NO_WHITE


def test_whole_numbers_of_32_bits_have_no_white() -> None:
    wide = Image.fromarray(np.full((64, 64), 70_000, dtype=np.int32))
    assert dropped(saved(wide, "TIFF")) == Drop(
        Reason.IMAGE_NO_WHITE, "samples from 70000 to 70000, not 0 to 65535"
    )


# Transparency


@pytest.mark.parametrize("mode", ["RGBA", "LA", "PA"])
def test_what_is_transparent_is_blended_with_white(mode: str) -> None:
    chance = np.random.default_rng(0)
    colours = chance.integers(0, 256, (64, 64, 4), dtype=np.uint8)
    image = (
        Image.fromarray(colours) if mode == "RGBA" else Image.fromarray(colours).convert("LA").convert(mode)
    )
    pixels = np.asarray(image.convert("RGBA")).astype(float)
    alpha = pixels[..., 3:] / 255
    expected = pixels[..., :3] * alpha + 255 * (1 - alpha)
    assert np.abs(np.asarray(on_white(image)) - expected).max() <= 1


# Profiles


def profiles() -> dict[str, bytes]:
    """Return colour profiles that real pictures hold."""
    if not GROCERY.is_dir():
        pytest.skip(f"{GROCERY} is not there: these are other people's pictures and not ours to ship")
    found = {}
    for path in sorted((GROCERY / "iconic").rglob("*.jpg")):
        with Image.open(path) as image:
            if profile := image.info.get("icc_profile"):
                name = ImageCms.ImageCmsProfile(io.BytesIO(profile)).profile.profile_description
                found[str(name)] = profile
    return found


def test_a_picture_in_adobe_rgb_looks_in_srgb_as_it_did() -> None:
    profile = profiles()["Adobe RGB (1998)"]
    image = textured(200, 150)
    expected = ImageCms.profileToProfile(
        image, ImageCms.ImageCmsProfile(io.BytesIO(profile)), ImageCms.createProfile("sRGB")
    )
    for name in ("PNG", "TIFF"):
        np.testing.assert_array_equal(decoded(saved(image, name, icc_profile=profile)), np.asarray(expected))
    assert np.abs(np.asarray(expected, dtype=int) - np.asarray(image)).mean() > 3


def test_profiles_of_srgb_by_any_name_change_nothing() -> None:
    made = ImageCms.ImageCmsProfile(ImageCms.createProfile("sRGB")).tobytes()
    image = textured(100, 100)
    for profile in (made, profiles()["sRGB IEC61966-2.1"]):
        assert transform_of(profile) is None
        np.testing.assert_array_equal(decoded(saved(image, icc_profile=profile)), np.asarray(image))


def test_palettes_and_greys_with_a_profile_of_colours_are_converted_too() -> None:
    profile = profiles()["Adobe RGB (1998)"]
    for mode in ("P", "L"):
        image = textured(64, 64).convert(mode)
        expected = decoded(saved(image.convert("RGB"), icc_profile=profile))
        np.testing.assert_array_equal(decoded(saved(image, icc_profile=profile)), expected)


@pytest.mark.parametrize("profile", [b"no profile", b"\0" * 200, b""])
def test_a_damaged_profile_is_as_good_as_none(profile: bytes) -> None:
    image = textured(64, 64)
    np.testing.assert_array_equal(decoded(saved(image, icc_profile=profile)), np.asarray(image))


def test_a_profile_for_another_kind_of_colour_is_left_aside() -> None:
    profile = profiles()["Adobe RGB (1998)"]
    data = saved(quarters().convert("CMYK"), "JPEG", quality=95, icc_profile=profile)
    assert np.abs(decoded(data).astype(int) - np.asarray(quarters())).mean() < 3


# CMYK


def test_cmyk_is_read_as_adobe_writes_it_with_its_marker_and_without() -> None:
    """Browsers take it for inverted, too."""
    written = saved(quarters().convert("CMYK"), "JPEG", quality=95)
    marker = written.index(b"\xff\xee")
    length = int.from_bytes(written[marker + 2 : marker + 4], "big") + 2
    assert written[marker + 4 : marker + 9] == b"Adobe"
    for data in (written, written[:marker] + written[marker + length :]):
        assert np.abs(decoded(data).astype(int) - np.asarray(quarters())).mean() < 3
