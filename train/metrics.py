"""What a run says about itself: JSONL files, boards, and the panel.

metrics.jsonl        what the run learnt, and what evaluations on its way said; a killed and resumed run
                     leaves the bytes of an undisturbed one
timing.jsonl         how long it took and where the time went, which no two runs share
bad_pictures.jsonl   the pictures that steps had to leave out
ledger.jsonl         where `ledger` asks for it: the keys that each step has learnt from, in order

Of several processes the first writes the metrics; of the last two each writes its own, as ledger-1.jsonl.
"""

import json
import resource
import time
from dataclasses import asdict
from pathlib import Path
from types import TracebackType
from typing import Any, Self

from manifests.store import write_bytes
from train.boards import Boards
from train.config import TrainConfig, to_json
from train.distributed import gather_values, is_first, rank, wait_for_all
from train.meter import Speed
from train.panel import Panel
from train.wandb_run import require_wandb

_NAMES = ("metrics", "timing", "bad_pictures", "ledger")


class RunLog:
    """Writes the logs of a run from `first_step` on; lines of later steps, left by a killed run, are
    dropped. Of several processes, all but the first log only what they alone know.
    """

    def __init__(self, run_dir: Path, config: TrainConfig, *, first_step: int, num_steps: int) -> None:
        require_wandb(config.wandb_project)
        if is_first():
            # Also those of processes that do not take part any more.
            for path in (path for name in _NAMES for path in run_dir.glob(f"{name}*.jsonl")):
                drop_lines_after(path, first_step)
        wait_for_all()
        end = ".jsonl" if is_first() else f"-{rank()}.jsonl"
        self._paths = {name: run_dir / f"{name}{end}" for name in _NAMES}
        self._boards = (
            Boards(
                run_dir,
                first_step=first_step,
                config=to_json(config),
                wandb_project=config.wandb_project,
            )
            if is_first()
            else None
        )
        self._panel = Panel(first_step=first_step, num_steps=num_steps, shown=is_first())
        self._batch_size = config.data.batch_size
        self._ledger = config.ledger
        self._last_step, self._last_s = first_step, time.perf_counter()
        self._before = _last_line(self._paths["timing"])
        self._started_s = time.perf_counter()
        self._started_cpu_s = _cpu_s()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    def close(self) -> None:
        """Write what is left; again does nothing."""
        if self._boards:
            self._boards.close()
        self._panel.close()

    def step(self, metrics: dict[str, Any], speed: Speed, bottleneck: str) -> None:
        """Log the metrics of a step, which hold `step` and `loss`, and the timing since the last one
        logged, with `speed`; show them with what holds the run up.
        """
        if not self._boards:
            return
        timing = self._timing(metrics["step"]) | asdict(speed)
        self._append("metrics", metrics)
        self._append("timing", timing)
        self._boards.scalars(metrics["step"], metrics | timing)
        self._panel.step(metrics["step"], metrics | timing, bottleneck)

    def evaluation(self, metrics: dict[str, Any], seconds: float) -> None:
        """Log what was measured at a step by evaluations, which took so long, of which no speed is made."""
        self._last_s += seconds
        if not self._boards:
            return
        self._append("metrics", metrics)
        self._boards.scalars(metrics["step"], metrics)

    def say(self, line: str) -> None:
        """Show a line to who looks at the panel."""
        self._panel.say(line)

    def is_evaluated(self, step: int) -> bool:
        """Return whether the measures of a step are logged. All processes must ask."""
        found = read_lines(self._paths["metrics"]) if self._boards else []
        known = any(line["step"] == step and "loss" not in line for line in found)
        return gather_values(known)[0]

    def batch(self, step: int, keys: tuple[str, ...], bad_pictures: tuple[str, ...]) -> None:
        """Log which pairs a step has learnt from, where that was asked for, and the pictures left out."""
        if self._ledger:
            self._append("ledger", {"step": step, "keys": keys})
        for name in bad_pictures:
            self._append("bad_pictures", {"step": step, "picture": name})
            self._panel.say(f"step {step}: left out picture {name}")

    def _timing(self, step: int) -> dict[str, Any]:
        now_s = time.perf_counter()
        samples_per_s = (step - self._last_step) * self._batch_size / (now_s - self._last_s)
        self._last_step, self._last_s = step, now_s
        # The seconds of a resumed run go on from those that its predecessor logged.
        return {
            "step": step,
            "samples_per_s": samples_per_s,
            "cpu_s": self._before.get("cpu_s", 0.0) + _cpu_s() - self._started_cpu_s,
            "wall_s": self._before.get("wall_s", 0.0) + now_s - self._started_s,
        }

    def _append(self, name: str, fields: dict[str, Any]) -> None:
        with self._paths[name].open("a", encoding="utf-8") as file:
            file.write(json.dumps(fields) + "\n")


def drop_lines_after(path: Path, step: int) -> None:
    """Cut a JSONL file to its whole lines of steps up to `step`; a file that is not there stays so."""
    if not path.is_file():
        return
    lines = path.read_text(encoding="utf-8").splitlines(keepends=True)
    kept = [line for line in lines if line.endswith("\n") and json.loads(line)["step"] <= step]
    if kept != lines:
        write_bytes(path, "".join(kept).encode())


def read_lines(path: Path) -> list[dict[str, Any]]:
    """Return the lines of a JSONL file, none where it is not there."""
    lines = path.read_text(encoding="utf-8").splitlines() if path.is_file() else []
    return [json.loads(line) for line in lines]


def _last_line(path: Path) -> dict[str, float]:
    lines = read_lines(path)
    return lines[-1] if lines else {}


def _cpu_s() -> float:
    usage = resource.getrusage(resource.RUSAGE_SELF)
    return usage.ru_utime + usage.ru_stime


def read_ledger(run_dir: Path) -> dict[int, tuple[str, ...]]:
    """Return the keys that each step has learnt from, in the order of the batch, of all processes."""
    steps: dict[int, tuple[str, ...]] = {}
    numbered = {int(path.stem.partition("-")[2] or 0): path for path in run_dir.glob("ledger*.jsonl")}
    for _, path in sorted(numbered.items()):
        for line in path.read_text(encoding="utf-8").splitlines(keepends=True):
            if not line.endswith("\n"):
                break  # being written
            fields = json.loads(line)
            steps[fields["step"]] = steps.get(fields["step"], ()) + tuple(fields["keys"])
    return steps
