"""An index that is open: questions in, pictures out."""

import threading
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any

import numpy as np

from manifests.storage import is_local, location, read_bytes
from train.search.approximate import Approximate
from train.search.exact import search_all
from train.search.index_file import read_index_file
from train.search.model import model_of
from train.search.parts import Floats, Parts, Row, sampled, shown, whole_part
from train.search.question import Question, vector_of
from train.trained import TrainedModel

NUM_SAMPLED = 2_000
MAX_PICTURE_BYTES = 64 << 20  # of a file that is decoded to be shown


@dataclass(frozen=True, kw_only=True)
class Hit:
    """A picture that was found."""

    id: int
    score: float  # cosine with what was asked for
    row: Row

    def as_json(self) -> dict[str, Any]:
        """Return it as the command line and the page have it."""
        names = ("key", "caption", "url", "page_url", "source", "licence", "author", "time_s")
        told = {name: self.row.get(name) for name in (*names, "width", "height")}
        copies = {"num_duplicates": self.row.get("num_duplicates") or 0}
        others = {"extra_captions": self.row.get("extra_captions") or []}
        place = {"file": self.row["file"], "unsafe": self.row["unsafe"]}
        return {"id": shown(self.id), "score": round(self.score, 4)} | told | copies | others | place


class Searcher:
    """An index with its model. Several threads may ask at once."""

    def __init__(
        self, folder: Path, trained: TrainedModel, parts: Parts, approximate: Approximate | None
    ) -> None:
        self.folder, self.trained, self.parts, self._approximate = folder, trained, parts, approximate
        self._one_at_a_time = threading.Lock()  # the model's own threads already use all cores

    @classmethod
    def open(cls, folder: Path, *, exact: bool = False) -> "Searcher":
        """Open an index. Raises ValueError where there is none, or where it needs faiss and there is none."""
        trained = model_of(folder)
        index = read_index_file(folder)
        if index is None:
            raise ValueError(f"{folder} is not indexed to its end. Next: run the same index command again")
        parts = Parts(tuple(whole_part(folder, number) for number in index.parts))
        if exact or index.approximate is None or index.approximate_file is None:
            return cls(folder, trained, parts, None)
        approximate = Approximate.read(folder / index.approximate_file, index.approximate, parts)
        return cls(folder, trained, parts, approximate)

    def search(self, question: Question, num: int, *, show_unsafe: bool) -> list[Hit]:
        """Return the `num` pictures nearest to a question, the nearest first."""
        with self._one_at_a_time:
            vector = vector_of(question, self.trained, self._sample)[None]
        if self._approximate is None:
            found = search_all(self.parts, vector, num, show_unsafe=show_unsafe)
        else:
            found = self._approximate.search(vector, num, show_unsafe=show_unsafe)
        pairs = zip(found.ids[0].tolist(), found.scores[0].tolist(), strict=True)
        return [Hit(id=id_, score=score, row=self._row(id_)) for id_, score in pairs if id_ >= 0]

    @cached_property
    def _sample(self) -> Floats:
        """Features of some pictures from all over the index."""
        return sampled(self.parts, NUM_SAMPLED)

    def some(self, num: int, *, show_unsafe: bool) -> list[Hit]:
        """Return pictures from all over the index, to begin with."""
        first = np.cumsum([0, *(part.made.num_rows for part in self.parts.all)])
        found: list[Hit] = []
        for place in np.unique(np.linspace(0, max(0, self.parts.num_rows - 1), num).astype(int)):
            if not self.parts.num_rows:
                break
            part = int(np.searchsorted(first, place, side="right")) - 1
            id_ = int(self.parts.all[part].ids[place - first[part]])
            row = self._row(id_)
            if show_unsafe or not row["unsafe"]:
                found.append(Hit(id=id_, score=0.0, row=row))
        return found

    def hit(self, id_: int, *, show_unsafe: bool) -> Hit | None:
        """Return a picture by its id; None where there is none, or where it is hidden."""
        if self.parts.part_of(id_) is None:
            return None
        row = self._row(id_)
        return Hit(id=id_, score=0.0, row=row) if show_unsafe or not row["unsafe"] else None

    def features(self, hit: Hit) -> Floats:
        """Return the features (embed_dim,) of a picture."""
        part, row = self._part_of(hit.id)
        return np.asarray(part.features[row], np.float32)

    def place_of(self, hit: Hit) -> tuple[Path, Row]:
        """Return the dataset or folder that a picture is from, and its row."""
        return location(self._part_of(hit.id)[0].made.place), hit.row

    def picture(self, hit: Hit) -> bytes:
        """Return a picture's encoded bytes: from its offset in a tar or among a video's frames, or a file.

        Raises OSError where it is no longer there.
        """
        part, _ = self._part_of(hit.id)
        start, num_bytes = hit.row["offset"], hit.row["num_bytes"]
        if hit.row.get("time_s") is not None:
            return read_bytes(part.folder / "frames.bin", start, start + num_bytes)
        root = location(part.made.place)
        path = root / hit.row["file"]
        if is_local(path) and (path.is_symlink() or not path.resolve().is_relative_to(root.resolve())):
            raise OSError("a link stands where a file was indexed")
        if start is None:
            return read_bytes(path, 0, MAX_PICTURE_BYTES)
        return read_bytes(path, start, start + num_bytes)

    def _part_of(self, id_: int) -> Any:
        found = self.parts.part_of(id_)
        assert found is not None, id_
        return found

    def _row(self, id_: int) -> Row:
        part, row = self._part_of(id_)
        found: Row = part.row(row)
        return found
