"""Fetching photos over HTTP and HTTPS: our engine against img2dataset, both with a pHash of each picture.

Both read the same URLs on an nginx of this machine, every request on a connection of its own, and store the
shorter side at 256 px, JPEG quality 95, with sha256. img2dataset trusts the same certificates. Ours is the
fetch phase of a build, robots.txt and all checks included; beside it stands the cost of the whole build.

Our pHash is that of the picture as it was decoded; img2dataset has none, so imagehash runs on top of it: on
the original files, which gives the same kind of hash (`ratio_...`), or on what img2dataset stored, which
gives a hash of the small picture (`ratio_..._stored`).

CPU seconds are those of all processes of a job, nginx left out. What an image costs is the difference of a
large and a small job over the images between them, so that start-up counts for neither. Memory is the largest
resident set of any one process of ours.
"""

import ctypes
import json
import os
import resource
import shutil
import statistics
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq

from tests.bench.photos import HOST, Served, make_photos, nginx_serving

ROOT = Path(__file__).parents[2]
PEER = [str(ROOT / ".venv-peers/bin/python"), "-m", "tests.bench.peer_img2dataset"]
CAPTION = "a photo of fresh fruit and vegetables on the shelf of a shop"
NUM_ROUNDS = 3
PR_SET_CHILD_SUBREAPER = 36


@dataclass(frozen=True)
class Case:
    """One setting: which photos, how fetched, how many in the small and in the large job."""

    name: str
    folder: str
    secure: bool
    small: int
    large: int


CASES = (
    Case("http_640", "640", False, 1_000, 5_000),
    Case("http_1600", "1600", False, 200, 1_200),
    Case("https", "640", True, 200, 1_200),
)


@dataclass(frozen=True)
class Cost:
    """What a job took."""

    cpu_s: float
    wall_s: float
    peak_mb: float


def write_table(path: Path, names: list[str], number: int, base: str) -> None:
    """Write a table of distinct URLs, which lead to the photos again and again."""
    urls = [f"{base}/{names[index % len(names)]}?k={index // len(names)}" for index in range(number)]
    pq.write_table(
        pa.table({"url": urls, "caption": [f"{CAPTION} {index}" for index in range(number)]}), path
    )


def run(command: list[str], environment: dict[str, str]) -> tuple[Cost, str]:
    """Run a job to its end; return its cost, all its processes counted, and its last line."""
    before, started = _cpu_of_children(), time.monotonic()
    job = subprocess.Popen(
        command,
        cwd=ROOT,
        env=os.environ | environment,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )
    peak = _Peak(job.pid)
    out, err = job.communicate()
    wall_s = time.monotonic() - started
    _reap_orphans()
    if job.returncode:
        sys.exit(f"{' '.join(command)} failed:\n{err[-2000:]}")
    lines = out.strip().splitlines() or [""]
    return Cost(_cpu_of_children() - before, wall_s, peak.stop()), lines[-1]


def _cpu_of_children() -> float:
    usage = resource.getrusage(resource.RUSAGE_CHILDREN)
    return usage.ru_utime + usage.ru_stime


def _reap_orphans() -> None:
    """Wait for processes that a job left behind: this process is their parent now."""
    while True:
        try:
            if os.waitpid(-1, os.WNOHANG) == (0, 0):
                return  # nginx, which goes on
        except ChildProcessError:
            return


class _Peak:
    """Follows the largest resident set among a process and its descendants."""

    def __init__(self, pid: int) -> None:
        self._pid, self._peak_mb, self._done = pid, 0.0, threading.Event()
        self._thread = threading.Thread(target=self._follow, daemon=True)
        self._thread.start()

    def stop(self) -> float:
        self._done.set()
        self._thread.join()
        return self._peak_mb

    def _follow(self) -> None:
        while not self._done.wait(0.2):
            for pid in _family(self._pid):
                self._peak_mb = max(self._peak_mb, _peak_mb(pid))


def _family(pid: int) -> Iterator[int]:
    yield pid
    try:
        children = Path(f"/proc/{pid}/task/{pid}/children").read_text().split()
    except OSError:
        return
    for child in children:
        yield from _family(int(child))


def _peak_mb(pid: int) -> float:
    try:
        lines = Path(f"/proc/{pid}/status").read_text().splitlines()
    except OSError:
        return 0.0
    return next((int(line.split()[1]) / 1e3 for line in lines if line.startswith("VmHWM")), 0.0)


class Bench:
    """Both sides on the photos of one folder."""

    def __init__(self, folder: Path, photos: Path, served: Served) -> None:
        self.folder, self.photos, self.served = folder, photos, served
        self.environment = {"SSL_CERT_FILE": str(served.certificates), "NO_ALBUMENTATIONS_UPDATE": "1"}
        (folder / "terms.txt").write_text("fruit\n")

    def engine(self, case: Case, number: int) -> Cost:
        """Fetch so many photos: that phase of a build alone."""
        command = self._ours(case, number)
        run([*command("select")], self.environment)
        return self._checked(command("fetch"), number)

    def build(self, case: Case, number: int) -> Cost:
        """Build a dataset of so many photos."""
        return self._checked(self._ours(case, number)("build"), number)

    def peer(self, case: Case, number: int) -> Cost:
        """Let img2dataset download the same; what it stored stays for `peer_hash_stored`."""
        port = self.served.https if case.secure else self.served.http
        table, out = self._table(case, number, f"{'https' if case.secure else 'http'}://localhost:{port}")
        return self._checked([*PEER, "fetch", str(table), str(out)], number)

    def peer_hash_stored(self, _: Case, number: int) -> Cost:
        """Hash what img2dataset stored last."""
        return self._checked([*PEER, "hash_shards", str(self.folder / "out")], number)

    def peer_hash_originals(self, case: Case, number: int) -> Cost:
        """Hash the files as they are served."""
        return self._checked([*PEER, "hash_originals", str(self.photos / case.folder), str(number)], number)

    def _ours(self, case: Case, number: int) -> Callable[[str], list[str]]:
        port = self.served.https if case.secure else self.served.http
        table, out = self._table(case, number, f"{'https' if case.secure else 'http'}://{HOST}")
        rest = [str(table), str(self.folder / "terms.txt"), str(out), f"{HOST}=127.0.0.1:{port}"]
        return lambda what: [sys.executable, "-m", "tests.bench.fetch_ours", what, *rest]

    def _checked(self, command: list[str], number: int) -> Cost:
        cost, line = run(command, self.environment)
        assert int(line) == number, (command, line)
        return cost

    def _table(self, case: Case, number: int, base: str) -> tuple[Path, Path]:
        names = sorted(path.name for path in (self.photos / case.folder).glob("*.jpg"))
        table, out = self.folder / "urls.parquet", self.folder / "out"
        write_table(table, names, number, f"{base}/{case.folder}")
        shutil.rmtree(out, ignore_errors=True)
        return table, out

    def marginal(self, case: Case) -> dict[str, Cost]:
        """Return, for each job, what one more image costs: CPU and wall in ms, and the large job's peak."""
        costs = {}
        jobs = (self.engine, self.build, self.peer, self.peer_hash_stored, self.peer_hash_originals)
        large = {job.__name__: job(case, case.large) for job in jobs}
        small = {job.__name__: job(case, case.small) for job in jobs}
        each = 1e3 / (case.large - case.small)
        for name, most in large.items():
            cpu_s, wall_s = most.cpu_s - small[name].cpu_s, most.wall_s - small[name].wall_s
            costs[name] = Cost(cpu_s * each, wall_s * each, most.peak_mb)
        return costs


def main() -> None:
    """Measure and print."""
    ctypes.CDLL(None).prctl(PR_SET_CHILD_SUBREAPER, 1)
    chosen = [case for case in CASES if case.name in sys.argv[1:]] or CASES
    result: dict[str, float] = {}
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        make_photos(folder / "photos/640", 5_000, 640, 480)
        make_photos(folder / "photos/1600", 1_000, 1600, 1200)
        with nginx_serving(folder / "photos", folder / "nginx") as served:
            bench = Bench(folder, folder / "photos", served)
            for case in chosen:
                result |= compare(bench, case)
            if chosen is CASES:
                result |= growth(bench)
    print(json.dumps(result))


def compare(bench: Bench, case: Case) -> dict[str, float]:
    """Measure one case on both sides, in turns."""
    rounds = [bench.marginal(case) for _ in range(NUM_ROUNDS)]
    cpu, wall = {}, {}
    for name in rounds[0]:
        cpu[name] = statistics.median(costs[name].cpu_s for costs in rounds)
        wall[name] = statistics.median(costs[name].wall_s for costs in rounds)
        spread = ", ".join(f"{costs[name].cpu_s:.2f}" for costs in rounds)
        print(
            f"{case.name:10} {name:20} {cpu[name]:6.2f} CPU ms an image ({spread}), {wall[name]:6.2f} ms wall"
        )
    hashed = {kind: cpu["peer"] + cpu[f"peer_hash_{kind}"] for kind in ("originals", "stored")}
    return {
        f"ratio_{case.name}": round(hashed["originals"] / cpu["engine"], 2),
        f"ratio_{case.name}_stored": round(hashed["stored"] / cpu["engine"], 2),
        f"wall_ratio_{case.name}": round((wall["peer"] + wall["peer_hash_originals"]) / wall["engine"], 2),
        f"cpu_ms_{case.name}": round(cpu["engine"], 3),
        f"cpu_ms_{case.name}_whole_build": round(cpu["build"], 3),
        f"peer_cpu_ms_{case.name}": round(hashed["originals"], 3),
        f"peer_cpu_ms_{case.name}_stored": round(hashed["stored"], 3),
    }


def growth(bench: Bench) -> dict[str, float]:
    """Return how the largest process of ours grows from 5,000 to 50,000 images."""
    case = CASES[0]
    few, many = (bench.engine(case, number).peak_mb for number in (5_000, 50_000))
    print(f"largest process: {few:.0f} MB at 5,000 images, {many:.0f} MB at 50,000")
    return {"peak_growth": round(many / few, 3), "peak_mb": round(many)}


if __name__ == "__main__":
    main()
