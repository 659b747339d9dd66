"""The deep look at a shard: do its pictures decode, is what lies beside them what the index says?"""

import io
import json
import struct
import zlib
from collections.abc import Iterator, Mapping
from hashlib import blake2b
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
from PIL import Image

from manifests.schema import ADDED_COLUMNS
from manifests.verify.headers import BLOCK

ROWS_AT_ONCE = 1000
READERS = {"jpg": "JPEG", "png": "PNG", "webp": "WEBP"}
# What Pillow's readers raise on broken pictures.
BROKEN = (
    *(OSError, SyntaxError, ValueError, ArithmeticError, LookupError, TypeError, AttributeError),
    *(EOFError, RuntimeError, MemoryError, struct.error, zlib.error, Image.DecompressionBombError),
)
# Not in the facts beside a picture: where it lies, and what was learned after they were written.
NOT_IN_FACTS, LEARNED_LATER = {"offset", "num_bytes"}, {"scores"}
# Colours were taken before the picture was made smaller. Of 2,877 pictures of all kinds, stored in three
# ways, none differed by more than 6 levels in the mean; of pictures that have nothing to do with each other
# 91 % differ by more than 20.
MAX_COLOUR_DIFFERENCE = 20
CELLS, SAMPLES = 4, 128

Row = Mapping[str, Any]


def pair_problems(path: Path, index: pa.Table, ending: str, keeps_ratio: bool) -> Iterator[str]:
    """Yield what is wrong with the pairs of a tar whose members lie where its index (all columns) says.

    `ending`: of its pictures' names; `keeps_ratio`: pictures show all of what was fetched, as large as it was
    or smaller, so that their colours are comparable.
    """
    with path.open("rb") as tar:
        for start in range(0, len(index), ROWS_AT_ONCE):
            rows = index.slice(start, ROWS_AT_ONCE).to_pylist(maps_as_pydicts="strict")
            for row in rows:
                picture, text, facts = _members(tar, row)
                for name, problem in (
                    (ending, picture_problem(picture, row, READERS[ending], keeps_ratio)),
                    ("txt", None if text == row["caption"].encode() else "is not the caption in the index"),
                    ("json", facts_problem(facts, row)),
                ):
                    if problem:
                        yield f"{row['key']}.{name} {problem}"


def key_problems(index: pa.Table) -> Iterator[str]:
    """Yield the keys of an index that are not the hashes of their pictures and captions."""
    columns = zip(*(index[name].to_pylist() for name in ("key", "sha256", "caption")), strict=True)
    for key, sha256, caption in columns:
        if key != content_key(sha256, caption):
            yield f"key {key} is not the hash of its picture and caption"


def content_key(sha256: str, caption: str) -> str:
    """Return the key of a pair: 32 hex digits, from the SHA-256 of its picture as fetched and its caption."""
    return blake2b(f"{sha256}\n{caption}".encode(errors="surrogatepass"), digest_size=16).hexdigest()


def _members(tar: io.BufferedIOBase, row: Row) -> tuple[bytes, bytes, bytes]:
    tar.seek(row["offset"])
    picture = _member(tar, row["num_bytes"])
    tar.seek(BLOCK, io.SEEK_CUR)
    text = _member(tar, len(row["caption"].encode()))
    header = tar.read(BLOCK)
    return picture, text, tar.read(int(header[124:135], 8))


def _member(tar: io.BufferedIOBase, num_bytes: int) -> bytes:
    data = tar.read(num_bytes)
    tar.seek(-num_bytes % BLOCK, io.SEEK_CUR)
    return data


def picture_problem(data: bytes, row: Row, reader: str, keeps_ratio: bool) -> str | None:
    """Return what is wrong with a picture, None where nothing is."""
    try:
        with Image.open(io.BytesIO(data), formats=[reader]) as picture:
            if picture.size != (row["width"], row["height"]):
                return f"has {picture.size} pixels, the index says {row['width']}, {row['height']}"
            picture.load()
            if keeps_ratio and row.get("colours") and not row.get("blur_boxes"):
                return colours_problem(picture, row["colours"])
    except BROKEN as error:
        return f"does not decode: {type(error).__name__}"
    return None


def colours_problem(picture: Image.Image, told: str) -> str | None:
    """Return how far the mean colours of 4 x 4 cells are from those that the index tells, None where near."""
    if min(picture.size) > SAMPLES:
        picture = picture.resize((SAMPLES, SAMPLES), Image.Resampling.NEAREST)
    found = picture.convert("RGB").resize((CELLS, CELLS), Image.Resampling.BOX).tobytes()
    apart = np.abs(np.frombuffer(found, np.uint8).astype(int) - np.frombuffer(bytes.fromhex(told), np.uint8))
    if apart.mean() <= MAX_COLOUR_DIFFERENCE:
        return None
    return f"has other colours than the index says, by {apart.mean():.0f} of 255 in the mean"


def facts_problem(data: bytes, row: Row) -> str | None:
    """Return how the facts beside a picture differ from its index row, None where they do not."""
    try:
        facts = json.loads(data)
    except ValueError:
        return "is not JSON"
    if not isinstance(facts, dict):
        return "is not a JSON object"
    names = set(row) - NOT_IN_FACTS - LEARNED_LATER
    # An index that was written anew has columns that the version which wrote the facts did not know.
    names -= {name for name in ADDED_COLUMNS if row.get(name) is None and name not in facts}
    if other := names.symmetric_difference(facts.keys() - LEARNED_LATER):
        return f"has other fields than the index: {', '.join(sorted(other))}"
    # The first version wrote one search.
    if isinstance(facts.get("found_by"), str) and isinstance(row.get("found_by"), list):
        facts["found_by"] = [facts["found_by"]]
    wrong = [name for name in names if facts[name] != row[name]]
    return f"and the index differ in {', '.join(wrong)}" if wrong else None
