"""Other people's readers read our shards whole: open_clip 3.3.0, webdataset 0.2.86 and the one installed."""

import hashlib
import io
import json
import subprocess
import sys
from collections import Counter
from pathlib import Path
from typing import Any

import pytest
from PIL import Image

from manifests.schema import INDEX_SCHEMA
from manifests.store import open_dataset
from pipeline.build import build
from pipeline.config import BuildConfig, Dedup, RunOptions
from pipeline.sources import Sources
from pipeline.sources.folder import Folder
from tests.fakes import COLOURS, SHAPES, make_picture

ROOT = Path(__file__).parent.parent
PEERS = ROOT / ".venv-peers/bin/python"
NUM_PAIRS, PAIRS_PER_SHARD = 12, 4

with_peers = pytest.mark.skipif(not PEERS.exists(), reason="no .venv-peers: make peers")


@pytest.fixture(scope="module")
def dataset(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A dataset of 12 pairs in 3 shards, as the pipeline builds it."""
    root = tmp_path_factory.mktemp("peers")
    (root / "photos").mkdir()
    (root / "terms.txt").write_text("drawing\ncafé\n")
    for number in range(NUM_PAIRS):
        path = root / f"photos/{number}.jpg"
        path.write_bytes(make_picture(number, side_px=96))
        colour, shape = COLOURS[number % len(COLOURS)], SHAPES[number // len(COLOURS)]
        path.with_suffix(".txt").write_text(f"A drawing of the {colour} {shape}, as the café has it")
    config = BuildConfig(
        queries=str(root / "terms.txt"),
        sources=Sources(folder=Folder(paths=(str(root / "photos"),))),
        dedup=Dedup(max_distance=None),
        pairs_per_shard=PAIRS_PER_SHARD,
    )
    build(config, RunOptions(dataset=root / "dataset", quiet=True))
    return root / "dataset"


def our_samples(root: Path) -> list[dict[str, Any]]:
    """Every sample as our own index and offsets give it, in order."""
    dataset, facts = open_dataset(root), set(INDEX_SCHEMA.names) - {"offset", "num_bytes"}
    return [
        {
            "key": row["key"],
            "caption": row["caption"],
            "picture_sha256": hashlib.sha256(dataset.read_picture(shard, row)).hexdigest(),
            "facts": {name: value for name, value in row.items() if name in facts},
        }
        for shard in dataset.manifest.shards
        for row in dataset.read_index(shard).to_pylist()
    ]


def our_pairs(root: Path) -> list[tuple[str, str]]:
    """The caption and the hash of the decoded pixels of every pair, in order."""
    dataset = open_dataset(root)
    return [
        (row["caption"], pixels_sha256(dataset.read_picture(shard, row)))
        for shard in dataset.manifest.shards
        for row in dataset.read_index(shard).to_pylist()
    ]


def pixels_sha256(picture: bytes) -> str:
    return hashlib.sha256(Image.open(io.BytesIO(picture)).convert("RGB").tobytes()).hexdigest()


def run_peer(python: Path | str, module: str, *arguments: str) -> Any:
    """Run a peer's reader in its own environment and return the JSON that it prints."""
    command = [str(python), "-m", f"tests.bench.{module}", *arguments]
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    return json.loads(done.stdout)


def tars(root: Path) -> list[str]:
    return [str(path) for path in sorted((root / "shards").glob("*.tar"))]


def test_webdataset_reads_every_sample_bit_for_bit(dataset: Path) -> None:
    found = run_peer(sys.executable, "peer_webdataset", *tars(dataset))
    assert found["samples"] == our_samples(dataset)
    assert len(found["samples"]) == NUM_PAIRS


@with_peers
def test_the_webdataset_that_open_clip_uses_reads_every_sample_bit_for_bit(dataset: Path) -> None:
    found = run_peer(PEERS, "peer_webdataset", *tars(dataset))
    assert found == {"version": "0.2.86", "samples": our_samples(dataset)}


@with_peers
def test_open_clips_own_loaders_give_every_pair_once_and_find_their_number_in_sizes_json(
    dataset: Path,
) -> None:
    shards = f"{dataset}/shards/{{00000..00002}}.tar"
    found = run_peer(PEERS, "peer_open_clip", shards, "--batch-size", str(PAIRS_PER_SHARD))
    train, val = ([tuple(pair) for pair in found[split]["pairs"]] for split in ("train", "val"))
    assert found["train"]["num_samples"] == NUM_PAIRS
    assert val == our_pairs(dataset)
    assert Counter(train) == Counter(our_pairs(dataset))
