"""Steps of ViT-B/32, B/16 and L/14 on a GPU: samples/s, MFU against the device's own matrix products, memory,
waiting for data, where the rest of the time goes; beside open_clip with the same batch and text.

    python -m tests.bench.train_gpu
    python -m tests.bench.train_gpu --wheels wheels --peer-python python3   # a machine without an index
    python -m tests.bench.train_gpu --data runs/mine/dataset                # with the loader, end to end

Pictures are random numbers, captions have the lengths of alt texts; both trainers get the same ones,
open_clip its pictures in float32 and its captions padded to 77, as its loader hands them over. open_clip is
measured as it trains by default and with torch.compile; the ratio is against the quicker. `--wheels` names a
folder of wheels (open_clip_torch, timm, ftfy, ...) which are unpacked for the peer; ours needs numpy, pillow,
pyarrow, tyro, universal_pathlib, regex, tokenizers, safetensors, tensorboard and tqdm; Python 3.11 or 3.12,
torch 2.11 or later. The last line is one JSON object, which `python -m train plan --measured FILE` reads.
Without a GPU: one line, exit status 2.
"""

import argparse
import json
import os
import shutil
import statistics
import subprocess
import sys
import tempfile
import time
import zipfile
from collections import Counter
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch.profiler import ProfilerActivity, profile

from train.config import DataConfig, ModelConfig, OptimConfig, SpeedConfig, TokenizerConfig, TrainConfig
from train.copying import copied_ahead
from train.data import Batch
from train.flops import SampleFlops
from train.loop import fit, train_step
from train.models.clip import ClipVit
from train.models.paper import PAPER_MODELS
from train.optim import build_optimizer
from train.parallel import SpreadTowers, Towers
from train.peak import measure_matmul_tflops
from train.speed import set_speed
from train.state import TrainState, pick_dtype
from train.tokenizer import build_tokenizer

ROOT = Path(__file__).parent.parent.parent
VOCAB_SIZE, CONTEXT_LENGTH, END = 49_408, 77, 49_407
# `tiny` tries the command out; open_clip has no model of its sizes by name, so its are given.
TINY = replace(ClipVit.tiny(), context_length=CONTEXT_LENGTH, head_width=16)
MODELS: dict[str, ModelConfig] = {
    name: PAPER_MODELS[name] for name in ("ViT-B/32", "ViT-B/16", "ViT-L/14")
} | {"tiny": TINY}
BATCH_SIZES = {"ViT-B/32": 2048, "ViT-B/16": 1024, "ViT-L/14": 384, "tiny": 8}
NUM_BATCHES, NUM_WARM_UP, NUM_ROUNDS = 4, 5, 5
KINDS = {
    "matrix products": ("gemm", "mm", "matmul", "nvjet", "cutlass", "linear"),
    "attention": ("attention", "flash", "fmha", "softmax"),
    "optimiser": ("adam", "foreach", "multi_tensor"),
    "copies": ("memcpy", "memset", "copy", "_to_copy"),
    "norms and activations": ("norm", "triton", "elementwise", "silu", "add", "mul", "reduce"),
}


def make_batches(name: str, batch_size: int) -> list[Batch]:
    """Return the batches that both trainers learn from."""
    rng, side_px = np.random.default_rng(0), MODELS[name].image_side_px
    batches = []
    for step in range(NUM_BATCHES):
        images = rng.integers(0, 256, (batch_size, 3, side_px, side_px), dtype=np.uint8)
        # Alt texts: 12 tokens for most, a tail that is cut at 77.
        lengths = np.clip(np.exp(rng.normal(2.5, 0.6, batch_size)), 3, CONTEXT_LENGTH).astype(int)
        tokens = rng.integers(1, 40_000, (batch_size, lengths.max()))
        tokens[np.arange(tokens.shape[1]) >= lengths[:, None]] = 0
        tokens[:, 0], tokens[np.arange(batch_size), lengths - 1] = END - 1, END
        batches.append(
            Batch(
                step=step,
                keys=(),
                images=torch.from_numpy(images),
                tokens=torch.from_numpy(tokens),
                bad_pictures=(),
            )
        )
    return batches


def make_config(name: str, batch_size: int, device: str, compiled: bool) -> TrainConfig:
    """Return our run's config."""
    return TrainConfig(
        recipe="train_gpu",
        model=MODELS[name],
        data=DataConfig(batch_size=batch_size),
        optim=OptimConfig(peak_lr=5e-4, num_warmup_steps=2000),
        tokenizer=TokenizerConfig(vocab_size=300),
        speed=SpeedConfig(compile=compiled),
        device="cuda" if device == "cuda" else "cpu",
        precision="bfloat16",
    )


def make_state(config: TrainConfig) -> TrainState:
    """Return a new model ready for steps, as `begin_or_resume` makes it, with CLIP's vocabulary."""
    device = torch.device(config.device)
    torch.manual_seed(0)
    model = config.model.build(VOCAB_SIZE).to(device)
    towers = Towers(model).to(device)
    state = TrainState(
        step=0,
        model=model,
        towers=SpreadTowers(towers, config.parallel),
        optimizer=build_optimizer(towers, config.optim),
        ema=None,
        tokenizer=build_tokenizer(config.tokenizer, iter(["a photo"])),
        device=device,
        dtype=pick_dtype(config, device),
        description={},
    )
    set_speed(model, config.speed, state.autocast())
    return state


def wait_for(device: torch.device) -> None:
    """Return when the device has done what it was given."""
    if device.type == "cuda":
        torch.cuda.synchronize(device)


def measure_ours(name: str, batch_size: int, device: str, num_steps: int, compiled: bool) -> dict[str, Any]:
    """Return samples/s of our trainer's steps, memory, and where the device's time goes."""
    config = make_config(name, batch_size, device, compiled)
    state, batches = make_state(config), make_batches(name, batch_size)

    def run(number: int) -> None:
        again = (batches[step % NUM_BATCHES] for step in range(number))
        for batch in copied_ahead(again, state.device):
            train_step(state, batch, 5e-4, config)
        wait_for(state.device)

    run(NUM_WARM_UP)
    seconds = [time_of(run, num_steps) for _ in range(NUM_ROUNDS)]
    speeds = [num_steps * batch_size / spent_s for spent_s in seconds]
    flops = SampleFlops(config.model, config.speed.patch_dropout)
    per_sample = statistics.fmean(flops.training(batch.tokens.shape[1]) for batch in batches)
    return {
        "samples_per_s": statistics.median(speeds),
        "spread": [min(speeds), max(speeds)],
        "tflops": statistics.median(speeds) * per_sample / 1e12,
        "num_tokens": max(batch.tokens.shape[1] for batch in batches),
        "memory_gb": torch.cuda.max_memory_allocated() / 1e9 if device == "cuda" else None,
        "where": where_time_goes(lambda: run(3), device),
    }


def time_of(run: Any, number: int) -> float:
    """Return the seconds that a function takes."""
    start_s = time.perf_counter()
    run(number)
    return time.perf_counter() - start_s


def where_time_goes(run: Any, device: str) -> dict[str, float]:
    """Return the share of the device's busy time for each kind of kernel."""
    activities = [ProfilerActivity.CPU] + ([ProfilerActivity.CUDA] if device == "cuda" else [])
    with profile(activities=activities) as profiled:
        run()
    spent: Counter[str] = Counter()
    for event in profiled.key_averages():
        used = event.self_device_time_total if device == "cuda" else event.self_cpu_time_total
        lowered = event.key.lower()
        kind = next((kind for kind, words in KINDS.items() if any(w in lowered for w in words)), "other")
        spent[kind] += used
    total = sum(spent.values()) or 1
    return {kind: round(used / total, 4) for kind, used in spent.most_common()}


def measure_peer(request: argparse.Namespace, name: str, batch_size: int, compiled: bool) -> dict[str, Any]:
    """Return what the peer's own process measured, or why it could not."""
    if shutil.which(request.peer_python) is None:
        return {"samples_per_s": None, "error": f"no {request.peer_python}: make peers"}
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "batches.pt"
        torch.save([(batch.images, batch.tokens) for batch in make_batches(name, batch_size)], path)
        variables = dict(os.environ)
        if request.wheels:
            for wheel in sorted(Path(request.wheels).glob("*.whl")):
                with zipfile.ZipFile(wheel) as archive:
                    archive.extractall(Path(folder) / "unpacked")
            variables["PYTHONPATH"] = str(Path(folder) / "unpacked")
        command = [request.peer_python, "-m", "tests.bench.peer_open_clip_gpu", name, str(path)]
        command += [request.device, str(request.num_steps), str(NUM_ROUNDS), str(int(compiled))]
        done = subprocess.run(command, cwd=ROOT, env=variables, capture_output=True, text=True, check=False)
    if done.returncode:
        lines = done.stderr.strip().splitlines() or ["no message"]
        return {"samples_per_s": None, "error": lines[-1]}
    found: dict[str, Any] = json.loads(done.stdout.splitlines()[-1])
    return found


def measure_loading(name: str, request: argparse.Namespace, batch_size: int) -> dict[str, Any]:
    """Return samples/s and the share of time waiting for data of a real run over a dataset."""
    config = replace(
        make_config(name, batch_size, request.device, not request.no_compile),
        data=DataConfig(batch_size=batch_size, num_decode_threads=request.num_decode_threads),
        num_epochs=request.num_epochs,
    )
    with tempfile.TemporaryDirectory() as folder:
        run = fit(config, Path(request.data), Path(folder) / "run")
        lines = [json.loads(line) for line in (run / "timing.jsonl").read_text().splitlines()]
    later = lines[1:] or lines  # the first holds compilation
    return {
        key: statistics.median(line[key] for line in later) for key in ("samples_per_s", "data_wait", "mfu")
    }


def measure(name: str, request: argparse.Namespace, peak_tflops: float) -> dict[str, Any]:
    """Return all figures of a model."""
    batch_size = request.batch_size or BATCH_SIZES[name]
    compiled = not request.no_compile
    ours = measure_ours(name, batch_size, request.device, request.num_steps, compiled)
    if request.device == "cuda":
        torch.cuda.empty_cache()
        torch.cuda.reset_peak_memory_stats()
    peers = {
        kind: measure_peer(request, name, batch_size, kind == "compiled")
        for kind in ("default", *(("compiled",) if compiled else ()))
    }
    best = max((peer["samples_per_s"] or 0.0 for peer in peers.values()), default=0.0)
    figures = ours | {"batch_size": batch_size, "mfu": ours["tflops"] / peak_tflops, "open_clip": peers}
    figures["ratio"] = ours["samples_per_s"] / best if best else None
    if request.data:
        figures["end_to_end"] = measure_loading(name, request, batch_size)
    return figures


def describe(name: str, figures: dict[str, Any]) -> str:
    """Return a model's figures as people read them."""
    memory = "-" if figures["memory_gb"] is None else f"{figures['memory_gb']:.1f} GB"
    ratio = "no peer" if figures["ratio"] is None else f"{figures['ratio']:.2f} x open_clip"
    waiting = figures.get("end_to_end", {}).get("data_wait")
    data = "no --data" if waiting is None else f"{waiting:.1%} waiting for data"
    lines = [
        f"{name}: batch {figures['batch_size']}, {figures['samples_per_s']:,.0f} samples/s, MFU "
        f"{figures['mfu']:.1%}, {memory}, {data}; {ratio}"
    ]
    lines += [f"    {share:6.1%}  {kind}" for kind, share in figures["where"].items()]
    for kind, peer in figures["open_clip"].items():
        lines.append(f"    open_clip, {kind}: {peer['samples_per_s'] or peer.get('error')}")
    return "\n".join(lines)


def parse(arguments: list[str]) -> argparse.Namespace:
    """Return what is asked for."""
    parser = argparse.ArgumentParser(prog="python -m tests.bench.train_gpu")
    parser.add_argument("--device", choices=("cuda", "cpu"), default="cuda")
    parser.add_argument("--models", nargs="+", choices=MODELS, default=[n for n in MODELS if n != "tiny"])
    parser.add_argument("--batch-size", type=int)
    parser.add_argument("--num-steps", type=int, default=20)
    parser.add_argument("--no-compile", action="store_true")
    parser.add_argument("--peer-python", default=str(ROOT / ".venv-peers/bin/python"))
    parser.add_argument("--wheels")
    parser.add_argument("--data")
    parser.add_argument("--num-decode-threads", type=int, default=os.cpu_count() or 2)
    parser.add_argument("--num-epochs", type=int, default=2)
    return parser.parse_args(arguments)


def main(arguments: list[str]) -> int:
    """Measure, print, and return the exit status."""
    request = parse(arguments)
    if request.device == "cuda" and not torch.cuda.is_available():
        print("train_gpu: torch finds no GPU here, nothing was measured", file=sys.stderr)
        return 2
    device = torch.device(request.device)
    peak_tflops = measure_matmul_tflops(device, torch.bfloat16)
    label = torch.cuda.get_device_name() if device.type == "cuda" else "cpu"
    print(f"{label}: {peak_tflops:,.1f} TFLOP/s in bfloat16 matrix products, torch {torch.__version__}")
    found = {}
    for name in request.models:
        found[name] = measure(name, request, peak_tflops)
        print(describe(name, found[name]), flush=True)
    result = {"device": label, "torch": torch.__version__, "matmul_tflops": peak_tflops, "models": found}
    print(json.dumps(result))
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
