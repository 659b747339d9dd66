"""CPU time of a picture's bytes: from a file here, from a cached shard, and asked of S3 by itself.

S3 is a server on this machine; of its client all threads are counted, of the server nothing.
"""

import hashlib
import json
import random
import statistics
import tempfile
import time
from collections.abc import Callable
from pathlib import Path

import fsspec.asyn

from manifests.schema import FileRecord
from manifests.storage import location, read_bytes, read_ranges, upload
from tests.s3 import serving_s3
from train.cache_folder import CacheFolder, Source

SHARD_BYTES, PICTURE_BYTES, NUM_PICTURES, NUM_ASKED = 64 << 20, 20_000, 1000, 256
NUM_ROUNDS = 5


def client_s() -> float:
    """Return the CPU seconds of this thread and of the one in which fsspec speaks to stores."""

    async def other() -> float:
        return time.thread_time()

    return time.thread_time() + float(fsspec.asyn.sync(fsspec.asyn.get_loop(), other))


def median_us(read: Callable[[], object], num_pictures: int) -> float:
    """Return the microseconds that a picture takes."""
    found = []
    for _ in range(NUM_ROUNDS):
        before = client_s()
        read()
        found.append((client_s() - before) / num_pictures * 1e6)
    return round(statistics.median(found), 1)


def measure(root: Path) -> dict[str, float]:
    """Return microseconds a picture, and the seconds that a GB takes to be fetched."""
    data, chance = random.Random(0).randbytes(SHARD_BYTES), random.Random(1)
    (root / "shard").write_bytes(data)
    record = FileRecord(path="shard", num_bytes=len(data), sha256=hashlib.sha256(data).hexdigest())
    source, folder = Source(path=root / "shard", record=record), CacheFolder(root / "cache", 1 << 30)
    before = time.process_time()
    folder.fetch(source, ())
    fetch_s = (time.process_time() - before) / SHARD_BYTES * 1e9
    starts = [chance.randrange(SHARD_BYTES - PICTURE_BYTES) for _ in range(NUM_PICTURES)]
    places = [(start, start + PICTURE_BYTES) for start in starts]
    plain = median_us(lambda: [read_bytes(source.path, *place) for place in places], NUM_PICTURES)
    cached = median_us(lambda: [folder.read(source, *place) for place in places], NUM_PICTURES)
    with serving_s3():
        there = location("s3://bucket/shard")
        upload(source.path, there)
        asked = median_us(lambda: read_ranges([(there, *place) for place in places[:NUM_ASKED]]), NUM_ASKED)
    return {
        "plain_us": plain,
        "cached_us": cached,
        "s3_us": asked,
        "fetch_s_per_gb": round(fetch_s, 2),
        "ratio": round(asked / cached, 1),
    }


def main() -> None:
    with tempfile.TemporaryDirectory() as folder:
        print(json.dumps(measure(Path(folder))))


if __name__ == "__main__":
    main()
