"""INDEX/index.json: what an index is. It is written last, in one step, and names the parts that count."""

import json
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from manifests.store import write_bytes

NAME = "index.json"
FORMAT = 1


@dataclass(frozen=True, kw_only=True)
class IndexFile:
    """What stands in it."""

    model: str  # see `model.fingerprint`
    step: int
    embed_dim: int
    places: tuple[str, ...]
    num_pictures: int
    num_bad: int
    parts: tuple[int, ...]
    next_part: int  # numbers are never used again
    approximate: dict[str, Any] | None = None  # of `approximate.Setting`, where there is such an index
    approximate_file: str | None = None

    def write(self, index: Path) -> None:
        """Write it whole or not at all."""
        text = json.dumps({"format": FORMAT} | asdict(self), indent=1)
        write_bytes(index / NAME, f"{text}\n".encode())


def read_index_file(index: Path) -> IndexFile | None:
    """Return what an index is, None where there is none. Raises ValueError for one of another version."""
    path = index / NAME
    if not path.is_file():
        return None
    fields: dict[str, Any] = json.loads(path.read_bytes())
    if fields.pop("format", None) != FORMAT:
        raise ValueError(f"{path} is of another version. Next: remove {index} and index anew")
    lists: dict[str, Any] = {name: tuple(value) for name, value in fields.items() if isinstance(value, list)}
    return IndexFile(**fields | lists)
