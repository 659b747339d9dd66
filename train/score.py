"""Scores of a finished dataset by a trained CLIP, as a new dataset: python -m train score.

Scored shard by shard into OUT/work, then written by `manifests.select`; a run that was cut short goes on.
"""

import os
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pyarrow as pa
from tqdm import tqdm

from manifests.deriving import is_finished
from manifests.places import Place
from manifests.schema import INDEX_SCHEMA, Change, Manifest, Shard
from manifests.scores import REASON, STAGE_AFTER, Limits
from manifests.select import Judged, write_selection
from manifests.storage import read_table
from manifests.store import (
    Dataset,
    open_dataset,
    read_manifest,
    write_table,
)
from train.checkpoint import newest_checkpoint, sha256_of_checkpoint
from train.scorer import Scorer, names_of, read_prompts
from train.trained import TrainedModel, load_trained

KIND = "score"  # in a manifest's history


@dataclass(frozen=True, kw_only=True)
class Score:
    """What is scored by what, and which scores decide."""

    run: Path
    """The run whose newest checkpoint scores."""
    data: Place
    """A finished dataset. It stays as it is."""
    out: Place
    """Where the new dataset goes; the same command goes on with it after a crash."""
    prompts: tuple[str, ...] = ()
    """NAME=FILE: lists of prompts, one per line, each a score of its own."""
    min_score: tuple[str, ...] = ()
    """NAME=NUMBER: pairs with a lower score are dropped."""
    max_score: tuple[str, ...] = ()
    """NAME=NUMBER: pairs with a higher score are dropped."""
    batch_size: int = 64
    """Pictures at a time; scores may differ by it in their last digits."""

    def __post_init__(self) -> None:
        if self.batch_size < 1:
            raise ValueError(f"batch_size is {self.batch_size}, must be at least 1. Next: leave it out")
        if self.out.resolve() == self.data.resolve():
            raise ValueError(f"--out is the dataset itself. Next: pass another directory than {self.data}")


def score_dataset(request: Score) -> Manifest:
    """Write the new dataset, or go on with it; return its manifest. One that is finished is left as it is.

    Raises ValueError for a request that cannot be met.
    """
    source = open_dataset(request.data)
    lists = read_prompts(request.prompts)
    limits = Limits.parse(request.min_score, request.max_score, names_of(lists))
    trained = load_trained(request.run)
    asked = _asked(request, source, lists, trained)
    if is_finished(request.out, KIND, asked):
        return read_manifest(request.out)
    scorer = Scorer.of(trained, lists)
    parts = request.out / "work" / "scores"
    with ThreadPoolExecutor(os.cpu_count(), thread_name_prefix="decode") as threads:
        for shard in tqdm(source.manifest.shards, desc="scored", unit=" shards", disable=None):
            path = _part(parts, shard)
            if not path.exists():
                scores = list(scorer.shard_scores(source, shard, request.batch_size, threads))
                write_table(path, pa.table({"scores": pa.array(scores, _TYPE)}))
    num_pairs = source.manifest.num_pairs
    change = Change(kind=KIND, request=asked, num_tried=num_pairs, num_gained=num_pairs, dropped={})
    return write_selection(source, _judged(source, parts, limits), request.out, STAGE_AFTER, REASON, change)


_TYPE = INDEX_SCHEMA.field("scores").type


def _asked(
    request: Score, source: Dataset, lists: dict[str, list[str]], trained: TrainedModel
) -> dict[str, Any]:
    """Return what decides the scores and the choice, as it stands in the manifest."""
    checkpoint = newest_checkpoint(request.run)
    assert checkpoint is not None, request.run  # it was loaded
    return {
        "content_hash": source.manifest.content_hash,
        "run": request.run.resolve().name,
        "step": trained.step,
        "checkpoint_sha256": sha256_of_checkpoint(checkpoint),
        "prompts": lists,
        "min_score": list(request.min_score),
        "max_score": list(request.max_score),
        "batch_size": request.batch_size,
    }


def _part(parts: Path, shard: Shard) -> Path:
    return parts / Path(shard.index.path).name


def _judged(source: Dataset, parts: Path, limits: Limits) -> Iterator[Judged]:
    """Yield the shards with their scores beside those that they had; a new score replaces one of its name."""
    for shard in source.manifest.shards:
        rows = source.read_index(shard)
        scores = [dict(scores) for scores in read_table(_part(parts, shard))["scores"].to_pylist()]
        had = rows["scores"].to_pylist() if "scores" in rows.column_names else [None] * len(rows)
        both = [list((dict(old or ()) | new).items()) for old, new in zip(had, scores, strict=True)]
        columns = {name: rows[name] for name in rows.column_names} | {"scores": pa.array(both, _TYPE)}
        schema = pa.schema([field for field in INDEX_SCHEMA if field.name in columns])
        details = [limits.broken(each) for each in scores]
        yield Judged(shard=shard, rows=pa.table(columns, schema=schema), details=details)
