"""`python -m filters measure`: counts checked by hand, files of each form, and the picture."""

import gzip
import json
from pathlib import Path

import pytest
from PIL import Image

from filters.__main__ import main
from filters.checks import TextChecks
from filters.measure import CURVES, Judged, cut_to_caption, judge
from filters.toxicity import ToxicText

ROWS = [
    ("Ein roter Regenschirm am Strand", "de"),
    ("Un paraguas rojo en la playa", "es"),
    ("A red umbrella on the beach", "en"),
    ("A large white bird over the sea", "es"),
]


def write_rows(path: Path) -> Path:
    path.write_text("".join(json.dumps({"text": text, "lang": lang}) + "\n" for text, lang in ROWS))
    return path


def ask(*arguments: str) -> int:
    return main(["measure", "--check", "language", "--label", "lang", "--keep", "en", *arguments])


def test_what_is_dropped_is_counted_label_by_label(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert ask("--files", str(write_rows(tmp_path / "rows.jsonl"))) == 0
    cells = [line.split() for line in capsys.readouterr().out.splitlines()]
    assert ["en", "keep", "1", "0.0%"] in cells
    assert ["es", "drop", "2", "50.0%"] in cells
    assert ["de", "drop", "1", "100.0%"] in cells
    assert ["0.9", "66.67%", "100.00%", "0.00%"] in cells


def test_all_forms_of_files_say_the_same(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    plain = write_rows(tmp_path / "rows.jsonl")
    (tmp_path / "rows.jsonl.gz").write_bytes(gzip.compress(plain.read_bytes()))
    (tmp_path / "rows.csv").write_text("text,lang\n" + "".join(f"{text},{lang}\n" for text, lang in ROWS))
    told = set()
    for name in ("rows.jsonl", "rows.jsonl.gz", "rows.csv"):
        assert ask("--files", str(tmp_path / name)) == 0
        told.add(capsys.readouterr().out)
    assert len(told) == 1


WRONG = [
    (None, "cannot be read"),
    ("{", "cannot be read"),
    ("", "hold no text"),
    ('{"caption": "a", "lang": "en"}\n', "a row has no 'text', but caption, lang"),
]


@pytest.mark.parametrize(("content", "message"), WRONG)
def test_a_file_that_cannot_be_used_is_a_wrong_request(
    content: str | None, message: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    path = tmp_path / "rows.jsonl"
    if content is not None:
        path.write_text(content)
    assert ask("--files", str(path)) == 2
    assert message in capsys.readouterr().err


def test_recall_and_precision_are_shares_of_what_should_be_dropped() -> None:
    judged = judge(ToxicText(max_probability=0.5), [0.9, 0.9, 0.1, 0.9, 0.1], list("bbbgg"), {"g"})
    assert judged == Judged(num_bad=3, num_good=2, num_bad_dropped=2, num_good_dropped=1)
    assert (judged.recall, judged.precision, judged.good_dropped) == (2 / 3, 2 / 3, 1 / 2)
    assert Judged(num_bad=0, num_good=0, num_bad_dropped=0, num_good_dropped=0).precision == 0


def test_texts_are_cut_to_the_length_of_captions_the_same_way_each_time() -> None:
    texts = [" ".join(str(word) for word in range(number, number + 40)) for number in range(200)]
    lengths = [len(cut_to_caption(text).split()) for text in texts]
    assert set(lengths) == set(range(3, 21))
    assert lengths == [len(cut_to_caption(text).split()) for text in texts]


def test_the_curve_is_drawn(tmp_path: Path) -> None:
    path = tmp_path / "curve.png"
    assert ask("--files", str(write_rows(tmp_path / "rows.jsonl")), "--picture", str(path)) == 0
    with Image.open(path) as picture:
        colours = {colour for _, colour in picture.getcolors(100_000) or []}
        assert picture.size == (900, 520)
    assert {(31, 119, 180), (214, 39, 40)} <= colours


def test_every_check_of_captions_has_a_limit_that_can_be_moved() -> None:
    checks = dict(TextChecks())
    assert set(CURVES) == set(checks)
    assert all(hasattr(checks[name], limit) for name, (limit, _) in CURVES.items())
