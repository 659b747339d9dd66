"""Hugging Face's form: a folder that transformers' `CLIPModel` and `CLIPProcessor` load without a network."""

from pathlib import Path
from typing import Any

from train.interchange.huggingface_names import to_ours, to_theirs
from train.interchange.portable import (
    PortableModel,
    read_json,
    require,
    require_our_colours,
    understood,
    write_json,
    write_safetensors,
)
from train.interchange.tokenizer_files import read_tokenizer, write_tokenizer
from train.models.clip import ClipVit
from train.models.openai import clean_state, fitted
from train.transforms import MEAN, STD
from train.weights import read_weights

CONFIG, WEIGHTS, PREPROCESSOR = "config.json", "model.safetensors", "preprocessor_config.json"


def write(model: PortableModel, folder: Path) -> None:
    """Write the weights, the configs and the tokenizer. Raises ValueError for a ResNet, which transformers'
    CLIP has not.
    """
    if not isinstance(model.config, ClipVit):
        raise ValueError("transformers' CLIP has no ResNets. Next: --format open_clip")
    write_safetensors(folder / WEIGHTS, to_theirs(model.state, model.config))
    write_json(folder / CONFIG, _described(model.config, model.tokenizer.vocab_size))
    write_json(folder / PREPROCESSOR, _preprocessing(model.config.image_side_px))
    write_tokenizer(model.tokenizer, folder, model.config.context_length)


def read(folder: Path, clip_vocab: Path | None) -> PortableModel:
    """Return the model of a folder. Raises ValueError where it is no plain CLIP with QuickGELU."""
    if (folder / PREPROCESSOR).is_file():
        colours = read_json(folder / PREPROCESSOR)
        require_our_colours(folder, colours.get("image_mean", MEAN), colours.get("image_std", STD))
    described = read_json(folder / CONFIG)
    require(folder, "model_type", described.get("model_type"), "clip")
    with understood(folder / CONFIG):
        config = _config_of(folder, described)
    weights = folder / WEIGHTS
    state = clean_state(
        to_ours(read_weights(weights if weights.is_file() else folder / "pytorch_model.bin"), config)
    )
    tokenizer = read_tokenizer(folder, clip_vocab, len(state["token_embedding.weight"]))
    return PortableModel(config=config, state=fitted(state, config), tokenizer=tokenizer)


def _described(config: ClipVit, vocab_size: int) -> dict[str, Any]:
    common = {"hidden_act": "quick_gelu", "layer_norm_eps": 1e-5, "projection_dim": config.embed_dim}
    text = {
        "model_type": "clip_text_model",
        "vocab_size": vocab_size,
        "max_position_embeddings": config.context_length,
        # Features are read at the first end of text, which also fills up.
        "bos_token_id": vocab_size - 2,
        "eos_token_id": vocab_size - 1,
        "pad_token_id": vocab_size - 1,
    }
    vision = {
        "model_type": "clip_vision_model",
        "image_size": config.image_side_px,
        "patch_size": config.patch_side_px,
    }
    return {
        "architectures": ["CLIPModel"],
        "model_type": "clip",
        "projection_dim": config.embed_dim,
        "text_config": text | common | _tower(config.text_width, config.text_num_layers, config.head_width),
        "vision_config": vision
        | common
        | _tower(config.vision_width, config.vision_num_layers, config.head_width),
    }


def _tower(width: int, num_layers: int, head_width: int) -> dict[str, int]:
    return {
        "hidden_size": width,
        "intermediate_size": 4 * width,
        "num_hidden_layers": num_layers,
        "num_attention_heads": width // head_width,
    }


def _config_of(folder: Path, described: dict[str, Any]) -> ClipVit:
    # What a config leaves out has these values: transformers' CLIPTextConfig and CLIPVisionConfig.
    text = {"max_position_embeddings": 77, **_tower(512, 12, 64), **described.get("text_config", {})}
    vision = {
        "image_size": 224,
        "patch_size": 32,
        **_tower(768, 12, 64),
        **described.get("vision_config", {}),
    }
    head_width = vision["hidden_size"] // vision["num_attention_heads"]
    for tower in (text, vision):
        require(folder, "hidden_act", tower.get("hidden_act", "quick_gelu"), "quick_gelu")
        width = tower["hidden_size"]
        require(folder, "width of a tower's heads", width / tower["num_attention_heads"], head_width)
    return ClipVit(
        image_side_px=vision["image_size"],
        patch_side_px=vision["patch_size"],
        context_length=text["max_position_embeddings"],
        embed_dim=described.get("projection_dim", 512),
        vision_width=vision["hidden_size"],
        vision_num_layers=vision["num_hidden_layers"],
        text_width=text["hidden_size"],
        text_num_layers=text["num_hidden_layers"],
        head_width=head_width,
    )


def _preprocessing(side_px: int) -> dict[str, Any]:
    return {
        "image_processor_type": "CLIPImageProcessor",
        "do_convert_rgb": True,
        "do_resize": True,
        "size": {"shortest_edge": side_px},
        "resample": 3,  # bicubic
        "do_center_crop": True,
        "crop_size": {"height": side_px, "width": side_px},
        "do_rescale": True,
        "rescale_factor": 1 / 255,
        "do_normalize": True,
        "image_mean": MEAN,
        "image_std": STD,
    }
