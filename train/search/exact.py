"""Search by looking at every picture: what approximate search is measured against, and quick enough for
some 100,000 pictures.
"""

from dataclasses import dataclass

import numpy as np
import torch
from numpy.typing import NDArray

from train.search.parts import Floats, Parts

BLOCK_ROWS = 16_384  # 32 MiB of 512 numbers in float32, whatever the size of a part


@dataclass(frozen=True, kw_only=True)
class Found:
    """The pictures nearest to each of Q queries, the nearest first; those that are missing have id -1."""

    ids: NDArray[np.int64]  # (Q, K)
    scores: Floats  # (Q, K): cosines, -inf where there is none

    @classmethod
    def nothing(cls, num_queries: int) -> "Found":
        """Nothing found yet."""
        return cls(ids=np.empty((num_queries, 0), np.int64), scores=np.empty((num_queries, 0), np.float32))

    def best(self, num: int) -> "Found":
        """The best `num`, in their order; of equal scores the lower id first."""
        order = np.lexsort((self.ids, -self.scores), axis=1)[:, :num]
        return Found(
            ids=np.take_along_axis(self.ids, order, 1), scores=np.take_along_axis(self.scores, order, 1)
        )

    def with_others(self, other: "Found") -> "Found":
        """Both together, in no order."""
        return Found(
            ids=np.concatenate([self.ids, other.ids], axis=1),
            scores=np.concatenate([self.scores, other.scores], axis=1),
        )


def search_all(parts: Parts, queries: Floats, num: int, *, show_unsafe: bool) -> Found:
    """Return the `num` nearest pictures of all parts to queries (Q, embed_dim) of unit length."""
    found = Found.nothing(len(queries))
    asked = torch.from_numpy(np.ascontiguousarray(queries, np.float32)).t()
    for part in parts.all:
        features = part.features
        for start in range(0, part.made.num_rows, BLOCK_ROWS):
            stop = min(start + BLOCK_ROWS, part.made.num_rows)
            # A copy: torch warns of memory that cannot be written to, and float32 needs one anyway.
            block = torch.from_numpy(np.array(features[start:stop])).float()
            scores = (block @ asked).t().numpy()
            if not show_unsafe and (unsafe := part.unsafe[start:stop]).any():
                scores = np.where(unsafe, -np.inf, scores)
            found = found.with_others(_top(scores, part.ids[start:stop], num)).best(num)
    ids = np.where(np.isneginf(found.scores), -1, found.ids)
    return Found(ids=ids, scores=found.scores)


def _top(scores: Floats, ids: NDArray[np.int64], num: int) -> Found:
    """Return the best `num` of one block, in no order."""
    if scores.shape[1] <= num:
        return Found(ids=np.broadcast_to(ids, scores.shape), scores=scores)
    chosen = np.argpartition(-scores, num - 1, axis=1)[:, :num]
    return Found(ids=ids[chosen], scores=np.take_along_axis(scores, chosen, 1))
