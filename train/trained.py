"""A trained model as the evaluations see it: pictures and captions in, features of unit length out."""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch
import torch.nn.functional as F
from numpy.typing import NDArray
from torch import Tensor

from train.checkpoint import Weights, load_checkpoint
from train.models import model_from_json
from train.models.clip import Clip
from train.tokenizer import Tokenizer, encode, load_tokenizer
from train.transforms import normalise, stack


@dataclass(frozen=True, kw_only=True)
class TrainedModel:
    """A model after `step` steps with its tokenizer, in float32."""

    step: int
    model: Clip
    tokenizer: Tokenizer
    image_side_px: int
    context_length: int
    device: torch.device

    @torch.inference_mode()
    def image_features(self, pictures: list[NDArray[np.uint8]]) -> Tensor:
        """Return (B, embed_dim) of unit length, on the CPU, of pictures (S, S, 3)."""
        images = normalise(stack(pictures), self.device)
        return F.normalize(self.model.encode_image(images), dim=-1).cpu()

    @torch.inference_mode()
    def text_features(self, captions: Sequence[str]) -> Tensor:
        """Return (B, embed_dim) of unit length, on the CPU."""
        tokens = encode(self.tokenizer, captions, self.context_length).to(self.device)
        return F.normalize(self.model.encode_text(tokens), dim=-1).cpu()

    def logit_scale(self) -> float:
        """Return what cosines are multiplied with before a softmax."""
        return self.model.logit_scale.exp().item()


def load_trained(run_dir: Path, weights: Weights | None = None) -> TrainedModel:
    """Return the newest checkpoint of a run, ready to use: its averaged weights where it keeps them, unless
    `weights` says which. Raises ValueError where there is none.
    """
    checkpoint = load_checkpoint(run_dir)
    if checkpoint is None:
        raise ValueError(
            f"{run_dir} holds no checkpoint. Next: python -m train fit demo --data DIR --run {run_dir}"
        )
    config = model_from_json(checkpoint.config["model"])
    tokenizer = load_tokenizer(checkpoint.tokenizer_kind, checkpoint.tokenizer_state)
    device = torch.device("cuda" if torch.cuda.is_available() else "cpu")
    model = config.build(tokenizer.vocab_size)
    model.load_state_dict(checkpoint.weights(weights))
    return TrainedModel(
        step=checkpoint.step,
        model=model.to(device).eval(),
        tokenizer=tokenizer,
        image_side_px=config.image_side_px,
        context_length=config.context_length,
        device=device,
    )
