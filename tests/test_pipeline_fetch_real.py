"""Real pictures, broken ones and mutations through the decoding processes; hashes against imagehash.

A sample runs always; everything runs by name: pytest -m slow tests/test_pipeline_fetch_real.py
"""

import asyncio
import io
import os
import random
from collections import Counter
from collections.abc import Iterator, Sequence
from functools import cache
from pathlib import Path

import imagehash
import numpy as np
import pytest
from PIL import Image

from filters.checks import ImageChecks
from filters.contrast import Contrast
from filters.images import ImageHeader, ImageRules, read_header
from filters.reasons import Drop, Reason
from pipeline.fetch.decode import Decoded, dct_scale, decode
from pipeline.fetch.decoder import Task
from pipeline.fetch.decoders import Decoders
from pipeline.fetch.jpeg import without_metadata
from pipeline.fetch.pixels import HASH_SIDE_PX, EncodedPicture, encode_picture
from pipeline.fetch.resize import fit
from pipeline.limits import Decode, Encode
from tests.test_pipeline_fetch_decoders import workers_of

DATA = Path(__file__).parent.parent / "../shared/data"
PICTURES = (".jpg", ".jpeg", ".png", ".webp", ".gif", ".bmp", ".tif", ".tiff")
ANY_SIZE = ImageChecks(header=ImageRules(min_side_px=1, max_aspect=1e6), contrast=Contrast(min_contrast=0))
MAX_MEMORY_MB = 400
TASK = Task(ANY_SIZE, Encode(), Decode(max_memory_mb=MAX_MEMORY_MB))
BASE_MB = 150  # what a decoder takes before its first picture, and may keep for the next

pytestmark = pytest.mark.filterwarnings("ignore::UserWarning:PIL")


@cache
def files(folder: str = "", every: int = 1, endings: Sequence[str] | None = PICTURES) -> list[Path]:
    """Return every n-th file of a folder of the shared data."""
    if not (DATA / folder).is_dir():
        pytest.skip(f"{DATA / folder} is not there: these are other people's pictures and not ours to ship")
    found = [path for path in (DATA / folder).rglob("*") if path.is_file()]
    return sorted(path for path in found if endings is None or path.suffix.lower() in endings)[::every]


# Harm


def peak_mb(pid: int) -> float:
    status = Path(f"/proc/{pid}/status").read_text().splitlines()
    return next(int(line.split()[1]) / 1e3 for line in status if line.startswith("VmHWM"))


async def through_decoders(data: Sequence[bytes]) -> tuple[list[EncodedPicture | Drop], float]:
    """Return what becomes of files in two decoding processes, and the most memory, in MB, one took."""
    async with Decoders(TASK, 2) as decoders:
        pictures = await asyncio.gather(*map(decoders.encode, data))
        await asyncio.gather(*map(decoders.thumbnail, data))
        workers = workers_of(os.getpid())
        assert len(workers) == 2
        return pictures, max(map(peak_mb, workers))


def check(pictures: Sequence[EncodedPicture | Drop], memory_mb: float) -> Counter[str]:
    """Check that all ended well; return how often each reason was given."""
    for picture in pictures:
        if isinstance(picture, EncodedPicture):
            assert Image.open(io.BytesIO(picture.data)).size == (picture.width, picture.height)
    assert memory_mb < BASE_MB + MAX_MEMORY_MB
    return Counter(str(picture.reason) for picture in pictures if isinstance(picture, Drop))


async def test_bad_pictures_of_others_test_suites_cost_nobody_else_anything() -> None:
    data = [path.read_bytes() for path in files("badimages", endings=None)]
    pictures, memory_mb = await through_decoders(data)
    reasons = check(pictures, memory_mb)
    assert {Reason.NOT_AN_IMAGE, Reason.IMAGE_CORRUPT, Reason.IMAGE_TOO_MANY_PIXELS} <= set(reasons)
    assert sum(isinstance(picture, EncodedPicture) for picture in pictures) > 150
    assert not {Reason.DECODER_CRASHED, Reason.IMAGE_TOO_SLOW} & set(reasons)


def mutations(number: int, seed: str, endings: Sequence[str] = PICTURES) -> Iterator[bytes]:
    """Yield real pictures with some bytes changed, cut off, doubled or swapped."""
    chance = random.Random(seed)
    sound = [
        path
        for path in files(endings=endings)
        if path.stat().st_size < 100_000 and "badimages" not in path.parts
    ]
    for _ in range(number):
        data = bytearray(chance.choice(sound).read_bytes())
        for _ in range(chance.choice((1, 1, 3, 20))):
            place = chance.randrange(len(data) if chance.random() < 0.5 else min(400, len(data)))
            end = place + chance.choice((1, 1, 2, 4, 64))
            data[place:end] = chance.choice(
                (
                    chance.randbytes(end - place),
                    b"\xff" * (end - place),
                    bytes(end - place),
                    b"",
                    data[place:end] * 2,
                )
            )
        yield bytes(data[: chance.choice((len(data), len(data), chance.randrange(1, len(data) + 1)))])


@pytest.mark.parametrize("number", [150, pytest.param(5_000, marks=pytest.mark.slow)])
async def test_no_mutation_of_a_real_picture_does_harm(number: int) -> None:
    pictures, memory_mb = await through_decoders(list(mutations(number, "0")))
    reasons = check(pictures, memory_mb)
    assert reasons[Reason.IMAGE_CORRUPT] > number / 20
    assert not {Reason.DECODER_CRASHED, Reason.IMAGE_TOO_SLOW} & set(reasons)
    assert len(pictures) == number


@pytest.mark.parametrize("number", [200, pytest.param(4_000, marks=pytest.mark.slow)])
def test_a_jpeg_that_is_passed_through_looks_as_it_did_whatever_is_wrong_with_it(number: int) -> None:
    num_passed = 0
    for data in mutations(number, "passed", endings=(".jpg", ".jpeg")):
        header = read_header(data)
        bare = without_metadata(data) if header and header.format == "jpeg" else None
        if header is None or bare is None or header.width_px * header.height_px > 10_000_000:
            continue
        decoded = decode(data, header)
        if isinstance(decoded, Decoded) and decoded.plain:
            assert Image.open(io.BytesIO(bare)).convert("RGB").tobytes() == decoded.image.tobytes()
            num_passed += 1
    assert num_passed > number / 8


# Hashes


def sound_pictures(every: int) -> Iterator[tuple[bytes, ImageHeader]]:
    for path in files(every=every):
        data = path.read_bytes()
        header = read_header(data)
        if header is not None and header.width_px * header.height_px < 20_000_000:
            yield data, header


@pytest.mark.parametrize("every", [23, pytest.param(1, marks=pytest.mark.slow)])
def test_the_hash_is_imagehashs_of_the_decoded_pixels_of_every_readable_picture(every: int) -> None:
    num_compared = 0
    for data, header in sound_pictures(every):
        picture = encode_picture(data, ANY_SIZE, Encode())
        decoded = decode(data, header, dct_scale(header, HASH_SIDE_PX))
        assert isinstance(picture, EncodedPicture) == isinstance(decoded, Decoded)
        if isinstance(picture, EncodedPicture) and isinstance(decoded, Decoded):
            assert f"{picture.phash:016x}" == str(imagehash.phash(decoded.image))
            num_compared += 1
    assert num_compared > 3_800 / every


@pytest.mark.parametrize("every", [30, pytest.param(1, marks=pytest.mark.slow)])
def test_hashes_of_scaled_decodes_are_within_two_bits_of_whole_ones(every: int) -> None:
    """At the format's side few of ours are scaled; at a side of 128 nearly all are, which is harder."""
    distances: Counter[int] = Counter()
    for data, header in sound_pictures(every):
        whole, scaled = (decode(data, header, scale) for scale in (1, dct_scale(header, 128)))
        if header.format == "jpeg" and isinstance(whole, Decoded) and isinstance(scaled, Decoded):
            distances[int(imagehash.phash(whole.image) - imagehash.phash(scaled.image))] += 1
    print(f"bits between the hashes: {sorted(distances.items())}")
    assert sum(distances.values()) > 1_300 / every
    assert sum(number for bits, number in distances.items() if bits <= 2) >= 0.99 * sum(distances.values())


@pytest.mark.parametrize("every", [30, pytest.param(1, marks=pytest.mark.slow)])
def test_photographs_are_kept_within_a_level_of_what_whole_decodes_give(every: int) -> None:
    """Of 340 px, they are stored at 85, so that they are decoded at 1/2, as those of 1,024 px are for 256."""
    encode, levels = Encode(side_px=85), []
    for path in files("pairs/grocery", every):
        data = path.read_bytes()
        header = read_header(data)
        assert header is not None
        whole, scaled = (decode(data, header, scale) for scale in (1, dct_scale(header, 2 * encode.side_px)))
        if (
            isinstance(whole, Decoded)
            and isinstance(scaled, Decoded)
            and scaled.image.size != whole.image.size
        ):
            size = fit(scaled.image, scaled.full_size, encode).size
            expected = np.asarray(whole.image.resize(size, Image.Resampling.BICUBIC), dtype=int)
            seen = np.asarray(fit(scaled.image, scaled.full_size, encode), dtype=int)
            levels.append(float(np.abs(seen - expected).mean()))
    print(f"levels: median, 99 %, most of {len(levels)}: {np.quantile(levels, (0.5, 0.99, 1)).round(2)}")
    assert len(levels) > 800 / every
    assert max(levels) < 1
