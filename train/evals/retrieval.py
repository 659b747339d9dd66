"""Retrieval (CLIP, sec. 3.1 and table 13): pictures find their captions, captions their pictures."""

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor

from manifests.places import Place
from manifests.storage import read_schema
from manifests.store import Dataset
from train.distributed import gather_values, num_processes, rank
from train.evals.features import CACHE, features_of
from train.evals.pictures import PairPictures
from train.evals.recall import ranks
from train.plain_tars import open_pairs
from train.trained import TrainedModel

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
        """Return the contents of the result file. Raises ValueError for data without pairs. Where a launcher
        has started several processes, all must call it."""
        pictures = PairPictures(open_pairs(self.data), self.share)
        features = features_of(trained, pictures, self.run / CACHE, self.batch_size)
        captions = list(_captions(pictures, features.keys.to_pylist()))
        if not captions:
            raise ValueError(f"{self.data}: none of its pictures has a caption. Next: pass other --data")
        texts = _text_features(
            trained, [f"{self.prompt_prefix} {text}".strip() for _, text in captions], self.batch_size
        )
        of_text = np.array([picture for picture, _ in captions])
        return {
            "data": str(self.data),
            "num_pictures": len(features),
            "num_captions": len(captions),
            "prompt_prefix": self.prompt_prefix,
            "share": self.share,
            **ranks(features.image, texts, of_text, trained.device).recalls(),
            "bad_pictures": list(features.bad_pictures),
        }

    def summary(self, result: dict[str, Any]) -> str:
        """Return the recalls both ways as one line."""
        ways = [
            f"{way.replace('_', ' ')} R@1/5/10 "
            + "/".join(f"{100 * result[way][f'recall_at_{k}']:.1f}" for k in (1, 5, 10))
            for way in ("image_to_text", "text_to_image")
        ]
        return f"{self.name}: {', '.join(ways)} % of {result['num_pictures']} pictures"


def _captions(pictures: PairPictures, keys: list[str]) -> Iterator[tuple[int, str]]:
    """Yield the captions of the pictures of these keys, in their order, each with its picture's number.

    Those of a picture that could not be read are left out with it.
    """
    wanted = iter(enumerate(keys))
    number, key = next(wanted)
    for row in _rows(pictures.dataset):
        if row["key"] == key:
            yield from ((number, text) for text in _lines(row))
            number, key = next(wanted, (len(keys), ""))


def _rows(dataset: Dataset) -> Iterator[dict[str, Any]]:
    for shard in dataset.manifest.shards:
        columns = ["key", "caption"]
        if _EXTRA in read_schema(dataset.root / shard.index.path).names:
            columns.append(_EXTRA)
        yield from dataset.read_index(shard, columns).to_pylist()


def _lines(row: dict[str, Any]) -> list[str]:
    """Return the captions of a picture, each once; tars made for retrieval hold one in each line."""
    texts = (row["caption"], *(row.get(_EXTRA) or ()))
    lines = (line.strip() for text in texts for line in text.splitlines())
    return list(dict.fromkeys(line for line in lines if line))


def _text_features(trained: TrainedModel, captions: list[str], batch_size: int) -> Tensor:
    """Return (M, embed_dim) of unit length; several processes take every n-th batch each."""
    batches = [captions[start : start + batch_size] for start in range(0, len(captions), batch_size)]
    mine = range(rank(), len(batches), num_processes())
    own = {number: trained.text_features(batches[number]).numpy() for number in mine}
    of_all = {number: part for found in gather_values(own) for number, part in found.items()}
    return torch.from_numpy(np.concatenate([of_all[number] for number in range(len(batches))]))
