"""Parts: the files in which a phase leaves its work, <name>.parquet beside <name>.rejections.parquet."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

import pyarrow as pa
import pyarrow.compute as pc

from filters.sampling import pair_id
from manifests.schema import ADDED_COLUMNS, INDEX_SCHEMA
from manifests.storage import (
    entries,
    for_each,
    is_local,
    num_rows,
    open_parquet,
    read_schema,
    read_table,
    remove_file,
)
from manifests.store import read_manifest, write_table
from pipeline.records import Rejection, rejections_table

REJECTIONS = ".rejections.parquet"
WINNER = b"openwit.attempt"


@dataclass(frozen=True, slots=True)
class Part:
    """One part of a phase."""

    folder: Path
    name: str

    @property
    def path(self) -> Path:
        """Where its rows lie; present means that the part is whole."""
        return self.folder / f"{self.name}.parquet"

    def rows(self, columns: list[str] | None = None) -> pa.Table:
        """Return its rows."""
        return read_table(self.path, columns)

    def num_rows(self) -> int:
        """Return how many rows it has, from the file's footer."""
        return num_rows(self.path)


class IndexPart(Part):
    """The index of a shard, read as a part of pictures that belong to no unit: they are staged nowhere."""

    def rows(self, columns: list[str] | None = None) -> pa.Table:
        """Return the shard's rows, each with its pair's id and an empty unit."""
        wanted = columns or [*read_schema(self.path).names, "pair_id", "unit"]
        stored = {*wanted, "url", "caption"} - {"pair_id", "unit"}
        table = read_columns(self.path, sorted(stored))
        pairs = zip(table["url"].to_pylist(), table["caption"].to_pylist(), strict=True)
        ids = pa.array([pair_id(url, caption) for url, caption in pairs], pa.string())
        table = table.append_column("pair_id", ids)
        return table.append_column("unit", pa.repeat("", len(table))).select(wanted)


def index_parts(dataset: Path) -> list[Part]:
    """Return the shards of a finished dataset, as its manifest lists them, as parts without units."""
    return [
        IndexPart(dataset / "index", Path(shard.index.path).stem) for shard in read_manifest(dataset).shards
    ]


def read_columns(path: Path, names: list[str]) -> pa.Table:
    """Return columns of a table on disk; those that earlier versions did not write are nulls."""
    with open_parquet(path) as file:
        there = set(file.schema_arrow.names)
        table = file.read(columns=[name for name in names if name in there or name not in ADDED_COLUMNS])
    for name in names:
        if name not in table.column_names:
            column = INDEX_SCHEMA.field(name)
            table = table.append_column(column, pa.nulls(len(table), column.type))
    return table.select(names)


def write_part(folder: Path, name: str, rows: pa.Table, rejections: Sequence[Rejection]) -> None:
    """Write the rejections, if any, then the rows, whose file says that the part is whole."""
    path = folder / f"{name}{REJECTIONS}"
    if rejections:
        write_table(path, rejections_table(rejections))
    else:
        remove_file(path)
    write_table(folder / f"{name}.parquet", rows)


def parts_in(folder: Path) -> list[Part]:
    """Return the whole parts of a phase, in the order of their names."""
    names = sorted(path.name.removesuffix(".parquet") for path in entries(folder, "*.parquet"))
    return [Part(folder, name) for name in names if not name.endswith(".rejections")]


def rejection_files(folder: Path) -> list[Path]:
    """Return the phase's tables of rejections, in the order of their names; none of attempts that lost."""
    found = entries(folder, f"*{REJECTIONS}")
    return found if is_local(folder) else of_winners(found)


def winner_of(path: Path) -> str:
    """Return the attempt whose rows these are, where there may have been several (see `attempts`)."""
    told: bytes = (read_schema(path).metadata or {}).get(WINNER, b"")
    return told.decode()


def of_winners(files: Sequence[Path]) -> list[Path]:
    """Return tables of rejections without those of attempts that lost. Each attempt has one, so that where a
    unit has a single one it is the winner's."""
    by_unit: dict[str, list[Path]] = {}
    for path in files:
        by_unit.setdefault(path.name.partition(".")[0], []).append(path)
    found = []
    for unit, several in by_unit.items():
        if len(several) > 1:
            winner = winner_of(several[0].parent / f"{unit}.parquet")
            several = [path for path in several if path.name == f"{winner}{REJECTIONS}"]
        found += several
    return found


def count_rejections(paths: Sequence[Path]) -> dict[tuple[str, str], int]:
    """Return how many rows have each (stage, reason)."""
    counts: dict[tuple[str, str], int] = {}
    for path in paths:
        table = read_table(path, ["stage", "reason"])
        for row in table.group_by(["stage", "reason"]).aggregate([([], "count_all")]).to_pylist():
            key = (row["stage"], row["reason"])
            counts[key] = counts.get(key, 0) + row["count_all"]
    return counts


def sum_of(parts: Sequence[Part]) -> int:
    """Return the number of rows in all parts."""
    return sum(numbers_of_rows(parts))


def numbers_of_rows(parts: Sequence[Part]) -> Iterator[int]:
    """Yield the number of rows of each part."""
    return for_each(lambda part: part.num_rows(), parts, parts[0].folder) if parts else iter(())


def column_set(table: pa.Table, name: str) -> set[str]:
    """Return the distinct values of a column."""
    return set(pc.unique(table[name]).to_pylist())
