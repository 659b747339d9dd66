"""Every command on a dataset takes it from an object store or a web server as it does from this machine."""

from collections.abc import Iterator
from pathlib import Path

import pytest

from manifests.__main__ import main
from manifests.storage import location, read_bytes, read_ranges
from manifests.store import DatasetError, open_dataset
from manifests.transfer import transfer
from tests.fakes import make_dataset, make_picture
from tests.s3 import S3, serving_s3
from tests.web_folder import serving_folder


@pytest.fixture(scope="module")
def s3() -> Iterator[S3]:
    with serving_s3() as s3:
        yield s3


@pytest.fixture(scope="module")
def places(s3: S3, tmp_path_factory: pytest.TempPathFactory) -> Iterator[dict[str, str]]:
    """The same dataset here, in a store that fails now and then, and on a web server."""
    root = tmp_path_factory.mktemp("places")
    make_dataset(root / "shapes")
    transfer(root / "shapes", location("s3://bucket/shapes"), root / "journal")
    s3.share_of_faults = 0.05
    with serving_folder(root) as web:
        yield {"here": str(root / "shapes"), "s3": "s3://bucket/shapes", "http": f"{web.url}/shapes"}


@pytest.mark.parametrize("kind", ["s3", "http"])
@pytest.mark.parametrize("command", [["show"], ["show", "--json"], ["verify"]])
def test_a_command_says_of_a_dataset_elsewhere_what_it_says_of_one_here(
    places: dict[str, str], kind: str, command: list[str], capsys: pytest.CaptureFixture[str]
) -> None:
    said = []
    for place in (places["here"], places[kind]):
        assert main([*command, place]) == 0
        said.append(capsys.readouterr().out.replace(place, "PLACE"))
    assert said[0] == said[1] != ""


def test_a_report_of_a_dataset_in_a_store_is_written_there(places: dict[str, str]) -> None:
    assert main(["report", places["s3"]]) == main(["report", places["here"]]) == 0
    there, here = (location(places[kind]) / "report.html" for kind in ("s3", "here"))
    assert read_bytes(there) == here.read_bytes()


def test_a_status_table_is_written_to_a_store(places: dict[str, str]) -> None:
    assert main(["status", places["http"], "--out", "s3://bucket/status.parquet"]) == 0
    assert location("s3://bucket/status.parquet").exists()


@pytest.mark.parametrize("kind", ["here", "s3", "http"])
def test_pictures_are_read_from_where_they_lie_in_their_tars(places: dict[str, str], kind: str) -> None:
    dataset = open_dataset(places[kind])
    shard = dataset.manifest.shards[1]
    rows = dataset.read_index(shard).to_pylist()
    ranges = [(dataset.tar_path(shard), row["offset"], row["offset"] + row["num_bytes"]) for row in rows]
    expected = [make_picture(number) for number in range(4, 8)]
    assert [dataset.read_picture(shard, row) for row in rows] == read_ranges(ranges) == expected


@pytest.mark.parametrize("kind", ["s3", "http"])
def test_a_place_without_a_dataset_is_told_of_in_one_line(places: dict[str, str], kind: str) -> None:
    with pytest.raises(DatasetError, match=r"nothing holds no manifest\.json"):
        open_dataset(places[kind].replace("shapes", "nothing"))


def test_a_busy_web_server_is_asked_again(tmp_path: Path) -> None:
    make_dataset(tmp_path / "shapes")
    with serving_folder(tmp_path) as web:
        web.num_to_fail = 2
        assert open_dataset(f"{web.url}/shapes").manifest.num_pairs == 8
        assert web.requests["/data/shapes/manifest.json"] == 3


def test_an_answer_of_a_web_server_that_is_cut_is_asked_for_again(tmp_path: Path) -> None:
    make_dataset(tmp_path / "shapes")
    with serving_folder(tmp_path) as web:
        web.num_to_cut = 1
        dataset = open_dataset(f"{web.url}/shapes")
        web.num_to_cut = 1
        shard = dataset.manifest.shards[0]
        assert dataset.read_picture(shard, dataset.read_index(shard).to_pylist()[0]) == make_picture(0)
        assert web.num_to_cut == 0


COMMANDS = {
    "select": ["select", "ROOT/old", "--max-pairs", "3", "--out", "ROOT/new"],
    "reshard": ["reshard", "ROOT/old", "--pairs-per-shard", "3", "--out", "ROOT/new"],
    "takedown": ["takedown", "ROOT/old", "--domain", "host0.example", "--reason", "r", "--signed-by", "p"],
}


@pytest.mark.parametrize(("name", "result"), [("select", "new"), ("reshard", "new"), ("takedown", "old")])
def test_a_dataset_that_is_changed_in_a_store_becomes_what_it_becomes_here(
    s3: S3, tmp_path: Path, name: str, result: str
) -> None:
    make_dataset(tmp_path / "old")
    transfer(tmp_path / "old", location(f"s3://bucket/{name}/old"), tmp_path / "journal")
    found = []
    for root in (str(tmp_path), f"s3://bucket/{name}"):
        assert main([word.replace("ROOT", root) for word in COMMANDS[name]]) == 0
        found.append(open_dataset(f"{root}/{result}").manifest)
        assert main(["verify", f"{root}/{result}"]) == 0
    assert found[0].content_hash == found[1].content_hash
    assert found[0].history and found[0].num_pairs == found[1].num_pairs
