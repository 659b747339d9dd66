"""The text tower: a causal transformer (CLIP, sec. 2.4). In OpenAI's state dict its parameters lie at the
top level.
"""

import torch
from torch import Tensor, nn

from train.models.transformer import LayerNorm, Transformer

# On a CPU, where a shape costs nothing: captions of a group at least, and groups of a batch at most.
_MIN_GROUP, _MAX_GROUPS = 8, 4


class TextTower(nn.Module):
    """Tokens (B, L), each row ending in end-of-text and zeros, to features (B, embed_dim), for any L <=
    context_length.

    Attention is causal and the feature is read at the end-of-text token, so what stands after it changes
    nothing: a batch may be cut to its longest caption.
    """

    def __init__(
        self,
        *,
        vocab_size: int,
        context_length: int,
        width: int,
        num_layers: int,
        num_heads: int,
        embed_dim: int,
    ) -> None:
        super().__init__()
        self.token_embedding = nn.Embedding(vocab_size, width)
        self.positional_embedding = nn.Parameter(torch.empty(context_length, width))
        self.transformer = Transformer(width, num_layers, num_heads, is_causal=True)
        self.ln_final = LayerNorm(width)
        self.text_projection = nn.Parameter(torch.empty(width, embed_dim))
        self._init_parameters(width, num_layers)

    def _init_parameters(self, width: int, num_layers: int) -> None:
        # OpenAI's CLIP.initialize_parameters: only the text tower has scaled initial weights.
        nn.init.normal_(self.token_embedding.weight, std=0.02)
        nn.init.normal_(self.positional_embedding, std=0.01)
        nn.init.normal_(self.text_projection, std=width**-0.5)
        out_std = width**-0.5 * (2 * num_layers) ** -0.5
        for name, parameter in self.transformer.named_parameters():
            if name.endswith("attn.in_proj_weight"):
                nn.init.normal_(parameter, std=width**-0.5)
            elif name.endswith(("attn.out_proj.weight", "mlp.c_proj.weight")):
                nn.init.normal_(parameter, std=out_std)
            elif name.endswith("mlp.c_fc.weight"):
                nn.init.normal_(parameter, std=(2 * width) ** -0.5)

    def encode_text(self, text: Tensor) -> Tensor:
        """Return text features (B, embed_dim), not of unit length, of tokens (B, L)."""
        num_groups = min(_MAX_GROUPS, len(text) // _MIN_GROUP) if text.device.type == "cpu" else 1
        return self._encode(text) if num_groups < 2 else self._encode_by_length(text, num_groups)

    def _encode(self, text: Tensor) -> Tensor:
        x = self.token_embedding(text) + self.positional_embedding[: text.shape[1]]  # (B, L, W)
        x = self.ln_final(self.transformer(x))
        # End of text is the highest id of the vocabulary, so argmax finds it.
        x = x[torch.arange(len(x), device=x.device), text.argmax(dim=-1)]  # (B, W)
        features: Tensor = x @ self.text_projection  # (B, embed_dim)
        return features

    def _encode_by_length(self, text: Tensor, num_groups: int) -> Tensor:
        """Return the same with captions of like length together, each group cut to its longest: web captions
        have 15 tokens on average, but the longest of 32 has 47."""
        ends = text.argmax(dim=-1)
        order = ends.argsort(stable=True)
        groups = order.tensor_split(num_groups)
        parts = [self._encode(text[group, : int(ends[group[-1]]) + 1]) for group in groups]
        return torch.cat(parts)[order.argsort()]
