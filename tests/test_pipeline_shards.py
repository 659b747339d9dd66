"""Shards: the staged tars that their pictures come from, and the bytes that are written of them."""

import io
import json
import tarfile
from contextlib import closing
from pathlib import Path
from typing import Any

import msgspec
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from manifests.schema import FETCH_TIME_SCHEMA, INDEX_SCHEMA, Shard
from manifests.store import record_file, write_table
from pipeline.finish import read_shards
from pipeline.parts import Part
from pipeline.records import KEPT_SCHEMA
from pipeline.shards import MAX_OPEN_TARS, ShardPlan, _StagedTars, plan_shards, values_of, write_shard
from pipeline.tar import append_member, end_tar
from tests.fakes import make_picture

Row = dict[str, Any]


def stage(root: Path, num_pairs: int = 7) -> list[Row]:
    """Stage pictures in two tars of root/staged, in root/ordered the rows of them; return the rows."""
    (root / "staged").mkdir()
    rows = []
    for unit in range(2):
        with (root / f"staged/{unit}.tar").open("wb") as tar:
            for number in range(unit, num_pairs, 2):
                picture = make_picture(number, side_px=64 + number)
                offset = append_member(tar, f"{number}.jpg", picture)
                rows.append(
                    staged_row(number) | {"unit": str(unit), "offset": offset, "num_bytes": len(picture)}
                )
            end_tar(tar)
    rows.sort(key=lambda row: str(row["key"]))
    write_table(root / "ordered/00000.parquet", pa.Table.from_pylist(rows, KEPT_SCHEMA))
    return rows


def staged_row(number: int) -> Row:
    """Return a row with every kind of value, null ones and empty ones among them."""
    return dict.fromkeys(KEPT_SCHEMA.names) | {
        "key": f"{number * 7 % 11:032x}",
        "caption": "ein Bär \u2603 " * number,
        "url": f"https://host.example/{number}.jpg",
        "source": "table",
        "found_by": [["bear", "snow"], [], None][number % 3],
        "query_ids": list(range(number)),
        "language_score": 1 / (number + 3),
        "phash": 2**64 - 1 - number,
        "blur_boxes": [[[0.0, 0.25, 0.5, 1.0]], None][number % 2],
        "scores": [{"nsfw": 0.1, "good": None}, None][number % 2],
        "num_duplicates": 0,
    }


def write(root: Path, rows_per_shard: int) -> list[ShardPlan]:
    """Write the staged pairs as shards of root/dataset, and their records into root/records."""
    plans = plan_shards([Part(root / "ordered", "00000")], rows_per_shard)
    for plan in plans:
        write_shard(plan, root / "staged", root / "dataset", root / "records")
    return plans


def slowly_written(root: Path, rows: list[Row]) -> tuple[bytes, pa.Table]:
    """Return the tar and the index of some rows, written by Python's tarfile, value by value."""
    buffer, entries = io.BytesIO(), []
    with tarfile.open(fileobj=buffer, mode="w", format=tarfile.USTAR_FORMAT) as tar:
        for row in pa.Table.from_pylist(rows, KEPT_SCHEMA).to_pylist(maps_as_pydicts="strict"):
            with (root / f"staged/{row['unit']}.tar").open("rb") as staged:
                staged.seek(row["offset"])
                picture = staged.read(row["num_bytes"])
            entry = {name: row[name] for name in INDEX_SCHEMA.names} | {"offset": tar.offset + 512}
            facts = {name: value for name, value in entry.items() if name not in ("offset", "num_bytes")}
            encoded = json.dumps(facts, ensure_ascii=False, separators=(",", ":")).encode()
            for ending, data in (("jpg", picture), ("txt", row["caption"].encode()), ("json", encoded)):
                member = tarfile.TarInfo(f"{row['key']}.{ending}")
                member.size = len(data)
                tar.addfile(member, io.BytesIO(data))
            entries.append(entry)
        end = tar.offset
    return buffer.getvalue()[:end] + bytes(1024), pa.Table.from_pylist(entries, INDEX_SCHEMA)


def test_no_more_staged_tars_are_open_than_allowed_and_none_when_done(tmp_path: Path) -> None:
    names = [f"{number:03d}" for number in range(MAX_OPEN_TARS + 10)]
    for name in names:
        (tmp_path / f"{name}.tar").write_text(name)
    with closing(_StagedTars(tmp_path)) as tars:
        opened = [tars.open(name) for name in (*names, names[0], names[-1])]
        assert opened[-1].read() == names[-1].encode()
        assert opened[-1] is opened[len(names) - 1]
        assert len({tar for tar in opened if not tar.closed}) == MAX_OPEN_TARS
    assert all(tar.closed for tar in opened)


def members(data: bytes) -> list[tuple[Row, bytes]]:
    """Return headers and bytes of a tar's members. Checksums differ, since tarfile writes the device numbers
    of plain files, which we leave empty, as zeros."""
    with tarfile.open(fileobj=io.BytesIO(data)) as tar:
        return [(dict(member.get_info(), chksum=0), tar.extractfile(member).read()) for member in tar]  # type: ignore[union-attr]


@pytest.mark.parametrize("rows_per_shard", [1, 3, 7])
def test_shards_are_what_python_writes_value_by_value(tmp_path: Path, rows_per_shard: int) -> None:
    rows = stage(tmp_path)
    for number, plan in enumerate(write(tmp_path, rows_per_shard)):
        some = rows[number * rows_per_shard : (number + 1) * rows_per_shard]
        tar, index = slowly_written(tmp_path, some)
        written = (tmp_path / f"dataset/shards/{plan.name}.tar").read_bytes()
        assert (len(written), members(written)) == (len(tar), members(tar))
        write_table(tmp_path / "slow.parquet", index)
        path = tmp_path / f"dataset/index/{plan.name}.parquet"
        assert path.read_bytes() == (tmp_path / "slow.parquet").read_bytes()
        assert pq.read_schema(tmp_path / f"dataset/fetch_times/{plan.name}.parquet").equals(FETCH_TIME_SCHEMA)


def test_the_writer_knows_the_records_of_its_files(tmp_path: Path) -> None:
    stage(tmp_path)
    names = [plan.name for plan in write(tmp_path, 3)]
    dataset, records = tmp_path / "dataset", tmp_path / "records"
    told = list(read_shards(names, dataset, records))
    assert told == list(read_shards(names, dataset, tmp_path / "none"))
    assert told[1].tar == record_file(dataset, dataset / "shards/00001.tar")
    assert [shard.num_pairs for shard in told] == [3, 3, 1]


def test_a_shard_that_is_written_again_has_no_record_of_the_one_before(tmp_path: Path) -> None:
    stage(tmp_path)
    (plan,) = write(tmp_path, 7)
    record = tmp_path / "records/00000.json"
    told = record.read_bytes()
    write_shard(plan, tmp_path / "staged", tmp_path / "dataset", tmp_path / "records")
    assert record.read_bytes() == told  # the shard is there
    record.write_bytes(msgspec.json.encode(msgspec.json.decode(told, type=Shard)).replace(b"7}", b"8}"))
    (tmp_path / "dataset/index/00000.parquet").unlink()
    write_shard(plan, tmp_path / "staged", tmp_path / "dataset", tmp_path / "records")
    assert record.read_bytes() == told


@pytest.mark.parametrize("chunks", [1, 3])
def test_values_of_columns_are_those_that_pyarrow_gives(chunks: int) -> None:
    rows = [staged_row(number) for number in range(9)]
    size = len(rows) // chunks
    tables = [pa.Table.from_pylist(rows[at : at + size], KEPT_SCHEMA) for at in range(0, 9, size)]
    table = pa.concat_tables(tables).slice(1)
    for name in table.column_names:
        assert values_of(table[name]) == table[name].to_pylist(maps_as_pydicts="strict"), name
