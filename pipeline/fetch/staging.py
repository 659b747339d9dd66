"""A fetched picture to its place in a unit's staging tar, and to its row."""

from typing import IO, Any

from filters.sampling import content_key
from pipeline.fetch.pixels import EncodedPicture
from pipeline.limits import Format
from pipeline.tar import append_member

Row = dict[str, Any]


def stage_picture(tar: IO[bytes], unit: str, pair: Row, picture: EncodedPicture, ending: Format) -> Row:
    """Append the picture to the unit's tar; return its row, the facts of its download left out."""
    offset = append_member(tar, f"{pair['pair_id']}.{ending}", picture.data)
    return {
        **pair,
        **{name: getattr(picture, name) for name in picture.__slots__ if name not in ("data", "pdq")},
        "key": content_key(picture.sha256, pair["caption"]),
        "unit": unit,
        "offset": offset,
        "num_bytes": len(picture.data),
    }
