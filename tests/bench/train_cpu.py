"""Samples trained per CPU second, loading included: our trainer beside open_clip's.

The same model (QuickGELU, CLIP's vocabulary), batch, precision and shards: photos stored at 256 px, with real
alt texts. Each trainer has a process of its own with one thread for torch, and its own loader within;
open_clip is called as its trainer calls itself (`train_one_epoch`, the AdamW of its main). The first step is
left out, and with it the start of either loader. CPU time of the process, in turns; a round of ViT-B/32 takes
two minutes. Besides, the memory of the loss alone (tests/bench/loss_memory.py).
"""

import json
import os
import statistics
import subprocess
import sys
import tempfile
import time
from dataclasses import replace
from pathlib import Path

from manifests.show import tars
from manifests.store import open_dataset
from tests.bench import loss_memory
from tests.bench.loader import PEERS, ROOT, alt_texts, config, stored
from tests.bench.photos import make_photos
from tests.fakes import make_dataset
from train.config import DataConfig, TrainConfig
from train.data import PairReader
from train.loop import train_step
from train.models.clip import ClipVit
from train.models.paper import PAPER_MODELS
from train.state import begin_or_resume

TINY = ClipVit(
    image_side_px=224,
    patch_side_px=32,
    context_length=77,
    embed_dim=128,
    vision_width=256,
    vision_num_layers=4,
    text_width=256,
    text_num_layers=4,
)
MODELS = {"ViT-B/32": PAPER_MODELS["ViT-B/32"], "tiny": TINY}
BATCH_SIZES, NUM_STEPS = {"ViT-B/32": 32, "tiny": 64}, {"ViT-B/32": 3, "tiny": 8}
ROUNDS = {"ViT-B/32": 3, "tiny": 5}
PRECISIONS = {"float32": "fp32", "bfloat16": "amp_bf16"}


def asked(model: str) -> TrainConfig:
    """Return what is trained, but for the dataset."""
    data = DataConfig(batch_size=BATCH_SIZES[model], min_crop_share=0.95)
    return replace(config(), model=MODELS[model], data=data, device="cpu", precision="float32")


def train(model: str, root: str, precision: str) -> float:
    """Return the CPU seconds a sample of our trainer, loading included, after the first step."""
    wanted = replace(asked(model), precision=precision)  # type: ignore[arg-type]  # one of PRECISIONS
    dataset = open_dataset(Path(root))
    with tempfile.TemporaryDirectory() as run_dir:
        state = begin_or_resume(wanted, dataset, Path(run_dir))
    reader, start, num_steps = PairReader(dataset, state.tokenizer, wanted), 0.0, NUM_STEPS[model]
    for batch in reader.batches(0, num_steps):
        loss = train_step(state, batch, 1e-4, wanted)
        if batch.step == 0:
            start = time.process_time()
        if batch.step in (0, num_steps - 1):
            loss.item()  # as often as open_clip logs
    return (time.process_time() - start) / (reader.batch_size * (num_steps - 1))


def open_clip_config(model: ClipVit) -> str:
    """Return a model in open_clip's words."""
    vision = {
        "image_size": model.image_side_px,
        "patch_size": model.patch_side_px,
        "width": model.vision_width,
        "layers": model.vision_num_layers,
        "head_width": model.head_width,
    }
    text = {
        "context_length": model.context_length,
        "width": model.text_width,
        "layers": model.text_num_layers,
        "heads": model.text_width // model.head_width,
    }
    parts = {"embed_dim": model.embed_dim, "vision_cfg": vision, "text_cfg": text, "quick_gelu": True}
    return json.dumps(parts)


def seconds_of(command: list[str]) -> float:
    """Run a trainer with one thread for torch and return what it prints last."""
    one_thread = os.environ | {"OMP_NUM_THREADS": "1", "MKL_NUM_THREADS": "1"}
    done = subprocess.run(command, stdout=subprocess.PIPE, text=True, check=True, cwd=ROOT, env=one_thread)
    return float(json.loads(done.stdout.splitlines()[-1]))


def one_round(model: str, root: Path, precision: str) -> tuple[float, float]:
    """Return the CPU seconds a sample of ours and of open_clip's."""
    chosen = MODELS[model]
    assert isinstance(chosen, ClipVit)
    ours = seconds_of([sys.executable, "-m", "tests.bench.train_cpu", model, str(root), precision])
    shards = tars(root, open_dataset(root).manifest)
    peer = [str(PEERS), "-W", "ignore", "-m", "tests.bench.peer_open_clip_speed", "train"]
    request = [shards, str(BATCH_SIZES[model]), open_clip_config(chosen), PRECISIONS[precision]]
    return ours, seconds_of([*peer, *request])


def make_shards(root: Path, photos: list[bytes], model: str) -> Path:
    """Write the dataset of one epoch of a model."""
    number = BATCH_SIZES[model] * NUM_STEPS[model]
    return make_dataset(
        root,
        num_pairs=number,
        pairs_per_shard=number // 4,
        captions=alt_texts(number),
        pictures=photos[:number],
    )


def main() -> None:
    """Measure and print."""
    result: dict[str, object] = {}
    with tempfile.TemporaryDirectory() as name:
        number = max(BATCH_SIZES[model] * NUM_STEPS[model] for model in MODELS)
        photos = [stored(path.read_bytes()) for path in make_photos(Path(name) / "photos", number, 640, 480)]
        for (model, rounds), field in zip(ROUNDS.items(), ("ratio", "ratio_tiny"), strict=True):
            root = make_shards(Path(name) / field, photos, model)
            for precision, suffix in (("float32", ""), ("bfloat16", "_bfloat16")):
                took = [one_round(model, root, precision) for _ in range(rounds)]
                print(
                    model, precision, [[f"{part * 1e3:.1f} ms" for part in pair] for pair in took], flush=True
                )
                ratios = [theirs / ours for ours, theirs in took]
                result |= {
                    f"{field}{suffix}": round(statistics.median(ratios), 2),
                    f"{field}{suffix}_spread": [round(min(ratios), 2), round(max(ratios), 2)],
                    f"{field}{suffix}_ms": [
                        round(statistics.median(side) * 1e3, 1) for side in zip(*took, strict=True)
                    ],
                }
    print(json.dumps(result | loss_memory.measured() | {"load": round(os.getloadavg()[0], 1)}))


if __name__ == "__main__":
    if sys.argv[1:]:
        print(json.dumps(train(*sys.argv[1:])))
    else:
        main()
