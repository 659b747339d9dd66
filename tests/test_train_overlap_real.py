"""Pictures of an evaluation, planted into training recompressed, are found; others are not. On real ones."""

import io
import json
import random
import tarfile
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image

from filters.checks import TextChecks
from filters.images import ImageRules
from filters.language import Language
from pipeline.build import build
from pipeline.config import Cap, Dedup, RunOptions
from pipeline.recipes import laptop
from pipeline.sources import Sources
from pipeline.sources.folder import Folder
from tests.tiny_train import tiny_config
from train.config import DataConfig
from train.evals.overlap import Overlap
from train.loop import fit
from train.trained import load_trained

DATA = Path(__file__).resolve().parents[2] / "shared" / "data"
SHARE_PLANTED = 0.02
MIN_RECALL, MAX_FALSE_SHARE = 0.98, 0.001
SAME_PIXELS = 0.9  # correlation of 16 x 16 pixels


def cifar10(root: Path) -> tuple[list[Path], list[Path]]:
    with tarfile.open(DATA / "eval" / "cifar10" / "cifar10_jpeg.tar.xz") as tar:
        tar.extractall(root, filter="data")
    return sorted((root / "train").rglob("*.jpg"))[::10], sorted((root / "test").rglob("*.jpg"))


def textbook(root: Path) -> tuple[list[Path], list[Path]]:
    with tarfile.open(DATA / "pairs" / "textbook" / "images.tar") as tar:
        tar.extractall(root / "all", filter="data")
    paths = sorted(path for path in (root / "all").rglob("*") if path.suffix in (".jpg", ".png"))
    return paths[::2], paths[1::2]


def pixels(path_or_bytes: Path | io.BytesIO) -> Any:
    with Image.open(path_or_bytes) as image:
        small = np.asarray(image.convert("RGB").resize((16, 16), Image.Resampling.BICUBIC), np.float64)
    centred = small.ravel() - small.mean()
    return centred / (np.linalg.norm(centred) + 1e-9)


def recompressed(path: Path, chance: random.Random) -> bytes:
    with Image.open(path) as image:
        side = chance.choice([0.85, 1.0, 1.25])
        size = (round(image.width * side), round(image.height * side))
        changed = image.convert("RGB").resize(size, Image.Resampling.BICUBIC)
    file = io.BytesIO()
    changed.save(file, "JPEG", quality=chance.randint(50, 90))
    return file.getvalue()


@pytest.mark.slow
@pytest.mark.parametrize("pictures", [cifar10, textbook])
def test_planted_pictures_are_found(pictures: Any, tmp_path: Path) -> None:
    if not DATA.is_dir():
        pytest.skip(f"the real data is not at {DATA}")
    training, evaluated = pictures(tmp_path / "source")
    chance = random.Random(0)
    # Two classes by chance: what is asked here is which pictures are found, not how well they are sorted.
    for number, path in enumerate(evaluated):
        link(path, tmp_path / "test" / f"class {number % 2}" / f"{number:05}{path.suffix}")
    for number, path in enumerate(training):
        link(path, tmp_path / "training" / "a picture of something" / f"{number:05}{path.suffix}")
    planted = chance.sample(range(len(evaluated)), round(SHARE_PLANTED * len(evaluated)))
    for number in planted:
        place = tmp_path / "training" / "a planted picture" / f"planted-{number:05}.jpg"
        place.parent.mkdir(parents=True, exist_ok=True)
        place.write_bytes(recompressed(evaluated[number], chance))
    data = dataset_of(tmp_path)
    config = tiny_config(num_epochs=1, data=DataConfig(batch_size=512), log_every_steps=100)
    run = fit(config, data, tmp_path / "run")
    found = Overlap(run=run, data=tmp_path / "test", name="planted", training=(data,)).evaluate(
        load_trained(run)
    )
    overlapping = {int(Path(pair["picture"]).stem): pair for pair in found["pairs"]}
    others = [number for number in overlapping if number not in planted]
    same = [pixels(path) for path in training]
    false = [
        number for number in others if max(pixels(evaluated[number]) @ own for own in same) < SAME_PIXELS
    ]
    figures = {
        "evaluated": len(evaluated),
        "planted": len(planted),
        "recall": sum(number in overlapping for number in planted) / len(planted),
        "others_found": len(others),
        "false": len(false),
        "p_value": found["p_value"],
    }
    print(json.dumps(figures))
    assert figures["recall"] >= MIN_RECALL
    assert len(false) <= MAX_FALSE_SHARE * len(evaluated)


def link(path: Path, to: Path) -> None:
    to.parent.mkdir(parents=True, exist_ok=True)
    to.hardlink_to(path)


def dataset_of(root: Path) -> Path:
    queries = root / "terms.txt"
    queries.write_text("picture\n")
    recipe = laptop().config
    config = replace(
        recipe,
        queries=str(queries),
        sources=Sources(folder=Folder(paths=(str(root / "training"),), templates=("a {}.",))),
        text=TextChecks(language=Language(keep=())),
        image=replace(recipe.image, header=ImageRules(min_side_px=16, max_aspect=20)),
        dedup=Dedup(max_distance=None),
        cap=Cap(max_pairs_per_query=20_000),
    )
    manifest = build(config, RunOptions(dataset=root / "dataset"))
    print(manifest.num_pairs, [(stage.stage, stage.num_in, stage.dropped) for stage in manifest.funnel])
    return root / "dataset"
