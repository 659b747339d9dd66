"""What transformers' CLIPModel calls the weights that OpenAI and we call otherwise, and how they lie."""

from collections.abc import Iterator

import torch
from torch import Tensor

from train.models.clip import ClipVit

# Theirs to ours. The misspelt name is theirs.
_NAMES = {
    "logit_scale": "logit_scale",
    "token_embedding.weight": "text_model.embeddings.token_embedding.weight",
    "positional_embedding": "text_model.embeddings.position_embedding.weight",
    "text_projection": "text_projection.weight",
    "visual.class_embedding": "vision_model.embeddings.class_embedding",
    "visual.conv1.weight": "vision_model.embeddings.patch_embedding.weight",
    "visual.positional_embedding": "vision_model.embeddings.position_embedding.weight",
    "visual.proj": "visual_projection.weight",
}
_LAYERS = {
    "ln_final": "text_model.final_layer_norm",
    "visual.ln_pre": "vision_model.pre_layrnorm",
    "visual.ln_post": "vision_model.post_layernorm",
}
_LAYERS_OF_BLOCK = {
    "attn.out_proj": "self_attn.out_proj",
    "ln_1": "layer_norm1",
    "ln_2": "layer_norm2",
    "mlp.c_fc": "mlp.fc1",
    "mlp.c_proj": "mlp.fc2",
}
_TRANSPOSED = ("text_projection", "visual.proj")  # x @ w with us, linear(x, w) with them


def to_theirs(state: dict[str, Tensor], config: ClipVit) -> dict[str, Tensor]:
    """Return the weights under transformers' names."""
    theirs_of: dict[str, Tensor] = {}
    for ours, theirs in _pairs(config):
        whole = state[ours].t() if ours in _TRANSPOSED else state[ours]
        parts = whole.chunk(len(theirs)) if len(theirs) > 1 else [whole]
        theirs_of |= dict(zip(theirs, parts, strict=True))
    return theirs_of


def to_ours(state: dict[str, Tensor], config: ClipVit) -> dict[str, Tensor]:
    """Return the weights under OpenAI's names. Raises ValueError naming one that is missing."""
    ours_of: dict[str, Tensor] = {}
    for ours, theirs in _pairs(config):
        if missing := [name for name in theirs if name not in state]:
            raise ValueError(f"weight {missing[0]} is missing. Next: give a folder of their CLIPModel")
        whole = torch.cat([state[name] for name in theirs]) if len(theirs) > 1 else state[theirs[0]]
        ours_of[ours] = whole.t().contiguous() if ours in _TRANSPOSED else whole
    return ours_of


def _pairs(config: ClipVit) -> Iterator[tuple[str, list[str]]]:
    """Give every weight of ours with the names of what it is with them: query, key and value are three."""
    for ours, theirs in _NAMES.items():
        yield ours, [theirs]
    towers = [
        ("", "text_model", config.text_num_layers),
        ("visual.", "vision_model", config.vision_num_layers),
    ]
    layers = dict(_LAYERS)
    for prefix, tower, num_layers in towers:
        for n in range(num_layers):
            ours, theirs = f"{prefix}transformer.resblocks.{n}", f"{tower}.encoder.layers.{n}"
            layers |= {f"{ours}.{a}": f"{theirs}.{b}" for a, b in _LAYERS_OF_BLOCK.items()}
            for kind in ("weight", "bias"):
                yield f"{ours}.attn.in_proj_{kind}", [f"{theirs}.self_attn.{x}_proj.{kind}" for x in "qkv"]
    for our_layer, their_layer in layers.items():
        for kind in ("weight", "bias"):
            yield f"{our_layer}.{kind}", [f"{their_layer}.{kind}"]
