"""What two trainers learn from the same data with the same model, schedule and seeds: ours and open_clip's.

Each task (tests/bench/learning_tasks.py) is learnt three times by each, and all six models are measured by
our evaluations; open_clip's come through `train import`. Each begins with its own initial weights and draws
its own order and crops. A finished run is not run again while its settings stay the same: to begin anew,
delete the folder.

The test, chosen before the first run: ours is `within_noise` where its mean is at least open_clip's less two
standard errors of the difference of the means, for each of the seven figures.

    python -m tests.bench.learning [FOLDER]
"""

import json
import math
import os
import statistics
import subprocess
import sys
import time
from dataclasses import replace
from pathlib import Path
from typing import Any

from manifests.show import tars
from manifests.store import open_dataset
from tests.bench.learning_tasks import TASKS, make_data, measure
from tests.clip_peers import PEERS, ROOT
from train.config import to_json
from train.interchange.command import Import
from train.interchange.open_clip import CONFIG, write
from train.interchange.portable import PortableModel
from train.loop import fit
from train.tokenizer import build_tokenizer

SEEDS = (0, 1, 2)
FOLDER = ROOT / "runs/learning"


def learn(whose: str, task: str, seed: int, root: Path) -> dict[str, Any]:
    """Train and measure in processes of their own, or return what is known of it."""
    done = root / task / f"{whose}-{seed}.json"
    settings = json.loads(json.dumps(to_json(replace(TASKS[task], seed=seed))))  # JSON has no tuples
    known = json.loads(done.read_text()) if done.exists() else {}
    if known.get("settings") != settings:
        start = time.monotonic()
        command = [sys.executable, "-m", "tests.bench.learning", str(root), whose, task, str(seed)]
        # One thread each: those of torch would only wait for one another.
        one_thread = os.environ | {"OMP_NUM_THREADS": "1", "MKL_NUM_THREADS": "1"}
        out = subprocess.run(command, stdout=subprocess.PIPE, text=True, check=True, cwd=ROOT, env=one_thread)
        known = json.loads(out.stdout.splitlines()[-1]) | {"settings": settings}
        done.write_text(json.dumps(known))
        print(whose, task, seed, known["found"], f"{known['cpu_s']:.0f} CPU s", end=" ")
        print(f"{time.monotonic() - start:.0f} s", flush=True)
    return dict(known)


def run(whose: str, task: str, seed: int, root: Path) -> dict[str, Any]:
    """Train from nothing, measure, and return both."""
    folder = root / task / f"{whose}-{seed}-{time.time_ns()}"
    start = time.process_time()
    if whose == "ours":
        fit(replace(TASKS[task], seed=seed), root / task / "train", folder)
        cpu_s = time.process_time() - start
    else:
        cpu_s = open_clip(task, seed, root, folder)
    return {"found": measure(task, folder, root / task), "cpu_s": cpu_s}


def open_clip(task: str, seed: int, root: Path, folder: Path) -> float:
    """Let open_clip train and import what it has learnt as a run; return the CPU seconds."""
    config = TASKS[task]
    tokenizer = build_tokenizer(config.tokenizer, [])
    state = config.model.build(tokenizer.vocab_size).state_dict()
    # For its config alone: the weights are replaced by those that open_clip makes.
    theirs = folder.with_name(f"{folder.name}-model")
    write(PortableModel(config=config.model, state=state, tokenizer=tokenizer), theirs)
    assert (theirs / CONFIG).is_file()
    dataset = open_dataset(root / task / "train")
    settings = {
        "seed": seed,
        "batch_size": config.data.batch_size,
        "num_epochs": config.num_epochs,
        "precision": {"float32": "fp32", "bfloat16": "amp_bf16"}[config.precision],
        "lr": config.optim.peak_lr,
        **{name: getattr(config.optim, name) for name in ("num_warmup_steps", "weight_decay")},
        **{name: getattr(config.optim, name) for name in ("beta1", "beta2", "eps")},
    }
    command = [str(PEERS), "-W", "ignore", "-m", "tests.bench.peer_open_clip_learning"]
    request = [tars(dataset.root, dataset.manifest), str(theirs), json.dumps(settings)]
    done = subprocess.run([*command, *request], stdout=subprocess.PIPE, text=True, check=True, cwd=ROOT)
    Import(model=theirs, run=folder, clip_vocab=config.tokenizer.clip_vocab).import_()
    return float(json.loads(done.stdout.splitlines()[-1]))


def compared(name: str, ours: list[float], theirs: list[float]) -> dict[str, Any]:
    """Return means and deviations of one figure, in percent, and whether ours is within noise or better."""
    error = math.sqrt((statistics.variance(ours) + statistics.variance(theirs)) / len(ours))
    means = statistics.mean(ours), statistics.mean(theirs)
    return {
        f"{name}_ours": round(100 * means[0], 2),
        f"{name}_theirs": round(100 * means[1], 2),
        f"{name}_ours_sd": round(100 * statistics.stdev(ours), 2),
        f"{name}_theirs_sd": round(100 * statistics.stdev(theirs), 2),
        f"{name}_within_noise": means[0] >= means[1] - 2 * error,
    }


def main(root: Path) -> None:
    """Train what has not been trained, compare and print."""
    result: dict[str, Any] = {}
    for task in TASKS:
        make_data(task, root / task)
        runs: dict[str, list[dict[str, Any]]] = {"ours": [], "open_clip": []}
        for seed in SEEDS:
            for whose, done in runs.items():
                done.append(learn(whose, task, seed, root))
        for name in runs["ours"][0]["found"]:
            ours, theirs = ([each["found"][name] for each in done] for done in runs.values())
            result |= compared(name, ours, theirs)
        for whose, done in runs.items():
            result[f"{task}_cpu_s_{whose}"] = round(statistics.mean(each["cpu_s"] for each in done))
    result["within_noise"] = all(value for name, value in result.items() if name.endswith("_within_noise"))
    print(json.dumps(result))


if __name__ == "__main__":
    where = Path(sys.argv[1]).resolve() if sys.argv[1:] else FOLDER
    if sys.argv[2:]:
        print(json.dumps(run(sys.argv[2], sys.argv[3], int(sys.argv[4]), where)))
    else:
        main(where)
