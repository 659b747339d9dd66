"""Scores of pictures by a model in ONNX: how a picture is fed to it, and which number of its answer counts.

A model comes with a description, a JSON file beside it, which says how it wants to be fed:

    {"name": "nsfw", "path": "nsfw.onnx", "side_px": 224, "mean": [0.485, 0.456, 0.406],
     "std": [0.229, 0.224, 0.225], "activation": "softmax", "index": 1}

Only `name` and `path` must be there. Limits are the build's and stand elsewhere.
"""

import hashlib
import io
import json
from collections.abc import Sequence
from dataclasses import dataclass, fields
from functools import lru_cache
from pathlib import Path
from typing import Any, Literal, NoReturn

import msgspec
import numpy as np
from numpy.typing import NDArray
from PIL import Image

PICTURES_PER_BATCH = 16
BICUBIC = Image.Resampling.BICUBIC


@dataclass(frozen=True, kw_only=True)
class OnnxScorer:
    """One score of a picture: a model, how it is fed, and which of its numbers is the score."""

    name: str
    """Of the score."""
    path: str
    """The model, an .onnx file; relative to its description."""
    sha256: str = ""
    """Of the model: another one under the same path is refused."""
    side_px: int = 224
    """The model takes squares of this side."""
    resize: Literal["center_crop", "stretch", "pad"] = "center_crop"
    """center_crop: the shorter side becomes side_px, the rest is cut off. stretch: both become side_px.
    pad: the longer one does, and black fills the square."""
    channels: Literal["rgb", "bgr"] = "rgb"
    mean: tuple[float, float, float] = (0.0, 0.0, 0.0)
    """Of the channels in their order; taken off values from 0 to 1."""
    std: tuple[float, float, float] = (1.0, 1.0, 1.0)
    """Values are then divided by it: 1/255 of each gives values from 0 to 255."""
    activation: Literal["none", "sigmoid", "softmax"] = "none"
    """What the model's numbers go through."""
    index: int = 0
    """Which of the numbers of the model's first output is the score."""

    def __post_init__(self) -> None:
        for holds, rule in (
            (self.side_px >= 1, f"side_px must be >= 1, not {self.side_px}"),
            (min(self.std) > 0, f"std must be > 0, not {self.std}"),
            (self.index >= 0, f"index must be >= 0, not {self.index}"),
        ):
            if not holds:
                raise ValueError(f"score {self.name}: {rule}. Next: correct the description of {self.path}")


def read_scorer(description: Path) -> OnnxScorer:
    """Return the scorer of a description, with its model's hash. Raises ValueError for what is none."""
    try:
        values = json.loads(description.read_bytes())
        unknown = sorted(set(values) - {field.name for field in fields(OnnxScorer)})
        if unknown:
            raise ValueError(f"unknown fields {', '.join(unknown)}")
        path = description.parent / values["path"]
        sha256 = hashlib.sha256(path.read_bytes()).hexdigest()
        if values.setdefault("sha256", sha256) != sha256:
            raise ValueError(f"{path} has another sha256 than the description says")
        return msgspec.convert(values | {"path": str(path)}, OnnxScorer)
    except (OSError, ValueError, TypeError, KeyError) as error:
        example = '{"name": "nsfw", "path": "nsfw.onnx", "side_px": 224}'
        raise ValueError(
            f"{description} is no description of a model ({error}). Next: write {example}"
        ) from error


def open_picture(data: bytes) -> Image.Image | None:
    """Return a stored picture in RGB; None where it cannot be decoded."""
    try:
        with Image.open(io.BytesIO(data)) as image:
            return image.convert("RGB")
    except (OSError, SyntaxError, ValueError, Image.DecompressionBombError):
        return None


def prepare(picture: Image.Image, scorer: OnnxScorer) -> NDArray[np.float32]:
    """Return float32 (side, side, 3) of a picture in RGB, as the scorer's model wants it."""
    pixels = np.asarray(_square(picture, scorer), dtype=np.float32) / np.float32(255)
    ordered = pixels if scorer.channels == "rgb" else pixels[:, :, ::-1]
    mean: NDArray[np.float32] = np.array(scorer.mean, np.float32)
    std: NDArray[np.float32] = np.array(scorer.std, np.float32)
    prepared: NDArray[np.float32] = (ordered - mean) / std
    return prepared


def _square(picture: Image.Image, scorer: OnnxScorer) -> Image.Image:
    side = scorer.side_px
    if scorer.resize == "stretch":
        return picture.resize((side, side), BICUBIC)
    whole = max(picture.size) if scorer.resize == "pad" else min(picture.size)
    size = [max(1, round(length * side / whole)) for length in picture.size]
    resized = picture.resize((size[0], size[1]), BICUBIC)
    # Beyond its edge a crop is black, which is what fills a square.
    x, y = ((length - side) // 2 for length in size)
    return resized.crop((x, y, x + side, y + side))


def measure(scorer: OnnxScorer, pictures: Sequence[Image.Image]) -> list[float]:
    """Return the scores of pictures in RGB. In one thread and in batches of one size, so that equal pictures
    in equal order have equal scores. Raises ValueError where the model cannot be used so."""
    model = load_model(scorer)
    scores: list[float] = []
    for start in range(0, len(pictures), model.batch_size):
        batch = pictures[start : start + model.batch_size]
        prepared = np.stack([prepare(picture, scorer) for picture in batch])
        scores += model.run(prepared)[: len(batch)].tolist()
    return scores


def check_scorer(scorer: OnnxScorer) -> None:
    """Raise ValueError where a scorer cannot be used, before anything is spent."""
    measure(scorer, [Image.new("RGB", (scorer.side_px, scorer.side_px))])


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
