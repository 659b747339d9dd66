"""The sweep of a linear probe over all 96 steps of strength (97 strengths), on CIFAR-10's features of a model
trained here, against scikit-learn's LogisticRegression(max_iter=1000). CPU time, one thread.

Ours solves all strengths. scikit-learn, which takes much longer, solves the seven that the paper's search
begins with, one every two decades; its sweep is the mean of these times 97. It gets float32, with which it
is twice as quick as with float64. Accuracies are compared at these seven, twice: with scikit-learn's L-BFGS
as it was timed, which stops at a slope of 1e-4, and with the optimum, by its Newton-Cholesky in float64.

    python -m tests.bench.probe [RUN] [PICTURES]     as `make real` leaves them; PICTURES/{train,test}/<class>
"""

import json
import sys
import time
import warnings
from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import TypeVar

import numpy as np
import sklearn
import torch
from sklearn.exceptions import ConvergenceWarning
from sklearn.linear_model import LogisticRegression
from threadpoolctl import threadpool_limits  # type: ignore[import-untyped]

from train.evals.features import CACHE, features_of
from train.evals.labelled import open_labelled
from train.evals.logistic import Logistic
from train.evals.strengths import STRENGTHS
from train.trained import load_trained

SAMPLED = range(0, len(STRENGTHS), 16)
Result = TypeVar("Result")


def main(run: Path, pictures: Path) -> None:
    """Print what each takes, and one JSON object."""
    trained = load_trained(run)
    parts = [
        features_of(trained, open_labelled(pictures / split, None), run / CACHE)
        for split in ("train", "test")
    ]
    (features, labels), (unseen, truth) = ((np.array(part.hidden), np.array(part.labels)) for part in parts)
    num_classes = int(labels.max()) + 1
    torch.set_num_threads(1)
    with threadpool_limits(1):
        own_s, found = timed(lambda: Logistic(features, labels, num_classes).fit(STRENGTHS))
        accuracies = found.accuracies(unseen, truth)
        theirs_s, as_timed, optimum = [], [], []
        for place in SAMPLED:
            seconds, theirs = timed(partial(sklearns, place, features, labels))
            exact = LogisticRegression(C=1 / STRENGTHS[place], solver="newton-cholesky", tol=1e-8)
            exact.fit(features.astype(np.float64), labels)
            right = accuracies[place]
            theirs_s.append(seconds)
            as_timed.append(abs(right - theirs.score(unseen, truth)))
            optimum.append(abs(right - exact.score(unseen, truth)))
            print(
                f"{STRENGTHS[place]:g}: scikit-learn {seconds:.1f} s, iterations {theirs.n_iter_[0]} "
                f"(ours {found.num_iterations[place]}); accuracy ours {right:.2%}, "
                f"gap {100 * as_timed[-1]:.2f} points, to the optimum {100 * optimum[-1]:.2f}",
                flush=True,
            )
    sweep_s = float(np.mean(theirs_s)) * len(STRENGTHS)
    print(
        json.dumps(
            {
                "pictures": len(labels),
                "width": features.shape[1],
                "ours_s": round(own_s, 1),
                "sklearn_s": round(sweep_s, 1),
                "sklearn_sampled": len(SAMPLED),
                "ratio": round(sweep_s / own_s, 1),
                "max_accuracy_gap": round(100 * max(optimum), 3),
                "max_accuracy_gap_as_timed": round(100 * max(as_timed), 3),
                "best_accuracy": round(100 * max(accuracies), 2),
                "sklearn": sklearn.__version__,
            }
        )
    )


def timed(work: Callable[[], Result]) -> tuple[float, Result]:
    """Return the CPU seconds of some work, and what it gives."""
    start = time.process_time()
    result = work()
    return time.process_time() - start, result


def sklearns(place: int, features: np.ndarray, labels: np.ndarray) -> LogisticRegression:
    """Return scikit-learn's classifier of a strength."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", ConvergenceWarning)  # the paper's 1,000 iterations are a limit
        return LogisticRegression(C=1 / STRENGTHS[place], max_iter=1000).fit(features, labels)


if __name__ == "__main__":
    given = [Path(argument) for argument in sys.argv[1:]]
    main(*(given or [Path("runs/real/cifar10-run"), Path("runs/real/cifar10")]))
