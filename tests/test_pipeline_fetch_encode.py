"""How pictures are stored: sizes of each mode, formats, what is passed through, what a DCT scale costs."""

import io
import tarfile
from pathlib import Path
from typing import get_args

import imagehash
import numpy as np
import pytest
from cykooz_resizer import CpuExtensions, FilterType, ResizeAlg, ResizeOptions, Resizer
from PIL import Image

from filters.checks import ImageChecks
from filters.contrast import Contrast
from filters.images import ImageRules, read_header, sniff_format
from manifests.verify import verify
from pipeline.build import build
from pipeline.config import BuildConfig, RunOptions
from pipeline.fetch.decode import Decoded, dct_scale, decode
from pipeline.fetch.jpeg import without_metadata
from pipeline.fetch.pixels import EncodedPicture, encode_picture
from pipeline.fetch.resize import fit, resize, scaled_size
from pipeline.limits import Encode, Format, ResizeMode
from pipeline.sources import Sources
from pipeline.sources.folder import Folder
from tests.test_pipeline_fetch_pixels import UNDO, quarters, saved, textured

pytestmark = pytest.mark.filterwarnings("ignore::UserWarning:PIL")

ANY_SIZE = ImageChecks(header=ImageRules(min_side_px=1, max_aspect=1e6), contrast=Contrast(min_contrast=0))


def stored(data: bytes, encode: Encode) -> EncodedPicture:
    picture = encode_picture(data, ANY_SIZE, encode)
    assert isinstance(picture, EncodedPicture), picture
    return picture


def opened(picture: EncodedPicture) -> Image.Image:
    return Image.open(io.BytesIO(picture.data))


# Sizes

SIZES: dict[ResizeMode, list[tuple[int, int]]] = {
    # of            800x400, 400x800, 800x100, 50x200, 256x300
    "no": [(800, 400), (400, 800), (800, 100), (50, 200), (256, 300)],
    "keep_ratio": [(512, 256), (256, 512), (800, 100), (50, 200), (256, 300)],
    "center_crop": [(256, 256), (256, 256), (800, 100), (50, 200), (256, 300)],
    "keep_ratio_largest": [(256, 128), (128, 256), (256, 32), (50, 200), (218, 256)],
    "border": [(256, 256), (256, 256), (256, 256), (50, 200), (256, 256)],
}
ENLARGED: dict[ResizeMode, list[tuple[int, int]]] = {
    "no": SIZES["no"],
    "keep_ratio": [(512, 256), (256, 512), (2048, 256), (256, 1024), (256, 300)],
    "center_crop": [(256, 256)] * 5,
    "keep_ratio_largest": [(256, 128), (128, 256), (256, 32), (64, 256), (218, 256)],
    "border": [(256, 256)] * 5,
}


@pytest.mark.parametrize("only_if_bigger", [True, False])
@pytest.mark.parametrize("mode", get_args(ResizeMode))
def test_a_picture_is_stored_in_the_size_of_its_mode(mode: ResizeMode, only_if_bigger: bool) -> None:
    """What img2dataset's `Resizer` makes of the same, image_size 256."""
    encode = Encode(resize=mode, only_if_bigger=only_if_bigger)
    for size, expected in zip(SIZES["no"], (SIZES if only_if_bigger else ENLARGED)[mode], strict=True):
        for name in ("PNG", "JPEG"):
            picture = stored(saved(Image.new("RGB", size), name), encode)
            assert (picture.width, picture.height) == opened(picture).size == expected


def test_a_border_is_white_and_the_picture_in_its_middle() -> None:
    seen = np.asarray(
        opened(stored(saved(Image.new("RGB", (400, 200))), Encode(resize="border", format="png")))
    )
    assert (seen[:64] == 255).all() and (seen[192:] == 255).all()
    assert (seen[64:192] == 0).all()


def test_a_crop_is_of_the_centre() -> None:
    image = Image.new("RGB", (900, 300))
    image.paste("white", (300, 0, 600, 300))
    seen = np.asarray(opened(stored(saved(image), Encode(resize="center_crop", format="png"))))
    assert seen[:, 3:-3].min() == 255


def test_the_size_is_that_of_the_whole_picture_whatever_scale_was_decoded() -> None:
    picture = stored(saved(textured(1601, 1200), "JPEG"), Encode())
    assert (picture.width, picture.height) == scaled_size((1601, 1200), Encode()) == (342, 256)


def test_no_side_becomes_nothing() -> None:
    picture = stored(saved(Image.new("RGB", (2000, 2))), Encode(resize="keep_ratio_largest", side_px=100))
    assert (picture.width, picture.height) == (100, 1)


# Resizing


@pytest.mark.parametrize("size", [(341, 256), (256, 256), (31, 700), (1280, 960), (1, 1)])
def test_resizing_is_pillows_bicubic_within_a_level(size: tuple[int, int]) -> None:
    image = textured(640, 480)
    seen, expected = resize(image, size), image.resize(size, Image.Resampling.BICUBIC)
    difference = np.abs(np.asarray(seen, dtype=int) - np.asarray(expected, dtype=int))
    assert difference.mean() < 0.5


def test_resizing_gives_the_same_pixels_on_every_processor() -> None:
    results = []
    for extensions in (CpuExtensions.none, CpuExtensions.sse4_1, CpuExtensions.avx2):
        resizer, image = Resizer(), Image.new("RGB", (341, 256))
        resizer.cpu_extensions = extensions
        options = ResizeOptions(ResizeAlg.convolution(FilterType.catmull_rom))
        resizer.resize_pil(textured(640, 480), image, options)
        results.append(image.tobytes())
    assert results[0] == results[1] == results[2] == resize(textured(640, 480), (341, 256)).tobytes()


# Formats


@pytest.mark.parametrize("name", get_args(Format))
def test_pictures_are_stored_in_the_format_that_is_asked_for(name: Format) -> None:
    data = saved(textured(300, 300))
    low, high = (stored(data, Encode(format=name, quality=quality)) for quality in (30, 95))
    assert sniff_format(low.data) == sniff_format(high.data) == name
    assert (len(low.data) < len(high.data)) == (name != "png")
    assert low.phash == high.phash


def test_a_png_loses_nothing() -> None:
    seen = opened(stored(saved(textured(200, 200)), Encode(format="png")))
    np.testing.assert_array_equal(np.asarray(seen), np.asarray(textured(200, 200)))


@pytest.mark.parametrize("name", get_args(Format))
def test_nothing_of_a_files_metadata_is_stored(name: Format) -> None:
    exif = Image.Exif()
    exif[0x010E] = "where the photographer lives"
    for original in ("JPEG", "PNG", "WEBP"):
        data = saved(quarters(), original, exif=exif.tobytes(), comment=b"photographer")
        picture = stored(data, Encode(format=name))
        assert b"photographer" in data and b"photographer" not in picture.data
        assert not opened(picture).getexif() and "icc_profile" not in opened(picture).info


# Passed through


def pixels(data: bytes) -> bytes:
    return Image.open(io.BytesIO(data)).convert("RGB").tobytes()


@pytest.mark.parametrize("options", [{}, {"progressive": True}, {"subsampling": 0}, {"quality": 20}])
@pytest.mark.parametrize("mode", ["RGB", "L"])
def test_a_small_clean_jpeg_keeps_its_compressed_data(mode: str, options: dict[str, object]) -> None:
    clean = saved(textured(300, 256).convert(mode), "JPEG", **options)
    exif = Image.Exif()
    exif[0x010E] = "where the photographer lives"
    dirty = saved(textured(300, 256).convert(mode), "JPEG", exif=exif.tobytes(), comment=b"x", **options)
    assert stored(dirty, Encode()).data == stored(clean, Encode()).data == without_metadata(clean)
    assert pixels(stored(dirty, Encode()).data) == pixels(clean)
    assert len(stored(clean, Encode()).data) <= len(clean)


def test_a_jpeg_that_is_not_what_is_wanted_is_encoded_anew() -> None:
    small, exif = saved(textured(200, 200), "JPEG"), Image.Exif()
    exif[0x0112] = 6
    anew = [
        (saved(textured(300, 257), "JPEG"), Encode()),
        (saved(textured(200, 200), "JPEG", exif=exif.tobytes()), Encode()),
        (saved(textured(200, 200).convert("CMYK"), "JPEG"), Encode()),
        (small + b"a second picture", Encode()),
        (small + small, Encode()),
        (small, Encode(pass_through=False)),
        (small, Encode(resize="border", only_if_bigger=False)),
    ]
    for data, encode in anew:
        picture = stored(data, encode)
        assert picture.data != (without_metadata(data) or small)
        assert b"second" not in picture.data
    assert stored(small, Encode()).data == without_metadata(small)


def test_the_colours_of_a_jpeg_without_metadata_are_the_same() -> None:
    """Also where its component names would say RGB, and where Adobe's segment does."""
    ycc = saved(quarters(), "JPEG", quality=95)
    start = ycc.index(b"\xff\xc0") + 10
    scan = ycc.index(b"\xff\xda") + 5
    named = bytearray(ycc)
    for place, name in enumerate(b"RGB"):
        named[start + 3 * place] = named[scan + 2 * place] = name
    for data in (ycc, bytes(named), saved(quarters(), "JPEG", quality=95, keep_rgb=True)):
        bare = without_metadata(data)
        assert bare is not None
        assert pixels(bare) == pixels(data)


def test_a_tiff_is_stored_upright_whatever_its_orientation() -> None:
    exif = Image.Exif()
    for orientation, undo in UNDO.items():
        exif[0x0112] = orientation
        turned = quarters() if undo is None else quarters().transpose(undo)
        picture = stored(saved(turned, "TIFF", exif=exif), Encode(format="png"))
        np.testing.assert_array_equal(np.asarray(opened(picture)), np.asarray(quarters()))


def test_damaged_exif_does_not_cost_a_picture() -> None:
    data = saved(quarters(), "JPEG", exif=b"Exif\0\0II*\0\xff\xff\xff\x7fgarbage")
    assert pixels(stored(data, Encode()).data) == pixels(saved(quarters(), "JPEG"))


# Through a build


def test_a_build_stores_what_was_asked_for_and_its_shards_verify(tmp_path: Path) -> None:
    (tmp_path / "terms.txt").write_text("cup\n")
    (tmp_path / "photos").mkdir()
    for number, image in enumerate((photo(400, 300), textured(500, 300))):
        (tmp_path / f"photos/{number}.jpg").write_bytes(saved(image, "JPEG"))
        (tmp_path / f"photos/{number}.txt").write_text(f"a red cup on table {number} in the garden")
    config = BuildConfig(
        queries=str(tmp_path / "terms.txt"),
        sources=Sources(folder=Folder(paths=(str(tmp_path / "photos"),))),
        encode=Encode(format="webp", resize="center_crop", side_px=100),
    )
    build(config, RunOptions(dataset=tmp_path / "dataset", quiet=True))
    assert list(verify(tmp_path / "dataset")) == []
    with tarfile.open(tmp_path / "dataset/shards/00000.tar") as tar:
        members = {name: tar.extractfile(name) for name in tar.getnames() if name.endswith(".webp")}
        sizes = [Image.open(io.BytesIO(file.read())).size for file in members.values() if file]
    assert sizes == [(100, 100)] * 2


# DCT scales


def photo(width_px: int, height_px: int) -> Image.Image:
    """Return a picture with the spectrum of photos: detail of each size, in proportion to it."""
    chance, total = np.random.default_rng(3), np.zeros((height_px, width_px, 3))
    for side in (4, 8, 16, 32, 64, 128, 256, 512):
        noise = chance.normal(0, 128 / side**0.5, (side, side, 3)).astype(np.float32)
        for channel in range(3):
            layer = Image.fromarray(noise[..., channel]).resize(
                (width_px, height_px), Image.Resampling.BICUBIC
            )
            total[..., channel] += np.asarray(layer)
    return Image.fromarray(np.clip(total + 128, 0, 255).astype(np.uint8))


def test_the_hash_is_the_same_however_pictures_are_stored() -> None:
    data = saved(photo(1600, 1200), "JPEG")
    ways = (
        Encode(),
        Encode(side_px=64),
        Encode(side_px=600),
        Encode(resize="no"),
        Encode(resize="center_crop", format="webp"),
    )
    assert len({stored(data, encode).phash for encode in ways}) == 1


@pytest.mark.parametrize("size", [(1100, 1024), (1600, 1200), (2100, 2048), (4200, 4100)])
def test_a_decode_at_a_scale_is_within_a_level_and_two_bits_of_the_whole(size: tuple[int, int]) -> None:
    data = saved(photo(*size), "JPEG", quality=90)
    header = read_header(data)
    assert header is not None and dct_scale(header, 512) == min(4, min(size) // 512)
    whole = decode(data, header)
    assert isinstance(whole, Decoded)
    picture = stored(data, Encode(format="png"))
    reference = fit(whole.image, whole.full_size, Encode())
    difference = np.abs(np.asarray(opened(picture), dtype=int) - np.asarray(reference, dtype=int))
    assert difference.mean() < 1
    assert (picture.phash ^ int(str(imagehash.phash(whole.image)), 16)).bit_count() <= 2
