"""A million vectors of 512 numbers searched approximately, against exact search of the same: time of a query
on one core, recall@10, and what the index takes to be built, on disk and in memory.

Times of queries are of the processor, by one thread: what a core takes that has nothing else to do and finds
the features in memory; beside them stands what the clock said.

The vectors are made like CLIP's. Pictures: 20,000 clusters of sizes by Zipf's law (exponent 0.8), points
around their centres at 0.7 of the centres' own spread; both have a spectrum that falls as i^-0.5 along random
axes, and all have a part in common. So two pictures have a cosine of 0.45 +- 0.11 on average and the nearest
of 200,000 one of 0.88, as ViT-B/32's of web pictures. Words: half of a picture that is not indexed, other
content of its own, and another common part; the nearest picture has a cosine of 0.30. Half of the queries are
such words and half pictures that are not indexed. Those that the index is tuned on are others.

    make bench NAME=search        or, for others' sizes: python -m tests.bench.search --num 200000
"""

import argparse
import json
import os
import resource
import statistics
import tempfile
import time
from pathlib import Path

import faiss
import numpy as np
import torch

from tests.bench.neardup import resident_mb
from train.search.approximate import Approximate, recall_of
from train.search.exact import Found, search_all
from train.search.parts import Made, Parts, write_part

DIM, NUM_CLUSTERS, NUM_QUERIES, PART_ROWS = 512, 20_000, 1_000, 100_000
Vectors = np.ndarray[tuple[int, int], np.dtype[np.float32]]


class World:
    """Where vectors come from: pictures and words."""

    def __init__(self) -> None:
        self.random = np.random.default_rng(0)
        self._axes = np.linalg.qr(self.random.standard_normal((DIM, DIM)))[0].astype(np.float32)
        spectrum = np.arange(1, DIM + 1) ** -0.5
        self._spectrum = (spectrum / np.linalg.norm(spectrum)).astype(np.float32)
        common = self.random.standard_normal((2, DIM), dtype=np.float32)
        self._of_pictures, self._of_words = self._unit(common)
        self._centres = self._content(NUM_CLUSTERS)
        sizes = np.arange(1, NUM_CLUSTERS + 1) ** -0.8
        self._sizes = sizes / sizes.sum()

    def pictures(self, num: int) -> Vectors:
        """Return (num, DIM) of unit length."""
        return self._unit(self._things(num) + 1.1 * self._of_pictures)

    def words(self, num: int) -> Vectors:
        """Return (num, DIM) of unit length."""
        return self._unit(0.5 * self._things(num) + 0.8 * self._content(num) + 1.5 * self._of_words)

    def _things(self, num: int) -> Vectors:
        chosen = self.random.choice(NUM_CLUSTERS, num, p=self._sizes)
        things: Vectors = self._centres[chosen] + np.float32(0.7) * self._content(num)
        return things

    def _content(self, num: int) -> Vectors:
        drawn = self.random.standard_normal((num, DIM), dtype=np.float32)
        return np.asarray((drawn * self._spectrum) @ self._axes, np.float32)

    @staticmethod
    def _unit(vectors: Vectors) -> Vectors:
        unit: Vectors = vectors / np.linalg.norm(vectors, axis=1, keepdims=True)
        return unit


def write_parts(folder: Path, world: World, num: int) -> Parts:
    """Write an index's parts of so many pictures."""
    parts = []
    for number, start in enumerate(range(0, num, PART_ROWS)):
        num_rows = min(PART_ROWS, num - start)
        made = Made(place=".", name=str(number), identity="", num_rows=num_rows, num_bad=0, bad=())
        rows = [{"unsafe": False}] * num_rows
        parts.append(write_part(folder / f"{number:06}", made, world.pictures(num_rows), rows))
    return Parts(tuple(parts))


def timed(
    search: Approximate | None, parts: Parts, queries: Vectors
) -> tuple[Found, list[float], list[float]]:
    """Return what is found for queries one by one, and the milliseconds of each, of the processor and of the
    clock."""
    ids, scores, cpu_ms, wall_ms = [], [], [], []
    for query in queries:
        cpu, wall = time.thread_time(), time.perf_counter()
        if search is None:
            found = search_all(parts, query[None], 10, show_unsafe=False)
        else:
            found = search.search(query[None], 10, show_unsafe=False)
        cpu_ms.append(1e3 * (time.thread_time() - cpu))
        wall_ms.append(1e3 * (time.perf_counter() - wall))
        ids.append(found.ids)
        scores.append(found.scores)
    return Found(ids=np.concatenate(ids), scores=np.concatenate(scores)), cpu_ms, wall_ms


def measure(folder: Path, num: int) -> dict[str, float]:
    """Build, search and compare; return the figures."""
    world = World()
    parts = write_parts(folder, world, num)
    tuned_on = [world.words(200), world.pictures(200)]
    queries = {"words": world.words(NUM_QUERIES // 2), "pictures": world.pictures(NUM_QUERIES // 2)}
    before_mb, started = resident_mb(), time.process_time()
    built = Approximate.of(parts, DIM)
    build_s = time.process_time() - started
    index = built.tuned([(asked, search_all(parts, asked, 10, show_unsafe=True)) for asked in tuned_on])
    tune_s = time.process_time() - started - build_s
    index.write(folder / "approximate.faiss")
    result = {
        "num": num,
        "build_cpu_s": round(build_s, 1),
        "tune_cpu_s": round(tune_s, 1),
        "index_mb": round((folder / "approximate.faiss").stat().st_size / 1e6, 1),
        "features_mb": round(num * DIM * 2 / 1e6, 1),
        "build_memory_mb": round(resident_mb() - before_mb, 1),
        "num_cells": index.setting.num_cells,
        "num_probes": index.setting.num_probes,
    }
    cpu_ms, wall_ms, recalls = list[float](), list[float](), list[float]()
    for name, asked in queries.items():
        timed(index, parts, asked[:20])
        found, of_each, by_clock = timed(index, parts, asked)
        cpu_ms, wall_ms = cpu_ms + of_each, wall_ms + by_clock
        recalls.append(recall_of(found, search_all(parts, asked, 10, show_unsafe=False)))
        result[f"recall_at_10_{name}"] = round(recalls[-1], 4)
    _, exact_ms, _ = timed(None, parts, queries["words"][:20])
    result["exact_median_ms"] = round(statistics.median(exact_ms), 1)
    result["median_ms"] = round(statistics.median(cpu_ms), 2)
    result["p95_ms"] = round(float(np.percentile(cpu_ms, 95)), 2)
    result["p95_wall_ms"] = round(float(np.percentile(wall_ms, 95)), 2)
    result["recall_at_10"] = round(statistics.mean(recalls), 4)
    return result


def main() -> None:
    """Measure with one thread; the last line is the figures as JSON."""
    asked = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    asked.add_argument("--num", type=int, default=1_000_000)
    num = asked.parse_args().num
    torch.set_num_threads(1)
    faiss.omp_set_num_threads(1)
    print(f"one thread, load {os.getloadavg()[0]:.1f}")
    with tempfile.TemporaryDirectory(prefix="openwit-search-") as folder:
        result = measure(Path(folder), num)
    print(f"largest resident set {resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1e3:,.0f} MB")
    print(json.dumps(result))


if __name__ == "__main__":
    main()
