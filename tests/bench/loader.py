"""Decoded, cropped 224-px samples per CPU second: our reader beside open_clip's webdataset loader.

Both read the same shards, whole: photos (tests/bench/photos.py) of 640 x 480 at JPEG quality 85, and the same
stored as our pipeline does, at 256 px and quality 95, each with a real alt text, which is tokenized by CLIP's
vocabulary. Ours gives uint8 crops of 95 % to 100 % of the shorter side and trimmed tokens; open_clip's gives
float32, normalised, of its default RandomResizedCrop (90 % to 100 % of the area), and 77 tokens. What it
costs us to normalise the batch on this CPU is told apart (`normalise_*_us`), and `*_normalised` are the
ratios with it. CPU time of the process, in turns.
"""

import gzip
import io
import json
import os
import statistics
import subprocess
import tempfile
import time
from pathlib import Path

import torch
from PIL import Image

from manifests.show import tars
from manifests.store import open_dataset
from tests.bench.photos import make_photos
from tests.fakes import make_dataset
from train.config import DataConfig, OptimConfig, TokenizerConfig, TrainConfig
from train.data import PairReader
from train.models.paper import PAPER_MODELS
from train.tokenizer import build_tokenizer
from train.transforms import normalise

ROOT = Path(__file__).parents[2]
PEERS = ROOT / ".venv-peers/bin/python"
SHARED = ROOT / "../shared/data"
NUM_PHOTOS, PAIRS_PER_SHARD, BATCH_SIZE, ROUNDS = 1024, 256, 64, 5


def alt_texts(number: int) -> list[str]:
    """Return so many distinct real captions."""
    found: dict[str, None] = {}
    for path in sorted(SHARED.glob("text/alttext/*.jsonl.gz")):
        for line in gzip.decompress(path.read_bytes()).decode().splitlines():
            found[json.loads(line)["text"]] = None
    assert len(found) >= number, len(found)
    return list(found)[:number]


def make_datasets(folder: Path) -> dict[str, Path]:
    """Write both datasets and return them by the side of their pictures."""
    captions = alt_texts(NUM_PHOTOS)
    photos = [path.read_bytes() for path in make_photos(folder / "photos", NUM_PHOTOS, 640, 480)]
    pictures = {"640": photos, "256": [stored(photo) for photo in photos]}
    return {
        side: make_dataset(
            folder / side,
            num_pairs=NUM_PHOTOS,
            pairs_per_shard=PAIRS_PER_SHARD,
            captions=captions,
            pictures=of_side,
        )
        for side, of_side in pictures.items()
    }


def stored(photo: bytes) -> bytes:
    """Return a photo as the pipeline stores it: the shorter side 256 px, quality 95."""
    buffer = io.BytesIO()
    with Image.open(io.BytesIO(photo)) as image:
        image.resize((341, 256), Image.Resampling.BICUBIC).save(buffer, "JPEG", quality=95)
    return buffer.getvalue()


def config() -> TrainConfig:
    """Return a run of ViT-B/32 on the batches that both read."""
    return TrainConfig(
        recipe="bench",
        model=PAPER_MODELS["ViT-B/32"],
        data=DataConfig(batch_size=BATCH_SIZE, min_crop_share=0.95),
        optim=OptimConfig(peak_lr=1e-3, num_warmup_steps=1),
        tokenizer=TokenizerConfig(
            kind="clip", clip_vocab=SHARED / "text/clip/openai_bpe_simple_vocab_16e6.txt.gz"
        ),
    )


def ours(root: Path) -> tuple[float, float]:
    """Return the CPU seconds a sample of one epoch, and those of normalising it."""
    asked = config()
    tokenizer = build_tokenizer(asked.tokenizer, [])
    start, num_samples, seconds = time.process_time(), 0, 0.0
    reader = PairReader(open_dataset(root), tokenizer, asked)
    for batch in reader.batches(0, NUM_PHOTOS // BATCH_SIZE):
        num_samples += len(batch.images)
        before = time.thread_time()  # the next batches are decoded meanwhile
        normalise(batch.images, torch.device("cpu"))
        seconds += time.thread_time() - before
    assert num_samples == NUM_PHOTOS
    return (time.process_time() - start - seconds) / num_samples, seconds / num_samples


def open_clips(roots: list[Path]) -> list[float]:
    """Return the CPU seconds a sample of open_clip's loader, for each dataset."""
    requests = [(tars(root, open_dataset(root).manifest), str(BATCH_SIZE)) for root in roots]
    command = [str(PEERS), "-W", "ignore", "-m", "tests.bench.peer_open_clip_speed", "load"]
    done = subprocess.run(
        [*command, *(word for request in requests for word in request)],
        stdout=subprocess.PIPE,
        text=True,
        check=True,
        cwd=ROOT,
    )
    found: list[float] = json.loads(done.stdout.splitlines()[-1])
    return found


def main() -> None:
    """Measure and print."""
    torch.set_num_threads(1)  # of normalising alone: decoding has threads of its own
    found: dict[str, list[float]] = {}
    with tempfile.TemporaryDirectory() as name:
        datasets = make_datasets(Path(name))
        for _ in range(ROUNDS):
            for side, root in datasets.items():
                took, normalising = ours(root)
                found.setdefault(f"ours_{side}", []).append(took)
                found.setdefault(f"normalise_{side}", []).append(normalising)
            for side, took in zip(datasets, open_clips(list(datasets.values())), strict=True):
                found.setdefault(f"open_clip_{side}", []).append(took)
            print({name: f"{took[-1] * 1e6:.0f} us" for name, took in found.items()}, flush=True)
    result: dict[str, object] = {}
    for side, name in (("256", "ratio"), ("640", "ratio_640")):
        mine, theirs = found[f"ours_{side}"], found[f"open_clip_{side}"]
        normalised = [a + b for a, b in zip(mine, found[f"normalise_{side}"], strict=True)]
        ratios = [a / b for a, b in zip(theirs, mine, strict=True)]
        result |= {
            name: round(statistics.median(ratios), 2),
            f"{name}_spread": [round(min(ratios), 2), round(max(ratios), 2)],
            f"{name}_normalised": round(statistics.median(theirs) / statistics.median(normalised), 2),
        }
    for name, seconds in found.items():
        result[f"{name}_us"] = round(statistics.median(seconds) * 1e6)
    print(json.dumps(result | {"load": round(os.getloadavg()[0], 1)}))


if __name__ == "__main__":
    main()
