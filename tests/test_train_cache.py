"""Remote shards are fetched once, kept within bounds, and never learnt from when they are broken."""

import fcntl
import hashlib
import os
import random
import resource
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

import pytest
import torch

from manifests.schema import FileRecord
from manifests.storage import location
from manifests.store import open_dataset
from manifests.transfer import transfer
from tests.fakes import make_dataset
from tests.s3 import S3, serving_s3
from tests.tiny_train import tiny_config
from tests.web_folder import serving_folder
from train.cache_folder import BLOCK_BYTES, CacheFolder, Source, WrongContentError
from train.config import DataConfig
from train.data import Batch, PairReader
from train.tokenizer import DatasetTokenizer

TOKENIZER = DatasetTokenizer.train(["a red square"] * 9, 300)
NUM_PAIRS, PAIRS_PER_SHARD, STEPS_PER_EPOCH = 24, 4, 6


@pytest.fixture(scope="module")
def s3() -> Iterator[S3]:
    with serving_s3() as s3:
        yield s3


@pytest.fixture
def here(tmp_path: Path) -> Path:
    return make_dataset(tmp_path / "here", num_pairs=NUM_PAIRS, pairs_per_shard=PAIRS_PER_SHARD)


@pytest.fixture
def there(s3: S3, here: Path, tmp_path: Path) -> Path:
    place = location(f"s3://bucket/{tmp_path.name}")
    transfer(here, place, tmp_path / "journal")
    return place


def reader(place: Path, cache: Path | None, cache_gb: float = 1.0, window: int = 1000) -> PairReader:
    data = DataConfig(
        batch_size=4, min_crop_share=0.5, cache=cache, cache_gb=cache_gb, max_window_pairs=window
    )
    return PairReader(open_dataset(place), TOKENIZER, tiny_config(data=data))


def epoch(pairs: PairReader, number: int) -> list[Batch]:
    return list(pairs.batches(number * STEPS_PER_EPOCH, (number + 1) * STEPS_PER_EPOCH))


def same(ours: list[Batch], theirs: list[Batch]) -> bool:
    return all(
        one.keys == other.keys and torch.equal(one.images, other.images)
        for one, other in zip(ours, theirs, strict=True)
    )


def wait_for(condition: object) -> None:
    until_s = time.monotonic() + 30
    while not condition():  # type: ignore[operator]
        assert time.monotonic() < until_s, "it did not come about"
        time.sleep(0.01)


def copies(cache: Path) -> set[str]:
    return {path.stem for path in cache.glob("*.copy")}


def tars(place: Path) -> set[str]:
    return {shard.tar.sha256 for shard in open_dataset(place).manifest.shards}


@pytest.mark.parametrize("window", [1000, 8])
def test_after_one_epoch_a_cached_dataset_is_asked_for_no_more(
    here: Path, there: Path, s3: S3, tmp_path: Path, window: int
) -> None:
    pairs, expected = reader(there, tmp_path / "cache", window=window), reader(here, None, window=window)
    assert same(epoch(pairs, 0), epoch(expected, 0))
    wait_for(lambda: copies(tmp_path / "cache") >= tars(here))
    s3.num_bytes = 0
    assert same(epoch(pairs, 1), epoch(expected, 1))
    assert s3.num_bytes == 0
    again = reader(there, tmp_path / "cache", window=window)  # as another start of the run has it
    s3.num_bytes = 0
    assert same(epoch(again, 2), epoch(expected, 2))
    assert s3.num_bytes == 0


@pytest.mark.parametrize("cached", [False, True])
def test_datasets_here_and_elsewhere_are_mixed(here: Path, there: Path, tmp_path: Path, cached: bool) -> None:
    other = open_dataset(make_dataset(tmp_path / "other", num_pairs=6, name="other"))
    data = DataConfig(batch_size=5, min_crop_share=0.5, cache=tmp_path / "cache" if cached else None)
    pairs = [
        PairReader([open_dataset(place), other], TOKENIZER, tiny_config(data=data)) for place in (here, there)
    ]
    ours, theirs = (list(reader.batches(0, 6)) for reader in pairs)
    assert same(ours, theirs)


@contextmanager
def watched(cache: Path) -> Iterator[list[int]]:
    """Give how many bytes the folder ever held, seen from beside."""
    seen, stop = [0], threading.Event()

    def look() -> None:
        while not stop.is_set():
            # One listing, since a copy that is renamed meanwhile would else be seen twice.
            sizes = {}
            with (cache / "lock").open() as lock:
                fcntl.flock(lock, fcntl.LOCK_SH)
                for path in cache.iterdir():
                    with suppress(FileNotFoundError):
                        sizes[path.stem] = path.stat().st_size
            seen.append(sum(sizes.values()))

    thread = threading.Thread(target=look)
    thread.start()
    try:
        yield seen
    finally:
        stop.set()
        thread.join()


@pytest.mark.parametrize("window", [1000, 8])
def test_a_cache_that_holds_half_never_holds_more_and_spares_what_it_holds(
    here: Path, there: Path, s3: S3, tmp_path: Path, window: int
) -> None:
    cache, shards = tmp_path / "cache", open_dataset(here).manifest.shards
    bound = sum(shard.tar.num_bytes + shard.index.num_bytes + 100 for shard in shards) // 2
    pairs, expected = reader(there, cache, bound / 1e9, window), reader(here, None, window=window)
    plain = reader(there, None, window=window)
    epoch(plain, 0)
    s3.num_bytes = 0
    epoch(plain, 1)
    without, s3.num_bytes = s3.num_bytes, 0
    with watched(cache) as seen:
        for number in range(4):
            assert same(epoch(pairs, number), epoch(expected, number))
    assert bound / 4 < max(seen) <= bound
    if window == 1000:  # a window larger than the cache: what came first stays, and is read every epoch
        wait_for(lambda: not list(cache.glob("*.part")))
        s3.num_bytes = 0
        epoch(pairs, 4)
        assert 0 < s3.num_bytes < without


def test_a_broken_copy_is_not_learnt_from_and_is_fetched_anew(
    here: Path, there: Path, s3: S3, tmp_path: Path
) -> None:
    cache = tmp_path / "cache"
    pairs, expected = reader(there, cache), reader(here, None)
    epoch(pairs, 0)
    wait_for(lambda: copies(cache) >= tars(here))
    for path in cache.glob("*.copy"):
        data = bytearray(path.read_bytes())
        for place in range(0, len(data), 500):
            data[place] ^= 1
        path.write_bytes(data)
    assert same(epoch(pairs, 1), epoch(expected, 1))
    assert same(epoch(pairs, 2), epoch(expected, 2))
    wait_for(lambda: copies(cache) >= tars(here))
    s3.num_bytes = 0
    assert same(epoch(pairs, 3), epoch(expected, 3))
    assert s3.num_bytes == 0


def test_what_is_not_as_its_manifest_says_is_not_kept(
    here: Path, there: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    shard = open_dataset(there).manifest.shards[0]
    data = bytearray((here / shard.tar.path).read_bytes())
    data[-1] ^= 1  # behind the last picture
    (there / shard.tar.path).write_bytes(data)
    pairs = reader(there, tmp_path / "cache")
    assert same(epoch(pairs, 0), epoch(reader(here, None), 0))
    wait_for(lambda: copies(tmp_path / "cache") >= tars(here) - {shard.tar.sha256})
    said = ""
    while not said:
        said = capsys.readouterr().err
    assert said.startswith("data.cache: 1 times a file was not stored, now: s3://bucket/")
    assert f"its manifest says {shard.tar.sha256}; it is read from where it lies" in said
    assert shard.tar.sha256 not in copies(tmp_path / "cache")


@contextmanager
def files_limited_to(num_bytes: int) -> Iterator[None]:
    """Have the system refuse what makes a file larger, as a full disk does."""
    soft, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (num_bytes, hard))
    try:
        yield
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, (soft, hard))


def test_a_full_disk_is_told_of_once_and_read_past(
    here: Path, there: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    pairs = reader(there, tmp_path / "cache")
    with files_limited_to(100):
        found = epoch(pairs, 0)
        wait_for(lambda: not list((tmp_path / "cache").glob("*.part")))
    assert same(found, epoch(reader(here, None), 0))
    said = capsys.readouterr().err
    assert said.count("\n") == 1
    assert said.startswith("data.cache: 1 times a file was not stored, now: [Errno 27] File too large")
    assert copies(tmp_path / "cache") == set()


def test_a_folder_that_cannot_be_written_to_is_refused(here: Path, tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    with pytest.raises(ValueError, match=r"data\.cache .*/file: .* Next: give a folder of this machine"):
        reader(here, tmp_path / "file")


def test_shards_of_a_web_server_are_fetched_once(here: Path, tmp_path: Path) -> None:
    with serving_folder(here) as served:
        place = location(served.url)
        pairs, expected = reader(place, tmp_path / "cache"), reader(here, None)
        assert same(epoch(pairs, 0), epoch(expected, 0))
        wait_for(lambda: copies(tmp_path / "cache") >= tars(here))
        served.requests.clear()
        assert same(epoch(pairs, 1), epoch(expected, 1))
        assert not served.requests


def file_of(root: Path, number: int, num_bytes: int) -> Source:
    data = random.Random(number).randbytes(num_bytes)
    (root / str(number)).write_bytes(data)
    record = FileRecord(path=str(number), num_bytes=num_bytes, sha256=hashlib.sha256(data).hexdigest())
    return Source(path=root / str(number), record=record)


@pytest.mark.parametrize("num_bytes", [0, 1, BLOCK_BYTES, 3 * BLOCK_BYTES + 7])
def test_any_part_of_a_copy_is_that_of_its_file(tmp_path: Path, num_bytes: int) -> None:
    source, folder = file_of(tmp_path, 1, num_bytes), CacheFolder(tmp_path / "cache", 1 << 20)
    data, chance = source.path.read_bytes(), random.Random(2)
    assert folder.read(source, 0, num_bytes) is None
    assert folder.fetch(source, ())
    assert not folder.fetch(source, ())
    for _ in range(50):
        start, stop = sorted(chance.choices(range(num_bytes + 1), k=2))
        assert folder.read(source, start, stop) == data[start:stop]


def test_what_was_not_used_for_longest_goes_first_unless_it_is_needed(tmp_path: Path) -> None:
    sources = [file_of(tmp_path, number, 1000) for number in range(5)]
    folder = CacheFolder(tmp_path / "cache", 3 * 1004)
    for source in sources[:3]:
        assert folder.fetch(source, ())
        time.sleep(0.02)
    folder.read(sources[0], 0, 10)  # which makes the next the oldest
    assert folder.fetch(sources[3], ())
    held = [source for source in sources if folder.read(source, 0, 1)]
    assert held == [sources[0], sources[2], sources[3]]
    names = {source.record.sha256 for source in held}
    assert not folder.fetch(sources[4], names)
    assert folder.fetch(sources[4], names - {sources[2].record.sha256})
    assert folder.read(sources[2], 0, 1) is None


def test_a_file_of_another_content_is_refused(tmp_path: Path) -> None:
    source, folder = file_of(tmp_path, 1, 1000), CacheFolder(tmp_path / "cache", 1 << 20)
    source.path.write_bytes(bytes(1000))
    with pytest.raises(WrongContentError, match="its manifest says"):
        folder.fetch(source, ())
    source.path.write_bytes(bytes(999))
    with pytest.raises(WrongContentError, match="is shorter than its 1000 bytes"):
        folder.fetch(source, ())
    assert [path.name for path in (tmp_path / "cache").iterdir()] == ["lock"]


# Without this file's imports, which take seconds; the records are those of `file_of`.
FETCH = """
import hashlib, random, sys
from pathlib import Path
from manifests.schema import FileRecord
from train.cache_folder import CacheFolder, Source
root, num_bytes = Path(sys.argv[1]), int(sys.argv[2])
folder = CacheFolder(root / "cache", 1 << 30)
for number in range(3):
    sha256 = hashlib.sha256(random.Random(number).randbytes(num_bytes)).hexdigest()
    record = FileRecord(path=str(number), num_bytes=num_bytes, sha256=sha256)
    print(folder.fetch(Source(path=root / str(number), record=record), ()), flush=True)
"""


def fetching(root: Path, num_bytes: int) -> "subprocess.Popen[str]":
    command = [sys.executable, "-c", FETCH, str(root), str(num_bytes)]
    return subprocess.Popen(command, stdout=subprocess.PIPE, text=True)


def test_what_a_killed_process_was_fetching_is_fetched_by_the_next(tmp_path: Path) -> None:
    source, other = (file_of(tmp_path, number, 1000) for number in range(2))
    source.path.unlink()
    os.mkfifo(source.path)  # from which nothing comes
    folder = CacheFolder(tmp_path / "cache", 1500)
    with fetching(tmp_path, 1000) as killed:
        wait_for(lambda: list((tmp_path / "cache").glob("*.part")))
        assert not folder.fetch(source, ())  # that is being done
        assert not folder.fetch(other, ())  # its room is taken
        killed.kill()
        killed.wait()
    source.path.unlink()
    source = file_of(tmp_path, 0, 1000)
    assert folder.fetch(source, ())
    assert copies(tmp_path / "cache") == {source.record.sha256}
    assert not list((tmp_path / "cache").glob("*.part"))


def test_of_several_processes_one_fetches_each_file(tmp_path: Path) -> None:
    for number in range(3):
        file_of(tmp_path, number, 1 << 22)
    processes = [fetching(tmp_path, 1 << 22) for _ in range(2)]
    said = [process.communicate(timeout=60)[0].splitlines() for process in processes]
    assert sorted(line for lines in said for line in lines) == ["False"] * 3 + ["True"] * 3
    assert len(copies(tmp_path / "cache")) == 3
