"""What a dataset must not hold again: pictures and captions of evaluation sets and of earlier datasets.

Each reference is read once per build into a list of hashes, one row per picture (REFERENCE_SCHEMA);
`python -m pipeline hashes` writes such a list from a folder or from tars, to be given in their place.
"""

import tarfile
import tempfile
from collections.abc import Iterator
from dataclasses import dataclass
from itertools import groupby
from pathlib import Path
from typing import Literal

import apache_beam as beam
import pyarrow as pa

from filters.reasons import Drop
from filters.sampling import pair_id
from filters.words import words_of
from manifests.storage import location, read_schema
from manifests.store import MANIFEST_NAME, write_table
from pipeline.config import Dedup
from pipeline.fetch.pixels import fingerprint
from pipeline.parts import Part, index_parts, parts_in, read_columns
from pipeline.runners import run
from pipeline.sources.folder import SUFFIXES

Kind = Literal["evaluation", "earlier"]
REFERENCE_SCHEMA = pa.schema(
    {
        "item": pa.string(),  # its path below what was read, or the key of a pair
        "sha256": pa.string(),
        "phash": pa.uint64(),
        "colours": pa.string(),  # null in lists of earlier versions
        "caption": pa.string(),  # may be null
    }
)
FILES_PER_CHUNK = 500


@dataclass(frozen=True)
class Reference:
    """One evaluation set or earlier dataset."""

    kind: Kind
    name: str
    path: Path

    @classmethod
    def parse(cls, kind: Kind, entry: str) -> "Reference":
        """Read NAME=PATH, or PATH, which is named after its file. Raises ValueError where it is not there."""
        name, named, place = entry.rpartition("=")
        path = location(place)
        # A web server may have a dataset's files, but nothing to say of its folder.
        if not path.exists() and not (path / MANIFEST_NAME).exists():
            flag = "dedup.evaluation-sets" if kind == "evaluation" else "dedup.against"
            raise ValueError(
                f"{flag}: {place} is not there: give NAME=PATH of a folder, tar, dataset or list"
            )
        return cls(kind, name if named else path.stem, path)

    @property
    def unit(self) -> str:
        """What its pictures have in place of a unit of work."""
        return f"@{self.kind}/{self.name}"


def references_of(config: Dedup) -> list[Reference]:
    """Return all references of a configuration; evaluation sets first."""
    return [
        *(Reference.parse("evaluation", entry) for entry in config.evaluation_sets),
        *(Reference.parse("earlier", entry) for entry in config.against),
    ]


@dataclass(frozen=True, slots=True)
class ReferencePart(Part):
    """A list of hashes, read as a part of pictures that lie nowhere and are better than all others."""

    unit: str

    def rows(self, columns: list[str] | None = None) -> pa.Table:
        """Return the columns by which copies are found."""
        table = read_columns(self.path, REFERENCE_SCHEMA.names)
        items = table["item"].to_pylist()
        # Of equal pictures an evaluation set's speaks before an earlier dataset's.
        pixels = 2**48 - 1 if self.unit.startswith("@evaluation/") else 2**48 - 2
        made = {
            "pair_id": pa.array([pair_id(self.unit, item) for item in items], pa.string()),
            "unit": pa.repeat(self.unit, len(items)),
            "key": table["item"],
            "original_width": pa.repeat(pa.scalar(pixels, pa.int64()), len(items)),
            "original_height": pa.repeat(pa.scalar(1, pa.int64()), len(items)),
            "original_bytes": pa.repeat(pa.scalar(0, pa.int64()), len(items)),
        }
        names = columns or [*made, "sha256", "phash", "colours", "caption"]
        return pa.table({name: made[name] if name in made else table[name] for name in names})


def read_references(references: list[Reference], folder: Path, workers: int) -> list[ReferencePart]:
    """Return a part for each reference, its list of hashes in `folder`; what is there is not read again."""
    parts = [ReferencePart(folder, f"{n:05d}", reference.unit) for n, reference in enumerate(references)]
    for part, reference in zip(parts, references, strict=True):
        if not part.path.exists():
            write_table(part.path, read_reference(reference.path, workers))
    return parts


def captions_of(parts: list[ReferencePart]) -> dict[str, str]:
    """Return the captions of the evaluation sets, as words, and for each the set and the item."""
    found: dict[str, str] = {}
    for part in parts:
        kind, _, name = part.unit.partition("/")
        if kind == "@evaluation":
            for row in part.rows(["key", "caption"]).to_pylist():
                if words := words_of(row["caption"] or ""):
                    found.setdefault(words, f"{name}: {row['key']}")
    return found


def read_reference(path: Path, workers: int = 1) -> pa.Table:
    """Return the REFERENCE_SCHEMA rows of a list of hashes, a dataset, a folder of pictures or tars, a tar;
    captions are the .txt beside a picture. Raises ValueError where there is no picture."""
    if path.suffix == ".parquet":
        return _read_list(path)
    if (path / MANIFEST_NAME).exists():
        parts = index_parts(path)
        tables = [part.rows(["key", "sha256", "phash", "colours", "caption"]) for part in parts]
        return pa.concat_tables(tables).rename_columns(REFERENCE_SCHEMA.names).cast(REFERENCE_SCHEMA)
    table = hash_pictures(path, workers)
    if not len(table):
        raise ValueError(f"{path} holds no picture that can be read: give a folder or a tar of pictures")
    return table


def _read_list(path: Path) -> pa.Table:
    names = read_schema(path).names
    if missing := [name for name in REFERENCE_SCHEMA.names if name not in (*names, "colours")]:
        raise ValueError(
            f"{path} is no list of hashes, it lacks {', '.join(missing)}: make one with "
            "python -m pipeline hashes"
        )
    return read_columns(path, REFERENCE_SCHEMA.names)


def hash_pictures(path: Path, workers: int) -> pa.Table:
    """Return the rows of all pictures of a folder (those in its tars included) or of one tar, in order. What
    cannot be decoded or is blank is left out: no picture of a dataset can be a copy of it."""
    with tempfile.TemporaryDirectory() as name:
        run(HashPictures(path, Path(name)), workers)
        tables = [part.rows() for part in parts_in(Path(name))]
    return pa.concat_tables([REFERENCE_SCHEMA.empty_table(), *tables]).sort_by("item")


class HashPictures(beam.PTransform):
    """Pictures below a path -> parts of REFERENCE_SCHEMA in `out`."""

    def __init__(self, root: Path, out: Path) -> None:
        super().__init__()
        self.root, self.out = root, out

    def expand(self, begin: beam.pvalue.PBegin) -> beam.PCollection:
        chunks = list(enumerate(_chunks_of(self.root)))
        return begin | "chunks of files" >> beam.Create(chunks) | "hash" >> beam.Map(self.hash_chunk)

    def hash_chunk(self, chunk: tuple[int, list[Path]]) -> str:
        """Write the rows of some files."""
        number, paths = chunk
        rows = []
        for path in paths:
            item = path.name if path == self.root else path.relative_to(self.root).as_posix()
            pictures = _in_tar(path, item) if path.suffix == ".tar" else [_beside(path, item)]
            rows += [row for picture in pictures if (row := _row_of(*picture))]
        name = f"{number:05d}"
        write_table(self.out / f"{name}.parquet", pa.Table.from_pylist(rows, schema=REFERENCE_SCHEMA))
        return name


def _chunks_of(root: Path) -> Iterator[list[Path]]:
    if root.is_file():
        yield [root]
        return
    files = sorted(path for path in root.rglob("*") if path.suffix.lower() in {*SUFFIXES, ".tar"})
    tars = [path for path in files if path.suffix == ".tar"]
    yield from ([tar] for tar in tars)
    pictures = [path for path in files if path.suffix != ".tar"]
    for start in range(0, len(pictures), FILES_PER_CHUNK):
        yield pictures[start : start + FILES_PER_CHUNK]


def _beside(path: Path, item: str) -> tuple[str, bytes, str | None]:
    text = path.with_suffix(".txt")
    return item, path.read_bytes(), text.read_text(errors="replace").strip() if text.is_file() else None


def _in_tar(path: Path, item: str) -> Iterator[tuple[str, bytes, str | None]]:
    """Yield the pictures of a tar, each with the text of the same name: they stand side by side."""
    with path.open("rb") as whole, tarfile.open(fileobj=whole, mode="r|*") as tar:
        for name, members in groupby(tar, key=lambda member: member.name.partition(".")[0]):
            picture, text = None, None
            for member in members:
                file = tar.extractfile(member) if member.isfile() else None
                if file and Path(member.name).suffix.lower() in SUFFIXES:
                    picture = file.read()
                elif file and member.name.endswith(".txt"):
                    text = file.read().decode(errors="replace").strip()
            if picture is not None:
                yield f"{item}/{name}", picture, text


def _row_of(item: str, data: bytes, caption: str | None) -> dict[str, object] | None:
    prints = fingerprint(data)
    if isinstance(prints, Drop):
        return None
    return {"item": item, **prints._asdict(), "caption": caption}
