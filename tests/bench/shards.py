"""Shards at the speed of the machine: writing, `verify`, `reshard`, `select` against the least they must do.

10,000 pairs are staged, real photos (shared data, groceries) at 256 px, 28 KB each, and written as shards of
5,000. The floor of writing is what the machine takes to write the same bytes to files of the same sizes, in
one process, one after the other, with fsync (in blocks of 8 MiB, from memory), and then to take their SHA-256
from memory. A share is that time over ours, which also reads the staged pictures, packs, indexes and hashes.
The floor of `verify` is to read the dataset's files in order and take their SHA-256; of `reshard` and
`select`, that of writing what they have written. Their reports, of which the cost does not grow with the
dataset, are taken off. All are measured in turns, by the clock; ours use one process too, in which hashing is
a thread of its own. CPU time is told besides.

`peak_growth`: the largest resident set of a process of its own with 1,000 shards over that with 10, of 10
pairs each, the higher of writing and `verify`.
"""

import hashlib
import io
import json
import os
import random
import shutil
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any

import pyarrow as pa
from PIL import Image

from filters.queries import queries_sha256
from filters.sampling import content_key, pair_id
from manifests.publishing import write_sizes
from manifests.report import write_report
from manifests.reshard import reshard
from manifests.schema import (
    COVERAGE_SCHEMA,
    QUERY_SCHEMA,
    SAMPLE_SCHEMA,
    Manifest,
    StageCount,
)
from manifests.store import content_hash, open_dataset, record_file, write_manifest, write_table
from manifests.subset import Choice, select
from manifests.verify import verify
from pipeline.finish import read_shards
from pipeline.parts import Part
from pipeline.records import KEPT_SCHEMA
from pipeline.shards import plan_shards, write_shard
from pipeline.tar import append_member, end_tar
from tests.bench.neardup import resident_mb

ROOT = Path(__file__).parents[2]
GROCERY = ROOT.parent / "shared/data/pairs/grocery/images"
NUM_PAIRS, PAIRS_PER_SHARD, PAIRS_PER_UNIT, NUM_PHOTOS = 10_000, 5_000, 1_000, 400
FEW, MANY, PAIRS_OF_SMALL = 10, 1_000, 10
ROUNDS = 11
BLOCK = 8 << 20

Row = dict[str, Any]


@dataclass(frozen=True)
class Took:
    """Seconds by the clock and of CPU."""

    wall_s: float
    cpu_s: float


def timed(do: Callable[[], object]) -> Took:
    """Run and measure."""
    wall, cpu = time.perf_counter(), time.process_time()
    do()
    return Took(time.perf_counter() - wall, time.process_time() - cpu)


def photos() -> list[tuple[bytes, tuple[int, int]]]:
    """Return photos as a build stores them, and their sizes."""
    found = []
    for path in sorted(GROCERY.rglob("*.jpg"))[:NUM_PHOTOS]:
        picture = Image.open(path).convert("RGB")
        scale = 256 / min(picture.size)
        picture = picture.resize((round(picture.width * scale), round(picture.height * scale)))
        buffer = io.BytesIO()
        picture.save(buffer, "JPEG", quality=95)
        found.append((buffer.getvalue(), picture.size))
    return found


def stage(folder: Path, num_pairs: int) -> None:
    """Write staged tars and the ordered rows of their pictures, as the phases before shards leave them."""
    pictures, rng, rows = photos(), random.Random(0), list[Row]()
    (folder / "staged").mkdir(parents=True)
    for first in range(0, num_pairs, PAIRS_PER_UNIT):
        unit = f"{first // PAIRS_PER_UNIT:05d}"
        with (folder / f"staged/{unit}.tar").open("wb") as tar:
            for number in range(first, min(first + PAIRS_PER_UNIT, num_pairs)):
                data, (width, height) = pictures[number % len(pictures)]
                row = row_of(number, rng) | {"width": width, "height": height, "unit": unit}
                offset = append_member(tar, f"{row['pair_id']}.jpg", data)
                rows.append(row | {"offset": offset, "num_bytes": len(data)})
            end_tar(tar)
    rows.sort(key=lambda row: str(row["key"]))
    write_table(folder / "ordered/00000.parquet", pa.Table.from_pylist(rows, KEPT_SCHEMA))


def row_of(number: int, rng: random.Random) -> Row:
    """Return a row as full as those of a build from the web."""
    caption = (
        f"photo {number} of fresh {rng.choice(('apples', 'pears', 'leeks'))} on a shelf in a shop, close up"
    )
    url = f"https://images.host{number % 997}.example.org/uploads/{number:08x}/photo-{number}.jpg"
    sha256 = hashlib.sha256(str(number).encode()).hexdigest()
    return dict.fromkeys(KEPT_SCHEMA.names) | {
        "pair_id": pair_id(url, caption),
        "key": content_key(sha256, caption),
        "caption": caption,
        "url": url,
        "page_url": f"https://host{number % 997}.example.org/page/{number}/index.html",
        "source": "common_crawl",
        "caption_origin": "alt",
        "query_ids": sorted(rng.sample(range(1000), 5)),
        "language": "en",
        "language_score": rng.random(),
        "original_width": 1600,
        "original_height": 1200,
        "original_bytes": 400_000 + number,
        "sha256": sha256,
        "phash": rng.getrandbits(64),
        "colours": rng.randbytes(48).hex(),
        "http_status": 200,
        "etag": f'"{number:x}-{sha256[:8]}"',
        "last_modified": "Sat, 21 Nov 2026 06:17:31 GMT",
        "robots": "allowed",
        "num_duplicates": 0,
    }


def write(folder: Path, out: Path, pairs_per_shard: int, num_shards: int | None = None) -> None:
    """Write the staged pairs as shards."""
    (out / "records").mkdir(parents=True)
    for plan in plan_shards([Part(folder / "ordered", "00000")], pairs_per_shard)[:num_shards]:
        write_shard(plan, folder / "staged", out, out / "records")


def publish(out: Path) -> None:
    """Make a dataset of shards that are written."""
    names = sorted(path.stem for path in (out / "records").glob("*.json"))
    shards = tuple(read_shards(names, out, out / "records"))
    terms = [f"term {number}" for number in range(1000)]
    rows = [
        dict.fromkeys(QUERY_SCHEMA.names, 0) | {"query_id": n, "text": t, "origin": "given"}
        for n, t in enumerate(terms)
    ]
    tables = {
        "queries.parquet": pa.Table.from_pylist(rows, QUERY_SCHEMA),
        "coverage.parquet": COVERAGE_SCHEMA.empty_table(),
        "samples.parquet": SAMPLE_SCHEMA.empty_table(),
    }
    for name, table in tables.items():
        write_table(out / name, table)
    num_pairs = sum(shard.num_pairs for shard in shards)
    times = sorted((out / "fetch_times").glob("*"))
    manifest = Manifest(
        name="bench",
        created_at="2026-11-21T00:00:00+00:00",
        code_version="bench",
        config={},
        num_pairs=num_pairs,
        num_queries=len(terms),
        queries_sha256=queries_sha256(terms),
        funnel=(StageCount(stage="final_cap", num_in=num_pairs, num_out=num_pairs),),
        shards=shards,
        files=(
            write_sizes(shards, out),
            *(record_file(out, path) for path in (*(out / name for name in tables), *times)),
        ),
        content_hash=content_hash(shards),
    )
    write_manifest(out, manifest)


def shard_files(out: Path) -> list[Path]:
    """Return the files that a dataset's shards consist of."""
    return [
        path for folder in ("shards", "index", "fetch_times") for path in sorted((out / folder).glob("*.*"))
    ]


def write_floor(datas: list[bytes], folder: Path) -> None:
    """Write files and hash what they hold, the least that writing shards must do."""
    folder.mkdir()
    for number, data in enumerate(datas):
        with (folder / str(number)).open("wb", buffering=0) as file:
            view = memoryview(data)
            for start in range(0, len(data), BLOCK):
                file.write(view[start : start + BLOCK])
            os.fsync(file.fileno())
        hashlib.sha256(data)


def read_floor(paths: list[Path]) -> None:
    """Read and hash files, the least that `verify` must do."""
    for path in paths:
        with path.open("rb") as file:
            hashlib.file_digest(file, "sha256")


def assert_whole(out: Path) -> None:
    """Verify a dataset."""
    assert not (wrong := list(verify(out))), wrong


def one_round(folder: Path, name: str) -> dict[str, tuple[Took, Took]]:
    """Return what everything took, and the floors of it, in one round."""
    out, floor = folder / f"out-{name}", folder / f"floor-{name}"
    ours = {"write": timed(lambda: write(folder, out, PAIRS_PER_SHARD))}
    datas = [path.read_bytes() for path in shard_files(out)]
    floors = {"write": timed(lambda: write_floor(datas, floor))}
    del datas
    publish(out)
    ours["verify"] = timed(lambda: assert_whole(out))
    floors["verify"] = timed(lambda: read_floor([path for path in out.rglob("*.*") if path.is_file()]))
    for kind in ("reshard", "select"):
        made = folder / f"{kind}-{name}"
        ours[kind] = without_report(timed(partial(derive, kind, out, made)), made)
        datas = [path.read_bytes() for path in shard_files(made)]
        floors[kind] = timed(partial(write_floor, datas, folder / f"floor-{kind}-{name}"))
        assert_whole(made)
    return {kind: (took, floors[kind]) for kind, took in ours.items()}


def derive(kind: str, source: Path, made: Path) -> None:
    """Make another dataset of the shards: other sizes, or half of the pairs."""
    if kind == "reshard":
        reshard(open_dataset(source), made, 3_000)
    else:
        select(
            open_dataset(source),
            Choice(max_pairs=NUM_PAIRS * 3 // 4),
            made,
            {"max_pairs": NUM_PAIRS * 3 // 4},
        )


def without_report(took: Took, made: Path) -> Took:
    """Return what a dataset took without its report."""
    report = timed(lambda: write_report(made))
    return Took(took.wall_s - report.wall_s, took.cpu_s - report.cpu_s)


def peak_mb(kind: str, folder: Path, num_shards: int) -> float:
    """Return the largest resident set of a process that writes or verifies so many small shards."""
    command = [sys.executable, "-m", "tests.bench.shards", kind, str(folder), str(num_shards)]
    done = subprocess.run(command, stdout=subprocess.PIPE, text=True, check=True, cwd=ROOT)
    return float(done.stdout)


def in_own_process(kind: str, folder: Path, num_shards: int) -> None:
    """Write or verify, and print the largest resident set."""
    out = folder / f"small-{num_shards}"
    if kind == "write":
        write(folder, out, PAIRS_OF_SMALL, num_shards)
    else:
        publish(out)
        assert_whole(out)
    print(resident_mb())


def main() -> None:
    """Measure and print."""
    shares: dict[str, list[float]] = {}
    cpu_shares: dict[str, list[float]] = {}
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        stage(folder, NUM_PAIRS)
        for number in range(ROUNDS):
            place = folder / "round"
            place.mkdir()
            (place / "staged").symlink_to(folder / "staged")
            (place / "ordered").symlink_to(folder / "ordered")
            for kind, (took, floor) in one_round(place, str(number)).items():
                shares.setdefault(kind, []).append(floor.wall_s / took.wall_s)
                cpu_shares.setdefault(kind, []).append(floor.cpu_s / took.cpu_s)
                print(
                    f"{kind}: {took.wall_s:.3f} s ({took.cpu_s:.3f} CPU), floor {floor.wall_s:.3f} s "
                    f"({floor.cpu_s:.3f} CPU)",
                    flush=True,
                )
            shutil.rmtree(place)
        peaks = {
            (kind, count): peak_mb(kind, folder, count)
            for kind in ("write", "verify")
            for count in (FEW, MANY)
        }
    print({f"{kind} {count}": f"{mb:.0f} MB" for (kind, count), mb in peaks.items()})
    result: dict[str, Any] = {
        f"{kind}_share": round(statistics.median(found), 2) for kind, found in shares.items()
    }
    result |= {
        f"{kind}_spread": [round(min(found), 2), round(max(found), 2)] for kind, found in shares.items()
    }
    result |= {f"{kind}_cpu_share": round(statistics.median(found), 2) for kind, found in cpu_shares.items()}
    result["peak_growth"] = round(
        max(peaks[kind, MANY] / peaks[kind, FEW] for kind in ("write", "verify")), 2
    )
    result["load"] = round(os.getloadavg()[0], 1)
    print(json.dumps(result))


if __name__ == "__main__":
    in_own_process(sys.argv[1], Path(sys.argv[2]), int(sys.argv[3])) if sys.argv[1:] else main()
