"""Evaluation sets and earlier datasets: what is a copy of theirs is kept out, and says of what."""

import io
import tarfile
from pathlib import Path

import numpy as np
import pyarrow.parquet as pq
import pytest
from PIL import Image, ImageDraw

from filters.checks import TextChecks
from filters.language import Language
from manifests.store import write_table
from manifests.verify import verify
from pipeline.__main__ import main
from pipeline.build import build
from pipeline.config import BuildConfig, Dedup, RunOptions
from pipeline.fetch.pixels import fingerprint
from pipeline.references import captions_of, read_reference, read_references, references_of
from pipeline.sources import Sources
from pipeline.sources.folder import Folder

TITLES = ("a red kite", "a blue whale", "a green frog", "a white horse", "a black swan")


def picture(number: int, quality: int = 95, side_px: int = 128) -> bytes:
    """Return a JPEG of soft random blots: equal numbers look alike at any quality and size."""
    blots = np.random.default_rng(number).integers(0, 256, (8, 8, 3), dtype=np.uint8)
    buffer = io.BytesIO()
    Image.fromarray(blots).resize((side_px, side_px), Image.Resampling.BICUBIC).save(
        buffer, "JPEG", quality=quality
    )
    return buffer.getvalue()


def write_picture(folder: Path, name: str, data: bytes, caption: str | None = None) -> None:
    folder.mkdir(parents=True, exist_ok=True)
    (folder / f"{name}.jpg").write_bytes(data)
    if caption:
        (folder / f"{name}.txt").write_text(caption)


def build_from(folder: Path, root: Path, dedup: Dedup) -> dict[str, tuple[str, str]]:
    """Build a dataset of a folder; return the reason and the detail by which each caption was dropped."""
    (root / "terms.txt").write_text("a\n")
    config = BuildConfig(
        queries=str(root / "terms.txt"),
        sources=Sources(folder=Folder(paths=(str(folder),))),
        text=TextChecks(language=Language(keep=())),
        dedup=dedup,
    )
    build(config, RunOptions(dataset=root / "dataset", quiet=True))
    assert list(verify(root / "dataset")) == []
    tables = [pq.read_table(path) for path in (root / "dataset/rejections").glob("*.parquet")]
    rows = [row for table in tables for row in table.to_pylist()]
    return {row["caption"]: (row["reason"], row["detail"]) for row in rows}


def test_copies_of_references_are_left_out_under_their_own_reasons(tmp_path: Path) -> None:
    for number, title in enumerate(TITLES):
        write_picture(tmp_path / "mine", f"{number}", picture(number), title)
    write_picture(tmp_path / "test-set/x", "one", picture(0, quality=60, side_px=200))
    write_picture(tmp_path / "test-set", "two", picture(90), "A blue whale!")
    write_picture(tmp_path / "old", "frog", picture(2), "a frog")
    (tmp_path / "before").mkdir()
    assert build_from(tmp_path / "old", tmp_path / "before", Dedup()) == {}
    sets = Dedup(
        evaluation_sets=(f"ours={tmp_path / 'test-set'}",),
        against=(f"before={tmp_path / 'before/dataset'}",),
        keep_captions=True,
    )
    dropped = build_from(tmp_path / "mine", tmp_path, sets)
    assert dropped["a blue whale"] == ("caption_in_evaluation_set", "the same words as ours: two.jpg")
    reason, detail = dropped["a red kite"]
    assert reason == "in_evaluation_set" and detail.startswith("ours: x/one.jpg, ")
    reason, detail = dropped["a green frog"]
    assert reason == "exact_duplicate" and detail.startswith("before: ") and "the same bytes" in detail
    assert len(dropped) == 3


def test_a_list_of_hashes_is_that_of_its_folder_and_of_its_tar(tmp_path: Path) -> None:
    write_picture(tmp_path / "set", "a", picture(1), "one")
    write_picture(tmp_path / "set", "b", picture(2))
    (tmp_path / "set/broken.jpg").write_bytes(b"no picture")
    with tarfile.open(tmp_path / "set.tar", "w") as tar:
        for name in ("a.jpg", "a.txt", "b.jpg", "broken.jpg"):
            tar.add(tmp_path / "set" / name, name)
    assert main(["hashes", str(tmp_path / "set"), "--out", str(tmp_path / "list.parquet")]) == 0
    listed = read_reference(tmp_path / "list.parquet")
    assert listed["item"].to_pylist() == ["a.jpg", "b.jpg"]
    assert listed["caption"].to_pylist() == ["one", None]
    made = tuple(listed[name][0].as_py() for name in ("sha256", "phash", "colours"))
    assert made == fingerprint(picture(1))
    assert read_reference(tmp_path / "set.tar").drop(["item"]) == listed.drop(["item"])


def test_captions_are_those_of_evaluation_sets_alone(tmp_path: Path) -> None:
    write_picture(tmp_path / "set", "a", picture(1), "One, two!")
    sets = Dedup(evaluation_sets=(str(tmp_path / "set"),), against=(str(tmp_path / "set"),))
    parts = read_references(references_of(sets), tmp_path / "lists", workers=1)
    assert captions_of(parts) == {"one two": "set: a.jpg"}


@pytest.mark.parametrize(
    ("make", "said"),
    [
        (lambda path: None, "is not there"),
        (lambda path: path.mkdir(), "holds no picture that can be read"),
    ],
)
def test_a_reference_without_pictures_is_told_of(tmp_path: Path, make: object, said: str) -> None:
    path = tmp_path / "set"
    make(path)  # type: ignore[operator]  # a function, from the table above
    with pytest.raises(ValueError, match=said):
        read_references(references_of(Dedup(against=(f"before={path}",))), tmp_path / "lists", workers=1)


def hearts() -> list[bytes]:
    """Files of one drawing in two colours of the same grey."""
    files = []
    for colour in ((200, 60, 60), (30, 133, 60)):
        drawing = Image.new("RGB", (128, 128), "white")
        ImageDraw.Draw(drawing).polygon([(20, 30), (110, 20), (70, 120)], fill=colour)
        buffer = io.BytesIO()
        drawing.save(buffer, "PNG")
        files.append(buffer.getvalue())
    return files


@pytest.mark.parametrize(("max_difference", "num_dropped"), [(None, 1), (48, 0)])
def test_a_drawing_in_other_colours_is_no_copy_in_the_second_opinion(
    tmp_path: Path, max_difference: int | None, num_dropped: int
) -> None:
    for title, data in zip(("a red heart", "a green heart"), hearts(), strict=True):
        write_picture(tmp_path / "mine", title.split()[1], data, title)
    dropped = build_from(tmp_path / "mine", tmp_path, Dedup(max_colour_difference=max_difference))
    assert [reason for reason, _ in dropped.values()] == ["near_duplicate"] * num_dropped


def test_a_blank_picture_is_dropped_and_no_reference(tmp_path: Path) -> None:
    buffer = io.BytesIO()
    Image.new("RGB", (128, 128), "white").save(buffer, "JPEG")
    write_picture(tmp_path / "mine", "blank", buffer.getvalue(), "a white page")
    write_picture(tmp_path / "mine", "kite", picture(0), "a red kite")
    dropped = build_from(tmp_path / "mine", tmp_path, Dedup())
    assert dropped == {"a white page": ("image_flat", "contrast 0.00 < 1 levels")}
    assert read_reference(tmp_path / "mine")["item"].to_pylist() == ["kite.jpg"]


def test_lists_and_datasets_of_earlier_versions_have_no_colours_and_still_find_copies(tmp_path: Path) -> None:
    write_picture(tmp_path / "mine", "kite", picture(0), "a red kite")
    write_table(tmp_path / "list.parquet", read_reference(tmp_path / "mine").drop(["colours"]))
    (tmp_path / "before").mkdir()
    build_from(tmp_path / "mine", tmp_path / "before", Dedup())
    for index in (tmp_path / "before/dataset/index").glob("*.parquet"):
        write_table(index, pq.read_table(index).drop(["colours"]))
    for name in ("list.parquet", "before/dataset"):
        assert read_reference(tmp_path / name)["colours"].to_pylist() == [None]
    (tmp_path / "after").mkdir()
    sets = Dedup(against=(str(tmp_path / "list.parquet"),))
    dropped = build_from(tmp_path / "mine", tmp_path / "after", sets)
    assert [reason for reason, _ in dropped.values()] == ["exact_duplicate"]
