"""The small sample web that several tests build datasets from: how to run a build of it, what is in one."""

from pathlib import Path

import pyarrow.parquet as pq

from manifests.dates import timeless
from manifests.fetch_times import FOLDER
from manifests.store import open_dataset
from pipeline.config import RunOptions
from pipeline.sample_web.server import Served

NUM_PICTURES = 120


def options(root: Path, served: Served, workers: int = 1) -> RunOptions:
    """How a build of the small world is run."""
    return RunOptions(dataset=root, workers=workers, connect_to=served.connect_to, quiet=True)


def outcomes(root: Path) -> dict[tuple[str, str], str]:
    """What became of every candidate; being found twice is no outcome of its own."""
    dataset = open_dataset(root)
    found = {
        (row["url"], row["caption"]): row["reason"]
        for file in sorted((root / "rejections").glob("*.parquet"))
        for row in pq.read_table(file).to_pylist()
        if row["reason"] != "duplicate_pair"
    }
    for shard in dataset.manifest.shards:
        found |= {(row["url"], row["caption"]): "kept" for row in dataset.read_index(shard).to_pylist()}
    return found


def contents(root: Path) -> dict[str, bytes]:
    """Every file of a dataset but the build's own and the report; times aside, which differ."""
    files = [path for path in sorted(root.rglob("*")) if path.is_file() and "work" not in path.parts]
    found = {
        path.relative_to(root).as_posix(): path.read_bytes()
        for path in files
        if path.name not in ("report.html", "manifest.json") and path.parent.name != FOLDER
    }
    return {**found, "manifest.json": repr(timeless(open_dataset(root).manifest)).encode()}
