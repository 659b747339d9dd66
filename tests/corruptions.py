"""Damage to datasets, and forgeries of them: each returns the names of the files that must be blamed.

Damage leaves the manifest's hashes as they were. A forgery makes every hash, size and count of the manifest
right again that follows from the files (`reseal`), so that only what is compared with something else tells.
"""

import hashlib
import io
import json
import random
import tarfile
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq

from manifests.schema import (
    ADDED_COLUMNS,
    FETCH_TIME_SCHEMA,
    INDEX_SCHEMA,
    Change,
    FileRecord,
    Manifest,
    Shard,
)
from manifests.store import content_hash, manifest_to_bytes, read_manifest, record_file, write_table
from tests.fakes import make_dataset, make_picture, make_rejection

Blamed = set[str]
Corruption = Callable[[Path, random.Random], Blamed]
Members = list[tuple[str, bytes]]

MANIFEST = "manifest.json"
NUM_PAIRS, PAIRS_PER_SHARD = 12, 4


def make_victim(root: Path) -> Path:
    """Write a dataset that has every kind of file, its pictures all of different sizes."""
    thumbnail = make_picture(3)
    rejections = [
        make_rejection("image_too_small", url=f"https://small.example/{n}.jpg", thumbnail=thumbnail)
        for n in range(3)
    ] + [make_rejection("timeout", stage="fetch", url=f"https://late.example/{n}.jpg") for n in range(2)]
    make_dataset(
        root,
        num_pairs=NUM_PAIRS,
        pairs_per_shard=PAIRS_PER_SHARD,
        pictures=[make_picture(n, side_px=48 + 2 * n) for n in range(NUM_PAIRS)],
        rejections=sorted(rejections, key=lambda row: str(row["stage"])),
    )
    manifest = read_manifest(root)
    for shard in manifest.shards:
        keys = pq.read_table(root / shard.index.path)["key"].to_pylist()
        rows = [{"key": key, "fetched_at": n * 1000} for n, key in enumerate(keys)]
        path = f"fetch_times/{Path(shard.index.path).name}"
        write_table(root / path, pa.Table.from_pylist(rows, FETCH_TIME_SCHEMA))
        manifest = replace(manifest, files=(*manifest.files, record_file(root, root / path)))
    change = Change(kind="retry", request={}, num_tried=3, num_gained=2, dropped={"timeout": 1})
    save(root, replace(manifest, history=(change,)))
    return root


def files_of(root: Path) -> list[str]:
    """Return the names of all files, in order."""
    return sorted(path.relative_to(root).as_posix() for path in root.rglob("*") if path.is_file())


def save(root: Path, manifest: Manifest) -> None:
    """Write a manifest with the right checksum."""
    (root / MANIFEST).write_bytes(manifest_to_bytes(manifest))


def reseal(root: Path, **changes: Any) -> None:
    """Make the records, the counts and the hashes of the manifest right again, as a forger would."""
    old = read_manifest(root)
    shards = tuple(
        Shard(
            tar=anew(root, shard.tar),
            index=anew(root, shard.index),
            num_pairs=pq.read_metadata(root / shard.index.path).num_rows,
        )
        for shard in changes.pop("shards", old.shards)
    )
    files = tuple(anew(root, record) for record in changes.pop("files", old.files))
    save(root, replace(old, shards=shards, files=files, content_hash=content_hash(shards), **changes))


def anew(root: Path, record: FileRecord) -> FileRecord:
    """Return the record of a file as it is now, the old one where there is none."""
    return record_file(root, root / record.path) if (root / record.path).exists() else record


# Damage


def flip_bit(root: Path, rng: random.Random) -> Blamed:
    name = rng.choice(files_of(root))
    data = bytearray((root / name).read_bytes())
    data[rng.randrange(len(data))] ^= 1 << rng.randrange(8)
    (root / name).write_bytes(data)
    return {name}


def truncate(root: Path, rng: random.Random) -> Blamed:
    name = rng.choice(files_of(root))
    data = (root / name).read_bytes()
    (root / name).write_bytes(data[: rng.randrange(len(data))])
    return {name}


def append(root: Path, rng: random.Random) -> Blamed:
    name = rng.choice(files_of(root))
    more = rng.choice([b"\0", b"\n", b"x" * 700, bytes(512), bytes(20_000)])
    (root / name).write_bytes((root / name).read_bytes() + more)
    return {name}


def delete(root: Path, rng: random.Random) -> Blamed:
    name = rng.choice(files_of(root))
    (root / name).unlink()
    return {name}


def add(root: Path, rng: random.Random) -> Blamed:
    folder = rng.choice(["shards", "index", "rejections", "fetch_times"])
    name = f"{folder}/{rng.choice(['00009.parquet', '.00000.tar.1.tmp', 'note', '00000.tar.part'])}"
    (root / name).write_bytes(rng.randbytes(10))
    return {name}


def swap_files(root: Path, rng: random.Random) -> Blamed:
    one, other = rng.sample([name for name in files_of(root) if name != MANIFEST], 2)
    data = (root / one).read_bytes(), (root / other).read_bytes()
    (root / one).write_bytes(data[1])
    (root / other).write_bytes(data[0])
    return {one, other} if data[0] != data[1] else set()


def zero_out(root: Path, rng: random.Random) -> Blamed:
    """A hole, as a disk leaves one."""
    name = rng.choice([name for name in files_of(root) if (root / name).stat().st_size > 1000])
    data = bytearray((root / name).read_bytes())
    start = rng.randrange(len(data) - 600)
    if not any(data[start : start + 512]):
        start = 0
    data[start : start + 512] = bytes(512)
    (root / name).write_bytes(data)
    return {name}


def swap_members(root: Path, rng: random.Random) -> Blamed:
    return _members_changed(root, rng, _swapped)


def edit_manifest_text(root: Path, rng: random.Random) -> Blamed:
    """A digit or a word edited by hand, the checksum as it was."""
    text = (root / MANIFEST).read_text()
    place = rng.choice([place for place, char in enumerate(text) if char.isalnum()])
    (root / MANIFEST).write_text(text[:place] + ("x" if text[place] == "y" else "y") + text[place + 1 :])
    return {MANIFEST}


# Forgeries of a shard


def a_shard(root: Path, rng: random.Random) -> Shard:
    return rng.choice(read_manifest(root).shards)


def read_members(path: Path) -> Members:
    with tarfile.open(path) as tar:
        return [(member.name, tar.extractfile(member).read()) for member in tar]  # type: ignore[union-attr]


def write_members(path: Path, members: Members) -> list[int]:
    """Write a tar; return where the members' bytes lie."""
    offsets, buffer = [], io.BytesIO()
    with tarfile.open(fileobj=buffer, mode="w", format=tarfile.USTAR_FORMAT) as tar:
        for name, data in members:
            info = tarfile.TarInfo(name)
            info.size = len(data)
            offsets.append(tar.offset + tarfile.BLOCKSIZE)
            tar.addfile(info, io.BytesIO(data))
    path.write_bytes(buffer.getvalue())
    return offsets


def _members_changed(
    root: Path, rng: random.Random, change: Callable[[Members, random.Random], Members]
) -> Blamed:
    shard = a_shard(root, rng)
    path = root / shard.tar.path
    write_members(path, change(read_members(path), rng))
    return {shard.tar.path}


def _swapped(members: Members, rng: random.Random) -> Members:
    one, other = rng.sample(range(len(members)), 2)
    members[one], members[other] = members[other], members[one]
    return members


def _dropped(members: Members, rng: random.Random) -> Members:
    members.pop(rng.randrange(len(members)))
    return members


def _doubled(members: Members, rng: random.Random) -> Members:
    place = rng.randrange(len(members))
    return [*members[:place], members[place], *members[place:]]


def _hidden(members: Members, rng: random.Random) -> Members:
    members.insert(rng.randrange(len(members) + 1), ("hidden.txt", rng.randbytes(20)))
    return members


def _renamed(members: Members, rng: random.Random) -> Members:
    place = rng.randrange(len(members))
    name = members[place][0]
    members[place] = (rng.choice([name[1:], f"./{name}", name + "x", f"{'0' * 32}.txt"]), members[place][1])
    return members


def forged_members(root: Path, rng: random.Random) -> Blamed:
    change = rng.choice([_swapped, _dropped, _doubled, _hidden, _renamed])
    blamed = _members_changed(root, rng, change)
    reseal(root)
    return blamed


def forged_behind_the_end(root: Path, rng: random.Random) -> Blamed:
    path = root / (shard := a_shard(root, rng)).tar.path
    data = path.read_bytes()
    path.write_bytes(data[:-1] + b"x" if rng.random() < 0.5 else data + bytes(20_480))
    reseal(root)
    return {shard.tar.path}


def with_member(root: Path, rng: random.Random, ending: str, change: Callable[[bytes], bytes]) -> Blamed:
    """Change one member of a kind, and the index so that the pictures lie where it says."""
    shard = a_shard(root, rng)
    path = root / shard.tar.path
    members = read_members(path)
    place = rng.choice([n for n, (name, _) in enumerate(members) if name.endswith(ending)])
    members[place] = (members[place][0], change(members[place][1]))
    _write_with_index(root, shard, members)
    reseal(root)
    return {shard.tar.path}


def _write_with_index(root: Path, shard: Shard, members: Members) -> None:
    offsets = write_members(root / shard.tar.path, members)
    pictures = [n for n, (name, _) in enumerate(members) if name.endswith("jpg")]
    index = pq.read_table(root / shard.index.path)
    for name, values in (
        ("offset", [offsets[n] for n in pictures]),
        ("num_bytes", [len(members[n][1]) for n in pictures]),
    ):
        index = index.set_column(index.column_names.index(name), name, pa.array(values, pa.int64()))
    write_table(root / shard.index.path, index)


def forged_picture_cut(root: Path, rng: random.Random) -> Blamed:
    return with_member(root, rng, "jpg", lambda data: data[: len(data) // 2])


def forged_picture_of_another(root: Path, rng: random.Random) -> Blamed:
    return with_member(root, rng, "jpg", lambda _: make_picture(rng.randrange(24), side_px=47))


def forged_text(root: Path, rng: random.Random) -> Blamed:
    changes = [lambda data: data + b"!", lambda data: data[::-1], lambda data: data.upper(), lambda _: b""]
    return with_member(root, rng, "txt", rng.choice(changes))


def forged_facts(root: Path, rng: random.Random) -> Blamed:
    def change(data: bytes) -> bytes:
        facts = json.loads(data)
        name = rng.choice(sorted(facts.keys() - {"scores"}))
        if rng.random() < 0.3 and name not in ADDED_COLUMNS:
            del facts[name]
        else:
            facts[name] = "other"
        return json.dumps(facts).encode()

    return with_member(root, rng, "json", change)


def forged_swapped_pictures(root: Path, rng: random.Random) -> Blamed:
    shard = a_shard(root, rng)
    members = read_members(root / shard.tar.path)
    one, other = rng.sample(range(0, len(members), 3), 2)
    members[one], members[other] = (
        (members[one][0], members[other][1]),
        (members[other][0], members[one][1]),
    )
    _write_with_index(root, shard, members)
    reseal(root)
    return {shard.tar.path}


# Forgeries of an index


def with_rows(
    root: Path, rng: random.Random, change: Callable[[list[dict[str, Any]]], list[dict[str, Any]]]
) -> Shard:
    shard = a_shard(root, rng)
    rows = change(pq.read_table(root / shard.index.path).to_pylist(maps_as_pydicts="strict"))
    write_table(root / shard.index.path, pa.Table.from_pylist(rows, INDEX_SCHEMA))
    reseal(root)
    return shard


def forged_value(root: Path, rng: random.Random) -> Blamed:
    """A value of the index changed: the tar, whose facts say another, is blamed, or the index itself."""
    values: dict[str, Any] = {
        "key": f"{rng.getrandbits(128):032x}",
        "caption": "another caption",
        "url": "https://other.example/",
        "width": 17,
        "original_width": 1_000_001,
        "language": "xx",
        "licence": "other",
        "sha256": "0" * 64,
        "phash": 1,
        "offset": rng.randrange(100_000),
        "num_bytes": rng.randrange(100_000),
        "num_duplicates": 5,
    }
    name = rng.choice(sorted(values))

    def change(rows: list[dict[str, Any]]) -> list[dict[str, Any]]:
        rng.choice(rows)[name] = values[name]
        return rows

    return {with_rows(root, rng, change).tar.path}


def forged_null(root: Path, rng: random.Random) -> Blamed:
    name = rng.choice(["key", "offset", "num_bytes", "caption"])

    def change(rows: list[dict[str, Any]]) -> list[dict[str, Any]]:
        rng.choice(rows)[name] = None
        return rows

    return {with_rows(root, rng, change).index.path}


def forged_terms(root: Path, rng: random.Random) -> Blamed:
    def change(rows: list[dict[str, Any]]) -> list[dict[str, Any]]:
        row = rng.choice(rows)
        row["query_ids"] = sorted({*row["query_ids"], rng.randrange(12)} ^ {0, 1})
        return rows

    return {with_rows(root, rng, change).tar.path, "queries.parquet"}


def forged_rows(root: Path, rng: random.Random) -> Blamed:
    """Rows lost, doubled or in another order: the tar has others."""

    def change(rows: list[dict[str, Any]]) -> list[dict[str, Any]]:
        place = rng.randrange(len(rows))
        return rng.choice([rows[:place] + rows[place + 1 :], [*rows, rows[place]], rows[::-1]])

    return {with_rows(root, rng, change).tar.path}


def forged_columns(root: Path, rng: random.Random) -> Blamed:
    path = root / (shard := a_shard(root, rng)).index.path
    table = pq.read_table(path)
    name = rng.choice(["key", "url", "width", "caption"])
    changed = rng.choice(
        [
            table.drop_columns([name]),
            table.append_column("more", pa.nulls(len(table))),
            table.rename_columns(
                [f"{column}_" if column == name else column for column in table.column_names]
            ),
            table.select(table.column_names[::-1]),
        ]
    )
    write_table(path, changed)
    reseal(root)
    return {shard.index.path}


def forged_index_of_another(root: Path, rng: random.Random) -> Blamed:
    one, other = rng.sample(read_manifest(root).shards, 2)
    (root / one.index.path).write_bytes((root / other.index.path).read_bytes())
    reseal(root)
    return {one.tar.path}


def forged_repeated_shard(root: Path, rng: random.Random) -> Blamed:
    """A shard in the place of another, tar and all: its keys are there twice."""
    one, other = sorted(rng.sample(read_manifest(root).shards, 2), key=lambda shard: shard.tar.path)
    for name in ("tar", "index"):
        source, to = (root / getattr(shard, name).path for shard in (one, other))
        to.write_bytes(source.read_bytes())
    for source, to in ((one, other),):
        times = [root / "fetch_times" / Path(shard.index.path).name for shard in (source, to)]
        times[1].write_bytes(times[0].read_bytes())
    reseal(root)
    return {other.index.path}


# Forgeries of tables and of the manifest


def with_table(root: Path, name: str, change: Callable[[pa.Table], pa.Table]) -> None:
    write_table(root / name, change(pq.read_table(root / name)))
    reseal(root)


def forged_rejections(root: Path, rng: random.Random) -> Blamed:
    place = rng.randrange(5)
    changes: list[Callable[[pa.Table], pa.Table]] = [
        lambda table: pa.concat_tables([table.slice(0, place), table.slice(place + 1)]),
        lambda table: pa.concat_tables([table, table.slice(place, 1)]),
        lambda table: table.set_column(1, "reason", pa.array(["timeout"] * 4 + ["other"])),
    ]
    with_table(root, "rejections/00000.parquet", rng.choice(changes))
    return {MANIFEST}


def forged_samples(root: Path, rng: random.Random) -> Blamed:
    def broken(table: pa.Table) -> pa.Table:
        place = table.column_names.index("thumbnail")
        data = [None if old is None else old[: len(old) // 2] for old in table["thumbnail"].to_pylist()]
        return table.set_column(place, "thumbnail", pa.array(data, pa.binary()))

    with_table(root, "samples.parquet", rng.choice([broken, lambda table: pa.concat_tables([table, table])]))
    return {"samples.parquet"}


def forged_counts(root: Path, rng: random.Random) -> Blamed:
    name = rng.choice(["queries.parquet", "coverage.parquet"])

    def change(table: pa.Table) -> pa.Table:
        place = table.column_names.index("num_kept")
        return table.set_column(place, "num_kept", pc.add(table["num_kept"], rng.choice([-1, 1, 7])))

    with_table(root, name, change)
    return {name}


def forged_query_list(root: Path, rng: random.Random) -> Blamed:
    def change(table: pa.Table) -> pa.Table:
        rows = table.to_pylist()
        row = rng.choice(rows)
        row[name] = value
        return pa.Table.from_pylist(rows, table.schema)

    name, value = rng.choice([("text", "another term"), ("query_id", 99)])
    with_table(root, "queries.parquet", change)
    return {"queries.parquet"}


def forged_sizes(root: Path, rng: random.Random) -> Blamed:
    path = root / "shards/sizes.json"
    sizes = json.loads(path.read_bytes())
    name = rng.choice(sorted(sizes))
    sizes |= rng.choice([{name: sizes[name] + 1}, {"00077.tar": 4}, {name: str(sizes[name])}])
    path.write_text(rng.choice([json.dumps(sizes), "{", "[]"]))
    reseal(root)
    return {"shards/sizes.json"}


def forged_fetch_times(root: Path, rng: random.Random) -> Blamed:
    name = f"fetch_times/{rng.randrange(3):05d}.parquet"
    changes: list[Callable[[pa.Table], pa.Table]] = [
        lambda table: table.slice(1),
        lambda table: table.take([1, 0, *range(2, len(table))]),
        lambda table: table.drop_columns(["fetched_at"]),
    ]
    with_table(root, name, rng.choice(changes))
    return {name}


def forged_funnel(root: Path, rng: random.Random) -> Blamed:
    """Counts of the funnel changed so that they still add up, or so that they do not."""
    manifest = read_manifest(root)
    first, last = manifest.funnel[0], manifest.funnel[-1]
    more = rng.choice([1, 2, 5])
    reason = rng.choice(sorted(first.dropped))
    changed = rng.choice(
        [
            # one more was dropped, and one more came in
            replace(
                first,
                num_in=first.num_in + more,
                dropped=first.dropped | {reason: first.dropped[reason] + more},
            ),
            # another reason
            replace(first, dropped={"other": first.dropped[reason]}),
            replace(first, num_in=first.num_in - more),
            replace(first, num_out=first.num_out + more),
        ]
    )
    save(root, replace(manifest, funnel=(changed, *manifest.funnel[1:-1], last)))
    return {MANIFEST}


def forged_manifest(root: Path, rng: random.Random) -> Blamed:
    """A count, a hash or a list of the manifest changed, and its checksum made right again."""
    old = read_manifest(root)
    shard = rng.randrange(len(old.shards))
    other = replace(old.shards[shard], num_pairs=old.shards[shard].num_pairs + rng.choice([-1, 1]))
    changes: list[dict[str, Any]] = [
        {"num_pairs": old.num_pairs + 1},
        {"num_queries": old.num_queries + rng.choice([-1, 1])},
        {"queries_sha256": hashlib.sha256(rng.randbytes(4)).hexdigest()},
        {"content_hash": hashlib.sha256(rng.randbytes(4)).hexdigest()},
        {"shards": tuple(other if n == shard else each for n, each in enumerate(old.shards))},
        {"shards": (*old.shards, old.shards[shard])},
        {"shards": old.shards[1:]},
        {"files": tuple(file for file in old.files if file.path != "queries.parquet")},
        {"files": (*old.files, FileRecord(path="../outside", num_bytes=1, sha256="0" * 64))},
        {"files": (*old.files, old.files[rng.randrange(len(old.files))])},
        {"history": (replace(old.history[0], num_gained=3),)},
        {"num_pairs": "12"},
        {"funnel": tuple(replace(stage, num_in=None) for stage in old.funnel)},  # type: ignore[arg-type]
    ]
    changed = rng.choice(changes)
    save(root, replace(old, **changed))
    return {"queries.parquet"} if changed.keys() & {"num_queries", "queries_sha256"} else {MANIFEST}


def forged_history(root: Path, rng: random.Random) -> Blamed:
    old = read_manifest(root)
    save(root, replace(old, history=(replace(old.history[0], num_tried=old.history[0].num_tried + 1),)))
    return {MANIFEST}


DAMAGE: tuple[Corruption, ...] = (
    *(flip_bit, truncate, append, delete, add, swap_files, zero_out, swap_members, edit_manifest_text),
)
FORGERIES: tuple[Corruption, ...] = (
    *(forged_members, forged_behind_the_end, forged_picture_cut, forged_picture_of_another, forged_text),
    *(forged_facts, forged_swapped_pictures, forged_value, forged_null, forged_terms, forged_rows),
    *(forged_columns, forged_index_of_another, forged_repeated_shard, forged_rejections, forged_samples),
    *(forged_counts, forged_query_list, forged_sizes, forged_fetch_times, forged_funnel, forged_manifest),
    forged_history,
)
