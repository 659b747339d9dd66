"""Scores of a dataset by a trained CLIP: equal to a slow obvious loop; a new dataset that is whole."""

import json
from pathlib import Path

import pytest
import torch

from filters.reasons import Reason
from manifests.scores import REASON
from manifests.store import Dataset, open_dataset, read_manifest, write_bytes
from manifests.verify import verify
from pipeline.extend import open_extension
from tests.fakes import make_caption, make_dataset, make_picture
from tests.test_manifests_select import files
from tests.tiny_train import tiny_config
from train.__main__ import main
from train.loop import fit
from train.score import Score, score_dataset
from train.trained import load_trained
from train.transforms import evaluation_pixels

NUM_PAIRS = 12
PROMPTS = {"round": ["a circle", "a red circle"], "corners": ["a square", "a blue triangle", "corners"]}
NAMES = ["clip", "round", "corners", "round_share", "corners_share"]


@pytest.fixture(scope="module")
def root(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A run, a dataset with one picture that cannot be read, lists of prompts, and its scores in `scored`."""
    root = tmp_path_factory.mktemp("scores")
    fit(tiny_config(), make_dataset(root / "train"), root / "run")
    pictures = [make_picture(number) for number in range(NUM_PAIRS)]
    make_dataset(root / "data", num_pairs=NUM_PAIRS, pictures=[*pictures[:-1], pictures[-1][:700]])
    for name, prompts in PROMPTS.items():
        write_bytes(root / f"{name}.txt", "\n\n".join(prompts).encode())
    score_dataset(request(root, root / "scored"))
    return root


def request(root: Path, out: Path, **limits: tuple[str, ...]) -> Score:
    prompts = tuple(f"{name}={root / name}.txt" for name in PROMPTS)
    return Score(run=root / "run", data=root / "data", out=out, prompts=prompts, batch_size=3, **limits)


def scores_of(dataset: Dataset) -> list[dict[str, float | None]]:
    rows = [row for shard in dataset.manifest.shards for row in dataset.read_index(shard).to_pylist()]
    return [dict(row["scores"]) for row in rows]


def test_scores_equal_those_of_a_slow_obvious_loop(root: Path) -> None:
    trained, scale = load_trained(root / "run"), load_trained(root / "run").logit_scale()
    prompts = {name: [trained.text_features([p])[0] for p in PROMPTS[name]] for name in PROMPTS}
    found = scores_of(open_dataset(root / "scored"))
    for number in range(NUM_PAIRS - 1):
        image = trained.image_features([evaluation_pixels(make_picture(number), 16)])[0]
        cosines = {name: [(image @ prompt).item() for prompt in prompts[name]] for name in PROMPTS}
        total = sum(torch.tensor(scale * c).exp().item() for of_list in cosines.values() for c in of_list)
        expected = {"clip": (image @ trained.text_features([make_caption(number)])[0]).item()}
        expected |= {name: max(cosines[name]) for name in PROMPTS}
        for name in PROMPTS:
            expected[f"{name}_share"] = (
                sum(torch.tensor(scale * c).exp().item() for c in cosines[name]) / total
            )
        assert found[number] == pytest.approx(expected, abs=1e-5)
    assert found[-1] == dict.fromkeys(NAMES)


def test_the_new_dataset_is_whole_and_tells_of_the_pass(root: Path) -> None:
    manifest = read_manifest(root / "scored")
    assert list(verify(root / "scored")) == []
    change = manifest.history[-1]
    assert (change.kind, change.num_tried, change.num_gained) == ("score", NUM_PAIRS, NUM_PAIRS)
    assert change.request["prompts"] == PROMPTS
    assert manifest.funnel[-1].stage == "clip_score"
    tars = [shard.tar.sha256 for shard in manifest.shards]
    assert tars == [shard.tar.sha256 for shard in read_manifest(root / "data").shards]


def test_limits_keep_what_is_at_them_and_drop_what_has_no_score(root: Path, tmp_path: Path) -> None:
    scores = scores_of(open_dataset(root / "scored"))
    clips = sorted(score["clip"] for score in scores if score["clip"] is not None)
    before = files(root / "data")
    limits = {"min_score": (f"clip={clips[2]}",), "max_score": (f"clip={clips[-3]}",)}
    manifest = score_dataset(request(root, tmp_path / "new", **limits))
    assert list(verify(tmp_path / "new")) == []
    assert files(root / "data") == before
    kept = [score for score in scores if score["clip"] and clips[2] <= score["clip"] <= clips[-3]]
    assert scores_of(open_dataset(tmp_path / "new")) == kept
    assert manifest.funnel[-1].dropped == {REASON: NUM_PAIRS - len(kept)} == {str(Reason.IMAGE_SCORE): 5}


def test_scored_again_or_after_a_kill_it_is_the_same_bytes(root: Path, tmp_path: Path) -> None:
    again, asked = tmp_path / "scored", request(root, tmp_path / "scored")
    score_dataset(asked)
    whole = files(again)
    changing = {"manifest.json", "report.html"}  # by the time
    assert {k: v for k, v in files(root / "scored").items() if k not in changing} == {
        k: v for k, v in whole.items() if k not in changing
    }
    score_dataset(asked)
    assert files(again) == whole
    for name in ("manifest.json", "index/00001.parquet", "work/scores/00002.parquet"):
        (again / name).unlink()
    score_dataset(asked)
    assert {k: v for k, v in files(again).items() if k not in changing} == {
        k: v for k, v in whole.items() if k not in changing
    }


def test_scores_of_another_pass_are_kept_beside_the_new_ones(root: Path, tmp_path: Path) -> None:
    write_bytes(tmp_path / "dark.txt", b"black")
    asked = Score(
        run=root / "run", data=root / "scored", out=tmp_path / "o", prompts=(f"dark={tmp_path}/dark.txt",)
    )
    score_dataset(asked)
    assert [*scores_of(open_dataset(tmp_path / "o"))[0]] == [*NAMES, "dark"]
    assert list(verify(tmp_path / "o")) == []
    assert len(read_manifest(tmp_path / "o").history) == 2


def test_other_requests_for_a_directory_that_is_taken_are_refused(root: Path, tmp_path: Path) -> None:
    with pytest.raises(ValueError, match="holds another dataset"):
        score_dataset(request(root, root / "scored", min_score=("clip=0",)))
    with pytest.raises(ValueError, match="is the dataset itself"):
        request(root, root / "data")
    (tmp_path / "file").touch()
    with pytest.raises(ValueError, match="is not empty"):
        score_dataset(request(root, tmp_path))
    write_bytes(tmp_path / "begun" / "work" / "score.json", json.dumps({"step": 6}).encode())
    with pytest.raises(ValueError, match="was begun with other content_hash"):
        score_dataset(request(root, tmp_path / "begun"))


@pytest.mark.parametrize(
    ("flags", "message"),
    [
        (["--prompts", "round"], "'' is no file"),
        (["--prompts", "Round=x"], "must be of a-z"),
        (["--prompts", "clip=x"], "there is a score clip already"),
        (["--prompts", "empty=EMPTY"], "holds no prompt"),
        (["--min-score", "round=1"], "is of no score, or its second; scores: clip"),
        (["--batch-size", "0"], "batch_size is 0"),
    ],
)
def test_a_wrong_request_is_one_line(
    root: Path, tmp_path: Path, flags: list[str], message: str, capsys: pytest.CaptureFixture[str]
) -> None:
    (tmp_path / "empty").write_text("\n")
    given = [flag.replace("EMPTY", str(tmp_path / "empty")) for flag in flags]
    places = ["--run", str(root / "run"), "--data", str(root / "data"), "--out", str(tmp_path / "out")]
    assert main(["score", *places, *given]) == 2
    assert message in capsys.readouterr().err


def test_the_command_says_what_is_kept_and_where(
    root: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    places = ["--run", str(root / "run"), "--data", str(root / "data"), "--out", str(tmp_path / "out")]
    assert main(["score", *places, "--min-score", "clip=-1"]) == 0
    assert capsys.readouterr().out.startswith(f"11 of 12 pairs kept; dataset: {tmp_path / 'out'}; report: ")


def test_pairs_that_nobody_scored_are_not_added_to_a_scored_dataset(root: Path) -> None:
    with pytest.raises(ValueError, match="was scored by a trained model"):
        open_extension(root / "scored", root / "scored/work")
