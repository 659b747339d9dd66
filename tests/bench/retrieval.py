"""Retrieval of 100,000 pictures and 500,000 captions: peak memory and CPU time.

Features are 512 wide, float32 and memory-mapped; each caption is its picture's features and noise. The peak
is what the process had in memory at the most (VmHWM), which counts the mapped pages of the features
(1.2 GB), Python and torch. The whole matrix would be 186 GiB. The recalls of 5,000 of the pictures are
compared with those of their whole matrix (tests/test_train_retrieval.py has the ranks).

    python -m tests.bench.retrieval [NUM_PICTURES]
"""

import json
import os
import sys
import tempfile
import time
from pathlib import Path

import numpy as np
import torch
from numpy.typing import NDArray

from tests.bench.loss_memory import peak_mib
from train.evals.recall import ranks

NUM_PICTURES, CAPTIONS_EACH, WIDTH, NOISE = 100_000, 5, 512, 4.0
BLOCK = 10_000


def make_features(folder: Path, num_pictures: int) -> None:
    """Write both files, a block at a time."""
    rng = np.random.default_rng(0)
    shapes = {"images": num_pictures, "texts": num_pictures * CAPTIONS_EACH}
    images, texts = (
        np.lib.format.open_memmap(folder / f"{name}.npy", "w+", np.float32, (rows, WIDTH))
        for name, rows in shapes.items()
    )
    for start in range(0, num_pictures, BLOCK):
        block = rng.standard_normal((min(BLOCK, num_pictures - start), WIDTH), np.float32)
        images[start : start + len(block)] = block
        for each in range(CAPTIONS_EACH):
            noise = NOISE * rng.standard_normal(block.shape, np.float32)
            texts[start * CAPTIONS_EACH + each : (start + len(block)) * CAPTIONS_EACH : CAPTIONS_EACH] = (
                block + noise
            )


def of_full_matrix(images: NDArray[np.float32], texts: NDArray[np.float32]) -> dict[str, float]:
    """Return the recalls by the whole matrix at once, of pictures and captions in order."""
    unit = [part / np.linalg.norm(part, axis=1, keepdims=True) for part in (images, texts)]
    cosines = unit[0] @ unit[1].T
    of = np.arange(len(texts)) // CAPTIONS_EACH
    own = cosines[of, np.arange(len(texts))]
    text_to_image = (cosines >= own).sum(axis=0)
    best = own.reshape(len(images), CAPTIONS_EACH).max(axis=1)
    cosines[of, np.arange(len(texts))] = -np.inf
    image_to_text = 1 + (cosines >= best[:, None]).sum(axis=1)
    found = {"i2t": image_to_text, "t2i": text_to_image}
    return {f"{way}_r{k}": round(float((found[way] <= k).mean()), 4) for way in found for k in (1, 5, 10)}


def recalls(images: NDArray[np.float32], texts: NDArray[np.float32]) -> dict[str, float]:
    """Return the same by tiles."""
    found = ranks(images, texts, np.arange(len(texts)) // CAPTIONS_EACH).recalls()
    ways = {"i2t": found["image_to_text"], "t2i": found["text_to_image"]}
    return {f"{way}_r{k}": round(ways[way][f"recall_at_{k}"], 4) for way in ways for k in (1, 5, 10)}


def main(num_pictures: int) -> None:
    """Measure and print."""
    with tempfile.TemporaryDirectory() as name:
        make_features(Path(name), num_pictures)
        images, texts = (np.load(Path(name) / f"{part}.npy", mmap_mode="r") for part in ("images", "texts"))
        before, start = time.process_time(), time.monotonic()
        found = recalls(images, texts)
        cpu_s, wall_s = time.process_time() - before, time.monotonic() - start
        peak = peak_mib()
        few = images[:5_000], texts[: 5_000 * CAPTIONS_EACH]
        equal = recalls(*few) == of_full_matrix(*few)
    result = {
        "num_pictures": num_pictures,
        "num_captions": num_pictures * CAPTIONS_EACH,
        "peak_mib": round(peak),
        "cpu_s": round(cpu_s),
        "wall_s": round(wall_s),
        "equals_full_matrix": equal,
        "threads": torch.get_num_threads(),
        "load": round(os.getloadavg()[0], 1),
    }
    print(json.dumps(result | found))


if __name__ == "__main__":
    main(int(sys.argv[1]) if sys.argv[1:] else NUM_PICTURES)
