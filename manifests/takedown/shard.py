"""A shard written anew without some of its pairs, and without what others said of copies."""

from functools import partial
from pathlib import Path
from typing import IO, Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from manifests.copying import END, Rows, Spans, copy_pairs, spans_of, with_facts
from manifests.hashing import HashedFile, written_hashed
from manifests.schema import INDEX_SCHEMA, FileRecord, Shard
from manifests.select import beside_index, renamed, with_offsets
from manifests.storage import num_rows, read_table
from manifests.store import Dataset, record_file, write_table
from manifests.takedown.find import Amendment


def write_without(
    dataset: Dataset,
    shard: Shard,
    gone: Rows,
    amended: dict[str, Amendment],
    staged: Path,
    name: str,
) -> tuple[Shard, list[FileRecord]]:
    """Write a shard without the rows that are gone, its index last; one that is there already is whole.
    Return its record and those of the tables beside its index."""
    new = renamed(shard, name)
    tables = {path: f"{Path(path).parent.name}/{name}.parquet" for path in beside_index(shard)}
    known = {file.path for file in dataset.manifest.files}
    there = {path: to for path, to in tables.items() if path in known}
    if not (staged / new.index.path).exists():
        rows = dataset.read_index(shard)
        kept = np.delete(np.arange(len(rows)), gone)
        for path, to in there.items():
            write_table(staged / to, read_table(dataset.root / path).take(kept))
        source = dataset.tar_path(shard)
        with source.open("rb") as old, written_hashed(staged / new.tar.path) as tar:
            spans = spans_of(source, rows)
            changed = np.flatnonzero(pc.is_in(rows["key"], value_set=pa.array(list(amended), pa.string())))
            offsets = _copy_amended(old, spans, kept, set(changed.tolist()), amended, tar)
            tar.write(END)
        write_table(staged / new.index.path, with_offsets(_amended_rows(rows, amended).take(kept), offsets))
    tar_record, index = (record_file(staged, staged / path) for path in (new.tar.path, new.index.path))
    num_pairs = num_rows(staged / new.index.path)
    return Shard(tar=tar_record, index=index, num_pairs=num_pairs), [
        record_file(staged, staged / to) for to in there.values()
    ]


def _copy_amended(
    old: IO[bytes],
    spans: Spans,
    kept: Rows,
    changed: set[int],
    amended: dict[str, Amendment],
    tar: HashedFile,
) -> Rows:
    """Copy the pairs that stay, facts of amended ones changed; return where their pictures lie."""
    found, start = [np.empty(0, np.int64)], 0
    for place in [*(place for place, row in enumerate(kept) if int(row) in changed), len(kept)]:
        found.append(copy_pairs(old, spans, kept[start:place], tar))
        if place < len(kept):
            row = int(kept[place])
            begin, amendment = int(spans.starts[row]), amended[spans.keys[row].as_py()]
            data = spans.read(old, row)
            found.append(spans.offsets[row : row + 1] + (tar.tell() - begin))
            tar.write(with_facts(data, partial(_amend, by=amendment)))
        start = place + 1
    return np.concatenate(found)


def _amend(facts: dict[str, Any], by: Amendment) -> dict[str, Any]:
    """Return what is known of a pair, less what it said of copies that are taken down."""
    changed = dict(facts)
    if facts.get("num_duplicates"):
        changed["num_duplicates"] = max(0, facts["num_duplicates"] - by.num_duplicates)
    if facts.get("extra_captions"):
        changed["extra_captions"] = [
            text for text in facts["extra_captions"] if text not in by.captions
        ] or None
    return changed


def _amended_rows(rows: pa.Table, amended: dict[str, Amendment]) -> pa.Table:
    names = [name for name in ("num_duplicates", "extra_captions") if name in rows.column_names]
    if not amended:
        return rows
    facts = rows.select(["key", *names]).to_pylist()
    facts = [_amend(row, amended[row["key"]]) if row["key"] in amended else row for row in facts]
    for name in names:
        field = INDEX_SCHEMA.field(name)
        rows = rows.set_column(
            rows.schema.get_field_index(name), field, pa.array([row[name] for row in facts], field.type)
        )
    return rows
