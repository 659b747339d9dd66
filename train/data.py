"""Finished datasets as a stream of batches whose order is a function of (seed, epoch) alone.

Batch `step` is the same whoever asks for it and whenever, so the step is the whole position in the stream.
"""

from collections import deque
from collections.abc import Iterator, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from torch import Tensor

from train.config import DataConfig, TrainConfig
from train.distributed import share_of
from train.mix import Datasets, MixedRows, Part, mix_of, shares
from train.reading import read_pictures
from train.rows import Row
from train.shard_cache import ShardCache
from train.tokenizer import Tokenizer, encode
from train.transforms import PICTURE_ERRORS, random_bytes, stack, training_pixels


@dataclass(frozen=True, kw_only=True)
class Batch:
    """Pairs ready for a step: uint8 images (B, 3, S, S), int64 tokens (B, L), and what could not be read."""

    step: int
    keys: tuple[str, ...]  # of the B pairs; of several datasets with the name of theirs, as name/key
    images: Tensor
    tokens: Tensor
    bad_pictures: tuple[str, ...]  # "key: what Pillow said"


def refuse_repeats(parts: Sequence[Part], batch_size: int) -> None:
    """Refuse batches that must hold a pair twice, which would be told apart from itself."""
    for part, share in zip(parts, shares(parts), strict=True):
        num_pairs = part.dataset.manifest.num_pairs
        if share * batch_size > num_pairs:
            what = "the dataset has" if share == 1 else f"{share:.1%} of it from {part.name}, which has"
            raise ValueError(
                f"data.batch_size is {batch_size}, {what} only {num_pairs} pairs. "
                f"Next: pass --data.batch-size {max(2, int(num_pairs / share) // 4)} or less"
            )


class PairReader:
    """The pairs of one or several datasets, epoch after epoch without a gap: a batch may hold the end of one
    and the start of the next, so that all batches have the same size and every epoch each pair exactly once,
    or what `data.passes` says (see `train.mix`). Only what is left at the very end, less than a batch, is not
    learnt from. Of several processes each takes its share of every batch, so that the batches are the same
    however many there are.

    A picture that cannot be decoded is left out of its batch, which is smaller by that much, and is named.
    """

    def __init__(
        self,
        datasets: Datasets,
        tokenizer: Tokenizer,
        config: TrainConfig,
        rank: int = 0,
        num_processes: int = 1,
    ) -> None:
        self._parts = mix_of(datasets, config.data.passes)
        self._cache = _cache(config.data)
        self._rows = MixedRows(self._parts, config.data, config.seed, self._cache)
        self._tokenizer = tokenizer
        self._config = config
        self.batch_size = config.data.batch_size
        self._share = share_of(self.batch_size, rank, num_processes)
        self._num_bad = 0
        refuse_repeats(self._parts, self.batch_size)

    def num_steps(self, num_epochs: int) -> int:
        """Return how many batches so many epochs fill."""
        return num_epochs * self._rows.num_pairs // self.batch_size

    def epoch_of(self, step: int) -> int:
        """Return the epoch in which the batch of a step ends."""
        return ((step + 1) * self.batch_size - 1) // self._rows.num_pairs

    def batches(self, first_step: int, num_steps: int) -> Iterator[Batch]:
        """Yield the batches of steps `first_step` to `num_steps - 1`, decoded ahead by threads.

        Raises OSError where a batch has no picture at all, or more are bad than `data.max_bad_pictures`.
        """
        num_threads = self._config.data.num_decode_threads
        with ThreadPoolExecutor(num_threads, thread_name_prefix="decode") as threads:
            ahead: deque[Future[Batch]] = deque()
            for step in range(first_step, num_steps):
                ahead.append(threads.submit(self._load, step, self._rows.at(self._places(step)[self._share])))
                if len(ahead) == num_threads + 1:
                    yield self._counted(ahead.popleft().result())
            while ahead:
                yield self._counted(ahead.popleft().result())

    def keys_of(self, step: int) -> list[str]:
        """Return the keys of a step's batch, of all processes, those of bad pictures too."""
        return [row.name for row in self._rows.at(self._places(step))]

    def _places(self, step: int) -> range:
        return range(step * self.batch_size, (step + 1) * self.batch_size)

    def _counted(self, batch: Batch) -> Batch:
        budget = self._config.data.max_bad_pictures
        self._num_bad += len(batch.bad_pictures)
        if budget is not None and self._num_bad > budget:
            raise OSError(
                f"step {batch.step}: {self._num_bad} pictures could not be read, data.max_bad_pictures is "
                f"{budget}; the last is {batch.bad_pictures[-1]}. Next: python -m manifests verify DATASET"
            )
        return batch

    def _load(self, step: int, rows: list[Row]) -> Batch:
        pictures, captions, keys, bad_pictures = [], [], [], []
        for row, data in zip(rows, read_pictures(rows, self._cache), strict=True):
            try:
                pictures.append(self._pixels(row, data))
                captions.append(self._caption(row))
                keys.append(row.name)
            except PICTURE_ERRORS as error:
                reason = str(error).partition(" <")[0]  # Pillow goes on with an address in memory
                bad_pictures.append(f"{row.name}: {reason}")
        if not pictures:
            raise OSError(
                f"step {step}: {len(bad_pictures)} of {len(rows)} pictures unread: {bad_pictures[0]}"
            )
        tokens = encode(self._tokenizer, captions, self._config.model.context_length)
        return Batch(
            step=step,
            keys=tuple(keys),
            images=stack(pictures),
            tokens=tokens,
            bad_pictures=tuple(bad_pictures),
        )

    def _pixels(self, row: Row, data: bytes) -> NDArray[np.uint8]:
        randomness = random_bytes(self._config.seed, row.epoch, row.key)
        return training_pixels(data, self._config.model.image_side_px, self._config.data, randomness)

    def _caption(self, row: Row) -> str:
        # Not the bytes that decide the crop, or a caption would always come with the same part of it.
        chance = random_bytes(self._config.seed, row.epoch, f"caption {row.key}")
        return row.captions[int.from_bytes(chance, "little") % len(row.captions)]


def _cache(config: DataConfig) -> ShardCache | None:
    return None if config.cache is None else ShardCache(config.cache, int(config.cache_gb * 1e9))
