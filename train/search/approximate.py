"""Approximate search by faiss (the extra search): pictures in cells, of which a query looks at some.

Cells are faiss's inverted lists, some 4 sqrt(N) of them. In them are 8-bit numbers up to COMPRESS_FROM
pictures (embed_dim bytes each), beyond that 4-bit numbers. What a search finds by these is ranked anew by the
features themselves, of which only those rows are read from the disk.

How many cells are looked at is measured when the index is made: as few as find 97 % of what exact search
finds for 200 captions of its own pictures, since words lie elsewhere than pictures do, and for 200 pictures.
Why not graphs (HNSW) or product codes: docs/DECISIONS.md.
"""

import importlib.util
from collections.abc import Sequence
from dataclasses import dataclass, replace
from functools import cached_property
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from manifests.storage import written_whole
from train.search.exact import Found
from train.search.parts import ROW_BITS, Floats, Part, Parts, sampled

NEEDED_FROM = 100_000  # pictures; exact search takes some 70 ms of a core for as many
COMPRESS_FROM = 20_000_000
GROWN = 2.0  # cells are chosen anew when there are so many times the pictures they were chosen for
AIM = 0.97
MAX_CELLS = 1 << 16
_SAMPLES_PER_CELL = 64
_NUM_ROUNDS = 10
_BLOCK_ROWS = 50_000
_SPARE = {"SQ8": 4, "SQ4": 10}  # how many times what is asked for is ranked anew


@dataclass(frozen=True, kw_only=True)
class Setting:
    """What an approximate index is, as it stands in index.json."""

    kind: str  # SQ8 or SQ4, as faiss calls them
    num_cells: int
    num_probes: int  # cells that a query looks at
    recall_at_10: float  # of captions and of pictures, the lower of the two
    num_trained_for: int
    parts: tuple[int, ...]  # whose pictures are in it


def has_faiss() -> bool:
    """Return whether the extra is installed."""
    return importlib.util.find_spec("faiss") is not None


class Approximate:
    """An approximate index in memory, of some parts."""

    def __init__(self, index: Any, setting: Setting, parts: Parts) -> None:
        self._index, self.setting, self._parts = index, setting, parts
        self._index.nprobe = max(1, setting.num_probes)

    @classmethod
    def of(cls, parts: Parts, embed_dim: int, compress_from: int = COMPRESS_FROM) -> "Approximate":
        """Return an index of the parts, its cells chosen for their pictures; `tuned` comes next."""
        kind = "SQ8" if parts.num_rows < compress_from else "SQ4"
        num_cells = min(MAX_CELLS, 1 << round(np.log2(4 * np.sqrt(parts.num_rows))))
        faiss = _faiss()
        index = faiss.index_factory(embed_dim, f"IVF{num_cells},{kind}", faiss.METRIC_INNER_PRODUCT)
        index.cp.niter, index.cp.max_points_per_centroid = _NUM_ROUNDS, _SAMPLES_PER_CELL
        index.cp.min_points_per_centroid = 1  # faiss warns of fewer than 39, which do as well here
        index.train(sampled(parts, _SAMPLES_PER_CELL * num_cells))
        setting = Setting(
            kind=kind,
            num_cells=num_cells,
            num_probes=0,
            recall_at_10=0.0,
            num_trained_for=parts.num_rows,
            parts=(),
        )
        return cls(index, setting, Parts(())).changed(parts)

    def changed(self, parts: Parts) -> "Approximate":
        """Return this index with other parts: pictures of those that are no more are taken out, those of new
        ones put in."""
        there, wanted = set(self.setting.parts), set(parts.by_number)
        for number in sorted(there - wanted):
            first = number << ROW_BITS
            self._index.remove_ids(_faiss().IDSelectorRange(first, first + (1 << ROW_BITS)))
        for number in sorted(wanted - there):
            _add(self._index, parts.by_number[number])
        return Approximate(self._index, replace(self.setting, parts=tuple(sorted(wanted))), parts)

    def tuned(self, asked: Sequence[tuple[Floats, Found]]) -> "Approximate":
        """Return this index looking at as few cells as reach AIM for each group of queries, whose true
        answers are given."""
        num_probes, recall = 0, 0.0
        while recall < AIM and num_probes < self.setting.num_cells:
            num_probes = min(max(4, 2 * num_probes), self.setting.num_cells)
            self._index.nprobe = num_probes
            found = [(self.search(queries, 10, show_unsafe=True), true) for queries, true in asked]
            recall = min(recall_of(ours, true) for ours, true in found)
        measured = replace(self.setting, num_probes=num_probes, recall_at_10=round(recall, 4))
        return Approximate(self._index, measured, self._parts)

    def search(self, queries: Floats, num: int, *, show_unsafe: bool) -> Found:
        """Return what `search_all` returns, nearly."""
        candidates = self._candidates(queries, num * _SPARE[self.setting.kind], show_unsafe)
        ids = np.full((len(queries), num), -1, np.int64)
        scores = np.full((len(queries), num), -np.inf, np.float32)
        for place, (query, near) in enumerate(zip(queries, candidates, strict=True)):
            there = np.sort(near[near >= 0])  # in the order of the disk
            true = _scores(self._parts, there, query)
            order = np.argsort(-true, kind="stable")[:num]
            ids[place, : len(order)], scores[place, : len(order)] = there[order], true[order]
        return Found(ids=ids, scores=scores)

    def write(self, path: Path) -> None:
        """Write it, whole or not at all."""
        with written_whole(path) as temporary:
            _faiss().write_index(self._index, str(temporary))

    @classmethod
    def read(cls, path: Path, setting: dict[str, Any], parts: Parts) -> "Approximate":
        """Read what `write` has written. Raises ValueError without faiss."""
        if not has_faiss():  # it was made on another machine
            raise ValueError(f"{path} needs faiss. Next: pip install 'openwit[search]', or pass --exact")
        return cls(
            _faiss().read_index(str(path)), Setting(**setting | {"parts": tuple(setting["parts"])}), parts
        )

    def _candidates(self, queries: Floats, num: int, show_unsafe: bool) -> NDArray[np.int64]:
        options = _faiss().SearchParametersIVF(
            sel=None if show_unsafe else self._safe, nprobe=self._index.nprobe
        )
        _, ids = self._index.search(np.ascontiguousarray(queries, np.float32), num, params=options)
        return np.asarray(ids, np.int64)

    @cached_property
    def _safe(self) -> Any:
        unsafe = self._parts.unsafe_ids
        return _faiss().IDSelectorNot(_faiss().IDSelectorBatch(unsafe)) if len(unsafe) else None


def _faiss() -> Any:
    import faiss

    return faiss


def _add(index: Any, part: Part) -> None:
    for start in range(0, part.made.num_rows, _BLOCK_ROWS):
        block = np.asarray(part.features[start : start + _BLOCK_ROWS], np.float32)
        index.add_with_ids(block, part.ids[start : start + _BLOCK_ROWS])


def recall_of(found: Found, true: Found) -> float:
    """Return which share of the true answers was found.

    A picture with the score of the last true one counts, too: of copies exact search returns any.
    """
    worst = true.scores[:, -1:]
    reached = (found.scores >= worst - 1e-6) & (found.ids >= 0)
    return float(np.minimum(reached.sum(axis=1), true.ids.shape[1]).mean() / true.ids.shape[1])


def _scores(parts: Parts, ids: NDArray[np.int64], query: Floats) -> Floats:
    """Return the cosines of pictures, of whose features nothing else is read."""
    scores = np.empty(len(ids), np.float32)
    numbers = ids >> ROW_BITS
    for number in np.unique(numbers):
        at = np.flatnonzero(numbers == number)
        rows = parts.by_number[int(number)].features[ids[at] & ((1 << ROW_BITS) - 1)]
        scores[at] = rows.astype(np.float32) @ query
    return scores
