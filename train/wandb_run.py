"""A run at Weights & Biases, where it asks for that. Nothing of the package is touched before.

Its id stands in RUN/wandb-id, so that a resumed run goes on there, too. W&B's own variables (WANDB_MODE,
WANDB_API_KEY, ...) say how and to whom it speaks.
"""

import importlib
import importlib.util
import secrets
from collections.abc import Mapping
from pathlib import Path
from typing import Any


def require_wandb(project: str | None) -> None:
    """Raise ValueError where a run asks for W&B and its package is not there."""
    if project and importlib.util.find_spec("wandb") is None:
        raise ValueError(
            f"wandb_project is {project}, but there is no package wandb. "
            "Next: pip install 'openwit[wandb]', or leave out --wandb-project"
        )


class WandbRun:
    """Begins a run, or goes on with it, in a project."""

    def __init__(self, run_dir: Path, project: str, config: Mapping[str, Any]) -> None:
        path = run_dir / "wandb-id"
        if not path.is_file():
            path.write_text(f"{secrets.token_hex(8)}\n", encoding="utf-8")
        self._run = importlib.import_module("wandb").init(
            project=project,
            id=path.read_text(encoding="utf-8").strip(),
            name=run_dir.resolve().name,
            dir=run_dir,
            config=dict(config),
            resume="allow",
        )
        # Its own count of steps would refuse those that a resumed run takes again.
        self._run.define_metric("*", step_metric="step")

    def scalars(self, step: int, values: Mapping[str, float]) -> None:
        """Log the values of a step."""
        self._run.log(dict(values) | {"step": step})

    def close(self) -> None:
        """Send what is left, or write it where W&B is offline."""
        self._run.finish()
