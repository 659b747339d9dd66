"""Does a manifest agree with itself? Its counts, its hashes of hashes, the files that it names."""

from collections import Counter
from collections.abc import Iterable, Iterator
from pathlib import PurePosixPath

import msgspec

from manifests.schema import FileRecord, Manifest, Shard, StageCount
from manifests.store import content_hash, manifest_to_bytes

# Every dataset has these beside its shards; the first version of the format had one less.
TABLES = ("queries.parquet", "samples.parquet", "shards/sizes.json")
LATER_TABLES = ("coverage.parquet",)


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
    yield from record_problems(manifest)


def type_problem(manifest: Manifest) -> str | None:
    """Return which field has a value of another type than it should, None where none has."""
    try:
        msgspec.convert(msgspec.to_builtins(manifest), Manifest)
    except msgspec.ValidationError as error:
        return str(error)
    return None


def funnel_mismatches(funnel: Iterable[StageCount]) -> list[str]:
    """Return the stages whose counts do not add up, or do not follow from the stage before."""
    problems = []
    previous: StageCount | None = None
    for stage in funnel:
        counts = (stage.num_out, *stage.dropped.values())
        if stage.num_in != sum(counts) or min(counts) < 0:
            problems.append(
                f"stage {stage.stage}: {stage.num_in} in is not {stage.num_out} out + {stage.dropped}"
            )
        if previous and previous.num_out != stage.num_in:
            problems.append(
                f"stage {stage.stage} takes {stage.num_in}, {previous.stage} gives {previous.num_out}"
            )
        previous = stage
    return problems


def recorded(manifest: Manifest) -> Iterator[FileRecord]:
    """Yield the record of every file that a manifest names."""
    yield from manifest.files
    for shard in manifest.shards:
        yield from (shard.tar, shard.index)


def record_problems(manifest: Manifest) -> Iterator[str]:
    """Yield which names of files are wrong: twice there, missing, outside the dataset, not a shard's."""
    names = Counter(record.path for record in recorded(manifest))
    for name, count in names.items():
        if count > 1:
            yield f"{name} is named {count} times"
        if not inside(name):
            yield f"{name} lies outside the dataset"
    for name in (*TABLES, *(LATER_TABLES if manifest.schema_version > 1 else ())):
        if name not in names:
            yield f"{name} is not named, which every dataset has"
    for shard in manifest.shards:
        if not is_shard(shard):
            yield f"{shard.tar.path} and {shard.index.path} are no tar of shards/ and its table of index/"


def inside(name: str) -> bool:
    """Return whether a name is one of a file in the dataset's folder."""
    path = PurePosixPath(name)
    return ".." not in path.parts and not path.is_absolute()


def is_shard(shard: Shard) -> bool:
    """Return whether the names of a shard's files are those of one shard."""
    name = PurePosixPath(shard.tar.path).stem
    return (shard.tar.path, shard.index.path) == (f"shards/{name}.tar", f"index/{name}.parquet")
