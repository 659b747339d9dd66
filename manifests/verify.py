"""Is a dataset whole and what its manifest says? Every mismatch is found and named; nothing is repaired."""

import hashlib
import tarfile
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path

import pyarrow as pa

from manifests.schema import INDEX_SCHEMA, FileRecord, Manifest, Shard, StageCount
from manifests.store import (
    MANIFEST_NAME,
    Dataset,
    DatasetError,
    content_hash,
    manifest_from_bytes,
    manifest_to_bytes,
    sha256_of_file,
)
from manifests.versions import is_of

PICTURE_ENDINGS = ("jpg", "png", "webp")


@dataclass(frozen=True, slots=True)
class Mismatch:
    """A file of the dataset and what is wrong with it."""

    path: str
    problem: str

    def __str__(self) -> str:
        return f"{self.path}: {self.problem}"


def verify(root: Path) -> Iterator[Mismatch]:
    """Yield every mismatch of the dataset at `root`, none for one that is whole."""
    path = root / MANIFEST_NAME
    try:
        data = path.read_bytes()
        manifest = manifest_from_bytes(data)
    except (OSError, DatasetError) as error:
        yield Mismatch(MANIFEST_NAME, str(error))
        return
    yield from (Mismatch(MANIFEST_NAME, problem) for problem in manifest_problems(manifest, data))
    yield from files_mismatches(root, manifest)
    keys = _Keys()
    for shard in manifest.shards:
        yield from shard_mismatches(Dataset(root, manifest), shard, keys)


def manifest_problems(manifest: Manifest, data: bytes) -> Iterator[str]:
    """Yield what is wrong within a manifest of these bytes."""
    if manifest_to_bytes(manifest) != data:
        yield "its bytes are not those that its checksum covers: it was edited or damaged"
    yield from funnel_mismatches(manifest.funnel)
    num_pairs = sum(shard.num_pairs for shard in manifest.shards)
    if num_pairs != manifest.num_pairs:
        yield f"num_pairs is {manifest.num_pairs}, its shards hold {num_pairs}"
    if manifest.funnel and manifest.funnel[-1].num_out != manifest.num_pairs:
        yield f"the funnel ends with {manifest.funnel[-1].num_out} pairs, num_pairs is {manifest.num_pairs}"
    for number, change in enumerate(manifest.history, start=1):
        if change.num_tried != change.num_gained + sum(change.dropped.values()):
            yield f"change {number}: {change.num_tried} tried is not {change.num_gained} + {change.dropped}"
    if content_hash(manifest.shards) != manifest.content_hash:
        yield "content_hash is not the hash of its shards"


def funnel_mismatches(funnel: Iterable[StageCount]) -> list[str]:
    """Return the stages whose counts do not add up, or do not follow from the stage before."""
    problems = []
    previous: StageCount | None = None
    for stage in funnel:
        if stage.num_in != stage.num_out + sum(stage.dropped.values()) or stage.num_out < 0:
            problems.append(
                f"stage {stage.stage}: {stage.num_in} in is not {stage.num_out} out + {stage.dropped}"
            )
        if previous and previous.num_out != stage.num_in:
            problems.append(
                f"stage {stage.stage} takes {stage.num_in}, {previous.stage} gives {previous.num_out}"
            )
        previous = stage
    return problems


def files_mismatches(root: Path, manifest: Manifest) -> Iterator[Mismatch]:
    """Yield the files whose size or hash is not the recorded one, and those that nobody recorded."""
    recorded = {record.path: record for record in manifest.files}
    for shard in manifest.shards:
        recorded |= {shard.tar.path: shard.tar, shard.index.path: shard.index}
    for record in recorded.values():
        if problem := file_problem(root, record):
            yield Mismatch(record.path, problem)
    for folder in ("shards", "index", "rejections"):
        for path in sorted((root / folder).glob("*")):
            if (name := path.relative_to(root).as_posix()) not in recorded:
                yield Mismatch(name, "is not in the manifest")


def file_problem(root: Path, record: FileRecord) -> str | None:
    """Return how a file differs from its record, None where it does not."""
    path = root / record.path
    if not path.is_file():
        return "is missing"
    if (size := path.stat().st_size) != record.num_bytes:
        return f"has {size} bytes, the manifest says {record.num_bytes}"
    if (digest := sha256_of_file(path)) != record.sha256:
        return f"has sha256 {digest[:12]}..., the manifest says {record.sha256[:12]}..."
    return None


class _Keys:
    """Finds keys that occur twice, 8 bytes for each."""

    def __init__(self) -> None:
        self._seen: set[int] = set()

    def first_repeated(self, keys: list[str]) -> str | None:
        for key in keys:
            number = int.from_bytes(hashlib.blake2b(key.encode(), digest_size=8).digest(), "big")
            if number in self._seen:
                return key
            self._seen.add(number)
        return None


def shard_mismatches(dataset: Dataset, shard: Shard, keys: _Keys) -> Iterator[Mismatch]:
    """Yield where a shard's index and tar disagree with each other or with the manifest."""
    try:
        index = dataset.read_index(shard)
    except (OSError, pa.ArrowException) as error:
        yield Mismatch(shard.index.path, f"cannot be read: {type(error).__name__}")
        return
    if not is_index(index.schema):
        yield Mismatch(shard.index.path, "has other columns than the format's")
        return
    if len(index) != shard.num_pairs:
        yield Mismatch(shard.index.path, f"has {len(index)} rows, the manifest says {shard.num_pairs}")
    if repeated := keys.first_repeated(index["key"].to_pylist()):
        yield Mismatch(shard.index.path, f"key {repeated} occurs twice in the dataset")
    problem = tar_problem(dataset.tar_path(shard), index)
    if problem:
        yield Mismatch(shard.tar.path, problem)


def is_index(schema: pa.Schema) -> bool:
    """Return whether these are the columns of an index, by this version or by an earlier one."""
    return is_of(INDEX_SCHEMA, schema)


def tar_problem(path: Path, index: pa.Table) -> str | None:
    """Return how the members of a tar differ from its index, None where they do not."""
    rows = index.select(["key", "offset", "num_bytes"]).to_pylist()
    try:
        with tarfile.open(path, "r:") as tar:
            members = tar.getmembers()
    except (OSError, tarfile.TarError) as error:
        return f"cannot be read: {type(error).__name__}"
    first = members[0].name.rpartition(".")[2] if members else ""
    picture = first if first in PICTURE_ENDINGS else PICTURE_ENDINGS[0]  # one format in all of a dataset
    wanted = [
        (f"{row['key']}.{ending}", row if ending == picture else None)
        for row in rows
        for ending in (picture, "txt", "json")
    ]
    if [member.name for member in members] != [name for name, _ in wanted]:
        return f"its {len(members)} members are not those of the index, in its order"
    for member, (name, row) in zip(members, wanted, strict=True):
        if row and (member.offset_data, member.size) != (row["offset"], row["num_bytes"]):
            lies, said = f"{member.offset_data} + {member.size}", f"{row['offset']} + {row['num_bytes']}"
            return f"{name} lies at {lies}, the index says {said}"
    return None
