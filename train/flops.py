"""What a sample costs in floating-point operations: matrix products and convolutions, two for each multiply
and add; norms and activations are not counted, attention is counted whole also where it is causal.
"""

import torch
from torch.utils.flop_counter import FlopCounterMode

from train.config import ModelConfig
from train.models.vit import set_patch_dropout

# Of a step against a forward pass: the backward pass computes gradients of inputs and of weights.
TRAINING = 3
_VOCAB_SIZE = 8  # the embedding is looked up, which costs no products


class SampleFlops:
    """The operations of one (picture, caption) of an architecture, forward, as training takes them."""

    def __init__(self, config: ModelConfig, patch_dropout: float = 0.0) -> None:
        with torch.device("meta"), FlopCounterMode(display=False) as counted:
            self._model = config.build(_VOCAB_SIZE)
            set_patch_dropout(self._model, patch_dropout)
            # Of two: batch norm learns nothing from one picture that ends as a single place, and refuses it.
            self._model.encode_image(torch.empty(2, 3, config.image_side_px, config.image_side_px))
        self.image: int = counted.get_total_flops() // 2
        self._of_text: dict[int, int] = {}

    def text(self, num_tokens: int) -> int:
        """Return the operations of a caption of so many tokens, as the batch has it: padded or trimmed."""
        if num_tokens not in self._of_text:
            tokens = torch.empty(1, num_tokens, dtype=torch.int64, device="meta")
            with FlopCounterMode(display=False) as counted:
                self._model.encode_text(tokens)
            self._of_text[num_tokens] = counted.get_total_flops()
        return self._of_text[num_tokens]

    def training(self, num_tokens: int) -> int:
        """Return the operations of forward and backward pass."""
        return TRAINING * (self.image + self.text(num_tokens))
