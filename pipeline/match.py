"""Candidates to pairs: match each caption against the search terms, screen its text, drop repeats."""

from collections.abc import Iterable, Iterator, Mapping
from operator import itemgetter
from pathlib import Path
from typing import Any

import apache_beam as beam
import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
from apache_beam.utils.shared import Shared

from filters.checks import screen_captions
from filters.do_not_fetch import read_do_not_fetch
from filters.language import LanguageGuess
from filters.queries import MatchMode, QueryIndex
from filters.reasons import Drop, Reason
from filters.sampling import pair_id, priority
from filters.text import normalise_caption
from filters.urls import canonical_url
from filters.words import words_of
from manifests.storage import Anywhere
from manifests.store import write_bytes, write_table
from pipeline.blocks import GroupBlocks, num_buckets_for, split, unpack
from pipeline.common import DropCommonCaptions
from pipeline.config import BuildConfig
from pipeline.known import Known
from pipeline.parts import REJECTIONS, Part, sum_of, write_part
from pipeline.records import PAIR_SCHEMA, Query, Rejection, reject, rejections_table, to_table

MATCH, TEXT, DISTINCT = "match", "text", "distinct"
# Of several captions of one picture the one whose place ranks lowest is kept: what was written for the
# picture, then what names it, then what may speak of its page. Unknown places (a table's) rank as an alt.
_AS_ALT = 1
_PLACES = {"figcaption": 0, "alt": _AS_ALT, "description": _AS_ALT, "json-ld": 2, "title": 3, "og": 4}

Row = dict[str, Any]


class MatchCandidates(beam.PTransform):
    """Parts of candidates -> parts of distinct pairs, written to `out`."""

    def __init__(
        self,
        parts: list[Part],
        queries: list[Query],
        config: BuildConfig,
        evaluated: dict[str, str],
        out: Path,
        known: Known | None = None,
    ) -> None:
        """`evaluated`: captions of evaluation sets, as words, and whose they are. `known`: what the dataset
        knows that is added to."""
        super().__init__()
        self.parts, self.queries, self.config, self.out = parts, queries, config, out
        self.evaluated, self.known = evaluated, known

    def expand(self, begin: beam.pvalue.PBegin) -> beam.PCollection:
        num_buckets = self.known.num_buckets if self.known else num_buckets_for(sum_of(self.parts))
        names = (
            begin
            | "each part of candidates" >> beam.Create(self.parts)
            | "match and screen"
            >> beam.ParDo(
                ScreenCandidates(self._write_terms(), self.config, self.evaluated, self.out, num_buckets)
            )
            | "by URL" >> GroupBlocks()
            | "drop repeats" >> beam.Map(drop_repeats, out=self.out, known=self.known)
        )
        max_urls = self.config.max_urls_per_caption
        if max_urls is None:
            return names
        before = self.known.captions if self.known else ()
        return names | "captions" >> DropCommonCaptions(self.out, max_urls, DISTINCT, num_buckets, before)

    def _write_terms(self) -> Path:
        """Write the terms, one to a line, from where each process reads them: 500,000 are no luggage."""
        path = self.out / "terms.txt"
        write_bytes(path, "".join(f"{query.text}\n" for query in self.queries).encode())
        return path


def index_terms(path: Path, mode: MatchMode) -> QueryIndex:
    """Return the index of a file of terms; their numbers are those of their lines."""
    with path.open(encoding="utf-8", newline="\n") as lines:
        return QueryIndex((line.removesuffix("\n") for line in lines), mode)


class ScreenCandidates(beam.DoFn):
    """A part of candidates -> blocks of pairs by URL; writes what it rejects."""

    def __init__(
        self, terms: Path, config: BuildConfig, evaluated: dict[str, str], out: Path, num_buckets: int
    ) -> None:
        self.terms, self.config, self.out, self.num_buckets = terms, config, out, num_buckets
        self.evaluated = evaluated
        self.shared = Shared()

    def setup(self) -> None:
        """Build the index once per process, whatever its threads; it cannot be pickled."""
        self.index = self.shared.acquire(lambda: index_terms(self.terms, self.config.match_mode))

    def process(self, part: Part) -> Iterator[tuple[int, bytes]]:
        pairs, rejections = screen(part.rows().to_pylist(), self.index, self.config, self.evaluated)
        write_table(self.out / f"screen-{part.name}{REJECTIONS}", rejections_table(rejections))
        buckets = np.array([priority(pair["url"]) % self.num_buckets for pair in pairs], dtype=np.int64)
        yield from split(to_table(pairs, PAIR_SCHEMA), buckets)


def screen(
    candidates: list[Row], index: QueryIndex, config: BuildConfig, evaluated: Mapping[str, str]
) -> tuple[list[Row], list[Rejection]]:
    """Return the pairs among candidates, and why the others are none."""
    matched: list[tuple[Row, str, list[int]]] = []
    rejections: list[Rejection] = []
    for row in candidates:
        candidate = {**row, "caption": normalise_caption(row["caption"])}
        found = _find(candidate, index, config)
        if isinstance(found, Drop):
            rejections.append(reject(MATCH, found, candidate))
        else:
            matched.append((candidate, *found))
    pairs: list[Row] = []
    screened = screen_captions([candidate["caption"] for candidate, _, _ in matched], config.text)
    for (candidate, url, query_ids), verdict in zip(matched, screened, strict=True):
        if drop := verdict.drop or _check_evaluated(candidate["caption"], evaluated):
            rejections.append(reject(TEXT, drop, candidate))
        else:
            pairs.append(_pair(candidate, url, query_ids, verdict.guess))
    return pairs, rejections


def _pair(candidate: Row, url: str, query_ids: list[int], guess: LanguageGuess | None) -> Row:
    found_by = candidate["found_by"] and [candidate["found_by"]]
    row = {**candidate, "url": url, "query_ids": query_ids, "found_by": found_by, "keep_probability": 1.0}
    if guess:
        row |= {"language": guess.language, "language_score": guess.score}
    return row | {"pair_id": pair_id(url, candidate["caption"])}


def _check_evaluated(caption: str, evaluated: Mapping[str, str]) -> Drop | None:
    found = evaluated.get(words_of(caption)) if evaluated else None
    return Drop(Reason.CAPTION_IN_EVALUATION_SET, f"the same words as {found}") if found else None


def _find(candidate: Row, index: QueryIndex, config: BuildConfig) -> Drop | tuple[str, list[int]]:
    """Return the URL's one spelling and the ids of the terms in the caption, or why there are none."""
    url, caption = candidate["url"], candidate["caption"]
    address = url if config.sources.owner_of(url) else canonical_url(url)
    if address is None:
        return Drop(Reason.URL_INVALID, "not an http or https URL without credentials")
    listed = read_do_not_fetch(config.fetch.do_not_fetch)
    if drop := config.url.check(address) or listed.check_pair(address, candidate["page_url"], caption):
        return drop
    query_ids = index.matches(caption)
    return (address, query_ids) if query_ids else Drop(Reason.NO_QUERY, "no search term in the caption")


def drop_repeats(group: tuple[int, Iterable[bytes]], out: Anywhere, known: Known | None = None) -> str:
    """Keep one pair per URL, the one whose caption stood in the best place, with all searches that found it;
    what repeats it, also with other captions, is dropped, and what an earlier build has asked for."""
    bucket, blocks = group
    name = f"{bucket:05d}"
    table = unpack(blocks, sort_by="pair_id")
    table, rejections = _not_known(bucket, table, known) if known else (table, [])
    rows = table.to_pylist()
    rows.sort(key=_preference)
    kept: dict[str, Row] = {}
    searches: dict[str, set[str]] = {}
    for row in rows:
        searches.setdefault(row["url"], set()).update(row["found_by"] or [])
        first = kept.setdefault(row["url"], row)
        if first is row:
            continue
        if first["pair_id"] == row["pair_id"]:
            by = row["found_by"] or [row["source"]]
            drop = Drop(Reason.DUPLICATE_PAIR, f"also found by {by[0]}")
        else:
            drop = Drop(Reason.DUPLICATE_URL, f"kept with another caption, pair {first['pair_id']}")
        rejections.append(reject(DISTINCT, drop, row))
    for row in kept.values():
        row["found_by"] = sorted(searches[row["url"]]) or None
    pairs = sorted(kept.values(), key=itemgetter("pair_id"))
    write_part(out, name, pa.Table.from_pylist(pairs, schema=PAIR_SCHEMA), rejections)
    return name


def _not_known(bucket: int, table: pa.Table, known: Known) -> tuple[pa.Table, list[Rejection]]:
    asked = pa.array(known.has(bucket, table["url"].to_pylist()))
    drop = Drop(Reason.KNOWN_URL, "asked for before, in the dataset that is added to")
    return table.filter(pc.invert(asked)), [
        reject(DISTINCT, drop, row) for row in table.filter(asked).to_pylist()
    ]


def _preference(row: Row) -> tuple[int, str, str, list[str], str, str, int]:
    """Return what orders pairs of one URL: the place of the caption, then what no two of them share."""
    rank = _PLACES.get(row["caption_origin"], _AS_ALT)
    found = row["source"], row["found_by"] or [], row["page_url"] or ""
    return rank, row["pair_id"], *found, row["source_file"] or "", row["source_offset"] or 0
