"""A trained model as the evaluations see it: pictures and captions in, features of unit length out."""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch
import torch.nn.functional as F
from numpy.typing import NDArray
from torch import Tensor

from train.checkpoint import Weights, newest_checkpoint, read_checkpoint, sha256_of_checkpoint
from train.distributed import local_rank
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
    fingerprint: str | None = None  # of the checkpoint and of which of its weights; None: it is of no file

    @torch.inference_mode()
    def image_features(self, pictures: list[NDArray[np.uint8]]) -> Tensor:
        """Return (B, embed_dim) of unit length, on the CPU, of pictures (S, S, 3)."""
        images = normalise(stack(pictures), self.device)
        return F.normalize(self.model.encode_image(images), dim=-1).cpu()

    @torch.inference_mode()
    def both_features(self, pictures: list[NDArray[np.uint8]]) -> tuple[Tensor, Tensor]:
        """Return what `image_features` does, and the features (B, width) before the projection, of any
        length: what a linear probe takes."""
        image, hidden = self.model.encode_image_twice(normalise(stack(pictures), self.device))
        return F.normalize(image, dim=-1).cpu(), hidden.cpu()

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
    path = newest_checkpoint(run_dir)
    if path is None:
        raise ValueError(
            f"{run_dir} holds no checkpoint. Next: python -m train fit demo --data DIR --run {run_dir}"
        )
    checkpoint = read_checkpoint(path)
    config = model_from_json(checkpoint.config["model"])
    tokenizer = load_tokenizer(checkpoint.tokenizer_kind, checkpoint.tokenizer_state)
    device = torch.device(f"cuda:{local_rank()}" if torch.cuda.is_available() else "cpu")
    model = config.build(tokenizer.vocab_size)
    model.load_state_dict(checkpoint.weights(weights))
    return TrainedModel(
        step=checkpoint.step,
        model=model.to(device).eval(),
        tokenizer=tokenizer,
        image_side_px=config.image_side_px,
        context_length=config.context_length,
        device=device,
        fingerprint=f"{sha256_of_checkpoint(path)} {weights or 'averaged if there'}",
    )
