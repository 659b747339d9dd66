"""How a build scales: one and two workers, what stays serial, and what that means for 64.

Two kinds of build, each in a process of its own that is its driver (`scale_build`). `pictures`: photos of 640
x 480 from an nginx of this machine, whole builds of two sizes, in one process and with two worker processes.
`rows`: candidates as a table, the fetch made up, two sizes, two workers; half of the candidates come to be
fetched.

Serial is what the driver does: its CPU seconds, whether or not workers have something to do meanwhile.
Parallel is the CPU of all other processes. What a build takes is told apart by its two sizes into a part that
every build has (`fixed`: to load Python, to start the workers of each phase, which all wait for) and one for
each pair that is fetched. From these follow, for W workers, each a core, and N pairs,

    seconds(W, N) = fixed + N * (serial + parallel / W)     efficiency = seconds(1, N) / (W * seconds(W, N))

What the fetch and the shards cost workers is that of `pictures`, everything else that of `rows`. While
pictures are fetched the driver has nothing to hand over, and counts files now and then: what it takes then
grows with time and not with pairs, holds nobody up, and is told (`driver_fetch_us`) but not counted as
serial. CPU seconds, since others use the machine; seconds by the clock are told, too, and mean little when
it is busy. The driver's memory is the largest resident set of that process.
"""

import argparse
import json
import os
import subprocess
import sys
import tempfile
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa

from manifests.store import write_table
from tests.bench.photos import HOST, make_photos, nginx_serving

ROOT = Path(__file__).parents[2]
PICTURES, ROWS = (300, 2_000), (20_000, 200_000)
ROUNDS = 3
ROWS_PER_FILE = 10_000
REAL = ("fetched", "shards")  # whose work only real pictures tell
WORKERS, PAIRS = (2, 8, 16, 64), (100_000, 10_000_000, 400_000_000)
ADJECTIVES = ("red", "green", "blue", "old", "new", "small", "large", "wooden", "paper", "clean")
NOUNS = ("apple", "bottle", "chair", "door", "engine", "flower", "guitar", "house", "island", "jacket")

Build = dict[str, Any]


def write_terms(path: Path) -> None:
    """Write search terms: nouns, and adjectives before them."""
    pairs = [f"{adjective} {noun}" for adjective in ADJECTIVES for noun in NOUNS]
    path.write_text("\n".join([*NOUNS, *pairs]) + "\n")


def write_candidates(folder: Path, number: int) -> None:
    """Write tables of candidates: of ten, two are German, two hold no term, one is at a URL of another."""
    for file, first in enumerate(range(0, number, ROWS_PER_FILE)):
        rng = np.random.default_rng(file)
        numbers = range(first, min(first + ROWS_PER_FILE, number))
        urls = [url_of(n - 1 if n % 10 == 4 else n) for n in numbers]
        adjectives, nouns = rng.choice(ADJECTIVES, len(numbers)), rng.choice(NOUNS, len(numbers))
        words = zip(numbers, adjectives, nouns, strict=True)
        captions = [caption_of(n, str(adjective), str(noun)) for n, adjective, noun in words]
        write_table(folder / f"{file:05d}.parquet", pa.table({"url": urls, "caption": captions}))


def url_of(number: int) -> str:
    """Return an address as long as those of the web."""
    return f"https://images.host{number % 997}.example.org/uploads/2026/{number:08x}/photo-{number}.jpg"


def caption_of(number: int, adjective: str, noun: str) -> str:
    """Return a caption of some sixty letters."""
    if number % 5 == 0:
        return f"Das ist ein Bild von einem alten Haus mit einem Garten, {noun} Nummer {number}"
    if number % 5 == 1:
        return f"a picture of nothing in particular, taken on a rainy day, number {number}"
    return f"photo {number} of one {adjective} {noun} that somebody has left on a shelf in a shop"


def run_build(folder: Path, kind: str, table: Path, workers: int, *connect_to: str) -> Build:
    """Build into a folder that is removed; return what it took."""
    with tempfile.TemporaryDirectory(dir=folder) as name:
        words = [kind, str(table), str(folder / "terms.txt"), f"{name}/dataset", str(workers), *connect_to]
        command = [sys.executable, "-m", "tests.bench.scale_build", *words]
        done = subprocess.run(command, stdout=subprocess.PIPE, text=True, check=True, cwd=ROOT)
    took: Build = json.loads(done.stdout.splitlines()[-1])
    phases = took["phases"].values()
    took |= {key: sum(phase[key] for phase in phases) for key in ("wall_s", "driver_s", "beam_s", "others_s")}
    print(f"{kind}, {workers} workers, {took['num_candidates']:,} candidates: {told(took)}", flush=True)
    return took


def told(took: Build) -> str:
    """Return a build in a line."""
    cpu_s = took["driver_s"] + took["others_s"]
    return (
        f"{took['num_pairs']:,} pairs, {took['wall_s']:.1f} s, CPU {cpu_s:.1f} s, of that the driver "
        f"{took['driver_s']:.1f} s (in Beam {took['beam_s']:.1f} s), at most {peak_mb(took):.0f} MB"
    )


def peak_mb(took: Build) -> float:
    """Return the driver's largest resident set in any phase."""
    return float(max(phase["peak_mb"] for phase in took["phases"].values()))


@dataclass(frozen=True)
class Line:
    """a + b N."""

    a: float
    b: float

    @classmethod
    def through(cls, sizes: tuple[float, float], values: tuple[float, float]) -> "Line":
        """Return the line through two points."""
        slope = (values[1] - values[0]) / (sizes[1] - sizes[0])
        return cls(values[0] - slope * sizes[0], slope)


@dataclass(frozen=True)
class Law:
    """Seconds that every build takes, and those of each pair that is fetched."""

    fixed: float
    serial: float
    parallel: float

    def seconds(self, workers: int, pairs: float) -> float:
        """Return what a build takes."""
        return self.fixed + pairs * (self.serial + self.parallel / workers)

    def efficiency(self, workers: int, pairs: float) -> float:
        """Return the share of so many workers that is put to use."""
        return self.seconds(1, pairs) / (workers * self.seconds(workers, pairs))

    @property
    def share(self) -> float:
        """The serial share of a pair."""
        return self.serial / (self.serial + self.parallel)


def lines_of(builds: tuple[Build, Build], phase: str, workers: int) -> tuple[Line, Line]:
    """Return the driver's seconds and the others' as functions of the pairs that were fetched."""
    sizes = builds[0]["num_selected"], builds[1]["num_selected"]
    values = [tuple(build["phases"][phase][key] for build in builds) for key in ("driver_s", "others_s")]
    driver, others = (Line.through(sizes, (few, many)) for few, many in values)
    return driver, Line(others.a / workers, others.b)  # workers start at the same time


def law_of(rows: tuple[Build, Build], pictures: tuple[Build, Build], workers: int) -> Law:
    """Put the phases together."""
    fixed = serial = parallel = 0.0
    for phase in pictures[0]["phases"]:
        driver, others = lines_of(rows if phase in rows[0]["phases"] else pictures, phase, workers)
        if phase in REAL:
            others = lines_of(pictures, phase, workers)[1]
        kind = f"{1e6 * driver.b:8.1f} us a pair in the driver, {1e6 * others.b:8.1f} in workers"
        print(f"{phase:<12} {max(0, driver.a) + max(0, others.a):5.2f} s, {kind}")
        fixed += max(0.0, driver.a) + max(0.0, others.a)
        parallel += max(0.0, others.b)
        serial += max(0.0, driver.b) if phase != "fetched" else 0.0
    return Law(fixed, serial, parallel)


def memory_of(rows: tuple[Build, Build]) -> dict[str, float]:
    """Return the MB by which the driver's largest resident set grows for a million candidates, and where."""
    millions = (rows[1]["num_candidates"] - rows[0]["num_candidates"]) / 1e6
    grown = {
        phase: round((took["peak_mb"] - rows[0]["phases"][phase]["peak_mb"]) / millions)
        for phase, took in rows[1]["phases"].items()
        if phase != "start"
    }
    most = sorted(grown.items(), key=lambda item: -item[1])[:4]
    print("driver's MB for a million candidates:", grown)
    whole = (peak_mb(rows[1]) - peak_mb(rows[0])) / millions
    return {"all": round(whole), **dict(most)}


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--rows", type=int, nargs=2, default=ROWS, help="candidates of the two sizes")
    parser.add_argument("--rounds", type=int, default=ROUNDS, help="of the builds with pictures")
    asked = parser.parse_args()
    load = os.getloadavg()[0]
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        write_terms(folder / "terms.txt")
        rows = []
        for number in asked.rows:
            write_candidates(folder / f"rows-{number}", number)
            rows.append(run_build(folder, "rows", folder / f"rows-{number}", 2))
        pictures = build_pictures(folder, asked.rounds)
    law = law_of((rows[0], rows[1]), (pictures[2, 0], pictures[2, 1]), 2)
    print(
        json.dumps(
            result(law, (rows[0], rows[1]), pictures)
            | {"driver_mb_per_million": memory_of((rows[0], rows[1]))}
            | {"load": [round(load, 1), round(os.getloadavg()[0], 1)]}
        )
    )


def build_pictures(folder: Path, rounds: int) -> dict[tuple[int, int], Build]:
    """Return, for each (workers, which size), the build of the median CPU time."""
    names = [path.name for path in make_photos(folder / "photos", max(PICTURES), 640, 480)]
    found: dict[tuple[int, int], list[Build]] = {}
    with nginx_serving(folder / "photos", folder / "nginx") as served:
        for number in PICTURES:
            write_photos(folder / f"photos-{number}", names, number)
        for _ in range(rounds):
            for size, number in enumerate(PICTURES):
                for workers in (1, 2):
                    to = f"{HOST}=127.0.0.1:{served.http}"
                    took = run_build(folder, "pictures", folder / f"photos-{number}", workers, to)
                    found.setdefault((workers, size), []).append(took)
    return {key: sorted(builds, key=cpu_s)[len(builds) // 2] for key, builds in found.items()}


def write_photos(folder: Path, names: list[str], number: int) -> None:
    """Write a table of the first photos."""
    urls = [f"http://{HOST}/{name}" for name in names[:number]]
    captions = [caption_of(5 * n + 2, ADJECTIVES[n % 10], NOUNS[n % len(NOUNS)]) for n in range(number)]
    write_table(folder / "00000.parquet", pa.table({"url": urls, "caption": captions}))


def cpu_s(took: Build) -> float:
    """Return the CPU seconds of a build, all its processes counted."""
    return float(took["driver_s"] + took["others_s"])


def result(law: Law, rows: tuple[Build, Build], pictures: dict[tuple[int, int], Build]) -> dict[str, Any]:
    """Return the figures."""
    one, two = pictures[1, 1], pictures[2, 1]
    few, many = (build["driver_s"] - build["beam_s"] for build in rows)
    outside = (many - few) / (rows[1]["num_selected"] - rows[0]["num_selected"])
    fetch, _ = lines_of((pictures[2, 0], two), "fetched", 2)
    return {
        "pairs_per_s": {n: round(took["num_pairs"] / took["wall_s"]) for n, took in ((1, one), (2, two))},
        "pairs_per_cpu_s": {n: round(took["num_pairs"] / cpu_s(took)) for n, took in ((1, one), (2, two))},
        "fixed_s": round(law.fixed, 1),
        "serial_us": round(1e6 * law.serial, 1),
        "serial_us_outside_beam": round(1e6 * outside, 1),
        "driver_fetch_us": round(1e6 * fetch.b, 1),
        "parallel_us": round(1e6 * law.parallel),
        "serial_share": round(law.share, 4),
        "efficiency": {
            f"{pairs:,}": {workers: round(law.efficiency(workers, pairs), 2) for workers in WORKERS}
            for pairs in PAIRS
        },
    }


if __name__ == "__main__":
    main()
