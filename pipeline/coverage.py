"""How full the search terms are: what was matched, tried and kept, by term and by origin and source."""

from pathlib import Path

import numpy as np
import pyarrow as pa

from manifests.schema import COVERAGE_SCHEMA, QUERY_SCHEMA, FileRecord
from manifests.storage import read_table
from manifests.store import record_file, write_table
from pipeline.balance import read_counts
from pipeline.job import Job
from pipeline.parts import parts_in
from pipeline.pool import EVERY

# Counts of what was matched, tried and kept: names of columns, and where they lie.
COUNTS = ("num_matched", "num_tried", "num_kept")
Folders = tuple[Path, Path, Path]


def count_folders(job: Job) -> Folders:
    """Return where a build has counted what was matched, tried and kept."""
    counted = job.folder("counted")
    return job.at_round(1).folder("demand") / "counts", counted / "tried", counted / "kept"


def write_coverage(job: Job, dataset: Path) -> tuple[FileRecord, FileRecord]:
    """Write queries.parquet and coverage.parquet, from the counts of the phases."""
    folders = count_folders(job)
    matched, tried, kept = (read_counts(folder, len(job.queries), {})[0] for folder in folders)
    origins = [query.origin for query in job.queries]
    columns = [
        pa.array([query.query_id for query in job.queries], pa.int32()),
        [query.text for query in job.queries],
        origins,
        *(matched, tried, kept),
        keep_probability(job),
    ]
    paths = dataset / "queries.parquet", dataset / "coverage.parquet"
    write_table(paths[0], pa.table(columns, schema=QUERY_SCHEMA))
    write_table(paths[1], coverage_of(origins, folders))
    return record_file(dataset, paths[0]), record_file(dataset, paths[1])


def add_coverage(job: Job, dataset: Path, *, anew: bool) -> tuple[FileRecord, FileRecord]:
    """Write queries.parquet and coverage.parquet of the dataset that is added to and of the addition.

    `anew`: it was matched and tried by this addition; otherwise it had been before, and what is kept is added
    alone. Terms that are new follow those that are there.
    """
    assert job.base is not None
    folders = count_folders(job)
    if not anew:
        folders = (dataset / "none", dataset / "none", folders[2])
    terms, shares = (read_table(job.base.root / name) for name in ("queries.parquet", "coverage.parquet"))
    paths = dataset / "queries.parquet", dataset / "coverage.parquet"
    write_table(paths[0], _added_terms(job, terms, folders))
    write_table(paths[1], _added_shares(job, len(terms), shares, folders))
    return record_file(dataset, paths[0]), record_file(dataset, paths[1])


def _added_terms(job: Job, terms: pa.Table, folders: Folders) -> pa.Table:
    """Return QUERY_SCHEMA of the old terms and the new ones. The chance of an old term that tried more pairs
    is no longer one number: null."""
    num_old = len(terms)
    counts = [read_counts(folder, len(job.queries), {})[0] for folder in folders]
    new = pa.Table.from_pylist(
        [
            {"query_id": query.query_id, "text": query.text, "origin": query.origin}
            | dict.fromkeys(COUNTS, 0)
            for query in job.queries[num_old:]
        ],
        schema=QUERY_SCHEMA,
    )
    table = pa.concat_tables([terms, new])
    for name, more in zip(COUNTS, counts, strict=True):
        table = _with(table, name, pa.array(table[name].to_numpy() + more))
    chances = table["keep_probability"].combine_chunks().to_numpy(zero_copy_only=False).copy()
    chances[:num_old][counts[1][:num_old] > 0] = np.nan
    if num_old < len(table):
        chances[num_old:] = keep_probability(job).to_numpy(zero_copy_only=False)[num_old:]
    return _with(table, "keep_probability", pa.array(chances, from_pandas=True, type=pa.float64()))


def _with(table: pa.Table, name: str, column: pa.Array) -> pa.Table:
    place = table.schema.get_field_index(name)
    return table.set_column(place, table.schema.field(name), column)


def _added_shares(job: Job, num_old: int, shares: pa.Table, folders: Folders) -> pa.Table:
    """Return COVERAGE_SCHEMA of both. For which of the old terms a source had pairs is not known, only for
    how many: of the number then and the number now the larger stands."""
    origins = [query.origin for query in job.queries]
    rows = {(row["origin"], row["source"]): row for row in shares.to_pylist()}
    for ids in (range(num_old), range(num_old, len(origins))):
        for row in coverage_of(origins, folders, ids).to_pylist():
            had = rows.setdefault((row["origin"], row["source"]), dict.fromkeys(COVERAGE_SCHEMA.names, 0))
            both = max(had["num_queries"], row["num_queries"])
            number = both if ids.start == 0 else had["num_queries"] + row["num_queries"]
            sums = {name: had[name] + row[name] for name in COUNTS}
            rows[row["origin"], row["source"]] = row | sums | {"num_queries": number}
    return pa.Table.from_pylist([row for _, row in sorted(rows.items())], schema=COVERAGE_SCHEMA)


def coverage_of(origins: list[str], folders: Folders, ids: range | None = None) -> pa.Table:
    """Return COVERAGE_SCHEMA from counts of what was matched, tried and kept, for terms of these origins; of
    some terms alone, where `ids` are given."""
    of_term = pa.array(origins, pa.string())
    rows: dict[tuple[str, str], list[int]] = {}
    for place, folder in enumerate(folders, start=1):
        for part in parts_in(folder):
            table = part.rows()
            if ids is not None:
                table = table.filter(_within(table["query_id"].to_numpy(), ids))
            table = table.append_column("origin", of_term.take(table["query_id"]))
            grouped = table.group_by(["origin", "source"])
            sums = grouped.aggregate([("num_pairs", "sum"), ("num_pairs", "count")])
            for found in sums.to_pylist():
                row = rows.setdefault((found["origin"], found["source"]), [0, 0, 0, 0])
                row[0] += found["num_pairs_count"] if place == 1 else 0
                row[place] += found["num_pairs_sum"]
    names = COVERAGE_SCHEMA.names
    ordered = [dict(zip(names, (*key, *row), strict=True)) for key, row in sorted(rows.items())]
    return pa.Table.from_pylist(ordered, schema=COVERAGE_SCHEMA)


def _within(query_ids: np.ndarray, ids: range) -> pa.Array:
    return pa.array((query_ids >= ids.start) & (query_ids < ids.stop))


def keep_probability(job: Job) -> pa.Array:
    """Return each term's chance to keep a pair by its own draws in all rounds; nulls under the exact cap."""
    if job.config.cap.rule == "exact":
        return pa.nulls(len(job.queries), pa.float64())
    missed = np.ones(len(job.queries))
    for number in range(1, job.round + 1):
        missed *= 1 - _shares(job.at_round(number).folder("demand"))
    return pa.array((1 - missed) * _shares(job.folder("supply")))


def _shares(folder: Path) -> np.ndarray:
    limits = read_table(folder / "caps.parquet", ["limit"])["limit"].to_numpy()
    shares: np.ndarray = limits / float(EVERY)
    return shares
