"""Several finished datasets as one: copies dropped, search terms united; nothing decoded, all sources kept.

Shards stay as they are, those of the first dataset first; `reshard` gives them one size and one order. One
shard is in memory at a time, and a run that was cut short goes on with those that are missing.
"""

from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import asdict, replace
from pathlib import Path
from typing import Any

import pyarrow as pa

from manifests.counts import counts_without, hits
from manifests.dates import joined
from manifests.deriving import is_finished
from manifests.do_not_fetch import LIST_NAME, RECEIPTS, read_list, write_list
from manifests.merge.copies import find_copies
from manifests.merge.funnel import united_funnel
from manifests.merge.pairs import outcomes
from manifests.merge.shards import STAGE, Merging
from manifests.merge.terms import Terms, united_coverage, united_queries
from manifests.publishing import following, write_sizes
from manifests.report import write_report
from manifests.schema import COVERAGE_SCHEMA, Change, FileRecord, Manifest, SourceRecord, StageCount
from manifests.storage import link_or_copy, name_of
from manifests.store import Dataset, clear_cut_short, read_manifest, record_file, write_manifest, write_table
from manifests.versions import read_queries

KIND = "merge"


def merge(sources: Sequence[Dataset], out: Path, max_distance: int | None = None) -> Manifest:
    """Write the datasets as one, or go on with that; return its manifest. Of pairs with one key, URL and
    caption, or original bytes, those of the first dataset stay; with `max_distance` also of those whose
    perceptual hashes differ in at most so many bits. Raises ValueError for a request that cannot be met."""
    if len(sources) < 2:
        raise ValueError("merge takes two datasets or more: name them all")
    asked = {"sources": [_asked(source) for source in sources], "max_distance": max_distance}
    if is_finished(out, KIND, asked):
        return read_manifest(out)
    clear_cut_short(out)
    terms = Terms.united([read_queries(source.root)["text"].to_pylist() for source in sources])
    merging = Merging(sources=sources, terms=terms, out=out)
    merging.take_rejections()
    for outcome in outcomes(sources, find_copies(sources, max_distance), max_distance):
        merging.add(outcome)
    files = [*merging.rejections, *merging.files, *_write_tables(merging), *_write_takedowns(sources, out)]
    manifest = _manifest(merging, [*files, write_sizes(merging.shards, out)], asked)
    write_manifest(out, manifest)
    write_report(out)
    return manifest


def _asked(source: Dataset) -> dict[str, Any]:
    manifest = source.manifest
    return {
        "name": manifest.name,
        "content_hash": manifest.content_hash,
        "num_pairs": manifest.num_pairs,
    }


def _write_tables(merging: Merging) -> Iterator[FileRecord]:
    counted = [counts_without(*each) for each in zip(merging.sources, merging.lost, strict=True)]
    queries = united_queries(merging.terms, [terms for terms, _ in counted])
    origins = queries["origin"].to_pylist()
    coverage = [
        moved(source, table, terms["origin"].to_pylist(), [origins[n] for n in numbers.tolist()], lost)
        for source, (terms, table), numbers, lost in zip(
            merging.sources, counted, merging.terms.numbers, merging.lost, strict=True
        )
    ]
    tables = {"queries": queries, "coverage": united_coverage(coverage), "samples": merging.sampled()}
    for name, table in tables.items():
        path = merging.out / f"{name}.parquet"
        write_table(path, table)
        yield record_file(merging.out, path)


def moved(
    source: Dataset, coverage: pa.Table, old: list[str], new: list[str], lost: Counter[tuple[int, str]]
) -> pa.Table:
    """Return a dataset's coverage with the pairs of those terms that have another origin in the merged list
    counted there; they are found in the indexes."""
    changed = [number for number, pair in enumerate(zip(old, new, strict=True)) if pair[0] != pair[1]]
    if not changed:
        return coverage
    found = Counter[tuple[int, str]]()
    for shard in source.manifest.shards:
        found.update(hits(source.read_index(shard, ["query_ids", "source"])))
    rows = {(row["origin"], row["source"]): row for row in coverage.to_pylist()}
    for (number, place), count in (found - lost).items():
        if old[number] != new[number]:
            rows[old[number], place]["num_kept"] -= count
            blank = dict.fromkeys(COVERAGE_SCHEMA.names, 0) | {"origin": new[number], "source": place}
            rows.setdefault((new[number], place), blank)["num_kept"] += count
    return pa.Table.from_pylist(list(rows.values()), schema=COVERAGE_SCHEMA)


def _write_takedowns(sources: Sequence[Dataset], out: Path) -> Iterator[FileRecord]:
    """Take over what the datasets have taken down: one list, and all receipts, numbered anew."""
    lines = {line for source in sources for line in read_list(source.root / LIST_NAME)}
    if lines:
        write_list(out / LIST_NAME, lines)
        yield record_file(out, out / LIST_NAME)
    files = [
        (source, file)
        for source in sources
        for file in source.manifest.files
        if file.path.startswith(f"{RECEIPTS}/")
    ]
    for number, (source, file) in enumerate(files, start=1):
        record = replace(file, path=f"{RECEIPTS}/{number:05d}.json")
        link_or_copy(source.root / file.path, out / record.path)
        yield record


def _manifest(merging: Merging, files: list[FileRecord], asked: dict[str, Any]) -> Manifest:
    old = [source.manifest for source in merging.sources]
    num_in = sum(manifest.num_pairs for manifest in old)
    dropped = dict(sorted(merging.dropped.items()))
    num_out = num_in - sum(dropped.values())
    funnel = united_funnel([manifest.funnel for manifest in old])
    first = replace(
        old[0],
        name=name_of(merging.out),
        # The first dataset's settings hold for additions; the others' stand beside them.
        config={**old[0].config, "merged": [_told(manifest) for manifest in old]},
        num_queries=len(merging.terms.texts),
        queries_sha256=merging.terms.digest,
        sources=united_sources([record for manifest in old for record in manifest.sources]),
        dates=joined([manifest.dates for manifest in old]),
    )
    return following(
        first,
        shards=merging.shards,
        files=files,
        funnel=[*funnel, StageCount(stage=STAGE, num_in=num_in, num_out=num_out, dropped=dropped)],
        change=Change(kind=KIND, request=asked, num_tried=num_in, num_gained=num_out, dropped=dropped),
    )


def _told(manifest: Manifest) -> dict[str, Any]:
    """Return what the merged dataset says of one that it was made of."""
    fields = asdict(manifest)
    names = ("name", "created_at", "code_version", "content_hash", "num_pairs", "config", "funnel", "history")
    return {name: list(fields[name]) if isinstance(fields[name], tuple) else fields[name] for name in names}


def united_sources(records: Sequence[SourceRecord]) -> tuple[SourceRecord, ...]:
    """Return one record for each source's name: candidates summed, all that was read named."""
    found: dict[str, SourceRecord] = {}
    for record in records:
        known = found.get(record.name)
        found[record.name] = (
            record
            if known is None
            else replace(
                known,
                num_candidates=known.num_candidates + record.num_candidates,
                read=tuple(dict.fromkeys((*known.read, *record.read))),
            )
        )
    return tuple(found.values())
