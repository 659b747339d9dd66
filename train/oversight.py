"""All that goes on around the steps of a run: its logs, its checkpoints, and what is done when something is
wrong with a loss, or somebody wants the machine back.

skipped.jsonl    the batches that are left out since their loss was no number or rose too far, with their keys
"""

import json
import math
import time
from contextlib import ExitStack
from pathlib import Path
from types import TracebackType
from typing import Any, Self

from torch import Tensor

from train.checkpoint import load_checkpoint
from train.checkpoint_writer import CheckpointWriter
from train.config import TrainConfig
from train.data import Batch, PairReader
from train.distributed import is_first, wait_for_all
from train.evaluating import Evaluations
from train.meter import Meter
from train.metrics import RunLog
from train.state import TrainState
from train.watch import LossGuard, Stop, StoppedError, Watchdog


class TrainingError(RuntimeError):
    """The run cannot go on; what is kept stands in the message."""


class Oversight:
    """Of a run's steps, from the state's on to `num_steps`."""

    def __init__(
        self, config: TrainConfig, state: TrainState, reader: PairReader, meter: Meter, run_dir: Path
    ) -> None:
        self.num_steps = reader.num_steps(config.num_epochs)
        self._config, self._state, self._reader, self._run_dir = config, state, reader, run_dir
        self._meter = meter
        self._evaluations = Evaluations(config, state, reader, run_dir)
        self._skipped_path = run_dir / "skipped.jsonl"
        self._skipped = {line["step"] - before for line in self._skipped_lines() for before in (0, 1)}
        self._stop = Stop(config.checkpoint_every_minutes)
        self._guard = LossGuard(config.max_loss_rise)
        minutes = config.max_step_minutes
        self._watchdog = Watchdog(None if minutes is None else 60 * minutes)
        self._open = ExitStack()

    def __enter__(self) -> Self:
        self._writer = CheckpointWriter(
            self._run_dir, self._config.num_checkpoints_kept, self._state.in_parts
        )
        self._open.callback(self._writer.close)
        self._open.enter_context(self._stop.listening())
        self._open.enter_context(self._watchdog)
        self._log = self._open.enter_context(self._new_log())
        # Before the first step, and where evaluations were asked for only after the checkpoint.
        if self._evaluations.due(self._state.step) and not self._log.is_evaluated(self._state.step):
            self._evaluate()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._open.close()

    def is_skipped(self, batch: Batch) -> bool:
        """Return whether a batch has brought a bad loss before, and is left out."""
        return batch.step + 1 in self._skipped

    def after_step(self, batch: Batch, loss: Tensor | None, lr: float) -> bool:
        """Log, check and save what is due; return False where the state went back to an earlier step.

        `loss` is None for a batch that was left out. Raises TrainingError when a loss is bad and no way back
        is left, and StoppedError, with a checkpoint written, when the run was asked to stop.
        """
        step, config = self._state.step, self._config
        self._watchdog.step()
        if loss is not None:
            self._log.batch(step, batch.keys, batch.bad_pictures)
            self._guard.take(step, loss)
        is_last = step == self.num_steps
        stop, due = self._stop.agreed()
        save = due or is_last or step % config.checkpoint_every_steps == 0
        log = is_last or step % config.log_every_steps == 0
        evaluate = self._evaluations.due(step)
        if save or log or evaluate:
            # Also before a checkpoint, so that none holds weights that are no numbers.
            if bad := self._guard.first_bad():
                self._go_back(*bad)
                return False
            if log and loss is not None:
                measured = self._measure(loss, lr)
                speed = self._meter.read()
                self._log.step(measured, speed, speed.bottleneck(config.data.num_decode_threads))
        # Before the checkpoint, with which a run goes on behind this step.
        if evaluate:
            self._evaluate()
        if save and (checkpoint := self._state.checkpoint()):
            self._writer.write(checkpoint)
        if stop:
            self._writer.wait()
            raise StoppedError(f"stopped at step {step} as asked; the same command goes on from there")
        return True

    def _evaluate(self) -> None:
        """Log what the model is worth now."""
        step, started_s = self._state.step, time.perf_counter()
        self._watchdog.step()
        metrics: dict[str, float | int] = {"step": step}
        for measures, line in self._evaluations.measure():
            metrics |= measures
            self._log.say(f"step {step}: {line}")
            self._watchdog.step()
        seconds = time.perf_counter() - started_s
        self._meter.leave_out(seconds)
        self._log.evaluation(metrics, seconds)

    def _measure(self, loss: Tensor, lr: float) -> dict[str, float | int]:
        """Return a line of metrics.jsonl."""
        step = self._state.step
        return {
            "step": step,
            "epoch": self._reader.epoch_of(step - 1),
            "num_samples": step * self._reader.batch_size,
            "loss": loss.item(),
            "lr": lr,
            "logit_scale": self._state.model.logit_scale.exp().item(),
        }

    def _go_back(self, step: int, loss: float) -> None:
        """Leave out the batch of a bad loss and the one before it, whose step may have brought it about, and
        begin again at the last checkpoint."""
        self._writer.wait()
        if len(self._skipped_lines()) >= self._config.max_rollbacks:
            what = f"is {loss}" if not math.isfinite(loss) else f"rose to {loss:.3f}"
            raise TrainingError(
                f"the loss {what} at step {step}. "
                f"Kept: the newest checkpoint in {self._run_dir / 'checkpoints'}. "
                "Next: a new run with a lower --optim.peak-lr or more --optim.num-warmup-steps, or this one "
                "with --max-rollbacks, which leaves out the batch"
            )
        wait_for_all()  # none may write before all have read
        line = {"step": step, "loss": str(loss), "keys": self._reader.keys_of(step - 1)}
        if is_first():
            with self._skipped_path.open("a", encoding="utf-8") as file:
                file.write(json.dumps(line) + "\n")
        self._skipped |= {step, step - 1}
        checkpoint = load_checkpoint(self._run_dir)
        assert checkpoint is not None
        self._state.restore(checkpoint)
        self._log.close()
        self._log = self._open.enter_context(self._new_log())

    def _skipped_lines(self) -> list[dict[str, Any]]:
        path = self._skipped_path
        lines = path.read_text(encoding="utf-8").splitlines() if path.is_file() else []
        return [json.loads(line) for line in lines]

    def _new_log(self) -> RunLog:
        return RunLog(self._run_dir, self._config, first_step=self._state.step, num_steps=self.num_steps)
