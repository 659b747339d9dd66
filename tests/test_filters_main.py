"""`python -m filters explain`, as a person runs it."""

from pathlib import Path

import pytest
from PIL import Image

from filters.__main__ import main


def explained(capsys: pytest.CaptureFixture[str], *arguments: str) -> str:
    assert main(["explain", *arguments]) == 0
    return capsys.readouterr().out


def verdicts(table: str) -> dict[str, str]:
    """Return the verdict of each check: the last column of the rows that name one."""
    rows = [line for line in table.splitlines()[1:] if line[0] != " "]
    start = table.index("verdict")
    return {row.split("  ")[0]: row[start:] for row in rows}


def test_every_verdict_is_told_not_only_the_first(capsys: pytest.CaptureFixture[str], tmp_path: Path) -> None:
    Image.new("RGB", (63, 64)).save(tmp_path / "a.png")
    (tmp_path / "queries.txt").write_text("zebra\n")
    given = {"caption": "The fucking umbrella in my car.jpg", "url": "ftp://example.com/"}
    given |= {"image": str(tmp_path / "a.png"), "queries": str(tmp_path / "queries.txt")}
    table = explained(capsys, *(f"--{name}={value}" for name, value in given.items()))
    assert (
        verdicts(table).items()
        >= {
            "normalise": "kept",
            "url": "DROPPED url_invalid",
            "queries": "DROPPED no_query",
            "caption": "DROPPED caption_file_name",
            "safety": "DROPPED caption_unsafe",
            "language": "kept",
            "image header": "DROPPED image_too_small",
        }.items()
    )


def test_a_good_pair_is_kept_by_all(capsys: pytest.CaptureFixture[str], tmp_path: Path) -> None:
    Image.linear_gradient("L").save(tmp_path / "a.png")
    table = explained(capsys, "--caption", "A red umbrella on the beach", "--image", str(tmp_path / "a.png"))
    assert set(verdicts(table).values()) == {"kept"}


def test_a_blank_picture_is_measured_and_dropped(capsys: pytest.CaptureFixture[str], tmp_path: Path) -> None:
    Image.new("RGB", (64, 64)).save(tmp_path / "a.png")
    table = explained(capsys, "--caption", "A red umbrella on the beach", "--image", str(tmp_path / "a.png"))
    assert "contrast 0.00 < 1 levels" in table


def test_a_limit_of_any_check_can_be_given(capsys: pytest.CaptureFixture[str]) -> None:
    table = explained(capsys, "--caption", "a red umbrella", "--text.caption.min-words", "4")
    assert "words 3 < 4" in table


def test_the_table_shows_measurements_and_limits(capsys: pytest.CaptureFixture[str]) -> None:
    table = explained(capsys, "--caption", "a red umbrella")
    assert "num_words 3" in table
    assert "min_words 2" in table


@pytest.mark.parametrize("name", ["image", "queries"])
def test_a_file_that_is_not_there_is_a_wrong_request(name: str, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["explain", "--caption", "a red umbrella", f"--{name}", "none.txt"]) == 2
    assert capsys.readouterr().err.startswith(f"error: --{name} none.txt cannot be read")


def test_bytes_that_are_no_picture_are_explained(capsys: pytest.CaptureFixture[str], tmp_path: Path) -> None:
    (tmp_path / "a.png").write_text("<html>")
    table = explained(capsys, "--caption", "a red umbrella", "--image", str(tmp_path / "a.png"))
    assert verdicts(table)["image"] == "DROPPED not_an_image"


def test_help_shows_a_working_example(capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit) as ended:
        main(["explain", "--help"])
    assert ended.value.code == 0
    assert "python -m filters explain --caption" in capsys.readouterr().out


def test_a_transparent_picture_is_measured_on_white(
    capsys: pytest.CaptureFixture[str], tmp_path: Path
) -> None:
    Image.merge("LA", [Image.linear_gradient("L"), Image.new("L", (256, 256))]).save(tmp_path / "a.png")
    table = explained(capsys, "--caption", "A red umbrella on the beach", "--image", str(tmp_path / "a.png"))
    assert "contrast 0.00 < 1 levels" in table
