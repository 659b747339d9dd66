"""Models in ONNX, loaded once a process: prepared pictures in, numbers out. The one place of onnxruntime."""

import hashlib
from functools import lru_cache
from pathlib import Path
from typing import Any, NoReturn

import numpy as np
from numpy.typing import NDArray

from filters.scorers import OnnxScorer

PICTURES_PER_BATCH = 16


class Model:
    """A model that is loaded."""

    def __init__(self, scorer: OnnxScorer, runtime: Any, errors: tuple[type[Exception], ...]) -> None:
        options = runtime.SessionOptions()
        options.intra_op_num_threads = options.inter_op_num_threads = 1
        options.log_severity_level = 3
        data = Path(scorer.path).read_bytes()
        if scorer.sha256 and hashlib.sha256(data).hexdigest() != scorer.sha256:
            raise ValueError(f"score {scorer.name}: {scorer.path} is another model now. Next: put it back")
        self._session = runtime.InferenceSession(data, options, providers=["CPUExecutionProvider"])
        self._scorer, self._errors = scorer, errors
        self._input = self._session.get_inputs()[0]
        shape, side = self._input.shape, scorer.side_px
        if self._input.type != "tensor(float)" or len(shape) != 4:
            self._refuse(f"it takes {self._input.type} {shape}, must be tensor(float) of four sides")
        self._channels_last = shape[3] == 3 and shape[1] != 3
        sides = shape[1:3] if self._channels_last else shape[2:4]
        if any(isinstance(length, int) and length != side for length in sides):
            self._refuse(f"it takes {sides} pixels, side_px is {side}")
        self.batch_size = shape[0] if isinstance(shape[0], int) else PICTURES_PER_BATCH

    def run(self, prepared: NDArray[np.float32]) -> NDArray[np.float32]:
        """Return float32 (batch_size,): the scores of (B, side, side, 3), those beyond B of nothing."""
        # A batch of another size may be computed in another way, with other last digits.
        missing = self.batch_size - len(prepared)
        whole = np.pad(prepared, ((0, missing), (0, 0), (0, 0), (0, 0)))
        batch = whole if self._channels_last else np.ascontiguousarray(whole.transpose(0, 3, 1, 2))
        try:
            first = self._session.run(None, {self._input.name: batch})[0]
        except self._errors as error:
            self._refuse(f"it cannot take {batch.shape} ({_first_line(error)})")
        output = np.asarray(first, dtype=np.float32)
        if output.size % len(batch) or output.shape[:1] != (len(batch),):
            self._refuse(f"its first output is {output.shape} for {len(batch)} pictures")
        numbers = output.reshape(len(batch), -1)
        if self._scorer.index >= numbers.shape[1]:
            self._refuse(f"it gives {numbers.shape[1]} numbers a picture, index is {self._scorer.index}")
        scores: NDArray[np.float32] = activate(numbers, self._scorer.activation)[:, self._scorer.index]
        return scores

    def _refuse(self, problem: str) -> NoReturn:
        raise ValueError(f"score {self._scorer.name}: {problem}. Next: correct its description")


def activate(numbers: NDArray[np.float32], activation: str) -> NDArray[np.float32]:
    """Return float32 (B, N): the numbers of each picture after their activation."""
    if activation == "sigmoid":
        return np.float32(0.5) * (1 + np.tanh(numbers / 2))  # its equal that cannot overflow
    if activation == "softmax":
        with np.errstate(invalid="ignore"):  # of what is infinite: no number, and so no score
            exponents = np.exp(numbers - numbers.max(axis=1, keepdims=True))
        shares: NDArray[np.float32] = exponents / exponents.sum(axis=1, keepdims=True)
        return shares
    return numbers


@lru_cache(maxsize=8)
def load_model(scorer: OnnxScorer) -> Model:
    """Return a scorer's model, loaded once a process. Raises ValueError where it cannot be."""
    try:
        import onnxruntime as runtime
        from onnxruntime.capi import onnxruntime_pybind11_state as state
    except ModuleNotFoundError as error:
        raise ValueError("scores need onnxruntime. Next: pip install 'openwit[onnx]'") from error
    # Its errors have no other parent than Exception.
    known = [kind for kind in vars(state).values() if isinstance(kind, type)]
    errors = tuple(kind for kind in known if issubclass(kind, Exception))
    try:
        return Model(scorer, runtime, errors)
    except (OSError, *errors) as error:  # type: ignore[misc]  # a tuple that is made above
        problem = f"{scorer.path} is no model ({_first_line(error)})"
        raise ValueError(f"score {scorer.name}: {problem}. Next: look at it") from error


def _first_line(error: Exception) -> str:
    return str(error).strip().partition("\n")[0]
