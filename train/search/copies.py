"""Copies that a dataset dropped, by the key of the pair that it kept: INDEX/copies.sqlite.

A dataset's rejections lie in the order of its stages. To find the few of a pair among millions they are put
into a table with an index, once.
"""

import sqlite3
from contextlib import closing
from pathlib import Path

from manifests.schema import FileRecord
from manifests.storage import open_parquet, written_whole
from manifests.store import MANIFEST_NAME, Dataset, open_dataset

NAME = "copies.sqlite"
MAX_SHOWN = 200
_COLUMNS = ["kept_key", "reason", "detail", "url", "caption"]


def write_copies(index: Path, places: list[Path]) -> None:
    """Write the copies of all datasets among the places anew, whole or not at all; what is of the same
    datasets already is left as it is."""
    datasets = [open_dataset(place) for place in places if (place / MANIFEST_NAME).exists()]
    state = "\n".join(f"{each.root} {file.sha256}" for each in datasets for file in _rejections(each))
    if _state_of(index / NAME) == state:
        return
    with written_whole(index / NAME) as temporary:
        temporary.unlink(missing_ok=True)
        with closing(sqlite3.connect(temporary)) as base:
            base.execute("create table copies (place, kept_key, reason, detail, url, caption)")
            base.execute("create table state (said)")
            base.execute("insert into state values (?)", (state,))
            for dataset in datasets:
                _add(base, dataset)
            base.execute("create index by_key on copies (place, kept_key)")
            base.commit()


def copies_of(index: Path, place: str, key: str) -> list[dict[str, str]]:
    """Return the copies of a pair, at most MAX_SHOWN: their reasons, measurements, addresses, captions."""
    path = index / NAME
    if not path.exists():
        return []
    with closing(sqlite3.connect(f"{path.resolve().as_uri()}?mode=ro", uri=True)) as base:
        base.row_factory = sqlite3.Row
        asked = "select reason, detail, url, caption from copies where place = ? and kept_key = ? limit ?"
        return [dict(row) for row in base.execute(asked, (place, key, MAX_SHOWN))]


def _rejections(dataset: Dataset) -> list[FileRecord]:
    return [file for file in dataset.manifest.files if file.path.startswith("rejections/")]


def _add(base: sqlite3.Connection, dataset: Dataset) -> None:
    for record in _rejections(dataset):
        with open_parquet(dataset.root / record.path) as file:
            for batch in file.iter_batches(columns=_COLUMNS):
                kept = batch.filter(batch["kept_key"].is_valid()).select(_COLUMNS)
                rows = zip(*(column.to_pylist() for column in kept.columns), strict=True)
                place = str(dataset.root)
                base.executemany("insert into copies values (?,?,?,?,?,?)", ((place, *row) for row in rows))


def _state_of(path: Path) -> str | None:
    if not path.exists():
        return None
    with closing(sqlite3.connect(f"{path.resolve().as_uri()}?mode=ro", uri=True)) as base:
        return str(base.execute("select said from state").fetchone()[0])
