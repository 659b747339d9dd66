"""Where people watch the scalars of a run: TensorBoard, and Weights & Biases where a run asks for it."""

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from torch.utils.tensorboard import SummaryWriter

from train.wandb_run import WandbRun


class Boards:
    """The boards of a run from `first_step` on; TensorBoard forgets what a killed run said of later ones."""

    def __init__(
        self, run_dir: Path, *, first_step: int, config: Mapping[str, Any], wandb_project: str | None = None
    ) -> None:
        self._tensorboard = SummaryWriter(str(run_dir / "tensorboard"), purge_step=first_step + 1)
        self._wandb = WandbRun(run_dir, wandb_project, config) if wandb_project else None

    def scalars(self, step: int, values: Mapping[str, Any]) -> None:
        """Show those of the values that are measures; counts are left out."""
        measures = {name: value for name, value in values.items() if isinstance(value, float)}
        for name, value in measures.items():
            self._tensorboard.add_scalar(name, value, step)
        if self._wandb:
            self._wandb.scalars(step, measures)

    def close(self) -> None:
        """Send or write what is left; again does nothing."""
        self._tensorboard.close()
        if self._wandb:
            self._wandb.close()
