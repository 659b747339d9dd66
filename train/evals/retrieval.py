"""Retrieval (CLIP, sec. 3.1 and table 13): pictures find their captions, captions their pictures."""

from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from manifests.places import Place
from manifests.schema import Shard
from manifests.storage import read_ranges, read_schema
from manifests.store import Dataset
from train.evals.recall import ranks
from train.plain_tars import open_pairs
from train.trained import TrainedModel
from train.transforms import PICTURE_ERRORS, evaluation_pixels, random_bytes

_EXTRA = "extra_captions"


@dataclass(frozen=True, kw_only=True)
class Retrieval:
    """Find a picture's captions among all, and a caption's picture: recall at 1, 5 and 10, median rank.

    Example: python -m train eval retrieval --run runs/demo --data runs/heldout --name heldout
    """

    run: Path
    """Its newest checkpoint is evaluated."""
    data: Place
    """A dataset of ours, all captions of a picture, or webdataset tars, a caption for each line of .txt."""
    name: str
    """Of the result: RUN/evals/retrieval-<name>.json."""
    prompt_prefix: str = ""
    """Before every caption; the paper's is "a photo of"."""
    share: float = 1.0
    """Of the pictures, chosen by a hash of their keys: the same ones in each evaluation."""
    batch_size: int = 256

    def __post_init__(self) -> None:
        if not 0 < self.share <= 1:
            raise ValueError(
                f"share is {self.share}, must be in (0, 1]. Next: pass --share 0.1, or leave it out"
            )
        if self.batch_size < 1:
            raise ValueError(f"batch_size is {self.batch_size}, must be 1 or more. Next: leave it out")

    def evaluate(self, trained: TrainedModel) -> dict[str, Any]:
        """Return the contents of the result file. Raises ValueError for data without pairs."""
        found = _Found()
        with ThreadPoolExecutor(thread_name_prefix="decode") as threads:
            for pairs in _batches(open_pairs(self.data), self.share, self.batch_size):
                found.add(trained, pairs, self.prompt_prefix, threads)
        if not found.images:
            bad = f": {found.bad_pictures[0]}" if found.bad_pictures else ""
            raise ValueError(
                f"{self.data} has no pictures to look for{bad}. Next: more --share, or other --data"
            )
        images, texts = torch.cat(found.images), torch.cat(found.texts)
        of_text = np.array(found.image_of_text)
        return {
            "data": str(self.data),
            "num_pictures": len(images),
            "num_captions": len(texts),
            "prompt_prefix": self.prompt_prefix,
            "share": self.share,
            **ranks(images, texts, of_text, trained.device).recalls(),
            "bad_pictures": found.bad_pictures,
        }

    def summary(self, result: dict[str, Any]) -> str:
        """Return the recalls both ways as one line."""
        ways = [
            f"{way.replace('_', ' ')} R@1/5/10 "
            + "/".join(f"{100 * result[way][f'recall_at_{k}']:.1f}" for k in (1, 5, 10))
            for way in ("image_to_text", "text_to_image")
        ]
        return f"{self.name}: {', '.join(ways)} % of {result['num_pictures']} pictures"


@dataclass(frozen=True, kw_only=True)
class _Pair:
    key: str
    captions: tuple[str, ...]
    picture: bytes


@dataclass(frozen=True, kw_only=True)
class _Found:
    """What the pass over the pictures has gathered."""

    images: list[Tensor] = field(default_factory=list)  # (B, embed_dim) each
    texts: list[Tensor] = field(default_factory=list)
    image_of_text: list[int] = field(default_factory=list)
    bad_pictures: list[str] = field(default_factory=list)  # "key: what Pillow said"

    def add(
        self, trained: TrainedModel, pairs: list[_Pair], prefix: str, threads: ThreadPoolExecutor
    ) -> None:
        """Take in pairs; those whose picture cannot be read are left out, their captions too."""
        read = partial(_pixels, side_px=trained.image_side_px)
        decoded = list(zip(pairs, threads.map(read, [pair.picture for pair in pairs]), strict=True))
        self.bad_pictures.extend(f"{pair.key}: {found}" for pair, found in decoded if isinstance(found, str))
        good = [(pair, found) for pair, found in decoded if not isinstance(found, str)]
        if not good:
            return
        first = sum(map(len, self.images))
        self.images.append(trained.image_features([found for _, found in good]))
        captions = [(first + place, text) for place, (pair, _) in enumerate(good) for text in pair.captions]
        self.image_of_text.extend(image for image, _ in captions)
        for start in range(0, len(captions), len(pairs)):
            some = [f"{prefix} {text}".strip() for _, text in captions[start : start + len(pairs)]]
            self.texts.append(trained.text_features(some))


def _batches(dataset: Dataset, share: float, batch_size: int) -> Iterator[list[_Pair]]:
    """Yield the pairs of a dataset, or of the share of its pictures whose keys' hashes are lowest."""
    for shard in dataset.manifest.shards:
        rows = [row for row in _rows(dataset, shard) if _hash_share(row["key"]) < share]
        for start in range(0, len(rows), batch_size):
            batch = rows[start : start + batch_size]
            tar = dataset.tar_path(shard)
            pictures = read_ranges([(tar, row["offset"], row["offset"] + row["num_bytes"]) for row in batch])
            yield [
                _Pair(key=row["key"], captions=_captions(row), picture=picture)
                for row, picture in zip(batch, pictures, strict=True)
            ]


def _rows(dataset: Dataset, shard: Shard) -> list[dict[str, Any]]:
    columns = ["key", "offset", "num_bytes", "caption"]
    if _EXTRA in read_schema(dataset.root / shard.index.path).names:
        columns.append(_EXTRA)
    rows: list[dict[str, Any]] = dataset.read_index(shard, columns).to_pylist()
    return rows


def _captions(row: dict[str, Any]) -> tuple[str, ...]:
    """Return the captions of a picture, each once; tars made for retrieval hold one in each line."""
    lines = (
        line.strip() for text in (row["caption"], *(row.get(_EXTRA) or ())) for line in text.splitlines()
    )
    return tuple(dict.fromkeys(line for line in lines if line))


def _hash_share(key: str) -> float:
    """Return a number in [0, 1) that a key always has."""
    return int.from_bytes(random_bytes(0, 0, f"retrieval {key}")[:8]) / 2**64


def _pixels(data: bytes, side_px: int) -> NDArray[np.uint8] | str:
    """Return a picture as the model takes it, or why it cannot be read."""
    try:
        return evaluation_pixels(data, side_px)
    except PICTURE_ERRORS as error:
        return str(error).partition(" <")[0]  # Pillow goes on with an address in memory
