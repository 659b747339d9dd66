"""The page that says why a picture is here: all that its dataset knows of it, and what it went through."""

import json
from collections.abc import Mapping
from typing import Any

from manifests.fetch_times import read_fetch_times
from manifests.report.page import Section, facts, folded, number, render_page, table, text
from manifests.report.pictures import data_uri
from manifests.schema import Shard
from manifests.storage import open_parquet
from manifests.store import MANIFEST_NAME, Dataset, open_dataset
from manifests.versions import read_queries
from train.search.copies import copies_of
from train.search.safe_pictures import BadPictureError
from train.search.searcher import Hit, Searcher
from train.search.server.shown import ShownPictures

WHY_POLICY = (
    "default-src 'none'; style-src 'unsafe-inline'; img-src data:; base-uri 'none'; form-action 'none'; "
    "frame-ancestors 'none'"
)
_FOUND = ("url", "final_url", "page_url", "source", "source_file", "source_offset", "found_by")
_ALLOWED = ("licence", "author", "http_status", "robots", "opt_out", "etag", "last_modified")
_MEASURED = ("language", "language_score", "width", "height", "original_width", "original_height")
_MORE = ("original_bytes", "keep_probability", "num_duplicates")

Row = Mapping[str, Any]


def why_page(searcher: Searcher, shown: ShownPictures, hit: Hit) -> str:
    """Return the page of a picture, as HTML in which every stranger's text is escaped."""
    place, row = searcher.place_of(hit)
    dataset = open_dataset(place) if (place / MANIFEST_NAME).exists() else None
    shard = _shard_of(dataset, row) if dataset else None
    known = _row_in(dataset, shard, row) if dataset and shard else None
    sections = [Section(anchor="picture", title="The picture", body=_picture(shown, hit))]
    if dataset and shard and known:
        sections += _of_dataset(dataset, shard, known, copies_of(searcher.folder, str(place), row["key"]))
    else:
        note = "<p>What it was indexed from keeps no record of where it was found.</p>"
        sections.append(Section(anchor="found", title="Where it was found", body=note))
    sections.append(Section(anchor="row", title="All that is known", body=_all(known or row)))
    title = row["caption"] or row["key"]
    return render_page(title="Why is this here?", summary=f"<p>{text(title)}</p>", sections=sections)


def _picture(shown: ShownPictures, hit: Hit) -> str:
    try:
        data, kind = shown.read("thumbnail", hit)
    except (OSError, BadPictureError):
        return "<p>It is no longer where it was indexed.</p>"
    uri = data_uri(data).replace("image/jpeg", kind)
    place = [
        ("File", hit.row["file"]),
        ("First byte", hit.row.get("offset")),
        ("Seconds", hit.row.get("time_s")),
    ]
    return f'<p><img src="{uri}" alt="{text(hit.row["caption"] or "")}"></p>{facts(place)}'


def _of_dataset(dataset: Dataset, shard: Shard, row: Row, copies: list[dict[str, str]]) -> list[Section]:
    times = read_fetch_times(dataset.root, shard)
    at = None
    if times is not None:
        place = times["key"].index(row["key"]).as_py()
        at = times["fetched_at"][place].as_py() if place >= 0 else None
    found = [(_words(name), _value(row.get(name))) for name in _FOUND]
    allowed = [(_words(name), _value(row.get(name))) for name in _ALLOWED]
    return [
        Section(anchor="found", title="Where it was found", body=facts([*found, ("fetched at", at)])),
        Section(anchor="allowed", title="What was said of its use", body=facts(allowed)),
        Section(anchor="terms", title="Search terms in its caption", body=_terms(dataset, row)),
        Section(anchor="passed", title="What it passed", body=_passed(dataset, row)),
        Section(anchor="copies", title="Copies dropped in its stead", body=_copies(copies)),
    ]


def _terms(dataset: Dataset, row: Row) -> str:
    wanted = row.get("query_ids") or []
    if not wanted:
        return "<p>None.</p>"
    queries = read_queries(dataset.root).select(["text", "origin", "num_matched", "num_kept"])
    found = [queries.slice(query, 1).to_pylist() for query in wanted if query < len(queries)]
    rows = [tuple(term.values()) for [term] in found]
    columns = ("term", "origin", "pairs matched", "pairs kept")
    return table(columns, rows, caption="Its terms, and how many pairs have them") if rows else ""


def _passed(dataset: Dataset, row: Row) -> str:
    """Return the stages that it went through, with what was measured of it and how many others did not."""
    measured = [(_words(name), _value(row.get(name))) for name in (*_MEASURED, *_MORE)]
    scores = [(f"score {name}", _value(score)) for name, score in dict(row.get("scores") or {}).items()]
    stages = [
        (stage.stage, stage.num_in, stage.num_out, _counted(stage.dropped))
        for stage in dataset.manifest.funnel
    ]
    columns = ("stage", "came in", "went on", "dropped, by reason")
    funnel = table(columns, stages, caption="The stages of its dataset; this pair passed all of them")
    limits = f"<pre>{text(json.dumps(dataset.manifest.config, indent=1, ensure_ascii=False))}</pre>"
    return facts([*measured, *scores]) + funnel + folded("The limits, as they were configured", limits)


def _counted(dropped: Mapping[str, int]) -> str:
    return ", ".join(f"{reason} {number(count)}" for reason, count in dropped.items())


def _copies(copies: list[dict[str, str]]) -> str:
    if not copies:
        return "<p>None.</p>"
    rows = [(copy["reason"], copy["detail"], copy["url"], copy["caption"]) for copy in copies]
    return table(("reason", "measured", "where", "its caption"), rows, caption="Other finds of this picture")


def _all(row: Row) -> str:
    rows = [(name, _value(value)) for name, value in row.items() if value is not None]
    return table(("column", "value"), rows, caption="Its row in the index")


def _shard_of(dataset: Dataset, row: Row) -> Shard | None:
    return next((shard for shard in dataset.manifest.shards if shard.tar.path == row["file"]), None)


def _row_in(dataset: Dataset, shard: Shard, row: Row) -> Row | None:
    """Return the row of the dataset as it is now; None where it has changed since it was indexed.

    Of the shard's index one group of rows is read.
    """
    with open_parquet(dataset.root / shard.index.path) as file:
        left = row["number"]
        for group in range(file.num_row_groups):
            num_rows = file.metadata.row_group(group).num_rows
            if left < num_rows:
                found = file.read_row_group(group).slice(left, 1).to_pylist(maps_as_pydicts="lossy")[0]
                return dict(found) if found["key"] == row["key"] else None
            left -= num_rows
    return None


def _words(name: str) -> str:
    return name.replace("_", " ")


def _value(value: Any) -> str | None:
    """Return a value of a row as people read it."""
    if isinstance(value, list | dict):
        return (
            ", ".join(map(str, value)) if isinstance(value, list) else json.dumps(value, ensure_ascii=False)
        )
    if value is None or isinstance(value, str):
        return value
    return number(value) if isinstance(value, float) else str(value)
