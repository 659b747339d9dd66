"""The residual attention block that both towers share, with OpenAI's parameter names (clip/model.py)."""

from typing import Any, Literal

import torch
import torch.nn.functional as F
from torch import Tensor, nn
from torch.utils.checkpoint import checkpoint, create_selective_checkpoint_contexts, noop_context_fn

Recompute = Literal["none", "cheap", "blocks"]
_aten = torch.ops.aten
_EXPENSIVE = [
    *(_aten.mm.default, _aten.addmm.default, _aten.bmm.default),
    _aten._scaled_dot_product_flash_attention.default,
    _aten._scaled_dot_product_flash_attention_for_cpu.default,
    _aten._scaled_dot_product_efficient_attention.default,
    _aten._scaled_dot_product_cudnn_attention.default,
]


class LayerNorm(nn.LayerNorm):
    """Layer norm computed in float32 whatever the input's type, as OpenAI's."""

    def forward(self, x: Tensor) -> Tensor:
        return F.layer_norm(x.float(), self.normalized_shape, self.weight, self.bias, self.eps).to(x.dtype)


def quick_gelu(x: Tensor) -> Tensor:
    """Return x * sigmoid(1.702 x), written by SiLU: one kernel forward and one back in place of three and
    five.
    """
    return F.silu(1.702 * x) * (1 / 1.702)


class Attention(nn.Module):
    """Multi-head self-attention with the parameter names and the initial values of nn.MultiheadAttention."""

    def __init__(self, width: int, num_heads: int) -> None:
        super().__init__()
        self.num_heads = num_heads
        self.fused: bool | None = None  # None: one kernel for all of it on every device but a CPU
        self.in_proj_weight = nn.Parameter(torch.empty(3 * width, width))
        self.in_proj_bias = nn.Parameter(torch.zeros(3 * width))
        self.out_proj = nn.Linear(width, width)
        nn.init.xavier_uniform_(self.in_proj_weight)
        nn.init.zeros_(self.out_proj.bias)

    def forward(self, x: Tensor, is_causal: bool) -> Tensor:
        batch, length, width = x.shape
        qkv = F.linear(x, self.in_proj_weight, self.in_proj_bias)  # (B, L, 3W)
        q, k, v = qkv.view(batch, length, 3, self.num_heads, -1).permute(2, 0, 3, 1, 4)  # 3 of (B, H, L, W/H)
        fused = q.device.type != "cpu" if self.fused is None else self.fused
        mixed = _attend(q, k, v, is_causal, fused)
        out: Tensor = self.out_proj(mixed.transpose(1, 2).reshape(batch, length, width))
        return out


def _attend(q: Tensor, k: Tensor, v: Tensor, is_causal: bool, fused: bool) -> Tensor:
    if fused:
        return F.scaled_dot_product_attention(q, k, v, is_causal=is_causal)
    # torch's fused kernel is several times slower than its parts on a CPU, for sequences as short as ours.
    scores = (q * q.shape[-1] ** -0.5) @ k.transpose(-2, -1)  # (B, H, L, L)
    if is_causal:
        length = scores.shape[-1]
        scores = scores + torch.full((length, length), float("-inf"), dtype=scores.dtype).triu(1)
    mixed: Tensor = scores.softmax(dim=-1) @ v
    return mixed


class Mlp(nn.Module):
    """Width to 4 x width and back with QuickGELU between."""

    def __init__(self, width: int) -> None:
        super().__init__()
        self.c_fc = nn.Linear(width, 4 * width)
        self.c_proj = nn.Linear(4 * width, width)

    def forward(self, x: Tensor) -> Tensor:
        out: Tensor = self.c_proj(quick_gelu(self.c_fc(x)))
        return out


class ResidualAttentionBlock(nn.Module):
    """x + attention(norm(x)), then x + mlp(norm(x)); shapes (B, L, W) throughout."""

    def __init__(self, width: int, num_heads: int) -> None:
        super().__init__()
        self.attn = Attention(width, num_heads)
        self.ln_1 = LayerNorm(width)
        self.mlp = Mlp(width)
        self.ln_2 = LayerNorm(width)
        self.recompute: Recompute = "none"

    def forward(self, x: Tensor, is_causal: bool) -> Tensor:
        if self.recompute == "none" or not torch.is_grad_enabled():
            return self._compute(x, is_causal)
        contexts = _keep_products if self.recompute == "cheap" else noop_context_fn
        out: Tensor = checkpoint(self._compute, x, is_causal, use_reentrant=False, context_fn=contexts)
        return out

    def _compute(self, x: Tensor, is_causal: bool) -> Tensor:
        x = x + self.attn(self.ln_1(x), is_causal)
        out: Tensor = x + self.mlp(self.ln_2(x))
        return out


def _keep_products() -> Any:
    """Return the contexts in which matrix products are kept, and what is cheap is computed again."""
    return create_selective_checkpoint_contexts(_EXPENSIVE)  # type: ignore[no-untyped-call]  # no types


class Transformer(nn.Module):
    """A stack of residual attention blocks."""

    def __init__(self, width: int, num_layers: int, num_heads: int, is_causal: bool) -> None:
        super().__init__()
        self.is_causal = is_causal
        self.resblocks = nn.ModuleList(ResidualAttentionBlock(width, num_heads) for _ in range(num_layers))

    def forward(self, x: Tensor) -> Tensor:
        for block in self.resblocks:
            x = block(x, self.is_causal)  # (B, L, W)
        return x
