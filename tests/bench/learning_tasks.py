"""What is learnt from by both trainers, with what model and settings, and how it is measured.

cifar10     50,000 pictures with captions such as "a photo of a ship."; zero-shot top-1 on the test pictures
textbook    textbook pictures with alt texts; a tenth, chosen by hash, is held out for retrieval both ways
"""

import hashlib
import json
import tarfile
from pathlib import Path

from tests.clip_peers import CLIP_VOCAB, SHARED
from tests.fakes import make_dataset
from train.config import DataConfig, OptimConfig, TokenizerConfig, TrainConfig
from train.evals.retrieval import Retrieval
from train.evals.zero_shot import ZeroShot
from train.models.clip import ClipVit
from train.models.resnet import ClipResNet
from train.trained import load_trained

CLIP = TokenizerConfig(kind="clip", clip_vocab=CLIP_VOCAB)
TEMPLATES = (
    "a photo of a {}.",
    "a blurry photo of a {}.",
    "a low resolution photo of the {}.",
    "a photo of the small {}.",
)
FIRST_BYTE_TRAINED_ON = 26  # of a hash, of 256 values: a tenth is held out

# Crops are open_clip's by default: 90 % of the area and more. Nothing is mirrored.
CIFAR10 = TrainConfig(
    recipe="cifar10",
    model=ClipVit(
        image_side_px=32,
        patch_side_px=8,
        context_length=16,
        embed_dim=128,
        vision_width=128,
        vision_num_layers=4,
        text_width=64,
        text_num_layers=1,
        head_width=32,
    ),
    data=DataConfig(batch_size=125, min_crop_share=0.95),  # 400 batches are an epoch
    optim=OptimConfig(peak_lr=1e-3, num_warmup_steps=200, weight_decay=0.1),
    tokenizer=CLIP,
    num_epochs=2,
    device="cpu",
    precision="bfloat16",
    log_every_steps=20,
    checkpoint_every_steps=10_000,
)
TEXTBOOK = TrainConfig(
    recipe="textbook",
    model=ClipResNet(
        image_side_px=64,
        context_length=64,
        embed_dim=128,
        vision_width=16,
        vision_num_blocks=(1, 1, 1, 1),
        text_width=128,
        text_num_layers=2,
    ),
    data=DataConfig(batch_size=200, min_crop_share=0.95),
    optim=OptimConfig(peak_lr=1e-3, num_warmup_steps=60, weight_decay=0.1),
    tokenizer=CLIP,
    num_epochs=8,
    device="cpu",
    precision="bfloat16",
    checkpoint_every_steps=10_000,
)
TASKS = {"cifar10": CIFAR10, "textbook": TEXTBOOK}


def make_data(task: str, root: Path) -> None:
    """Write ROOT/train, and ROOT/test, unless they are there. Both trainers read the same shards."""
    if not (root / "train" / "manifest.json").exists():
        {"cifar10": _make_cifar10, "textbook": _make_textbook}[task](root)


def measure(task: str, run: Path, root: Path) -> dict[str, float]:
    """Return what a run has learnt, by name."""
    trained = load_trained(run)
    if task == "cifar10":
        found = ZeroShot(run=run, data=root / "test", name="test").evaluate(trained)
        return {"cifar10": found["top1"]}
    found = Retrieval(run=run, data=root / "test", name="test").evaluate(trained)
    ways = {"i2t": found["image_to_text"], "t2i": found["text_to_image"]}
    return {f"textbook_{way}_r{k}": ways[way][f"recall_at_{k}"] for way in ways for k in (1, 5, 10)}


def _make_cifar10(root: Path) -> None:
    with tarfile.open(SHARED / "eval/cifar10/cifar10_jpeg.tar.xz") as tar:
        tar.extractall(root / "cifar10", filter="data")
    (root / "cifar10" / "test").rename(root / "test")
    paths = sorted((root / "cifar10" / "train").rglob("*.jpg"), key=lambda path: _digest(path.stem))
    captions = [
        TEMPLATES[_digest(path.stem)[0] % len(TEMPLATES)].replace("{}", path.parent.name) for path in paths
    ]
    _write(root / "train", captions, [path.read_bytes() for path in paths], CIFAR10)


def _make_textbook(root: Path) -> None:
    folder = SHARED / "pairs/textbook"
    with tarfile.open(folder / "images.tar") as tar:
        pictures = {
            Path(member.name).stem: file.read() for member in tar if (file := tar.extractfile(member))
        }
    lines = (folder / "pairs.jsonl").read_text(encoding="utf-8").splitlines()
    rows = sorted(map(json.loads, lines), key=lambda row: _digest(row["key"]))
    captions = {row["key"]: " ".join((row["alt"] or row["caption"] or row["title"]).split()) for row in rows}
    parts: dict[str, list[str]] = {"test": [], "train": []}
    for row in rows:
        parts["test" if _digest(row["key"])[0] < FIRST_BYTE_TRAINED_ON else "train"].append(row["key"])
    for part, keys in parts.items():
        _write(root / part, [captions[key] for key in keys], [pictures[key] for key in keys], TEXTBOOK)


def _write(root: Path, captions: list[str], pictures: list[bytes], config: TrainConfig) -> None:
    """Write a dataset in 8 shards; of that to train on whole batches alone, so that all epochs are alike."""
    number = len(captions)
    if root.name == "train":
        number -= number % config.data.batch_size
    make_dataset(
        root,
        num_pairs=number,
        pairs_per_shard=-(-number // 8),
        captions=captions[:number],
        pictures=pictures[:number],
    )


def _digest(key: str) -> bytes:
    return hashlib.sha256(key.encode()).digest()
