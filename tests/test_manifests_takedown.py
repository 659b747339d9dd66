"""Takedowns: only the shards that hold the pairs are written anew, and nothing of the pairs is left."""

import hashlib
import io
import json
import os
import shutil
import signal
import sys
import tarfile
from collections.abc import Iterator, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from manifests.__main__ import main
from manifests.publishing import next_shard_number
from manifests.schema import FETCH_TIME_SCHEMA, Manifest
from manifests.store import (
    DatasetError,
    content_hash,
    open_dataset,
    record_file,
    write_bytes,
    write_manifest,
    write_table,
)
from manifests.takedown import Outcome, take_down
from manifests.takedown.apply import staging
from manifests.takedown.receipt import Signed, receipt_bytes
from manifests.takedown.request import Request
from manifests.verify import Options, verify
from tests.fakes import make_dataset, make_picture, make_rejection

DEEP = Options(deep=True)
NUM_PAIRS, PER_SHARD = 24, 4
COPIES = ((5, "aa", "a copy of five"), (5, "bb", "another copy of five"), (9, "cc", "a copy of nine"))
SIGNED = Signed(by="A. Person", reason="asked for by the owner")
Row = dict[str, Any]


def rows_of(root: Path) -> list[Row]:
    dataset = open_dataset(root)
    return [row for shard in dataset.manifest.shards for row in dataset.read_index(shard).to_pylist()]


def rejections_of(root: Path) -> list[Row]:
    paths = sorted((root / "rejections").glob("*.parquet"))
    return [row for path in paths for row in pq.read_table(path).to_pylist()]


@pytest.fixture
def dataset(tmp_path: Path) -> Path:
    """24 pairs in 6 shards with fetch times; of row 5 two copies and of row 9 one were dropped."""
    root = tmp_path / "dataset"
    plain = rows_of(make_dataset(tmp_path / "plain", num_pairs=NUM_PAIRS, pairs_per_shard=PER_SHARD))
    copies = [
        make_rejection(
            "near_duplicate",
            stage="dedup",
            url=f"https://copy.example/{name}.jpg",
            caption=caption,
            kept_key=plain[row]["key"],
            thumbnail=make_picture(row),
            sha256=f"{row:02x}{name}" * 16,
            phash=plain[row]["phash"] ^ 1,
        )
        for row, name, caption in COPIES
    ]
    other = make_rejection("duplicate_url", stage="distinct", url=plain[0]["url"], caption="zero again")
    too_small = make_rejection("image_too_small", thumbnail=make_picture(77, 48))
    make_dataset(root, num_pairs=NUM_PAIRS, pairs_per_shard=PER_SHARD, rejections=[other, too_small, *copies])
    with_fetch_times(root)
    write_bytes(root / "work" / "fetched" / "00000.staged", make_picture(0))
    return root


def with_fetch_times(root: Path) -> None:
    dataset = open_dataset(root)
    files = list(dataset.manifest.files)
    for shard in dataset.manifest.shards:
        path = root / "fetch_times" / Path(shard.index.path).name
        keys = dataset.read_index(shard, ["key"])["key"]
        times = pa.array([None] * len(keys), FETCH_TIME_SCHEMA.field("fetched_at").type)
        write_table(path, pa.table([keys, times], schema=FETCH_TIME_SCHEMA))
        files.append(record_file(root, path))
    write_manifest(root, replace(dataset.manifest, files=tuple(files)))


def request(**entries: str | Sequence[str]) -> Request:
    given = [(kind, [texts] if isinstance(texts, str) else texts) for kind, texts in entries.items()]
    return Request.of([(kind, text) for kind, texts in given for text in texts], max_distance=0)


def take(root: Path, **entries: str | Sequence[str]) -> Outcome:
    return take_down(root, request(**entries), SIGNED)


def files(root: Path) -> dict[str, str]:
    return {
        path.relative_to(root).as_posix(): hashlib.sha256(path.read_bytes()).hexdigest()
        for path in sorted(root.rglob("*"))
        if path.is_file()
    }


def all_texts(root: Path) -> Iterator[tuple[str, bytes]]:
    """Everything that stands in a dataset's files: as it is, and out of tables and tars."""
    for path in sorted(root.rglob("*")):
        if not path.is_file():
            continue
        data = path.read_bytes()
        yield path.relative_to(root).as_posix(), data
        if path.suffix == ".parquet":
            yield f"{path.name} in plain", repr(pq.read_table(path).to_pylist()).encode()
        if path.suffix == ".tar":
            with tarfile.open(fileobj=io.BytesIO(data)) as tar:
                for member in tar:
                    yield member.name, tar.extractfile(member).read()  # type: ignore[union-attr]


def traces(root: Path, *said: str | bytes) -> list[tuple[str, str | bytes]]:
    wanted = [(text, text if isinstance(text, bytes) else text.encode()) for text in said]
    texts = list(all_texts(root))
    return [(name, text) for name, data in texts for text, needle in wanted if needle in data]


def test_only_the_shards_of_the_pairs_are_written_anew_and_no_other_byte(dataset: Path) -> None:
    before, old = files(dataset), open_dataset(dataset).manifest
    rows = rows_of(dataset)
    take(dataset, url=[rows[2]["url"], rows[13]["url"]])
    after, new = files(dataset), open_dataset(dataset).manifest
    assert list(verify(dataset, DEEP)) == []
    assert [shard.tar.path for shard in new.shards] == [
        f"shards/{name}.tar" for name in ("00006", "00001", "00002", "00007", "00004", "00005")
    ]
    untouched = {
        name for shard in old.shards if shard in new.shards for name in (shard.tar.path, shard.index.path)
    }
    assert len(untouched) == 8
    assert {name: after[name] for name in untouched} == {name: before[name] for name in untouched}
    gone = {
        name for number in ("00000", "00003") for name in (f"shards/{number}.tar", f"index/{number}.parquet")
    }
    assert gone <= before.keys() - after.keys()
    assert rows_of(dataset) == [
        with_place(row, rows_of(dataset)) for n, row in enumerate(rows) if n not in (2, 13)
    ]
    assert new.num_pairs == NUM_PAIRS - 2 == new.funnel[-1].num_out
    assert new.history[-1].dropped == new.funnel[-1].dropped == {"taken_down": 2}


def with_place(row: Row, rows: list[Row]) -> Row:
    """The row as it was, but for where its picture lies now."""
    (now,) = [other for other in rows if other["key"] == row["key"]]
    return row | {"offset": now["offset"]}


@pytest.mark.parametrize("number", [0, 5, 9, 23])
def test_nothing_of_a_pair_is_left_in_any_file_but_digests(dataset: Path, number: int) -> None:
    row, picture = rows_of(dataset)[number], make_picture(number)
    said = (row["url"], row["caption"], row["page_url"], row["key"], picture)
    assert len({text for _, text in traces(dataset, *said)}) == len(said)
    take(dataset, url=row["url"])
    assert traces(dataset, *said) == []
    assert {name for name, _ in traces(dataset, row["sha256"])} == {"do_not_fetch.txt"}
    assert list(verify(dataset, DEEP)) == []
    assert [path.name for path in (dataset / "work").iterdir()] == ["lock"]


def test_copies_of_a_picture_that_is_taken_down_go_with_it(dataset: Path) -> None:
    take(dataset, url=rows_of(dataset)[5]["url"])
    assert traces(dataset, "copy.example/aa", "a copy of five", "copy.example/bb") == []
    blank = [row for row in rejections_of(dataset) if row["url"] == ""]
    assert [(row["stage"], row["reason"], row["detail"], row["kept_key"]) for row in blank] == [
        *[("dedup", "near_duplicate", "taken down", None)] * 2,
        ("takedown", "taken_down", "taken down", None),
    ]
    assert traces(dataset, "copy.example/cc") != []


def test_the_pair_that_stands_for_a_copy_says_no_more_of_it(tmp_path: Path) -> None:
    """Its row and its facts in the tar are amended; a caption that another copy has, too, stays."""
    plain = rows_of(make_dataset(tmp_path / "plain", num_pairs=8))
    copies = [
        make_rejection("near_duplicate", stage="dedup", kept_key=plain[5]["key"], url=url, caption=caption)
        for url, caption in (
            ("https://a.test/1", "one"),
            ("https://a.test/2", "two"),
            ("https://b.test/3", "two"),
        )
    ]
    stands = {"num_duplicates": 3, "extra_captions": ["one", "two"]}
    root = make_dataset(tmp_path / "dataset", num_pairs=8, rejections=copies, overrides=stands)
    before = rows_of(root)
    outcome = take(root, domain="a.test")
    assert (outcome.found.num_pairs, outcome.found.num_amended, outcome.found.num_rejections) == (0, 1, 2)
    after = rows_of(root)
    assert after[5]["num_duplicates"], after[5]["extra_captions"] == (1, ["two"])
    assert [row | {"offset": 0} for n, row in enumerate(after) if n != 5] == [
        row | {"offset": 0} for n, row in enumerate(before) if n != 5
    ]
    assert list(verify(root, DEEP)) == []
    assert traces(root, "a.test") == []


def test_facts_in_the_tar_follow_and_all_pictures_stay_where_the_index_says(dataset: Path) -> None:
    root = dataset
    rewrite_facts(root, 5, num_duplicates=2, extra_captions=["a copy of five", "another copy of five"])
    take(root, url="https://copy.example/aa.jpg")
    opened = open_dataset(root)
    pictures = [
        opened.read_picture(shard, row)
        for shard in opened.manifest.shards
        for row in opened.read_index(shard).to_pylist()
    ]
    assert pictures == [make_picture(number) for number in range(NUM_PAIRS)]
    facts = facts_of(root, rows_of(root)[5]["key"])
    assert (facts["num_duplicates"], facts["extra_captions"]) == (1, ["another copy of five"])
    assert list(verify(root, DEEP)) == []
    assert traces(root, "a copy of five") == []


def rewrite_facts(root: Path, number: int, **changed: Any) -> None:
    """Make a pair say something of its copies, in the index and in the tar, by the slow obvious way."""
    dataset = open_dataset(root)
    shard = dataset.manifest.shards[number // PER_SHARD]
    rows = dataset.read_index(shard).to_pylist()
    rows[number % PER_SHARD] |= changed
    with tarfile.open(root / shard.tar.path) as tar:
        members = [(member.name, tar.extractfile(member).read()) for member in tar]  # type: ignore[union-attr]
    with tarfile.open(root / shard.tar.path, "w", format=tarfile.USTAR_FORMAT) as tar:
        for name, data in members:
            row = next(row for row in rows if row["key"] == name.partition(".")[0])
            if name.endswith(".jpg"):
                row["offset"] = tar.offset + 512
            if name.endswith(".json") and row is rows[number % PER_SHARD]:
                data = json.dumps(json.loads(data) | changed).encode()
            member = tarfile.TarInfo(name)
            member.size = len(data)
            tar.addfile(member, io.BytesIO(data))
    write_table(root / shard.index.path, pa.Table.from_pylist(rows, dataset.read_index(shard).schema))
    publish_again(root)


def publish_again(root: Path) -> None:
    manifest = open_dataset(root).manifest
    shards = tuple(
        replace(
            shard,
            tar=record_file(root, root / shard.tar.path),
            index=record_file(root, root / shard.index.path),
        )
        for shard in manifest.shards
    )
    write_manifest(root, replace(manifest, shards=shards, content_hash=content_hash(shards)))


def facts_of(root: Path, key: str) -> Row:
    return next(json.loads(data) for name, data in all_texts(root) if name == f"{key}.json")


@pytest.mark.parametrize(
    ("kind", "column", "spelled"),
    [
        ("url", "url", "HTTPS://HOST1.example:443/pictures/7.jpg#top"),
        ("page", "page_url", "https://host1.example/page7#pictures"),
        ("caption", "caption", "A GREY  square on black,\tdrawing 7"),
        ("sha256", "sha256", None),
        ("phash", "phash", None),
    ],
)
def test_pairs_are_found_by_each_kind_of_request(
    dataset: Path, kind: str, column: str, spelled: str | None
) -> None:
    row = rows_of(dataset)[7]
    text = spelled or (f"{row[column]:016x}" if column == "phash" else row[column])
    found = take(dataset, **{kind: text}).found
    assert found.keys == {row["key"]}
    assert row["key"] not in {other["key"] for other in rows_of(dataset)}


def test_a_domain_covers_pictures_and_pages_with_everything_under_it(dataset: Path) -> None:
    rows = rows_of(dataset)
    found = take(dataset, domain=".HOST1.example").found
    assert found.keys == {row["key"] for row in rows if "//host1.example/" in row["url"]}
    assert traces(dataset, "host1.example") == []


def test_a_picture_is_taken_down_by_the_hash_of_a_copy_that_it_stands_for(dataset: Path) -> None:
    rows = rows_of(dataset)
    copy = next(row for row in rejections_of(dataset) if row["caption"] == "a copy of nine")
    assert take(dataset, sha256=copy["sha256"]).found.keys == {rows[9]["key"]}


@pytest.mark.parametrize(("distance", "expected"), [(0, False), (1, False), (2, True), (16, True)])
def test_looks_are_compared_within_the_distance(dataset: Path, distance: int, expected: bool) -> None:
    row = rows_of(dataset)[3]
    asked = Request.of([("phash", f"{row['phash'] ^ 0b11:016x}")], max_distance=distance)
    assert (row["key"] in take_down(dataset, asked, SIGNED, dry_run=True).found.keys) is expected


def test_a_dry_run_and_a_request_that_fits_nothing_leave_every_byte(dataset: Path) -> None:
    before = files(dataset)
    lock = {"work/lock": hashlib.sha256(b"").hexdigest()}
    assert take_down(dataset, request(domain="host1.example"), SIGNED, dry_run=True).found.num_pairs == 8
    assert take(dataset, domain="nobody.example").receipts == []
    assert files(dataset) == before | lock


def test_the_receipt_says_what_was_done_and_nothing_of_what_was_taken_down(dataset: Path) -> None:
    row, old = rows_of(dataset)[2], open_dataset(dataset).manifest
    (name,) = take(dataset, url=row["url"]).receipts
    said = json.loads((dataset / name).read_bytes())
    checksum = said.pop("checksum")
    assert receipt_bytes(said) == (dataset / name).read_bytes()
    assert (
        checksum
        == hashlib.sha256((dataset / name).read_bytes().rpartition(b',\n "checksum"')[0] + b"\n}").hexdigest()
    )
    (shard,) = said["shards"]
    assert shard["before"]["tar_sha256"] == old.shards[0].tar.sha256
    assert shard["after"]["tar_sha256"] == open_dataset(dataset).manifest.shards[0].tar.sha256
    assert (said["num_pairs"], said["signed_by"], said["reason"]) == (1, SIGNED.by, SIGNED.reason)
    change = open_dataset(dataset).manifest.history[-1]
    assert change.request["receipt"] == name
    texts = [(dataset / name).read_text(), repr(change)]
    assert not [
        text for text in texts for part in (row["url"], row["caption"], row["sha256"]) if part in text
    ]


def test_what_is_made_of_the_dataset_keeps_the_list_and_the_receipts(dataset: Path, tmp_path: Path) -> None:
    take(dataset, url=rows_of(dataset)[2]["url"])
    for name, flags in (("select", ["--max-pairs", "9"]), ("reshard", ["--pairs-per-shard", "5"])):
        assert main([name, str(dataset), "--out", str(tmp_path / name), *flags]) == 0
        assert list(verify(tmp_path / name, DEEP)) == []
        for file in ("do_not_fetch.txt", "takedowns/00001.json"):
            assert (tmp_path / name / file).read_bytes() == (dataset / file).read_bytes()


def test_numbers_of_shards_are_never_used_again(dataset: Path) -> None:
    rows = rows_of(dataset)
    take(dataset, url=[row["url"] for row in rows[20:]])  # the last shard
    assert next_shard_number(open_dataset(dataset).manifest) == 6
    take(dataset, url=rows[0]["url"])
    manifest = open_dataset(dataset).manifest
    assert [Path(shard.tar.path).stem for shard in manifest.shards] == [
        "00006",
        "00001",
        "00002",
        "00003",
        "00004",
    ]
    assert next_shard_number(manifest) == 7
    assert [stage.stage for stage in manifest.funnel].count("takedown") == 1
    assert manifest.funnel[-1].dropped == {"taken_down": 5}
    assert list(verify(dataset, DEEP)) == []


def test_counts_of_terms_and_samples_follow(dataset: Path) -> None:
    def kept(root: Path) -> dict[str, int]:
        return {row["text"]: row["num_kept"] for row in pq.read_table(root / "queries.parquet").to_pylist()}

    before, row = kept(dataset), rows_of(dataset)[5]
    take(dataset, url=row["url"])
    after = kept(dataset)
    assert {text for text in before if before[text] - after[text] == 1} == {"orange", "square"}
    samples = pq.read_table(dataset / "samples.parquet").to_pylist()
    assert sorted(sample["caption"] for sample in samples) == [
        "a copy of nine", "dropped for image_too_small", "zero again"
    ]  # fmt: skip


def test_everything_may_be_taken_down(dataset: Path) -> None:
    take(dataset, domain=["host0.example", "host1.example", "host2.example"])
    manifest = open_dataset(dataset).manifest
    assert (manifest.shards, manifest.num_pairs, list(verify(dataset))) == ((), 0, [])


KINDS_OF_STEPS = ("os.rename", "os.link", "os.remove", "os.rmdir")


def run_until(step: int, root: Path, asked: Request) -> bool:
    """Take down in a process that is killed before its n-th change to the disk; return whether it was."""
    child = os.fork()
    if child == 0:
        left = step

        def count(event: str, _: object) -> None:
            nonlocal left
            if event in KINDS_OF_STEPS:
                left -= 1
                if left < 0:
                    os.kill(os.getpid(), signal.SIGKILL)

        sys.addaudithook(count)
        take_down(root, asked, SIGNED)
        os._exit(0)
    _, status = os.waitpid(child, 0)
    assert os.WIFSIGNALED(status) or os.WEXITSTATUS(status) == 0, status
    return os.WIFSIGNALED(status)


def same(manifest: Manifest) -> tuple[object, ...]:
    return (
        manifest.content_hash,
        manifest.num_pairs,
        manifest.funnel,
        [shard.tar.path for shard in manifest.shards],
    )


@pytest.mark.parametrize("every", [9, pytest.param(1, marks=pytest.mark.slow)])
def test_killed_at_any_step_the_dataset_is_the_old_or_the_new_and_the_same_command_ends_it(
    tmp_path: Path, every: int
) -> None:
    dataset, expected, root = (tmp_path / name for name in ("dataset", "expected", "killed"))
    copy = make_rejection(
        "near_duplicate", stage="dedup", kept_key="0" * 32, url="https://host0.example/copy"
    )
    with_fetch_times(make_dataset(dataset, num_pairs=6, pairs_per_shard=2, rejections=[copy]))
    asked, old = request(domain="host0.example"), open_dataset(dataset).manifest
    shutil.copytree(dataset, expected)
    take_down(expected, asked, SIGNED)
    new, step, killed = open_dataset(expected).manifest, every // 2, True
    while killed:
        shutil.copytree(dataset, root)
        killed = run_until(step, root, asked)
        now, staged = open_dataset(root).manifest, (staging(root) / "manifest.json").exists()
        assert same(now) in (same(old), same(new)), step
        shards = {name for shard in now.shards for name in (shard.tar.path, shard.index.path)}
        found = list(verify(root))
        assert [problem for problem in found if problem.path in shards or not staged] == [], step
        assert ("work/takedown" in [problem.path for problem in found]) is staged
        take_down(root, asked, SIGNED)
        assert list(verify(root)) == [], step
        assert without_times(root) == without_times(expected), step
        shutil.rmtree(root)
        step += every
    assert step > 40


def without_times(root: Path) -> dict[str, str]:
    """Every file but those that say when."""
    times = ("manifest.json", "report.html", "takedowns/00001.json")
    return {name: digest for name, digest in files(root).items() if name not in times}


def test_an_unfinished_addition_is_refused(dataset: Path) -> None:
    write_bytes(dataset / "work" / "extend-1" / "request.json", b"{}")
    with pytest.raises(DatasetError, match=r"an addition to .* is unfinished .* Next: finish it"):
        take(dataset, domain="host1.example")


def test_own_lists_get_the_same_lines_once(dataset: Path, tmp_path: Path) -> None:
    own = tmp_path / "own.txt"
    own.write_text("# mine\nexample.org")
    rows = rows_of(dataset)
    for row in rows[:2]:
        take_down(dataset, request(url=row["url"]), SIGNED, do_not_fetch=own)
    lines = own.read_text().splitlines()
    assert lines[:2] == ["# mine", "example.org"]
    assert len(lines) == len(set(lines))
    assert set((dataset / "do_not_fetch.txt").read_text().splitlines()[1:]) == set(lines[2:])


@pytest.mark.parametrize(
    ("flags", "message"),
    [
        ([], "nothing to take down: give one of --url"),
        (["--sha256", "abc"], "sha256 'abc': give its 64 hex digits"),
        (["--domain", "no host"], "domain 'no host' is no host name"),
        (["--phash", "0" * 16, "--max-distance", "17"], "max-distance is 17, of 64 bits: give 0 to 16"),
        (["--owner-list", "missing.txt"], "owner-list: missing.txt cannot be read"),
        (["--caption", "asked for"], "--reason repeats what is taken down"),
        (["--domain", "a.test", "--signed-by", ""], "signed-by is empty"),
    ],
)
def test_a_wrong_request_is_one_line(
    dataset: Path, capsys: pytest.CaptureFixture[str], flags: list[str], message: str
) -> None:
    signed = ["--reason", "asked for", "--signed-by", "me"]
    assert main(["takedown", str(dataset), *signed, *flags]) == 2
    assert message in capsys.readouterr().err
    assert list(verify(dataset, DEEP)) == []


@pytest.mark.parametrize("name", ["list.csv", "list.txt"])
def test_an_owners_list_may_hold_any_of_these(dataset: Path, tmp_path: Path, name: str) -> None:
    rows, path = rows_of(dataset), tmp_path / name
    if name == "list.csv":
        path.write_text(
            f'url,caption,sha256,note\n{rows[0]["url"]},,,x\n,"{rows[1]["caption"]}",,\n,,{rows[2]["sha256"]},\n'
        )
    else:
        path.write_text(f"# mine\n{rows[0]['url']}\ncaption:{rows[1]['caption']}\n\n{rows[2]['sha256']}\n")
    flags = ["--owner-list", str(path), "--reason", "asked for", "--signed-by", "me"]
    assert main(["takedown", str(dataset), *flags]) == 0
    assert [row["key"] for row in rows_of(dataset)] == [row["key"] for row in rows[3:]]
