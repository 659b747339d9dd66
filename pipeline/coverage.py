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


def write_coverage(job: Job, dataset: Path) -> tuple[FileRecord, FileRecord]:
    """Write queries.parquet and coverage.parquet, from the counts of the phases."""
    folders = (
        job.at_round(1).folder("demand") / "counts",
        job.folder("counted") / "tried",
        job.folder("counted") / "kept",
    )
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


def add_kept(job: Job, dataset: Path) -> tuple[FileRecord, FileRecord]:
    """Write queries.parquet and coverage.parquet of the dataset that is added to, what is kept added."""
    assert job.base is not None
    folder = job.folder("counted") / "kept"
    terms, shares = (read_table(job.base / name) for name in ("queries.parquet", "coverage.parquet"))
    more = read_counts(folder, len(terms), {})[0]
    place = terms.column_names.index("num_kept")
    terms = terms.set_column(place, "num_kept", pa.array(terms["num_kept"].to_numpy() + more))
    kept = coverage_of(terms["origin"].to_pylist(), (dataset / "none", dataset / "none", folder)).to_pylist()
    kept_of = {(row["origin"], row["source"]): row["num_kept"] for row in kept}
    rows = shares.to_pylist()
    for row in rows:
        row["num_kept"] += kept_of.pop((row["origin"], row["source"]), 0)
    assert not kept_of, kept_of  # what was tried anew had been counted before
    write_table(dataset / "queries.parquet", terms)
    write_table(dataset / "coverage.parquet", pa.Table.from_pylist(rows, schema=COVERAGE_SCHEMA))
    return record_file(dataset, dataset / "queries.parquet"), record_file(
        dataset, dataset / "coverage.parquet"
    )


def coverage_of(origins: list[str], folders: tuple[Path, Path, Path]) -> pa.Table:
    """Return COVERAGE_SCHEMA from counts of what was matched, tried and kept, for terms of these origins."""
    of_term = pa.array(origins, pa.string())
    rows: dict[tuple[str, str], list[int]] = {}
    for place, folder in enumerate(folders, start=1):
        for part in parts_in(folder):
            table = part.rows()
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
