"""The report of a training run, written from the files that a run leaves."""

import base64
import json
from html.parser import HTMLParser
from pathlib import Path
from typing import Any

import pytest

from tests.fakes import make_picture
from train.report import write_run_report
from train.report_evals import most_confused, worst_classes

CLASSES = ["cat", "dog", "truck"]


class _Page(HTMLParser):
    """The names of the tags, the ids, and the text between them."""

    def __init__(self, html: str) -> None:
        super().__init__()
        self.tags: list[str] = []
        self.ids: list[str] = []
        self.words = ""
        self.feed(html)

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.append(tag)
        self.ids += [value for name, value in attrs if name == "id" and value]

    def handle_data(self, data: str) -> None:
        self.words += data


def _make_run(run_dir: Path, num_steps: int = 20) -> Path:
    lines = [
        {
            "step": step,
            "epoch": 1,
            "num_samples": 8 * step,
            "loss": 2.0 / step,
            "lr": 0.1,
            "logit_scale": 14.0,
        }
        for step in range(1, num_steps + 1)
    ]
    times = [
        {"step": step, "samples_per_s": 50.0, "cpu_s": 3.0 * step, "wall_s": 200.0 * step}
        for step in range(1, 3)
    ]
    (run_dir / "evals").mkdir(parents=True)
    (run_dir / "config.json").write_text(json.dumps({"recipe": "demo", "data": {"batch_size": 8}}))
    (run_dir / "metrics.jsonl").write_text("".join(json.dumps(line) + "\n" for line in lines))
    (run_dir / "timing.jsonl").write_text("".join(json.dumps(line) + "\n" for line in times))
    return run_dir


def _evaluation(**changes: Any) -> dict[str, Any]:
    error = {
        "truth": "cat",
        "predicted": "dog",
        "confidence": 0.9,
        "thumbnail": base64.b64encode(make_picture(0)).decode(),
    }
    result = {
        "eval": "zero_shot",
        "name": "objects",
        "data": "pictures",
        "step": 20,
        "num_pictures": 12,
        "top1": 0.75,
        "top5": 1.0,
        "class_names": CLASSES,
        "per_class": {"cat": 0.25, "dog": 1.0, "truck": 1.0},
        "confusion": [[1, 2, 1], [0, 4, 0], [0, 0, 4]],
        "templates": ["a photo of a {}."],
        "errors": [error],
    }
    return result | changes


def _write_evaluation(run_dir: Path, result: dict[str, Any]) -> None:
    (run_dir / "evals" / f"{result['eval']}-{result['name']}.json").write_text(json.dumps(result))


def _report(run_dir: Path) -> _Page:
    return _Page(write_run_report(run_dir).read_text("utf-8"))


def test_a_run_shows_its_curves_its_results_and_its_worst_class(tmp_path: Path) -> None:
    run_dir = _make_run(tmp_path / "first")
    _write_evaluation(run_dir, _evaluation())
    page = _report(run_dir)
    assert [name for name in page.ids if "-title" not in name] == [
        "content",
        "results",
        "curves",
        "eval-0",
        "config",
    ]
    for words in (
        "Run first",
        "75.0 %",
        "cat: 25 %",
        "taken for: dog (2), truck (1)",
        "90 % sure",
        "0:06:40",
    ):
        assert words in page.words
    assert page.tags.count("svg") == 5  # loss, learning rate, logit scale, speed, confusions
    assert page.tags.count("img") == 2  # the error, among the surest and with its class


def test_a_run_that_has_only_begun_has_a_report(tmp_path: Path) -> None:
    (tmp_path / "config.json").write_text("{}")
    page = _report(tmp_path)
    assert "none yet" in page.words
    assert "curves" not in page.ids


def test_a_line_that_the_run_is_still_writing_is_left_out(tmp_path: Path) -> None:
    run_dir = _make_run(tmp_path / "run")
    with (run_dir / "metrics.jsonl").open("a") as file:
        file.write('{"step": 21, "lo')
    assert "loss goes from 2 at step 1 to 0.1 at 20" in write_run_report(run_dir).read_text("utf-8")


def test_a_folder_that_is_no_run_is_said_to_be_none(tmp_path: Path) -> None:
    with pytest.raises(
        ValueError, match=r"holds no config\.json: it is not a run\. Next: python -m train fit"
    ):
        write_run_report(tmp_path)


@pytest.mark.parametrize("name", ["config.json", "metrics.jsonl", "evals/a.json"])
def test_a_file_that_is_not_json_is_named(tmp_path: Path, name: str) -> None:
    run_dir = _make_run(tmp_path / "run")
    (run_dir / name).write_text("{not json\n")
    with pytest.raises(ValueError, match=name.replace(".", r"\.")):
        write_run_report(run_dir)


def test_the_numbers_of_another_kind_of_evaluation_are_shown(tmp_path: Path) -> None:
    run_dir = _make_run(tmp_path / "run")
    _write_evaluation(
        run_dir, {"eval": "retrieval", "name": "held_out", "image_to_text": {"recall_at_1": 0.31}}
    )
    words = _report(run_dir).words
    assert "held_out (retrieval)" in words
    assert "image_to_text.recall_at_10.31" in words  # a name, then its value


def test_names_of_classes_cannot_act_in_the_page(tmp_path: Path) -> None:
    hostile = '<script>alert(1)</script>"><img src=x onerror=alert(2)>'
    run_dir = _make_run(tmp_path / "run")
    errors = [{"truth": hostile, "predicted": hostile, "confidence": 0.5, "thumbnail": f'"{hostile}'}]
    per_class = {hostile: 0.25, "dog": 1.0, "truck": 1.0}
    result = _evaluation(
        class_names=[hostile, *CLASSES[1:]], per_class=per_class, errors=errors, name=hostile
    )
    (run_dir / "evals/a.json").write_text(json.dumps(result))
    page = _report(run_dir)
    assert "script" not in page.tags
    assert "img" not in page.tags
    assert "unreadable picture" in page.words


def test_a_matrix_of_many_classes_shows_those_with_the_most_errors() -> None:
    confusion = [[5, 0, 0, 0], [0, 2, 0, 3], [0, 0, 5, 0], [0, 1, 0, 4]]
    assert most_confused(confusion, max_classes=2) == [1, 3]
    assert most_confused(confusion, max_classes=9) == [0, 1, 2, 3]


def test_the_worst_classes_come_in_the_order_of_their_accuracy() -> None:
    result = _evaluation(per_class={"cat": 0.25, "truck": 0.0}, confusion=[[1, 2, 1], [0, 0, 0], [3, 0, 0]])
    assert worst_classes(result) == [("truck", 0.0, "cat (3)"), ("cat", 0.25, "dog (2), truck (1)")]


def test_an_evaluation_stands_beside_what_others_published(tmp_path: Path) -> None:
    row = {"model": "ViT-X", "training_data": "D", "percent": 80.0, "source": "a paper"}
    published = [
        row | {"billion_pairs_seen": 12.8, "train_exaflop": 567.0, "percent": 50.0 + n} for n in range(9)
    ]
    run_dir = _make_run(tmp_path / "run")
    metric = {"metric": "mean_per_class", "value": 0.75, "interval": [0.7, 0.8], "note": "drawn"}
    metric["compute"] = {"billion_pairs_seen": 0.00125, "train_exaflop": 0.004}
    _write_evaluation(run_dir, _evaluation(published=published, **metric))
    page = _report(run_dir)
    for words in (
        "mean per class 75.0 % (70.0 to 80.0)",
        "drawn",
        "ViT-X",
        "58.0 %",
        "567",
        "a paper",
        "0.00125",
        "0.004",
    ):
        assert words in page.words
    assert page.words.count("ViT-X") == 7 + 9  # the best beside ours, all of them folded


def test_analyses_are_drawn(tmp_path: Path) -> None:
    run_dir = _make_run(tmp_path / "run")
    bins = [{"confidence": 0.2, "accuracy": 0.1}, {"confidence": 0.9, "accuracy": 0.8}]
    shift = {
        **{"standard": 0.7, "shifted": 0.62, "expected": 0.6, "effective": 0.02, "relative": 0.1},
        **{"effective_interval": [-0.01, 0.05], "slope": 1.0, "intercept": -0.5},
        "reference": [[0.6, 0.4], [0.7, 0.6], [0.8, 0.7]],
    }
    group = {"num_pictures": 10, "num_given": 3, "share": 0.3, "interval": [0.1, 0.6]}
    results: list[dict[str, Any]] = [
        {"eval": "calibration", "bins": bins},
        {"eval": "robustness", "shifts": {"imagenetv2": shift}},
        {"eval": "bias", "sets": {"crime": {"groups": {"a": group}, "gap": 0.0, "p_value": None}}},
        {"eval": "templates", "top1_after_each": [0.4, 0.5]},
    ]
    for result in results:
        _write_evaluation(run_dir, {"name": "n"} | result)
    page = _report(run_dir)
    for words in (
        "as sure as right",
        "+2.0 (-1.0 to +5.0)",
        "their line",
        "Given a label of 'crime'",
        "30.0 %",
    ):
        assert words in page.words
    assert page.tags.count("figure") == 4 + 3  # those of the run, calibration, one shift, templates
