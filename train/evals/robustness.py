"""Robustness to natural distribution shift (CLIP, sec. 3.3; Taori et al., 2020).

Accuracies of reference models, on a standard test set and on a shifted one, lie on a line once both are
logits. What a model has beyond the line at its own standard accuracy is its effective robustness.
"""

import json
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

from manifests.places import Place
from train.evals.published import read_table
from train.trained import TrainedModel

NUM_RESAMPLES = 10_000
REFERENCE = Path(__file__).with_name("published") / "reference_models.csv"
Floats = NDArray[np.float64]


@dataclass(frozen=True, kw_only=True)
class Line:
    """logit(shifted accuracy) = slope x logit(standard accuracy) + intercept."""

    slope: float
    intercept: float

    def shifted(self, standard: ArrayLike) -> Floats:
        """Return the accuracies on the shifted set that go with accuracies on the standard one."""
        return np.asarray(1 / (1 + np.exp(-(self.slope * logit(standard) + self.intercept))))


@dataclass(frozen=True, kw_only=True)
class Accuracy:
    """The mean of shares of pictures that were classified rightly: usually of one."""

    num_right: tuple[int, ...]
    num_pictures: tuple[int, ...]

    def value(self) -> float:
        """Return the accuracy."""
        return float(np.mean(self._shares()))

    def draws(self, random: np.random.Generator, num: int) -> Floats:
        """Return (num,) accuracies of bootstrap samples of the pictures, none of them 0 or 1."""
        sizes = np.array(self.num_pictures)
        drawn = random.binomial(sizes, self._shares(), size=(num, len(sizes)))
        means: Floats = (np.clip(drawn, 0.5, sizes - 0.5) / sizes).mean(axis=1)
        return means

    def _shares(self) -> Floats:
        return np.asarray(np.array(self.num_right) / np.array(self.num_pictures), np.float64)


@dataclass(frozen=True, kw_only=True)
class Robustness:
    """Effective robustness of a run by its earlier results, against published reference models.

    Example: python -m train eval robustness --run runs/clip --name shifts
    --pairs imagenetv2=imagenet:v2 imagenet_a=imagenet_a_classes:a imagenet_vid=vid_classes:pm0+pm10

    SHIFT=STANDARD:SHIFTED are a shift of the reference table and the names of two results of
    `eval zero_shot` in the run; A+B is the mean of two. The standard one must be on the shift's classes
    alone: `eval zero_shot --only-classes`.
    """

    run: Path  # its newest checkpoint is evaluated
    name: str  # of the result: RUN/evals/robustness-<name>.json
    pairs: tuple[str, ...]  # SHIFT=STANDARD:SHIFTED
    baseline: Path | None = None  # another run with the same results: relative robustness is against it
    reference: Place = REFERENCE  # CSV: shift, model, standard_percent, shifted_percent, source

    def evaluate(self, trained: TrainedModel) -> dict[str, Any]:
        """Return each shift's figures. Raises ValueError where results or reference models are missing."""
        shifts = {}
        for pair in self.pairs:
            shift, names = _parse(pair)
            models = reference_models(self.reference, shift)
            standard, shifted = (_accuracy(self.run, name, trained.step) for name in names)
            result = effective_robustness(models, standard, shifted)
            if self.baseline is not None:
                result["relative"] = shifted.value() - _accuracy(self.baseline, names[1]).value()
            shifts[shift] = result | {"sources": sorted({row["source"] for row in models})}
        mean = float(np.mean([result["effective"] for result in shifts.values()]))
        return {"shifts": shifts, "mean_effective": mean}

    def summary(self, result: dict[str, Any]) -> str:
        """Return the effective robustness of every shift in points, as one line."""
        parts = [f"{name} {100 * shift['effective']:+.1f}" for name, shift in result["shifts"].items()]
        return f"{self.name}: effective robustness in points: {', '.join(parts)}"


def logit(share: ArrayLike) -> Floats:
    """Return ln(p / (1 - p))."""
    return np.log(np.asarray(share, np.float64)) - np.log1p(-np.asarray(share, np.float64))


def fit_line(standard: ArrayLike, shifted: ArrayLike) -> Line:
    """Return the least-squares line through the logits of reference models' accuracies, in (0, 1)."""
    x, y = logit(standard), logit(shifted)
    slope = float(((x - x.mean()) * (y - y.mean())).sum() / ((x - x.mean()) ** 2).sum())
    return Line(slope=slope, intercept=float(y.mean() - slope * x.mean()))


def effective_robustness(
    models: Sequence[dict[str, str]], standard: Accuracy, shifted: Accuracy
) -> dict[str, Any]:
    """Return a model's accuracies, what the line of the reference models expects, and what is beyond it.

    The interval of 95 % is of bootstrap samples of the model's pictures and of the reference models.
    """
    x = np.array([float(row["standard_percent"]) for row in models]) / 100
    y = np.array([float(row["shifted_percent"]) for row in models]) / 100
    line, random = fit_line(x, y), np.random.default_rng(0)
    own_x = standard.draws(random, NUM_RESAMPLES)
    own_y = shifted.draws(random, NUM_RESAMPLES)
    lines = _lines(x, y, random.integers(0, len(x), (NUM_RESAMPLES, len(x))))
    drawn = own_y - 1 / (1 + np.exp(-(lines[0] * logit(own_x) + lines[1])))
    low, high = np.nanquantile(drawn, [0.025, 0.975])
    expected = float(line.shifted(np.clip(standard.value(), 1e-6, 1 - 1e-6)))
    return {
        "standard": standard.value(),
        "shifted": shifted.value(),
        "expected": expected,
        "effective": shifted.value() - expected,
        "effective_interval": [float(low), float(high)],
        "slope": line.slope,
        "intercept": line.intercept,
        "num_reference_models": len(models),
        "reference": [[float(a), float(b)] for a, b in zip(x, y, strict=True)],
    }


def reference_models(path: Path, shift: str) -> list[dict[str, str]]:
    """Return the reference models of a shift. Raises ValueError for fewer than three, or impossible ones."""
    rows = read_table(path)
    known = sorted({row["shift"] for row in rows})
    found = [row for row in rows if row["shift"] == shift]
    if len(found) < 3:
        raise ValueError(
            f"{len(found)} reference models for {shift!r} in {path}, a line needs 3; known: "
            f"{', '.join(known)}. Next: pass --reference FILE with more"
        )
    for row in found:
        if not all(0 < float(row[name]) < 100 for name in ("standard_percent", "shifted_percent")):
            raise ValueError(f"{path}: {row['model']} on {shift} is not between 0 and 100 %")
    return found


def _lines(x: Floats, y: Floats, rows: NDArray[np.int64]) -> tuple[Floats, Floats]:
    """Return slopes and intercepts of the lines through rows (B, N) of the points; NaN for equal points."""
    u, v = logit(x)[rows], logit(y)[rows]
    u_mean, v_mean = u.mean(axis=1, keepdims=True), v.mean(axis=1, keepdims=True)
    spread = ((u - u_mean) ** 2).sum(axis=1)
    slope = ((u - u_mean) * (v - v_mean)).sum(axis=1) / np.where(spread > 1e-12, spread, np.nan)
    return slope, v_mean[:, 0] - slope * u_mean[:, 0]


def _parse(pair: str) -> tuple[str, tuple[str, str]]:
    shift, _, names = pair.partition("=")
    standard, _, shifted = names.partition(":")
    if not (shift and standard and shifted):
        raise ValueError(f"{pair!r} is no pair. Next: --pairs SHIFT=STANDARD:SHIFTED, names of two results")
    return shift, (standard, shifted)


def _accuracy(run: Path, names: str, step: int | None = None) -> Accuracy:
    """Return the accuracy of a result of a run, or the mean of several that are joined by +."""
    results = [_result(run, name, step) for name in names.split("+")]
    return Accuracy(
        num_right=tuple(round(result["top1"] * result["num_pictures"]) for result in results),
        num_pictures=tuple(result["num_pictures"] for result in results),
    )


def _result(run: Path, name: str, step: int | None) -> dict[str, Any]:
    path = run / "evals" / f"zero_shot-{name}.json"
    if not path.exists():
        raise ValueError(
            f"no result {path}. Next: python -m train eval zero_shot --run {run} --name {name} --data DIR"
        )
    result: dict[str, Any] = json.loads(path.read_text(encoding="utf-8"))
    if step is not None and result["step"] != step:
        raise ValueError(
            f"{path} is of step {result['step']}, the checkpoint of {step}. Next: evaluate again"
        )
    return result
