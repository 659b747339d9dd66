"""What a picture costs, stage by stage, beside the floor of each: the bare call of the fastest library.

Photos of 640 x 480 and of 1600 x 1200 from an nginx of this machine, a connection each. CPU time of this
process (nginx has its own), and for `isolation` that of the decoding processes too. Ours is what the fetch
runs; a floor is the fastest call known that does the same work, or ours where that is faster. They take
turns; the best round counts.

| stage | ours | floor |
|---|---|---|
| network | the client: names, manners, limits, robots.txt | aiohttp alone |
| decode | header checks, Pillow, orientation, profile | simplejpeg at the same scale |
| resize | cykooz.resizer, bicubic | the same call alone (torch's and cv2's take longer) |
| encode | Pillow | simplejpeg |
| hash | sha256, contrast, pHash, mean colours | hashlib; greys by Pillow, scipy's DCT |
| tar | staged, then jpg, txt and json of the shard | the same bytes, written in one piece each |
| isolation | to another process and back | nothing: it need not be |

Besides, the whole way from bytes to stored bytes against plain Pillow with imagehash.

The last line is JSON: microseconds, and `over_floor`, the larger of the two sizes' sum over its floor's.
"""

import asyncio
import importlib.metadata
import io
import json
import resource
import tempfile
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import partial
from hashlib import sha256
from pathlib import Path
from typing import Any

import aiohttp
import imagehash
import numpy as np
import orjson
import simplejpeg
from cykooz_resizer import FilterType, ResizeAlg, ResizeOptions, Resizer
from PIL import Image
from scipy import fftpack

from filters.checks import ImageChecks, screen_image, screen_pixels
from filters.colours import colours_of
from filters.hashes import phash_of, sha256_hex
from filters.looks import greys_32
from pipeline.fetch.client import open_client
from pipeline.fetch.decode import Decoded, dct_scale, decode
from pipeline.fetch.decoder import Task
from pipeline.fetch.decoders import Decoders
from pipeline.fetch.encode import to_bytes
from pipeline.fetch.pixels import DECODED_PER_STORED, encode_picture
from pipeline.fetch.resize import fit
from pipeline.limits import Decode, Encode, Fetch, Network
from pipeline.tar import append_member
from tests.bench.photos import HOST, Served, make_photos, nginx_serving

NUM_PHOTOS, NUM_ROUNDS = 40, 7
SIZES = ((640, 480), (1600, 1200))
ENCODE, CHECKS = Encode(), ImageChecks()
FACTS: dict[str, Any] = {
    "url": "https://host.example/photos/2024/00001.jpg",
    "caption": "a photo of a cup " * 3,
    "width": 341,
}
BICUBIC = ResizeOptions(ResizeAlg.convolution(FilterType.catmull_rom))


@dataclass
class Photo:
    """One photo after each stage."""

    data: bytes
    scale: int
    decoded: Image.Image
    full_size: tuple[int, int]
    stored: Image.Image
    kept: bytes


def prepared(data: bytes) -> Photo:
    """Take a photo through all stages."""
    header = screen_image(data, CHECKS).header
    assert header
    scale = dct_scale(header, DECODED_PER_STORED * ENCODE.side_px)
    decoded = decode(data, header, scale)
    assert isinstance(decoded, Decoded)
    stored = fit(decoded.image, decoded.full_size, ENCODE)
    return Photo(data, scale, decoded.image, decoded.full_size, stored, to_bytes(stored, ENCODE))


# Ours


def our_decode(photo: Photo) -> None:
    """Decode as the fetch does."""
    header = screen_image(photo.data, CHECKS).header
    assert header
    decode(photo.data, header, dct_scale(header, DECODED_PER_STORED * ENCODE.side_px))


def our_hash(photo: Photo) -> None:
    """Hash as the fetch does."""
    sha256_hex(photo.data)
    grey = greys_32(photo.decoded)
    screen_pixels(grey, CHECKS)
    phash_of(grey)
    colours_of(photo.decoded)


def our_tar(photo: Photo, tar: io.BytesIO) -> None:
    """Stage a picture, then write its pair into a shard."""
    tar.seek(0)
    append_member(tar, "0" * 32 + ".jpeg", photo.kept)
    append_member(tar, "0" * 32 + ".jpg", photo.kept)
    append_member(tar, "0" * 32 + ".txt", FACTS["caption"].encode())
    append_member(tar, "0" * 32 + ".json", orjson.dumps(FACTS))


# Floors


def floor_decode(photo: Photo) -> None:
    """Decode at the same scale and do nothing else."""
    width, height = photo.decoded.size
    simplejpeg.decode_jpeg(photo.data, min_width=width, min_height=height)


def floor_resize(photo: Photo, resizer: Resizer) -> None:
    """Resize."""
    resizer.resize_pil(photo.decoded, Image.new("RGB", photo.stored.size), BICUBIC)


def floor_encode(pixels: Any) -> None:
    """Encode with the same subsampling."""
    simplejpeg.encode_jpeg(pixels, quality=ENCODE.quality, colorsubsampling="420")


def floor_hash(photo: Photo) -> None:
    """Hash as imagehash does, without what it does besides."""
    sha256(photo.data).hexdigest()
    small = np.asarray(photo.decoded.convert("L").resize((32, 32), Image.Resampling.LANCZOS))
    terms = fftpack.dct(fftpack.dct(small, axis=0), axis=1)[:8, :8]
    np.packbits(terms > np.median(terms))


def floor_tar(photo: Photo, tar: io.BytesIO) -> None:
    """Write as many bytes in as many members."""
    tar.seek(0)
    header = b"\0" * 512
    for data in (photo.kept, photo.kept, FACTS["caption"].encode(), orjson.dumps(FACTS)):
        tar.write(header + data + b"\0" * (-len(data) % 512))


def plainly(data: bytes) -> None:
    """Do what a short script would: Pillow and imagehash."""
    image = Image.open(io.BytesIO(data)).convert("RGB")
    sha256(data).hexdigest()
    imagehash.phash(image)
    scale = ENCODE.side_px / min(image.size)
    image.resize((round(image.width * scale), round(image.height * scale)), Image.Resampling.BICUBIC).save(
        io.BytesIO(), "JPEG", quality=ENCODE.quality
    )


# Measuring


def cpu_us(work: Callable[[Any], object], items: Sequence[Any]) -> float:
    """Return CPU microseconds an item."""
    started = time.process_time()
    for item in items:
        work(item)
    return (time.process_time() - started) / len(items) * 1e6


async def network_us(served: Served, paths: Sequence[str], bare: bool) -> float:
    """Return CPU microseconds a download."""
    client_cpu: float
    if bare:
        async with aiohttp.ClientSession(connector=aiohttp.TCPConnector(force_close=True)) as session:

            async def get(path: str) -> None:
                async with session.get(f"http://127.0.0.1:{served.http}/{path}") as answer:
                    assert await answer.read()

            client_cpu = await all_of(get, paths)
    else:
        limits = Fetch(per_host_interval_s=0, per_host_concurrency=64, hosts_per_address=64)
        network = Network(connect_to=(f"{HOST}=127.0.0.1:{served.http}",))
        async with open_client(network, limits) as client:

            async def download(path: str) -> None:
                assert hasattr(await client.download(f"http://{HOST}/{path}"), "body")

            client_cpu = await all_of(download, paths)
    return client_cpu


async def all_of(get: Callable[[str], Any], paths: Sequence[str]) -> float:
    """Return CPU microseconds of each of many at once, the first not counted: it opens what stays open."""
    await get(paths[0])
    started = time.process_time()
    await asyncio.gather(*map(get, paths))
    return (time.process_time() - started) / len(paths) * 1e6


def children_s() -> float:
    """Return CPU seconds of processes that have ended."""
    usage = resource.getrusage(resource.RUSAGE_CHILDREN)
    return usage.ru_utime + usage.ru_stime


async def decoders_s(files: Sequence[bytes]) -> float:
    """Return CPU seconds of all processes for these files, the start of the decoders included."""
    before = time.process_time() + children_s()
    async with Decoders(Task(CHECKS, ENCODE, Decode()), 1) as decoders:
        await asyncio.gather(*map(decoders.encode, files))
    return time.process_time() + children_s() - before


def isolation_us(files: Sequence[bytes]) -> float:
    """Return what it costs to have a picture decoded elsewhere: beyond decoding it, and without the start."""
    few, many = list(files[:4]), list(files) * 10
    elsewhere = asyncio.run(decoders_s(many)) - asyncio.run(decoders_s(few))
    here = cpu_us(lambda data: encode_picture(data, CHECKS, ENCODE), many)
    return elsewhere / (len(many) - len(few)) * 1e6 - here


def measure(folder: Path, width: int, height: int) -> dict[str, list[float]]:
    """Return stage -> [ours, floor] in CPU microseconds a photo."""
    paths = make_photos(folder / f"{width}", NUM_PHOTOS, width, height)
    photos = [prepared(path.read_bytes()) for path in paths]
    arrays = [np.asarray(photo.stored) for photo in photos]
    tar, resizer = io.BytesIO(), Resizer()
    floor_resize_of, tar_of = partial(floor_resize, resizer=resizer), partial(our_tar, tar=tar)
    stages: dict[str, list[tuple[Callable[[Any], object], Sequence[Any]]]] = {
        "decode": [(our_decode, photos), (floor_decode, photos)],
        "resize": [(lambda p: fit(p.decoded, p.full_size, ENCODE), photos), (floor_resize_of, photos)],
        "encode": [(lambda p: to_bytes(p.stored, ENCODE), photos), (floor_encode, arrays)],
        "hash": [(our_hash, photos), (floor_hash, photos)],
        "tar": [(tar_of, photos), (partial(floor_tar, tar=tar), photos)],
    }
    names = [f"{width}/{path.name}" for path in paths]
    with tempfile.TemporaryDirectory() as run, nginx_serving(folder, Path(run)) as served:
        rounds = [
            [asyncio.run(network_us(served, names * 5, bare)) for bare in (False, True)] for _ in range(5)
        ]
    ours, floor = (min(column) for column in zip(*rounds, strict=True))
    found = {"network": [ours, min(ours, floor)]}
    for stage, sides in stages.items():
        rounds = [[cpu_us(*side) for side in sides] for _ in range(NUM_ROUNDS)]
        ours, floor = (min(column) for column in zip(*rounds, strict=True))
        found[stage] = [ours, min(ours, floor)]
    files = [photo.data for photo in photos]
    ways = (plainly, partial(encode_picture, checks=CHECKS, encode=ENCODE))
    rounds = [[cpu_us(way, files) for way in ways] for _ in range(NUM_ROUNDS)]
    plain_us, ours_us = (min(column) for column in zip(*rounds, strict=True))
    print(f"\n\n{width} x {height}, bytes to stored bytes: ours {ours_us:.0f} us, ", end="")
    print(f"plain Pillow and imagehash {plain_us:.0f} us, {plain_us / ours_us:.2f} times as much", end="")
    found["isolation"] = [max(0.0, sorted(isolation_us(files) for _ in range(3))[1]), 0.0]
    return found


def main() -> None:
    """Measure and print."""
    result: dict[str, float] = {}
    for package in ("pillow", "simplejpeg", "cykooz.resizer", "numpy", "scipy", "aiohttp"):
        print(f"{package} {importlib.metadata.version(package)}", end="  ")
    with tempfile.TemporaryDirectory() as name:
        for width, height in SIZES:
            found = measure(Path(name), width, height)
            sums = [sum(column) for column in zip(*found.values(), strict=True)]
            print(f"\n{width} x {height}: us a picture   ours   floor   ratio")
            for stage, (ours, floor) in {**found, "sum": sums}.items():
                ratio = f"{ours / floor:7.2f}" if floor else "      -"
                print(f"{stage:>24} {ours:11.0f} {floor:7.0f} {ratio}")
                result[f"{stage}_{width}_us"] = round(ours)
                result[f"{stage}_{width}_floor_us"] = round(floor)
            result[f"over_floor_{width}"] = round(sums[0] / sums[1], 3)
    result["over_floor"] = max(result[f"over_floor_{width}"] for width, _ in SIZES)
    print(json.dumps(result))


if __name__ == "__main__":
    main()
