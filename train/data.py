"""A finished dataset as a stream of batches whose order is a function of (seed, epoch) alone.

Batch `step` is the same whoever asks for it and whenever, so the step is the whole position in the stream.
"""

from collections import deque
from collections.abc import Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray
from torch import Tensor

from manifests.storage import read_ranges
from manifests.store import Dataset
from train.config import TrainConfig
from train.distributed import share_of
from train.tokenizer import Tokenizer, encode
from train.transforms import PICTURE_ERRORS, random_bytes, stack, training_pixels

_COLUMNS = ["key", "offset", "num_bytes", "caption"]


@dataclass(frozen=True, kw_only=True)
class Batch:
    """Pairs ready for a step: uint8 images (B, 3, S, S), int64 tokens (B, L), and what could not be read."""

    step: int
    keys: tuple[str, ...]  # of the B pairs
    images: Tensor
    tokens: Tensor
    bad_pictures: tuple[str, ...]  # "key: what Pillow said"


@dataclass(frozen=True, kw_only=True)
class _Row:
    key: str
    caption: str
    tar: Path
    offset: int
    num_bytes: int


class PairReader:
    """The pairs of a dataset. Every epoch holds each pair once, but for the last `num_pairs % batch_size`
    of its order, which are left out so that all batches have the same size; another epoch leaves out
    others. Of several processes each takes its share of every batch, so that the batches are the same
    however many there are.

    A picture that cannot be decoded is left out of its batch, which is smaller by that much, and is named.
    """

    def __init__(
        self,
        dataset: Dataset,
        tokenizer: Tokenizer,
        config: TrainConfig,
        rank: int = 0,
        num_processes: int = 1,
    ) -> None:
        shards = dataset.manifest.shards
        if not shards:
            raise ValueError(
                f"{dataset.root} holds no pairs: python -m manifests show says what dropped them"
            )
        self._index = pa.concat_tables([dataset.read_index(shard, _COLUMNS) for shard in shards])
        self._tars = [dataset.tar_path(shard) for shard in shards]
        self._first_rows = np.cumsum([0, *(shard.num_pairs for shard in shards)])
        self._tokenizer = tokenizer
        self._config = config
        self.batch_size = config.data.batch_size
        self._share = share_of(self.batch_size, rank, num_processes)
        self.steps_per_epoch = len(self._index) // self.batch_size
        if self.steps_per_epoch == 0:
            raise ValueError(
                f"data.batch_size is {self.batch_size}, the dataset has only {len(self._index)} pairs. "
                f"Next: pass --data.batch-size {max(2, len(self._index) // 4)} or less"
            )

    def batches(self, first_step: int, num_steps: int) -> Iterator[Batch]:
        """Yield the batches of steps `first_step` to `num_steps - 1`, decoded ahead by threads."""
        num_threads = self._config.data.num_decode_threads
        with ThreadPoolExecutor(num_threads, thread_name_prefix="decode") as threads:
            ahead: deque[Future[Batch]] = deque()
            for step, rows in self._row_numbers(first_step, num_steps, self._share):
                ahead.append(threads.submit(self._load, step, rows))
                if len(ahead) == num_threads + 1:
                    yield ahead.popleft().result()
            while ahead:
                yield ahead.popleft().result()

    def keys_of(self, step: int) -> list[str]:
        """Return the keys of a step's batch, of all processes, those of bad pictures too."""
        ((_, rows),) = self._row_numbers(step, step + 1, slice(None))
        return [self._row(number).key for number in rows.tolist()]

    def _row_numbers(
        self, first_step: int, num_steps: int, share: slice
    ) -> Iterator[tuple[int, NDArray[np.int64]]]:
        epoch, order = -1, np.empty(0, np.int64)
        for step in range(first_step, num_steps):
            if step // self.steps_per_epoch != epoch:
                epoch = step // self.steps_per_epoch
                order = epoch_order(len(self._index), self._config.seed, epoch)
            start = step % self.steps_per_epoch * self.batch_size
            yield step, order[start : start + self.batch_size][share]

    def _load(self, step: int, row_numbers: NDArray[np.int64]) -> Batch:
        epoch = step // self.steps_per_epoch
        pictures, captions, keys, bad_pictures = [], [], [], []
        rows = [self._row(number) for number in row_numbers.tolist()]
        places = [(row.tar, row.offset, row.offset + row.num_bytes) for row in rows]
        for row, data in zip(rows, read_ranges(places), strict=True):
            try:
                pictures.append(self._pixels(row, data, epoch))
                captions.append(row.caption)
                keys.append(row.key)
            except PICTURE_ERRORS as error:
                reason = str(error).partition(" <")[0]  # Pillow goes on with an address in memory
                bad_pictures.append(f"{row.key}: {reason}")
        if not pictures:
            raise OSError(
                f"step {step}: {len(bad_pictures)} of {len(row_numbers)} pictures unread: {bad_pictures[0]}"
            )
        tokens = encode(self._tokenizer, captions, self._config.model.context_length)
        return Batch(
            step=step,
            keys=tuple(keys),
            images=stack(pictures),
            tokens=tokens,
            bad_pictures=tuple(bad_pictures),
        )

    def _pixels(self, row: _Row, data: bytes, epoch: int) -> NDArray[np.uint8]:
        randomness = random_bytes(self._config.seed, epoch, row.key)
        return training_pixels(data, self._config.model.image_side_px, self._config.data, randomness)

    def _row(self, number: int) -> _Row:
        shard = int(np.searchsorted(self._first_rows, number, side="right")) - 1
        key, offset, num_bytes, caption = (self._index[column][number].as_py() for column in _COLUMNS)
        return _Row(key=key, caption=caption, tar=self._tars[shard], offset=offset, num_bytes=num_bytes)


def epoch_order(num_pairs: int, seed: int, epoch: int) -> NDArray[np.int64]:
    """Return the rows 0 .. num_pairs - 1 in the order of one epoch.

    They are sorted by a hash (splitmix64) and not shuffled by a library's generator, whose stream may
    change with its version.
    """
    rows = np.arange(num_pairs, dtype=np.uint64)
    of_seed = _splitmix64(np.full(1, seed, np.uint64))
    of_epoch = _splitmix64(of_seed + np.full(1, epoch, np.uint64))
    return np.argsort(_splitmix64(of_epoch + rows), kind="stable")


def _splitmix64(values: NDArray[np.uint64]) -> NDArray[np.uint64]:
    values = values + np.uint64(0x9E3779B97F4A7C15)
    values = (values ^ (values >> np.uint64(30))) * np.uint64(0xBF58476D1CE4E5B9)
    values = (values ^ (values >> np.uint64(27))) * np.uint64(0x94D049BB133111EB)
    return values ^ (values >> np.uint64(31))
