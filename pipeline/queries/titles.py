"""Titles of articles and how often they were viewed, from dumps and page view files."""

from collections.abc import Iterable, Iterator, Sequence
from pathlib import Path
from typing import IO

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from filters.sampling import priority
from pipeline.queries.counts import bucket_of
from pipeline.queries.runs import BucketRange, read_buckets

TITLE_RUN = pa.schema([("bucket", pa.uint16()), ("title", pa.string())])
VIEW_RUN = pa.schema([("bucket", pa.uint16()), ("title", pa.string()), ("views", pa.int64())])
TITLE_SCHEMA = pa.schema([("title", pa.string()), ("views", pa.int64())])
# "Mercury (planet)": what sets an article apart from its namesakes is no part of the thing's name.
_QUALIFIED = r"^(.*\S) \([^()]+\)$"


def title_run(titles: Sequence[str]) -> pa.Table:
    """Return titles as a run (TITLE_RUN)."""
    return pa.table([_buckets(titles), titles], schema=TITLE_RUN).sort_by("bucket")


def view_run(views: dict[str, int]) -> pa.Table:
    """Return the views of titles as a run (VIEW_RUN)."""
    titles = list(views)
    return pa.table([_buckets(titles), titles, list(views.values())], schema=VIEW_RUN).sort_by("bucket")


def read_views(stream: IO[bytes], projects: Iterable[str]) -> Iterator[tuple[str, int]]:
    """Yield (title, views) for each line of a page view file that is about one of the projects.

    Reads hourly files, "en Main_Page 42 0", and pageview_complete, "en.wikipedia Main_Page 15580374 desktop
    42 A20B22". Lines with too few fields or without a count, which both kinds have, are passed over.
    """
    wanted = {project.encode() for project in projects}
    for line in stream:
        fields = line.split()
        if len(fields) < 4 or fields[0] not in wanted:
            continue
        count = fields[2] if len(fields) == 4 else fields[-2]
        if count.isdigit():
            yield fields[1].decode(errors="replace").replace("_", " "), int(count)


def merge_titles(
    titles: Sequence[Path], views: Sequence[Path], buckets: BucketRange, min_views: int
) -> pa.Table:
    """Return the articles of these buckets viewed at least `min_views` times (TITLE_SCHEMA, by title)."""
    articles = read_buckets(titles, buckets, TITLE_RUN).select(["title"])
    articles = articles.group_by("title", use_threads=False).aggregate([])
    viewed = read_buckets(views, buckets, VIEW_RUN).group_by("title", use_threads=False)
    viewed = viewed.aggregate([("views", "sum")]).rename_columns({"views_sum": "views"})
    found = articles.join(viewed, "title", join_type="inner").select(TITLE_SCHEMA.names).cast(TITLE_SCHEMA)
    return found.filter(pc.field("views") >= min_views).sort_by("title")


def names_of(titles: pa.ChunkedArray) -> pa.ChunkedArray:
    """Return what articles' titles name.

    >>> names_of(pa.chunked_array([["Mercury (planet)", "(Ghost) Riders in the Sky"]])).to_pylist()
    ['Mercury', '(Ghost) Riders in the Sky']
    """
    return pc.replace_substring_regex(titles, _QUALIFIED, r"\1")


def _buckets(titles: Sequence[str]) -> np.ndarray:
    return bucket_of(np.array([priority(title) for title in titles], dtype=np.uint64))
