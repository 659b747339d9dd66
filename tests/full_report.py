"""A dataset whose report has every section, and an earlier build of it."""

from dataclasses import replace
from pathlib import Path

from manifests.report import write_report
from manifests.schema import Change
from manifests.store import open_dataset, read_manifest, write_manifest
from tests.fakes import make_caption, make_dataset, make_picture, make_rejection

NUM_PAIRS = 9
CONFIG = {"name": "shapes", "cap": {"max_pairs_per_query": 3}}
COLOURS = {"colours": "102030" * 8 + "c08040" * 8, "scores": [("clip", 0.25)], "caption_origin": "alt"}


def make_reported(root: Path) -> Path:
    """Write a dataset whose first pair has two near copies, and that was retried; return `root`."""
    make_dataset(root, num_pairs=NUM_PAIRS)
    first = open_dataset(root).read_index(read_manifest(root).shards[0]).to_pylist()[0]
    copies = [
        make_rejection(
            "near_duplicate",
            stage="dedup",
            detail=f"distance {distance} <= 4",
            thumbnail=make_picture(0),
            kept_key=first["key"],
        )
        for distance in (1, 3)
    ]
    small = make_rejection("image_too_small", thumbnail=make_picture(1, 32))
    rejections = [make_rejection("no_query", stage="match"), small, *copies]
    make_dataset(root, num_pairs=NUM_PAIRS, rejections=rejections, overrides=COLOURS, config=CONFIG)
    retry = Change(
        kind="retry", request={"where": ["http_error"]}, num_tried=3, num_gained=1, dropped={"timeout": 2}
    )
    write_manifest(root, replace(read_manifest(root), history=(retry,)))
    return root


def make_earlier(root: Path) -> Path:
    """Write an earlier build: three of its pairs are others, and it capped less."""
    captions = [make_caption(number + 3) for number in range(NUM_PAIRS)]
    pictures = [make_picture(number + 3) for number in range(NUM_PAIRS)]
    config = {"name": "shapes", "cap": {"max_pairs_per_query": 5}}
    rejections = [make_rejection("no_query", stage="match")] * 4
    return make_dataset(
        root,
        num_pairs=NUM_PAIRS,
        captions=captions,
        pictures=pictures,
        rejections=rejections,
        overrides=COLOURS,
        config=config,
        name="earlier",
    )


def write_full_report(folder: Path) -> Path:
    """Write both datasets into a folder and return the later one's report, which compares them."""
    return write_report(make_reported(folder / "now"), make_earlier(folder / "then"))
