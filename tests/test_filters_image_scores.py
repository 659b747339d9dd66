"""Models that score pictures: the score is known exactly, and each setting is seen in it."""

import json
import math
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image

from filters.image_scores import check_scorer, measure, open_picture, prepare
from filters.scorers import read_scorer
from tests.fakes import make_picture
from tests.scorers import make_scorer

GREY = Image.new("RGB", (20, 10), (51, 102, 153))  # 0.2, 0.4 and 0.6


def score(folder: Path, picture: Image.Image = GREY, **fields: Any) -> float:
    return measure(read_scorer(make_scorer(folder, **fields)), [picture])[0]


@pytest.mark.parametrize(
    ("fields", "expected"),
    [
        ({}, 0.4),
        ({"index": 1}, -0.4),
        ({"mean": [0.1, 0.1, 0.1]}, 0.3),
        ({"std": [0.5, 0.5, 0.5]}, 0.8),
        ({"std": [1 / 255] * 3}, 102),
        ({"mean": [0.2, 0, 0], "std": [1, 2, 3]}, 0.4 / 3),
        ({"mean": [0.2, 0, 0], "std": [1, 2, 3], "channels": "bgr"}, (0.4 + 0.2 + 0.2 / 3) / 3),
        ({"resize": "pad"}, 0.2),
        ({"activation": "sigmoid"}, 1 / (1 + math.exp(-0.4))),
        ({"activation": "softmax", "index": 1}, 1 / (1 + math.exp(0.8))),
        ({"shape": [1, 3, 8, 8]}, 0.4),
        ({"shape": ["batch", 8, 8, 3]}, 0.4),
    ],
)
def test_the_score_of_a_known_picture_is_exact(
    tmp_path: Path, fields: dict[str, Any], expected: float
) -> None:
    assert score(tmp_path, **fields) == pytest.approx(expected, rel=1e-6)


@pytest.mark.parametrize(("resize", "left"), [("center_crop", 255), ("stretch", 0), ("pad", 0)])
def test_resizing_cuts_squeezes_or_fills(tmp_path: Path, resize: str, left: int) -> None:
    picture = Image.new("RGB", (32, 8))
    picture.paste((255, 255, 255), (12, 0, 20, 8))
    scorer = read_scorer(make_scorer(tmp_path, resize=resize))
    pixels = np.rint(prepare(picture, scorer) * 255)
    assert pixels.shape == (8, 8, 3)
    assert pixels[4, 0, 0] == left
    assert (pixels[0].max() > 0) == (resize != "pad")


def test_many_pictures_score_as_each_alone(tmp_path: Path) -> None:
    scorer = read_scorer(make_scorer(tmp_path, side_px=16))
    pictures = [Image.open(Path(path)) for path in _pictures(tmp_path, 37)]
    assert measure(scorer, pictures) == [measure(scorer, [picture])[0] for picture in pictures]


def _pictures(folder: Path, number: int) -> list[Path]:
    paths = [folder / f"{n}.jpg" for n in range(number)]
    for n, path in enumerate(paths):
        path.write_bytes(make_picture(n, side_px=20 + n))
    return paths


def test_bytes_that_are_no_picture_open_as_none() -> None:
    assert open_picture(b"no picture") is None
    assert open_picture(make_picture(0)[:300]) is None


@pytest.mark.parametrize(
    ("fields", "message"),
    [
        ({"index": 2}, "it gives 2 numbers a picture, index is 2"),
        ({"index": -1}, "index must be >= 0, not -1"),
        ({"shape": ["batch", 3, 16, 16]}, r"it takes \[16, 16\] pixels, side_px is 8"),
        ({"shape": ["batch", 3]}, "must be tensor"),
        ({"shape": ["batch", 1, 8, 8]}, r"it cannot take \(16, 3, 8, 8\)"),
        ({"side_px": 0}, "side_px must be >= 1"),
        ({"std": [0, 1, 1]}, "std must be > 0"),
        ({"resize": "crop"}, "Invalid enum value 'crop'"),
        ({"sise_px": 8}, "unknown fields sise_px"),
        ({"sha256": "00"}, "has another sha256"),
        ({"path": "nowhere.onnx"}, "No such file"),
    ],
)
def test_a_description_that_does_not_fit_its_model_is_refused(
    tmp_path: Path, fields: dict[str, Any], message: str
) -> None:
    with pytest.raises(ValueError, match=message) as error:
        check_scorer(read_scorer(make_scorer(tmp_path, **fields)))
    assert "Next: " in str(error.value)


def test_a_file_that_is_no_model_and_a_model_that_was_changed_are_refused(tmp_path: Path) -> None:
    description = make_scorer(tmp_path)
    scorer = read_scorer(description)
    (tmp_path / "brightness.onnx").write_bytes(b"no model")
    with pytest.raises(ValueError, match="is another model now"):
        check_scorer(scorer)
    with pytest.raises(ValueError, match="is no model"):
        check_scorer(read_scorer(description))


def test_a_description_that_is_no_json_is_refused(tmp_path: Path) -> None:
    (tmp_path / "text.json").write_text("nsfw")
    with pytest.raises(ValueError, match="is no description of a model"):
        read_scorer(tmp_path / "text.json")
    (tmp_path / "text.json").write_text(json.dumps({"name": "nsfw"}))
    with pytest.raises(ValueError, match=r"is no description of a model \('path'\)"):
        read_scorer(tmp_path / "text.json")


def test_without_onnxruntime_a_line_says_what_to_install(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(sys.modules, "onnxruntime", None)  # as if it were not installed
    scorer = read_scorer(make_scorer(tmp_path, name="unseen"))
    with pytest.raises(ValueError, match=r"^scores need onnxruntime. Next: pip install 'openwit\[onnx\]'$"):
        check_scorer(scorer)
