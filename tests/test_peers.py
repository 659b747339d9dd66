"""Other people's readers read our datasets whole: the same pictures, captions and keys, to the bit.

open_clip 3.3.0, webdataset 0.2.86, 0.2.111 and 1.0.2, Hugging Face datasets, mlcroissant, DuckDB, pandas and
img2dataset, each in .venv-peers.
"""

import hashlib
import io
import json
import os
import shutil
import subprocess
import sys
from collections import Counter
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from PIL import Image

from manifests.__main__ import main
from manifests.schema import INDEX_SCHEMA
from manifests.show import tars
from manifests.store import open_dataset, write_bytes, write_manifest
from pipeline.build import build
from pipeline.config import BuildConfig, Dedup, RunOptions
from pipeline.sources import Sources
from pipeline.sources.folder import Folder
from tests.bench.peer_readers import READERS
from tests.fakes import make_picture

ROOT = Path(__file__).parent.parent
PEERS = ROOT / ".venv-peers"
NUM_PAIRS, PAIRS_PER_SHARD, TAKEN_OUT = 120, 20, 3
VERSIONS = ("0.2.111", "1.0.2")  # beside open_clip's, which is installed

with_peers = pytest.mark.skipif(not (PEERS / "bin/python").exists(), reason="no .venv-peers: make peers")


@pytest.fixture(scope="module")
def dataset(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """100 pairs in 5 shards, as the pipeline builds them and with a gap as after a takedown; with card and
    description."""
    root = tmp_path_factory.mktemp("peers")
    (root / "photos").mkdir()
    (root / "terms.txt").write_text("drawing\ncafé\n")
    for number in range(NUM_PAIRS):
        path = root / f"photos/{number}.jpg"
        path.write_bytes(make_picture(number, side_px=96 + number))
        path.with_suffix(".txt").write_text(f'A drawing, as the café has it: "{number}"')
    config = BuildConfig(
        queries=str(root / "terms.txt"),
        sources=Sources(folder=Folder(paths=(str(root / "photos"),))),
        dedup=Dedup(max_distance=None),
        pairs_per_shard=PAIRS_PER_SHARD,
    )
    build(config, RunOptions(dataset=root / "dataset", quiet=True))
    take_out(root / "dataset", TAKEN_OUT)
    for command in ("card", "croissant"):
        assert main([command, str(root / "dataset")]) == 0
    return root / "dataset"


def take_out(root: Path, number: int) -> None:
    """Take a shard out of a dataset, so that its numbers have a gap."""
    manifest = open_dataset(root).manifest
    gone = manifest.shards[number]
    shards = tuple(shard for shard in manifest.shards if shard != gone)
    sizes = {Path(shard.tar.path).name: shard.num_pairs for shard in shards}
    write_bytes(root / "shards/sizes.json", json.dumps(sizes).encode())
    write_manifest(root, replace(manifest, shards=shards, num_pairs=sum(sizes.values())))
    for record in (gone.tar, gone.index):
        (root / record.path).unlink()


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


def run_peer(python: Path | str, module: str, *arguments: str, **variables: str) -> Any:
    """Run a peer's reader in its own environment and return the JSON that it prints last."""
    command = [str(python), "-m", f"tests.bench.{module}", *arguments]
    environment = os.environ | variables
    done = subprocess.run(command, cwd=ROOT, env=environment, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    return json.loads(done.stdout.splitlines()[-1])


def pattern(root: Path) -> str:
    return tars(root, open_dataset(root).manifest)


def test_the_pattern_leaves_the_gap_out(dataset: Path) -> None:
    assert pattern(dataset) == f"{dataset}/shards/{{{{00000..00002}},{{00004..00005}}}}.tar"


def test_webdataset_reads_every_sample_bit_for_bit(dataset: Path) -> None:
    found = run_peer(sys.executable, "peer_webdataset", pattern(dataset))
    assert found["samples"] == our_samples(dataset)
    assert len(found["samples"]) == NUM_PAIRS - PAIRS_PER_SHARD


@with_peers
def test_the_webdataset_that_open_clip_uses_reads_every_sample_bit_for_bit(dataset: Path) -> None:
    found = run_peer(PEERS / "bin/python", "peer_webdataset", pattern(dataset))
    assert found == {"version": "0.2.86", "samples": our_samples(dataset)}


@with_peers
@pytest.mark.parametrize("version", VERSIONS)
def test_newer_versions_of_webdataset_read_every_sample_bit_for_bit(dataset: Path, version: str) -> None:
    folder = PEERS / f"webdataset-{version}"
    if not folder.exists():
        pytest.skip(f"no {folder}: make peers")
    found = run_peer(PEERS / "bin/python", "peer_webdataset", pattern(dataset), PYTHONPATH=str(folder))
    assert found == {"version": version, "samples": our_samples(dataset)}


@with_peers
def test_open_clips_own_loaders_give_every_pair_once_and_find_their_number_in_sizes_json(
    dataset: Path,
) -> None:
    found = run_peer(PEERS / "bin/python", "peer_open_clip", pattern(dataset), "--batch-size", "20")
    train, val = ([tuple(pair) for pair in found[split]["pairs"]] for split in ("train", "val"))
    assert found["train"]["num_samples"] == NUM_PAIRS - PAIRS_PER_SHARD
    assert val == our_pairs(dataset)
    assert Counter(train) == Counter(our_pairs(dataset))


@with_peers
@pytest.mark.parametrize("reader", READERS)
def test_every_other_reader_gives_the_same_keys_captions_and_pictures(
    dataset: Path, reader: str, tmp_path: Path
) -> None:
    package = READERS[reader][0]
    if not any(PEERS.glob(f"lib/*/site-packages/{package}")):
        pytest.skip(f"no {package} in .venv-peers: make peers")
    caches = {"HF_HOME": str(tmp_path), "HF_HUB_OFFLINE": "1", "CROISSANT_CACHE": str(tmp_path)}
    found = run_peer(PEERS / "bin/python", "peer_readers", reader, str(dataset), **caches)
    names = ("key", "caption", "picture_sha256")
    ours = [{name: sample[name] for name in names} for sample in our_samples(dataset)]
    assert (
        sorted(found["samples"], key=lambda sample: sample["key"]) == ours
    )  # which are in the order of keys


@with_peers
def test_mlcroissant_finds_nothing_wrong_with_the_description(dataset: Path) -> None:
    if not (PEERS / "bin/mlcroissant").exists():
        pytest.skip("no mlcroissant in .venv-peers: make peers")
    command = [str(PEERS / "bin/mlcroissant"), "validate", "--jsonld", str(dataset / "croissant.json")]
    done = subprocess.run(command, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    assert "error(s)" not in done.stderr
    assert done.stderr.rstrip().endswith("Done.")


def commands_of(heading: str) -> list[str]:
    """The commands that a section of the README prints."""
    section = (ROOT / "README.md").read_text().partition(f"## {heading}\n")[2].partition("\n## ")[0]
    return [line.strip() for line in section.splitlines() if line.startswith("    ")]


@with_peers
def test_the_commands_of_the_readme_work_as_printed(dataset: Path, tmp_path: Path) -> None:
    for name in ("mine", "before"):
        shutil.copytree(dataset, tmp_path / "runs" / name, ignore=shutil.ignore_patterns("work"))
    for command in commands_of("Look at it with any tool"):
        ours = command.startswith("python -m manifests")
        programs = Path(sys.executable).parent if ours else PEERS / "bin"
        path = f"{programs}:{os.environ['PATH']}"
        variables = {"PATH": path, "HF_HOME": str(tmp_path), "HF_HUB_OFFLINE": "1", "PYTHONPATH": str(ROOT)}
        done = subprocess.run(
            command, shell=True, cwd=tmp_path, env=os.environ | variables, capture_output=True, text=True
        )
        assert done.returncode == 0, (command, done.stderr)
        assert done.stdout + done.stderr
