"""Peak memory of the loss and its gradients at a batch of 32,768 features (512 wide, float32): ours in tiles,
beside the full matrix of open_clip's loss.

Each has a process of its own; the peak is what its resident memory grows by over that with the features. The
full matrices of open_clip's at 32,768 would take tens of GiB, so that it is measured at 4,096 and 8,192 and
its growth with the square of the batch carried on; what one such matrix takes, 4 GiB, is told besides.
"""

import json
import os
import subprocess
import sys
from pathlib import Path

import torch
from torch import Tensor

from tests.clip_peers import PEERS, ROOT
from train.loss import clip_loss

BATCH, PEER_BATCHES, WIDTH = 32_768, (4_096, 8_192), 512


def features(number: int) -> tuple[Tensor, Tensor, Tensor]:
    """Return features of pictures and texts, and the scale, that ask for gradients."""
    generator = torch.Generator().manual_seed(0)
    images, texts = (torch.randn(number, WIDTH, generator=generator).requires_grad_() for _ in range(2))
    return images, texts, torch.tensor(100.0, requires_grad=True)


def peak_mib() -> float:
    """Return the most that this process has had in memory; `ru_maxrss` also knows what its parent had."""
    lines = Path("/proc/self/status").read_text().splitlines()
    return float(next(line.split()[1] for line in lines if line.startswith("VmHWM:"))) / 1024


def ours(number: int) -> float:
    """Return what our loss and its gradients take at the most, in MiB."""
    clip_loss(*features(512)).backward()  # what torch loads with its first product is no part of it
    inputs = features(number)
    before = peak_mib()
    clip_loss(*inputs).backward()
    return peak_mib() - before


def mib_of(command: list[str]) -> float:
    """Run one measurement in a process of its own."""
    one_thread = os.environ | {"OMP_NUM_THREADS": "1", "MKL_NUM_THREADS": "1"}
    done = subprocess.run(command, stdout=subprocess.PIPE, text=True, check=True, cwd=ROOT, env=one_thread)
    return float(json.loads(done.stdout.splitlines()[-1]))


def measured() -> dict[str, float]:
    """Return the peaks in MiB and what ours is of open_clip's, and of one matrix."""
    mine = mib_of([sys.executable, "-m", "tests.bench.loss_memory", str(BATCH)])
    peer = [str(PEERS), "-W", "ignore", "-m", "tests.bench.peer_open_clip_speed", "loss"]
    small, large = (mib_of([*peer, str(number), str(WIDTH)]) for number in PEER_BATCHES)
    # Of a + b x batch^2, from two batches of which one is twice the other.
    theirs = large + (large - small) / 3 * ((BATCH / PEER_BATCHES[1]) ** 2 - 1) * 4
    matrix = BATCH**2 * 4 / 2**20
    return {
        "loss_peak_share": round(mine / theirs, 4),
        "loss_peak_share_of_one_matrix": round(mine / matrix, 4),
        "loss_peak_mib": round(mine),
        "loss_peak_mib_open_clip_computed": round(theirs),
        **{
            f"loss_peak_mib_open_clip_{n}": round(m)
            for n, m in zip(PEER_BATCHES, (small, large), strict=True)
        },
    }


if __name__ == "__main__":
    print(json.dumps(ours(int(sys.argv[1])) if sys.argv[1:] else measured()))
