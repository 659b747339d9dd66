"""The sample web as a whole: its truth agrees with its bytes, and equal seeds give equal worlds."""

import hashlib
import json
from collections import Counter
from pathlib import Path
from urllib.parse import urljoin

import pyarrow.parquet as pq
import pytest

from filters.checks import ImageChecks, TextChecks, screen_caption
from filters.hashes import hamming
from filters.reasons import Drop, Reason
from filters.text import normalise_caption
from pipeline.fetch.pixels import EncodedPicture, encode_picture
from pipeline.limits import Encode
from pipeline.sample_web import serve
from pipeline.sample_web.__main__ import main
from pipeline.sample_web.heldout import make_heldout
from pipeline.sample_web.roles import all_roles
from pipeline.sample_web.truth import KEPT, TruthRow
from pipeline.sample_web.world import MIN_PICTURES, make_world

# What the sample web holds; a new reason need not be drawn there (see `bad_captions` and `roles`).
PROMISED = {
    Reason.URL_INVALID,
    Reason.NO_QUERY,
    Reason.CAPTION_TOO_SHORT,
    Reason.CAPTION_FEW_LETTERS,
    Reason.CAPTION_FILE_NAME,
    Reason.CAPTION_BOILERPLATE,
    Reason.CAPTION_UNSAFE,
    Reason.CAPTION_LANGUAGE,
    Reason.DUPLICATE_URL,
    Reason.ADDRESS_NOT_PUBLIC,
    Reason.ROBOTS_DISALLOWED,
    Reason.OPTED_OUT,
    Reason.NAME_NOT_RESOLVED,
    Reason.CONNECTION_FAILED,
    Reason.TIMEOUT,
    Reason.TOO_MANY_REDIRECTS,
    Reason.RATE_LIMITED,
    Reason.HTTP_ERROR,
    Reason.TOO_MANY_BYTES,
    Reason.NOT_AN_IMAGE,
    Reason.IMAGE_CORRUPT,
    Reason.IMAGE_TOO_MANY_PIXELS,
    Reason.IMAGE_TOO_SMALL,
    Reason.IMAGE_EXTREME_ASPECT,
    Reason.EXACT_DUPLICATE,
    Reason.NEAR_DUPLICATE,
}
OF_CAPTIONS = {reason for reason in PROMISED if reason.startswith("caption_")}
OF_FILES = {reason for reason in PROMISED if reason.startswith("image_")} | {Reason.NOT_AN_IMAGE}
OF_COPIES = {Reason.EXACT_DUPLICATE, Reason.NEAR_DUPLICATE}


@pytest.fixture(scope="module")
def root(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("sample") / "web"
    make_world(folder, num_pictures=MIN_PICTURES, quiet=True)
    return folder


@pytest.fixture(scope="module")
def truth(root: Path) -> list[TruthRow]:
    return serve.read_truth(root)


def body_of(root: Path, url: str) -> bytes:
    """Return the bytes at the end of the redirects from `url`."""
    rows = {row["url"]: row for row in serve.read_lines(root, "web.jsonl")}
    while location := rows[url]["headers"].get("Location"):
        url = urljoin(url, location)
    return (root / rows[url]["body"]).read_bytes() if rows[url]["body"] else b""


def picture_of(root: Path, row: TruthRow) -> EncodedPicture | Drop:
    return encode_picture(body_of(root, row.url), ImageChecks(), Encode())


def test_the_truth_gives_every_reason_and_every_role_at_least_twice(truth: list[TruthRow]) -> None:
    outcomes, roles = Counter(row.outcome for row in truth), Counter(row.role for row in truth)
    assert {reason for reason in PROMISED if outcomes[reason] < 2} == set()
    assert {name for name in all_roles() if roles[name] < 2} == set()


def test_captions_are_judged_by_the_default_checks_as_the_truth_says(truth: list[TruthRow]) -> None:
    checks = TextChecks()
    for row in truth:
        assert normalise_caption(row.caption) == row.caption
        if row.outcome not in (Reason.NO_QUERY, Reason.URL_INVALID):
            drop = screen_caption(row.caption, checks).drop
            assert (drop.reason if drop else KEPT) == (row.outcome if row.outcome in OF_CAPTIONS else KEPT), (
                row
            )


def test_files_are_judged_by_the_default_checks_as_the_truth_says(root: Path, truth: list[TruthRow]) -> None:
    for row in truth:
        if row.outcome in OF_FILES:
            drop = picture_of(root, row)
            assert isinstance(drop, Drop) and drop.reason == row.outcome, row


def test_copies_are_near_each_other_and_other_pictures_are_far(root: Path, truth: list[TruthRow]) -> None:
    hashes: dict[int, list[int]] = {}
    for row in truth:
        if row.outcome == KEPT or row.outcome in OF_COPIES:
            picture = picture_of(root, row)
            assert isinstance(picture, EncodedPicture), (row, picture)
            hashes.setdefault(row.group, []).append(picture.phash)
    groups = list(hashes.values())
    assert max(hamming(a, b) for group in groups for a in group for b in group) <= 4
    assert (
        min(hamming(a, b) for i, one in enumerate(groups) for other in groups[:i] for a in one for b in other)
        > 4
    )


def test_of_the_copies_of_a_picture_one_is_kept(truth: list[TruthRow]) -> None:
    copied = {row.group for row in truth if row.outcome in OF_COPIES}
    kept = Counter(row.group for row in truth if row.outcome == KEPT)
    assert copied and {kept[group] for group in copied} == {1}
    assert set(kept.values()) == {1}


def test_equal_seeds_give_equal_bytes(root: Path, tmp_path: Path) -> None:
    make_world(tmp_path / "again", num_pictures=MIN_PICTURES, quiet=True)
    assert digest(tmp_path / "again") == digest(root)


def digest(root: Path) -> dict[str, str]:
    files = sorted(path for path in root.rglob("*") if path.is_file())
    return {
        path.relative_to(root).as_posix(): hashlib.sha256(path.read_bytes()).hexdigest() for path in files
    }


def test_the_table_has_the_images_of_all_pages(root: Path) -> None:
    rows = serve.read_lines(root, "urls.jsonl")
    assert pq.read_table(root / "urls.parquet").to_pylist() == rows
    page = body_of(root, rows[0]["page_url"]).decode()
    assert f'<img src="{rows[0]["url"]}" alt="{rows[0]["alt"]}"' in page
    assert len({row["page_url"].split("/")[2] for row in rows}) >= 10


def test_a_world_of_other_numbers_is_not_overwritten(root: Path) -> None:
    with pytest.raises(ValueError, match="delete it or choose another folder"):
        make_world(root, num_pictures=MIN_PICTURES + 1, quiet=True)


def test_a_folder_with_other_things_is_left_alone(tmp_path: Path) -> None:
    (tmp_path / "thesis.txt").write_text("mine")
    with pytest.raises(ValueError, match="holds something else"):
        make_world(tmp_path, num_pictures=MIN_PICTURES, quiet=True)
    assert [path.name for path in tmp_path.iterdir()] == ["thesis.txt"]


def test_heldout_pictures_are_far_from_all_of_the_web(root: Path, tmp_path: Path) -> None:
    make_heldout(tmp_path / "heldout", web=root, num_pictures=32, quiet=True)
    objects = sorted((tmp_path / "heldout" / "objects").rglob("*.jpg"))
    colours = sorted((tmp_path / "heldout" / "colours").rglob("*.jpg"))
    assert sorted(path.name for path in objects) == sorted(path.name for path in colours)
    web = [int(value, 16) for value in json.loads((root / "hashes.json").read_text())]
    for path in objects:
        picture = encode_picture(path.read_bytes(), ImageChecks(), Encode())
        assert isinstance(picture, EncodedPicture)
        assert min(hamming(picture.phash, value) for value in web) > 8


def test_the_command_line_names_what_is_wrong(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr("sys.argv", ["sample_web", "serve", "--root", str(tmp_path)])
    assert main() == 2
    assert "holds no sample web. Next: python -m pipeline.sample_web make" in capsys.readouterr().err
