"""What a trained CLIP says of pairs: numbers by name.

clip           cosine of a picture and its own caption
NAME           of a list of prompts: the highest cosine of a picture with any of them
NAME_share     with several lists: the softmax over the prompts of all, added up over those of this one
"""

from collections.abc import Collection, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from manifests.schema import Shard
from manifests.scores import check_name, number_or_none
from manifests.storage import read_ranges
from manifests.store import Dataset
from train.trained import TrainedModel
from train.transforms import PICTURE_ERRORS, evaluation_pixels

CLIP = "clip"

Scores = dict[str, float | None]


def read_prompts(entries: Sequence[str]) -> dict[str, list[str]]:
    """Return lists of prompts by name. Raises ValueError for what is none."""
    lists: dict[str, list[str]] = {}
    for entry in entries:
        name, _, place = entry.partition("=")
        check_name(name)
        if name in lists or name == CLIP:
            raise ValueError(f"--prompts {entry}: there is a score {name} already. Next: choose another name")
        if not Path(place).is_file():
            raise ValueError(f"--prompts {entry}: {place!r} is no file. Next: write NAME=FILE")
        lines = Path(place).read_text(encoding="utf-8").splitlines()
        lists[name] = [line.strip() for line in lines if line.strip()]
        if not lists[name]:
            raise ValueError(f"--prompts {entry}: {place} holds no prompt. Next: write one per line")
    names = names_of(lists)
    if len(set(names)) < len(names):
        raise ValueError(f"--prompts give two scores one name: {', '.join(names)}. Next: choose other names")
    return lists


def names_of(lists: Collection[str]) -> list[str]:
    """Return the names of all scores, in their order."""
    shares = [f"{name}_share" for name in lists] if len(lists) > 1 else []
    return [CLIP, *lists, *shares]


@dataclass(frozen=True, kw_only=True)
class Scorer:
    """A model, and the features of the prompts that it is asked with."""

    trained: TrainedModel
    lists: dict[str, Tensor]  # (P, embed_dim) each

    @classmethod
    def of(cls, trained: TrainedModel, lists: dict[str, list[str]]) -> "Scorer":
        """Let a model read the prompts."""
        features = {name: trained.text_features(prompts) for name, prompts in lists.items()}
        return cls(trained=trained, lists=features)

    def shard_scores(
        self, source: Dataset, shard: Shard, batch_size: int, threads: ThreadPoolExecutor
    ) -> Iterator[Scores]:
        """Yield the scores of a shard's pairs in their order, None for pictures that cannot be read."""
        rows = source.read_index(shard, ["offset", "num_bytes", "caption"]).to_pylist()
        tar = source.tar_path(shard)
        for start in range(0, len(rows), batch_size):
            batch = rows[start : start + batch_size]
            places = [(tar, row["offset"], row["offset"] + row["num_bytes"]) for row in batch]
            pictures = list(threads.map(self._pixels, read_ranges(places)))
            yield from self.batch_scores(pictures, [row["caption"] for row in batch])

    def batch_scores(
        self, pictures: Sequence[NDArray[np.uint8] | None], captions: Sequence[str]
    ) -> Iterator[Scores]:
        """Yield the scores of pairs; None for those without a picture."""
        found = [number for number, picture in enumerate(pictures) if picture is not None]
        columns: dict[str, list[float]] = {name: [] for name in names_of(self.lists)}
        if found:
            images = self.trained.image_features([p for p in pictures if p is not None])
            texts = self.trained.text_features([captions[number] for number in found])
            columns = {name: values.tolist() for name, values in self._columns(images, texts).items()}
        place = {number: row for row, number in enumerate(found)}
        for number in range(len(pictures)):
            row = place.get(number)
            yield {
                name: None if row is None else number_or_none(values[row]) for name, values in columns.items()
            }

    def _columns(self, images: Tensor, texts: Tensor) -> dict[str, Tensor]:
        """Return the scores (B,) by name of unit features (B, embed_dim)."""
        cosines = {name: images @ prompts.t() for name, prompts in self.lists.items()}
        columns = {CLIP: (images * texts).sum(dim=-1)}
        columns |= {name: of_list.amax(dim=-1) for name, of_list in cosines.items()}
        if len(cosines) > 1:
            shares = (self.trained.logit_scale() * torch.cat(list(cosines.values()), dim=-1)).softmax(dim=-1)
            start = 0
            for name, of_list in cosines.items():
                stop = start + of_list.shape[1]
                columns[f"{name}_share"] = shares[:, start:stop].sum(dim=-1)
                start = stop
        return columns

    def _pixels(self, data: bytes) -> NDArray[np.uint8] | None:
        try:
            return evaluation_pixels(data, self.trained.image_side_px)
        except PICTURE_ERRORS:
            return None
