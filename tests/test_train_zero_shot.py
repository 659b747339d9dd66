import base64
import io
import json
import tarfile
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from PIL import Image

from tests.fakes import COLOURS, make_dataset, make_picture
from tests.tiny_train import tiny_config
from train.evals.captions import PROMPTS, class_features, read_templates
from train.evals.labelled import open_labelled
from train.evals.zero_shot import ZeroShot
from train.loop import fit
from train.trained import TrainedModel, load_trained
from train.transforms import evaluation_pixels


@pytest.fixture(scope="module")
def trained(tmp_path_factory: pytest.TempPathFactory) -> TrainedModel:
    root = tmp_path_factory.mktemp("trained")
    return load_trained(fit(tiny_config(), make_dataset(root / "data"), root / "run"))


def make_folders(root: Path, num_each: int = 3) -> Path:
    """Write pictures of coloured shapes as ROOT/<colour>/*.jpg, and return ROOT."""
    for number in range(num_each * len(COLOURS)):
        folder = root / COLOURS[number % len(COLOURS)]
        folder.mkdir(parents=True, exist_ok=True)
        (folder / f"{number}.jpg").write_bytes(make_picture(number))
    return root


def make_tar(path: Path, samples: list[dict[str, bytes]]) -> None:
    with tarfile.open(path, "w") as tar:
        for number, parts in enumerate(samples):
            for suffix, data in parts.items():
                member = tarfile.TarInfo(f"test/{number:04d}.{suffix}")
                member.size = len(data)
                tar.addfile(member, io.BytesIO(data))


def evaluate(trained: TrainedModel, data: Path, templates: str = "clip_7") -> dict[str, Any]:
    return ZeroShot(run=data.parent / "run", data=data, name="colours", templates=templates).evaluate(trained)


def test_zero_shot_equals_the_slow_obvious_version(trained: TrainedModel, tmp_path: Path) -> None:
    classes, templates = sorted(COLOURS), read_templates("clip_7")
    prompts = {}
    for name in classes:
        features = [trained.text_features([template.format(name)])[0] for template in templates]
        mean = sum(features[1:], start=features[0]) / len(features)
        prompts[name] = mean / mean.norm()
    confusion = {truth: dict.fromkeys(classes, 0) for truth in classes}
    for path in make_folders(tmp_path).rglob("*.jpg"):
        image = trained.image_features([evaluation_pixels(path.read_bytes(), 16)])[0]
        confusion[path.parent.name][max(classes, key=lambda name: (image @ prompts[name]).item())] += 1
    result = evaluate(trained, tmp_path)
    assert result["confusion"] == [list(row.values()) for row in confusion.values()]
    assert result["top1"] == sum(confusion[name][name] for name in classes) / 24


def test_the_result_is_complete_and_is_json(trained: TrainedModel, tmp_path: Path) -> None:
    result = json.loads(json.dumps(evaluate(trained, make_folders(tmp_path))))
    assert result["num_pictures"] == 24
    assert result["per_class"].keys() == set(COLOURS)
    assert np.mean(list(result["per_class"].values())) == pytest.approx(result["top1"])
    assert result["top1"] <= result["top5"] <= 1
    confidences = [error["confidence"] for error in result["errors"]]
    assert confidences == sorted(confidences, reverse=True)
    assert len(confidences) == min(24, round(24 * (1 - result["top1"])))
    picture = Image.open(io.BytesIO(base64.b64decode(result["errors"][0]["thumbnail"])))
    assert max(picture.size) <= 96


def test_a_class_is_the_unit_mean_of_its_prompts(trained: TrainedModel) -> None:
    one, both = class_features(trained, ["red"], ["{}"]), class_features(trained, ["red"], ["{}", "{}"])
    assert torch.allclose(one, both, atol=1e-6)
    assert one.norm().item() == pytest.approx(1)


def test_a_broken_picture_is_named_and_left_out(trained: TrainedModel, tmp_path: Path) -> None:
    make_folders(tmp_path)
    (tmp_path / "red" / "0.jpg").write_bytes(b"no picture")
    result = evaluate(trained, tmp_path)
    assert result["num_pictures"] == 23
    (bad,) = result["bad_pictures"]
    assert bad.startswith(str(tmp_path / "red" / "0.jpg"))


def test_classes_may_have_other_names_than_their_folders(tmp_path: Path) -> None:
    make_folders(tmp_path / "data")
    names = tmp_path / "names.txt"
    names.write_text("\n".join(f"the colour {name}" for name in sorted(COLOURS)))
    assert open_labelled(tmp_path / "data", names).class_names[0] == "the colour blue"
    names.with_suffix(".json").write_text(json.dumps({name: name.upper() for name in COLOURS}))
    assert open_labelled(tmp_path / "data", names.with_suffix(".json")).class_names[0] == "BLUE"
    names.write_text("only one")
    with pytest.raises(ValueError, match="has 1 names for 8 folders"):
        open_labelled(tmp_path / "data", names)


def test_webdataset_labels_are_numbers_or_names(tmp_path: Path) -> None:
    picture = make_picture(0)
    make_tar(tmp_path / "0.tar", [{"jpg": picture, "cls": b"1"}, {"txt": b"red", "jpg": picture}])
    (tmp_path / "classnames.txt").write_text("red\ngreen\n")
    labelled = open_labelled(tmp_path, None)
    assert labelled.class_names == ("red", "green")
    assert [(data == picture, label) for _, data, label in labelled] == [(True, 1), (True, 0)]


def test_a_webdataset_sample_of_no_known_class_is_named(tmp_path: Path) -> None:
    make_tar(tmp_path / "0.tar", [{"jpg": make_picture(0), "cls": b"7"}])
    (tmp_path / "classnames.txt").write_text("red\ngreen\n")
    with pytest.raises(ValueError, match=r"sample test/0000 has 1 pictures and the class b'7'"):
        list(open_labelled(tmp_path, None))


def test_data_without_classes_is_refused(tmp_path: Path) -> None:
    for root in (tmp_path, tmp_path / "absent"):
        with pytest.raises(ValueError, match="holds no labelled pictures"):
            open_labelled(root, None)
    make_tar(tmp_path / "0.tar", [])
    with pytest.raises(ValueError, match=r"no class names at .*classnames.txt"):
        open_labelled(tmp_path, None)


def test_templates_come_by_name_or_from_a_file(tmp_path: Path) -> None:
    assert read_templates("simple") == ["a photo of a {}."]
    mine = tmp_path / "mine.txt"
    mine.write_text("a {}\n\nthe {}\n")
    assert read_templates(str(mine)) == ["a {}", "the {}"]
    mine.write_text("a thing\n")
    with pytest.raises(ValueError, match="templates without one"):
        read_templates(str(mine))
    with pytest.raises(ValueError, match=r"unknown templates 'none', known: .*simple"):
        read_templates("none")


@pytest.mark.parametrize("name", sorted(path.stem for path in PROMPTS.glob("*.json")))
def test_every_prompt_file_holds_templates(name: str) -> None:
    assert read_templates(name)
