"""The exact cap on 50 million (pair, term) rows that follow Zipf's law, on two processes: time and memory.

As in a build: parts of pairs in parquet, counted, ranked, capped and written again. Terms: 500,000, of which
the k-th is held by a share of pairs in proportion to 1 / k; each pair draws three or four. Memory is the sum
of the resident sets of all processes, sampled. At the end the cap is checked on what was written: no term
accepts more than its cap by itself, and what is over by other terms of the same pairs is counted.
"""

import argparse
import json
import os
import resource
import tempfile
import threading
import time
from pathlib import Path

import apache_beam as beam
import numpy as np
import pyarrow as pa

from manifests.store import write_table
from pipeline.balance import find_caps, read_caps
from pipeline.parts import Part, parts_in
from pipeline.pool import COLUMNS, Caps, Pool
from pipeline.runners import run

NUM_HITS, NUM_QUERIES, MAX_PAIRS, WORKERS = 50_000_000, 500_000, 20_000, 2
PAIRS_PER_PART = 100_000


def make_part(number: int, folder: Path, cumulated: np.ndarray) -> int:
    """Write one part of pairs and return its number of hits."""
    rng = np.random.default_rng(number)
    size = rng.integers(3, 5, PAIRS_PER_PART)
    terms = np.searchsorted(cumulated, rng.random(int(size.sum()))).astype(np.int32)
    rows = np.repeat(np.arange(PAIRS_PER_PART), size)
    # A pair holds a term once.
    keys = np.unique(rows * NUM_QUERIES + terms)
    rows, terms = np.divmod(keys, NUM_QUERIES)
    offsets = np.searchsorted(rows, np.arange(PAIRS_PER_PART + 1)).astype(np.int32)
    lists = pa.ListArray.from_arrays(offsets, terms.astype(np.int32))
    digits = rng.bytes(16 * PAIRS_PER_PART).hex()
    ids = [digits[start : start + 32] for start in range(0, len(digits), 32)]
    write_table(
        folder / f"{number:05d}.parquet",
        pa.table([ids, pa.repeat("table", PAIRS_PER_PART), lists], names=COLUMNS),
    )
    return len(keys)


class ApplyCap(beam.PTransform):
    """Parts of pairs -> parts of accepted pairs in `out`."""

    def __init__(self, parts: list[Part], caps: Caps, out: Path) -> None:
        super().__init__()
        self.parts, self.caps, self.out = parts, caps, out

    def expand(self, begin: beam.pvalue.PBegin) -> beam.PCollection:
        return begin | beam.Create(self.parts) | beam.Map(apply_cap, caps=self.caps, out=self.out)


def apply_cap(part: Part, caps: Caps, out: Path) -> str:
    """Write the accepted pairs of one part."""
    table = part.rows(COLUMNS)
    write_table(out / f"{part.name}.parquet", table.filter(pa.array(caps.accepts(table))))
    return part.name


class PeakMemory:
    """Samples the resident sets of this process and its children, added up, while the body runs."""

    def __enter__(self) -> "PeakMemory":
        self.peak_mb, self._done = 0.0, threading.Event()
        self._thread = threading.Thread(target=self._sample, daemon=True)
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._done.set()
        self._thread.join()

    def _sample(self) -> None:
        while not self._done.wait(0.2):
            self.peak_mb = max(self.peak_mb, sum(map(resident_mb, family(os.getpid()))))


def family(pid: int) -> list[int]:
    """Return a process and all that it has started."""
    found = [pid]
    for path in Path(f"/proc/{pid}/task").glob("*/children"):
        for child in path.read_text().split():
            found += family(int(child))
    return found


def resident_mb(pid: int) -> float:
    """Return a process's resident set, 0 where it has ended."""
    try:
        return int(Path(f"/proc/{pid}/statm").read_text().split()[1]) * 4096 / 1e6
    except FileNotFoundError:
        return 0.0


def check(parts: list[Part], caps: Caps) -> dict[str, int]:
    """Count, over accepted pairs, what each term has and what it accepted itself."""
    has, own = np.zeros((2, NUM_QUERIES), dtype=np.int64)
    for part in parts:
        hits = caps.pool.hits(part.rows(COLUMNS))
        has += np.bincount(hits.query_ids, minlength=NUM_QUERIES)
        mine = hits.where(hits.priorities < caps.limits[hits.query_ids])
        own += np.bincount(mine.query_ids, minlength=NUM_QUERIES)
    assert own.max() == MAX_PAIRS, own.max()
    assert (own[has > MAX_PAIRS] == MAX_PAIRS).all()
    return {
        "num_full": int((own == MAX_PAIRS).sum()),
        "num_over": int((has > MAX_PAIRS).sum()),
        "num_hits_over": int(np.maximum(has - MAX_PAIRS, 0).sum()),
    }


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--hits", type=int, default=NUM_HITS)
    num_wanted = parser.parse_args().hits
    shares = 1 / np.arange(1, NUM_QUERIES + 1)
    cumulated = np.cumsum(shares) / shares.sum()
    with tempfile.TemporaryDirectory() as name:
        work, num_hits, number = Path(name), 0, 0
        while num_hits < num_wanted:
            num_hits += make_part(number, work / "pairs", cumulated)
            number += 1
        parts = parts_in(work / "pairs")
        started, cpu = time.perf_counter(), cpu_s()
        with PeakMemory() as memory:
            max_pairs = np.full(NUM_QUERIES, MAX_PAIRS, dtype=np.int64)
            find_caps(parts, Pool(), max_pairs, work, lambda transform: run(transform, WORKERS))
            found_s = time.perf_counter() - started
            caps = read_caps(work, Pool(), MAX_PAIRS)
            run(ApplyCap(parts, caps, work / "kept"), WORKERS)
        wall_s, cpu = time.perf_counter() - started, cpu_s() - cpu
        kept = parts_in(work / "kept")
        num_kept = sum(part.num_rows() for part in kept)
        result = {
            "num_hits": num_hits,
            "num_pairs": number * PAIRS_PER_PART,
            "num_kept": num_kept,
            "cpu_s": round(cpu, 1),
            "wall_s": round(wall_s, 1),
            "limits_wall_s": round(found_s, 1),
            "us_per_hit": round(1e6 * cpu / num_hits, 3),
            "peak_rss_mb": round(memory.peak_mb),
            **check(kept, caps),
        }
    print(json.dumps(result))


def cpu_s() -> float:
    """Return the CPU time of this process and of its ended children."""
    usages = resource.getrusage(resource.RUSAGE_SELF), resource.getrusage(resource.RUSAGE_CHILDREN)
    return sum(usage.ru_utime + usage.ru_stime for usage in usages)


if __name__ == "__main__":
    main()
