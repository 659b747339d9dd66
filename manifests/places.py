"""Places on command lines: a directory of this machine, or a URL such as s3://bucket/dataset."""

from pathlib import Path
from typing import Annotated

import tyro

from manifests.storage import location

# pathlib alone would make s3:/bucket of s3://bucket.
_SPEC = tyro.constructors.PrimitiveConstructorSpec[Path](
    nargs=1,
    metavar="PLACE",
    instance_from_str=lambda words: location(words[0]),
    is_instance=lambda value: hasattr(value, "joinpath"),
    str_from_instance=lambda place: [str(place)],
)

Place = Annotated[Path, _SPEC]
"""The type of a field that names a dataset; its value is a Path, or an UPath, which stands in for one."""
