"""Run by tests.bench.train_gpu with an environment that has open_clip: its model, loss and steps on given
batches, as its trainer takes them.

    python -m tests.bench.peer_open_clip_gpu MODEL BATCHES.pt DEVICE NUM_STEPS NUM_ROUNDS COMPILED

Prints JSON: samples/s as a median and a spread, and the memory.
"""

import json
import math
import statistics
import sys
import time
from pathlib import Path
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor

from tests.bench.peer_ops import define_torchvision_ops

TINY = {
    "embed_dim": 16,
    "vision_cfg": {"image_size": 16, "layers": 1, "width": 16, "head_width": 16, "patch_size": 8},
    "text_cfg": {"context_length": 77, "vocab_size": 49408, "width": 16, "heads": 1, "layers": 1},
    "quick_gelu": True,
}
NUM_WARM_UP = 5
MEAN, STD = (0.48145466, 0.4578275, 0.40821073), (0.26862954, 0.26130258, 0.27577711)


def build(name: str, device: torch.device) -> Any:
    """Return open_clip's model of one of our names."""
    import open_clip

    if name == "tiny":
        return open_clip.CLIP(**TINY, output_dict=True).to(device)
    return open_clip.create_model(name.replace("/", "-") + "-quickgelu", device=device, output_dict=True)


def loaded(batches: list[tuple[Tensor, Tensor]], device: torch.device) -> list[tuple[Tensor, Tensor]]:
    """Return batches as its loader hands them over: normalised float32, captions of 77, pinned for a GPU."""
    mean, std = (torch.tensor(values).view(3, 1, 1) for values in (MEAN, STD))
    padded = [
        ((images.float() / 255 - mean) / std, F.pad(tokens, (0, 77 - tokens.shape[1])))
        for images, tokens in batches
    ]
    if device.type == "cuda":
        return [(images.pin_memory(), tokens.pin_memory()) for images, tokens in padded]
    return padded


def optimizer_of(model: Any) -> torch.optim.AdamW:
    """Return the AdamW of its main."""
    named = list(model.named_parameters())
    bare = [p for name, p in named if p.ndim < 2 or "bn" in name or "ln" in name or "bias" in name]
    known = {id(parameter) for parameter in bare}
    rest = [parameter for _, parameter in named if id(parameter) not in known]
    groups = [{"params": bare, "weight_decay": 0.0}, {"params": rest, "weight_decay": 0.2}]
    return torch.optim.AdamW(groups, lr=5e-4, betas=(0.9, 0.98), eps=1e-6)


def main(arguments: list[str]) -> None:
    """Measure and print."""
    name, path, device_name, num_steps, num_rounds, compiled = arguments
    if device_name == "cpu":
        define_torchvision_ops()
    import open_clip

    device = torch.device(device_name)
    model, loss = build(name, device), open_clip.ClipLoss()
    optimizer = optimizer_of(model)
    called = torch.compile(model) if int(compiled) else model
    batches = loaded(torch.load(Path(path), weights_only=True), device)

    def step(number: int) -> None:
        images, tokens = (part.to(device, non_blocking=True) for part in batches[number % len(batches)])
        optimizer.zero_grad()
        with torch.autocast(device.type, torch.bfloat16):
            total = sum(loss(**called(images, tokens), output_dict=True).values())
        total.backward()
        optimizer.step()
        with torch.no_grad():
            model.logit_scale.clamp_(0, math.log(100))

    def run(number: int) -> float:
        start_s = time.perf_counter()
        for one in range(number):
            step(one)
        if device.type == "cuda":
            torch.cuda.synchronize(device)
        return time.perf_counter() - start_s

    run(NUM_WARM_UP)
    speeds = [int(num_steps) * len(batches[0][0]) / run(int(num_steps)) for _ in range(int(num_rounds))]
    memory_gb = torch.cuda.max_memory_allocated() / 1e9 if device.type == "cuda" else None
    found = {"samples_per_s": statistics.median(speeds), "spread": [min(speeds), max(speeds)]}
    print(json.dumps(found | {"memory_gb": memory_gb, "version": open_clip.__version__}))


if __name__ == "__main__":
    main(sys.argv[1:])
