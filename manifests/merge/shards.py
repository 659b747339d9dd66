"""The shards and rejections of datasets that are merged: copied, with the new numbers of their terms."""

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa

from manifests.copying import END, Rows, spans_of, with_facts
from manifests.counts import hits
from manifests.fetch_times import FOLDER, fetch_times_of, read_fetch_times
from manifests.hashing import written_hashed
from manifests.merge.pairs import Outcome
from manifests.merge.terms import Terms
from manifests.schema import SAMPLES_PER_REASON, FileRecord, Shard
from manifests.select import (
    Judged,
    as_rejections,
    link_rejections,
    with_offsets,
    write_shard,
)
from manifests.storage import num_rows, read_table
from manifests.store import Dataset, record_file, write_table
from manifests.takedown.blank import REASON as TAKEN_DOWN
from manifests.takedown.blank import blank_where
from manifests.takedown.find import rejections_of

STAGE = "merge"
MAX_SAMPLES = 10_000  # dropped rows among which samples are sought
_OF_DROPPED = ["url", "caption", "source", "query_ids", "sha256", "phash"]


@dataclass(kw_only=True)
class Merging:
    """The new dataset as it grows."""

    sources: Sequence[Dataset]
    terms: Terms
    out: Path
    shards: list[Shard] = field(default_factory=list)
    files: list[FileRecord] = field(default_factory=list)
    rejections: list[FileRecord] = field(default_factory=list)
    samples: list[pa.Table] = field(default_factory=list)
    lost: list[Counter[tuple[int, str]]] = field(default_factory=list)  # of each dataset, by its own terms
    dropped: Counter[str] = field(default_factory=Counter)  # by reason

    def take_rejections(self) -> None:
        """Take over what the datasets have dropped, before anything else is."""
        for place, source in enumerate(self.sources):
            self.lost.append(Counter())
            if self.terms.stay(place):
                self.rejections += link_rejections(source, self.out, len(self.rejections))
            else:
                for record in rejections_of(source):
                    self._reject(self.terms.renumbered(read_table(source.root / record.path), place))
            self.samples.append(self.terms.renumbered(read_table(source.root / "samples.parquet"), place))

    def add(self, outcome: Outcome) -> None:
        """Write what stays of a shard, and why the rest does not."""
        source = self.sources[outcome.dataset]
        gone = np.array(sorted(outcome.dropped), np.int64)
        if len(gone):
            rows = source.read_index(outcome.shard, _OF_DROPPED).take(gone)
            self.lost[outcome.dataset].update(hits(rows))
            self._drop(rows, [outcome.dropped[row] for row in gone.tolist()])
        if len(gone) == outcome.shard.num_pairs:
            return
        name = f"{len(self.shards):05d}"
        if self.terms.stay(outcome.dataset):
            details = [
                "dropped" if row in outcome.dropped else None for row in range(outcome.shard.num_pairs)
            ]
            beside = {file.path: file for file in source.manifest.files}
            judged = Judged(shard=outcome.shard, details=details)
            shard, files = write_shard(source, judged, self.out, name, beside)
        else:
            kept = np.delete(np.arange(outcome.shard.num_pairs), gone)
            shard, files = self._write_renumbered(outcome, kept, name)
        self.shards.append(shard)
        self.files += files

    def _drop(self, rows: pa.Table, why: list[tuple[str, str, str | None]]) -> None:
        table = as_rejections(rows, STAGE, "", [detail for _, detail, _ in why])
        given = {"reason": [reason for reason, _, _ in why], "kept_key": [key for _, _, key in why]}
        given |= {name: rows[name] for name in ("sha256", "phash")}
        for name, values in given.items():
            place, kind = table.schema.get_field_index(name), table.schema.field(name)
            column = values if isinstance(values, pa.ChunkedArray) else pa.array(values, kind.type)
            table = table.set_column(place, kind, column)
        table = blank_where(table, np.array([reason == TAKEN_DOWN for reason, _, _ in why]))
        before = sum(self.dropped.values())
        self.dropped.update(reason for reason, _, _ in why)
        self._reject(table)
        if before < MAX_SAMPLES:
            self.samples.append(table.slice(0, MAX_SAMPLES))

    def _reject(self, table: pa.Table) -> None:
        path = self.out / "rejections" / f"{len(self.rejections):05d}.parquet"
        write_table(path, table)
        self.rejections.append(record_file(self.out, path))

    def _write_renumbered(self, outcome: Outcome, kept: Rows, name: str) -> tuple[Shard, list[FileRecord]]:
        """Write a shard whose terms have other numbers, also in the facts beside its pictures."""
        source = self.sources[outcome.dataset]
        paths = self.out / "shards" / f"{name}.tar", self.out / "index" / f"{name}.parquet"
        times = self.out / FOLDER / f"{name}.parquet"
        if not paths[1].exists():
            index = source.read_index(outcome.shard)
            rows = self.terms.renumbered(index, outcome.dataset).take(kept)
            if (known := read_fetch_times(source.root, outcome.shard)) is not None:
                write_table(times, fetch_times_of(rows["key"], [known]))
            tar_path = source.tar_path(outcome.shard)
            spans, offsets = spans_of(tar_path, index), []
            with tar_path.open("rb") as old, written_hashed(paths[0]) as tar:
                for row, query_ids in zip(kept.tolist(), rows["query_ids"].to_pylist(), strict=True):
                    data = spans.read(old, row)
                    offsets.append(tar.tell() + int(spans.offsets[row] - spans.starts[row]))
                    tar.write(with_facts(data, partial(_with_terms, query_ids=query_ids)))
                tar.write(END)
            write_table(paths[1], with_offsets(rows, np.array(offsets, np.int64)))
        tar_record, index_record = (record_file(self.out, path) for path in paths)
        shard = Shard(tar=tar_record, index=index_record, num_pairs=num_rows(paths[1]))
        return shard, [record_file(self.out, times)] if times.exists() else []

    def sampled(self) -> pa.Table:
        """Return some of each reason at each stage, at most SAMPLES_PER_REASON."""
        table = pa.concat_tables(self.samples, promote_options="default")
        seen, rows = Counter[tuple[str, str]](), []
        for row, kind in enumerate(zip(table["stage"].to_pylist(), table["reason"].to_pylist(), strict=True)):
            seen[kind] += 1
            if seen[kind] <= SAMPLES_PER_REASON:
                rows.append(row)
        return table.take(pa.array(rows, pa.int64()))


def _with_terms(facts: dict[str, Any], query_ids: list[int] | None) -> dict[str, Any]:
    return facts | {"query_ids": query_ids} if "query_ids" in facts else facts
