"""Takedowns, selections, merges and reshards of datasets in an object store: the same bytes as here."""

from pathlib import Path

import pytest

from manifests.__main__ import main
from manifests.storage import link_or_copy, location
from manifests.store import open_dataset
from manifests.verify import verify
from tests.test_manifests_merge import small, with_other_terms
from tests.test_manifests_takedown import rows_of


@pytest.fixture
def here(tmp_path: Path) -> Path:
    """Two datasets on this machine, and the same in a store."""
    small(tmp_path / "one", list(range(10)))
    small(tmp_path / "two", [3, 10, 11, 12, 13])
    with_other_terms(tmp_path / "two", "drawing")
    for path in tmp_path.rglob("*"):
        if path.is_file():
            link_or_copy(path, location(store(tmp_path)) / path.relative_to(tmp_path).as_posix())
    return tmp_path


def store(folder: Path) -> str:
    return f"memory://{folder.name}"


def content(root: Path) -> tuple[str, object]:
    assert list(verify(root)) == []
    manifest = open_dataset(root).manifest
    times = ("takedowns/",)
    return manifest.content_hash, [file for file in manifest.files if not file.path.startswith(times)]


@pytest.mark.parametrize(
    "command",
    [
        "select {0}/one --where width>64 --out {0}/out",
        "select {0}/one --max-pairs 7 --out {0}/out",
        "merge {0}/one {0}/two --out {0}/out",
        "reshard {0}/two --pairs-per-shard 2 --out {0}/out",
        "takedown {0}/one --url URL --reason asked --signed-by me",
    ],
)
def test_a_command_does_the_same_in_a_store(here: Path, command: str) -> None:
    url = rows_of(here / "one")[2]["url"]
    for place in (str(here), store(here)):
        assert main(command.format(place).replace("URL", url).split()) == 0
    name = "one" if "takedown" in command else "out"
    assert content(location(store(here)) / name) == content(here / name)
