"""What the commands on datasets take for 400 million pairs in 40,000 shards: seconds and peak memory of each.

    make bench NAME=manifest_400m
    .venv/bin/python -m tests.bench.manifest_400m --shards 400 --only show diff    # smaller, or some of them

Each command runs in a process of its own on two synthetic datasets (tests/bench/synthetic.py). `select` takes
the pairs of one shard in 1,000 by a column of all; `report` and `card` read samples, and say so; `against` is
the report beside the other dataset. What holds is below half an hour of CPU time, since machines are shared,
and below 2 GiB.
"""

import argparse
import json
import os
import subprocess
import sys
import tempfile
import time
from pathlib import Path

NAMES = ["show", "json", "diff", "card", "report", "against", "select"]
MAX_BYTES, MAX_CPU_SECONDS = 2 << 30, 30 * 60


def main(arguments: list[str]) -> None:
    """Write both datasets, run the commands and print a JSON object of what each took."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--shards", type=int, default=40_000)
    parser.add_argument("--pairs-per-shard", type=int, default=10_000)
    parser.add_argument("--only", nargs="+", default=NAMES)
    request = parser.parse_args(arguments)
    with tempfile.TemporaryDirectory(prefix="openwit-400m-") as folder:
        roots = [Path(folder) / name for name in ("old", "new")]
        for seed, root in enumerate(roots):
            # In a process of its own: the peak of a child counts from that of its parent.
            size = ["--shards", str(request.shards), "--pairs-per-shard", str(request.pairs_per_shard)]
            call = [sys.executable, "-m", "tests.bench.synthetic", str(root), *size, "--seed", str(seed)]
            subprocess.run(call, check=True)
        figures = {name: _measure(_command(name, *roots)) for name in request.only}
        manifest = (roots[0] / "manifest.json").stat().st_size
    num_pairs = request.shards * request.pairs_per_shard
    about = {"num_pairs": num_pairs, "manifest_bytes": manifest, "load": os.getloadavg()[0]}
    print(json.dumps({**about, **figures}))


def _command(name: str, old: Path, new: Path) -> list[str]:
    out = str(old.parent / "out")
    commands = {
        "show": ["show", str(old)],
        "json": ["show", str(old), "--json"],
        "diff": ["diff", str(old), str(new)],
        "card": ["card", str(old), "--out", f"{out}.md"],
        "report": ["report", str(old)],
        "against": ["report", str(new), "--against", str(old)],
        "select": ["select", str(old), "--out", out, "--where", "licence <> 'CC BY 4.0'"],
    }
    return commands[name]


def _measure(command: list[str]) -> dict[str, float | int | bool]:
    """Run a command of manifests; return its seconds, CPU seconds and peak memory, and whether they hold."""
    started = time.monotonic()
    call = [sys.executable, "-m", "manifests", *command]
    process = subprocess.Popen(call, stdout=subprocess.DEVNULL)
    _, status, usage = os.wait4(process.pid, 0)
    seconds, peak = time.monotonic() - started, usage.ru_maxrss * 1024
    cpu_seconds = usage.ru_utime + usage.ru_stime
    process.returncode = os.waitstatus_to_exitcode(status)
    figures: dict[str, float | int | bool] = {
        "status": process.returncode,
        "seconds": round(seconds, 1),
        "cpu_seconds": round(cpu_seconds, 1),
        "peak_mib": peak >> 20,
        "holds": process.returncode in (0, 1) and cpu_seconds < MAX_CPU_SECONDS and peak < MAX_BYTES,
    }
    print(command[0], figures, file=sys.stderr, flush=True)
    return figures


if __name__ == "__main__":
    main(sys.argv[1:])
