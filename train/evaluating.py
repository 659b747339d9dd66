"""Evaluations while a run goes on, by its weights and by their averages; it learns nothing from them.

All processes evaluate together. The weights are copied into a plain model first, in float32 as `train eval`
has them, so that both say the same of the same step, and nothing of the training is touched.
"""

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from manifests.storage import location
from train.checkpoint import Weights
from train.config import EvalsConfig, TrainConfig
from train.data import PairReader
from train.evals import Evaluation
from train.parallel import whole
from train.state import TrainState
from train.trained import TrainedModel

# What of an evaluation's result is a measure that a curve can be drawn of; a dict holds several.
MEASURES = ("value", "top1", "top5", "image_to_text", "text_to_image")


class Evaluations:
    """Those that a config asks for. Raises ValueError for data that are not there."""

    def __init__(self, config: TrainConfig, state: TrainState, reader: PairReader, run_dir: Path) -> None:
        self._config, self._state, self._reader = config, state, reader
        self._evaluations = list(_evaluations(config.evals, run_dir))
        self._num_steps = reader.num_steps(config.num_epochs)

    def due(self, step: int) -> bool:
        """Return whether there is something to evaluate after so many steps: before the first, at the end,
        and every so many steps, or as soon as the next batch would end in another epoch."""
        if not self._evaluations:
            return False
        if step in (0, self._num_steps):
            return True
        every_steps = self._config.evals.every_steps
        if every_steps is not None:
            return step % every_steps == 0
        return self._reader.epoch_of(step) != self._reader.epoch_of(step - 1)

    def measure(self) -> Iterator[tuple[dict[str, float], str]]:
        """Yield the measures of each evaluation by name, such as zero_shot/objects/top1, those of averaged
        weights with _averaged at the end, and what it says in a line. All processes must ask."""
        trained = {"": evaluated(self._state, self._config, "model")}
        if self._state.ema:
            trained["_averaged"] = evaluated(self._state, self._config, "averaged")
        for end, model in trained.items():
            for kind, evaluation in self._evaluations:
                result = evaluation.evaluate(model)
                measures = _measures(result)
                named = {f"{kind}/{evaluation.name}/{name}{end}": value for name, value in measures}
                yield named, f"{evaluation.summary(result)}{' (averaged weights)' if end else ''}"


def evaluated(state: TrainState, config: TrainConfig, weights: Weights) -> TrainedModel:
    """Return a run's model as `load_trained` would from a checkpoint of now. All processes must ask."""
    with torch.device("meta"):  # which draws no random numbers
        model = config.model.build(state.tokenizer.vocab_size)
    now = dict(state.model.state_dict())
    if weights == "averaged":
        assert state.ema
        now |= state.ema.state()
    model.load_state_dict({name: _plain(value) for name, value in now.items()}, assign=True)
    return TrainedModel(
        step=state.step,
        model=model.eval(),
        tokenizer=state.tokenizer,
        image_side_px=config.model.image_side_px,
        context_length=config.model.context_length,
        device=state.device,
    )


def _plain(value: Tensor) -> Tensor:
    value = whole(value.detach())
    return value.float() if value.is_floating_point() else value


def _evaluations(config: EvalsConfig, run: Path) -> Iterator[tuple[str, Evaluation]]:
    if config.zero_shot or config.datasets:
        yield from _zero_shot(config, run)
    if config.retrieval:
        from train.evals.retrieval import Retrieval

        for name, data in _places("retrieval", config.retrieval):
            yield "retrieval", Retrieval(run=run, data=data, name=name)


def _zero_shot(config: EvalsConfig, run: Path) -> Iterator[tuple[str, Evaluation]]:
    from train.evals.zero_shot import ZeroShot

    for name, data in _places("zero_shot", config.zero_shot):
        yield "zero_shot", ZeroShot(run=run, data=data, name=name, templates=config.templates)
    for name, data in _places("datasets", config.datasets):
        evaluation = ZeroShot(run=run, data=data, name=name, dataset=name, templates=config.templates)
        yield "zero_shot", evaluation


def _places(kind: str, entries: tuple[str, ...]) -> Iterator[tuple[str, Path]]:
    for entry in entries:
        name, _, place = entry.partition("=")
        if not location(place).exists():
            raise ValueError(f"evals.{kind} {name}: there is nothing at {place}. Next: give another place")
        yield name, location(place)


def _measures(result: dict[str, Any]) -> Iterator[tuple[str, float]]:
    from train.evals.metrics import Metric  # scipy's statistics, which no other run waits for

    for name in (name for name in MEASURES if name in result):
        value = result[name]
        if isinstance(value, dict):
            yield from ((f"{name}/{part}", float(number)) for part, number in value.items())
        elif name != "value" or result["metric"] != Metric.ACCURACY:  # which is that of top 1
            yield name, float(value)
