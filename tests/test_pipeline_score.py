"""A build with a model that scores: brightness, which anybody can compute from the stored pictures."""

import io
import json
from collections import Counter
from dataclasses import replace
from pathlib import Path

import numpy as np
import pyarrow.parquet as pq
import pytest
from PIL import Image

from filters.scorers import read_scorer
from manifests.store import open_dataset, read_manifest
from manifests.verify import verify
from pipeline.build import build
from pipeline.config import BuildConfig, RunOptions, Scores
from pipeline.parts import parts_in
from pipeline.recipes import laptop
from pipeline.runners import run
from pipeline.score import ScorePictures
from pipeline.sources.folder import Folder
from tests.fakes import make_picture
from tests.scorers import make_scorer

SIDE_PX = 80
NUM_PICTURES = 24
NAMES = ("kettle", "lantern", "bridge", "violin")


@pytest.fixture(scope="module")
def config(tmp_path_factory: pytest.TempPathFactory) -> BuildConfig:
    """Pictures of which all are kept, and a model of their brightness."""
    root = tmp_path_factory.mktemp("photos")
    for number in range(NUM_PICTURES):
        path = root / "photos" / NAMES[number % 4] / f"{number}.jpg"
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(make_picture(number, SIDE_PX))
    (root / "terms.txt").write_text("\n".join(NAMES))
    scorer = read_scorer(make_scorer(root, side_px=SIDE_PX))
    plain = laptop().config
    sources = replace(
        plain.sources, folder=Folder(paths=(str(root / "photos"),), templates=("a photo of a {}",))
    )
    fetch = replace(plain.fetch, pairs_per_unit=10)
    dedup = replace(plain.dedup, max_distance=None)
    scores, queries = Scores(onnx=(scorer,)), str(root / "terms.txt")
    return replace(plain, queries=queries, sources=sources, fetch=fetch, dedup=dedup, scores=scores)


def built(config: BuildConfig, root: Path) -> dict[str, float]:
    """Build; return the scores by key as the index has them."""
    build(config, RunOptions(dataset=root, quiet=True))
    assert list(verify(root)) == []
    dataset = open_dataset(root)
    rows = [row for shard in dataset.manifest.shards for row in dataset.read_index(shard).to_pylist()]
    return {row["key"]: dict(row["scores"])["brightness"] for row in rows}


def brightness(root: Path) -> dict[str, float]:
    """The slow obvious way: the mean of a picture's bytes."""
    dataset = open_dataset(root)
    return {
        row["key"]: float(np.asarray(Image.open(io.BytesIO(dataset.read_picture(shard, row)))).mean() / 255)
        for shard in dataset.manifest.shards
        for row in dataset.read_index(shard).to_pylist()
    }


@pytest.fixture(scope="module")
def scored(config: BuildConfig, tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, dict[str, float]]:
    root = tmp_path_factory.mktemp("scored") / "dataset"
    return root, built(config, root)


def test_every_picture_has_the_score_that_its_pixels_have(scored: tuple[Path, dict[str, float]]) -> None:
    root, scores = scored
    assert scores == pytest.approx(brightness(root), rel=1e-5)
    assert len(scores) == NUM_PICTURES
    assert read_manifest(root).config["scores"]["onnx"][0]["name"] == "brightness"


def test_scores_stand_beside_the_pictures_too(scored: tuple[Path, dict[str, float]]) -> None:
    root, scores = scored
    dataset = open_dataset(root)
    tar = dataset.tar_path(dataset.manifest.shards[0]).read_bytes()
    key, score = next(iter(scores.items()))
    facts = tar[tar.index(f"{key}.json".encode()) + 512 :].partition(b"\0")[0]
    assert json.loads(facts)["scores"] == {"brightness": score}


def test_limits_drop_what_is_below_and_above_and_keep_what_is_at_them(
    config: BuildConfig, scored: tuple[Path, dict[str, float]], tmp_path: Path
) -> None:
    ordered = sorted(scored[1].values())
    least, most = ordered[5], ordered[-6]
    limits = replace(config.scores, min_score=(f"brightness={least}",), max_score=(f"brightness={most}",))
    scores = built(replace(config, scores=limits), tmp_path / "dataset")
    assert scores == {key: score for key, score in scored[1].items() if least <= score <= most}
    dropped = Counter(
        (row["stage"], row["reason"], row["detail"].split()[2])
        for path in (tmp_path / "dataset" / "rejections").glob("*")
        for row in pq.read_table(path).to_pylist()
    )
    below, above = sum(score < least for score in ordered), sum(score > most for score in ordered)
    expected = {("score", "image_score", "<"): below, ("score", "image_score", ">"): above}
    assert dropped == expected
    stages = {stage.stage: stage for stage in read_manifest(tmp_path / "dataset").funnel}
    assert stages["score"].dropped == {"image_score": below + above}
    assert stages["score"].num_in == NUM_PICTURES


def test_two_workers_score_the_same_bytes_and_leave_what_is_there(
    config: BuildConfig, scored: tuple[Path, dict[str, float]], tmp_path: Path
) -> None:
    work = scored[0] / "work"
    expected = {path.name: path.read_bytes() for path in (work / "scored").glob("*.parquet")}
    first = tmp_path / min(expected)
    first.write_bytes(b"a part that is there")
    run(ScorePictures(parts_in(work / "fetched"), config.scores, tmp_path), workers=2)
    found = {path.name: path.read_bytes() for path in tmp_path.glob("*.parquet")}
    assert found == expected | {first.name: b"a part that is there"}
    assert len(expected) > 1


def test_without_a_model_there_is_no_phase_and_no_score(config: BuildConfig, tmp_path: Path) -> None:
    root = tmp_path / "dataset"
    build(replace(config, scores=Scores()), RunOptions(dataset=root, quiet=True))
    dataset = open_dataset(root)
    column = dataset.read_index(dataset.manifest.shards[0])["scores"]
    assert column.null_count == len(column) == NUM_PICTURES
    assert not (root / "work" / "scored").exists()


def test_names_of_scores_and_their_limits_are_checked(config: BuildConfig) -> None:
    scorer = config.scores.onnx[0]
    with pytest.raises(ValueError, match="must have names of their own"):
        Scores(onnx=(scorer, scorer))
    with pytest.raises(ValueError, match="must be of a-z, 0-9 and _, not 'a b'"):
        Scores(onnx=(replace(scorer, name="a b"),))
    with pytest.raises(ValueError, match="scores: brightness"):
        Scores(onnx=(scorer,), max_score=("nsfw=0.5",))
