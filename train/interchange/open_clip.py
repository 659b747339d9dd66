"""open_clip's form: a folder that its `create_model("local-dir:FOLDER")` loads without a network."""

from pathlib import Path
from typing import Any

from train.config import ModelConfig
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
from train.models.resnet import ClipResNet
from train.tokenizer import ClipTokenizer
from train.transforms import MEAN, STD
from train.weights import read_weights

CONFIG, WEIGHTS = "open_clip_config.json", "open_clip_model.safetensors"
_VISION_FIELDS = {"image_size", "layers", "width", "patch_size", "head_width"}
_TEXT_FIELDS = {"context_length", "vocab_size", "width", "heads", "layers", "hf_tokenizer_name"}
_COMMON_FIELDS = {"embed_dim", "quick_gelu", "vision_cfg", "text_cfg"}


def write(model: PortableModel, folder: Path) -> None:
    """Write the weights, the config and the tokenizer into a folder."""
    write_safetensors(folder / WEIGHTS, model.state)
    described = _described(model.config, model.tokenizer.vocab_size)
    write_tokenizer(model.tokenizer, folder, model.config.context_length)
    if not isinstance(model.tokenizer, ClipTokenizer):
        # open_clip then takes the tokenizer out of the folder; without it, its own copy of CLIP's.
        described["text_cfg"]["hf_tokenizer_name"] = "tokenizer.json"
    colours = {"mean": MEAN, "std": STD, "interpolation": "bicubic", "resize_mode": "shortest"}
    side_px = model.config.image_side_px
    write_json(folder / CONFIG, {"model_cfg": described, "preprocess_cfg": {"size": side_px, **colours}})


def read(folder: Path, clip_vocab: Path | None) -> PortableModel:
    """Return the model of a folder. Raises ValueError where it is no plain CLIP with QuickGELU."""
    whole = read_json(folder / CONFIG)
    colours = whole.get("preprocess_cfg", {})
    require_our_colours(folder, colours.get("mean", MEAN), colours.get("std", STD))
    with understood(folder / CONFIG):
        config, vocab_size = _config_of(folder, whole.get("model_cfg", {}))
    state = clean_state(read_weights(_weights(folder)))
    tokenizer = read_tokenizer(folder, clip_vocab, vocab_size)
    return PortableModel(config=config, state=fitted(state, config), tokenizer=tokenizer)


def _described(config: ModelConfig, vocab_size: int) -> dict[str, Any]:
    assert isinstance(config, ClipVit | ClipResNet), config
    if isinstance(config, ClipVit):
        layers: int | list[int] = config.vision_num_layers
        patch_size: int | None = config.patch_side_px
    else:
        layers, patch_size = list(config.vision_num_blocks), None
    return {
        "embed_dim": config.embed_dim,
        "quick_gelu": True,
        "vision_cfg": {
            "image_size": config.image_side_px,
            "layers": layers,
            "width": config.vision_width,
            "patch_size": patch_size,
            "head_width": config.head_width,
        },
        "text_cfg": {
            "context_length": config.context_length,
            "vocab_size": vocab_size,
            "width": config.text_width,
            "heads": config.text_width // config.head_width,
            "layers": config.text_num_layers,
        },
    }


def _config_of(folder: Path, described: dict[str, Any]) -> tuple[ModelConfig, int]:
    vision, text = described.get("vision_cfg", {}), described.get("text_cfg", {})
    for part, known in ((described, _COMMON_FIELDS), (vision, _VISION_FIELDS), (text, _TEXT_FIELDS)):
        beyond = sorted(name for name in part.keys() - known if part[name] not in (None, False))
        require(folder, "model_cfg beyond a plain CLIP", beyond, [])
    require(folder, "quick_gelu", described.get("quick_gelu", False), True)
    head_width = vision.get("head_width", 64)
    require(folder, "width of the text tower's heads", text["width"] / text["heads"], head_width)
    common: dict[str, Any] = {
        "image_side_px": vision["image_size"],
        "context_length": text["context_length"],
        "embed_dim": described["embed_dim"],
        "vision_width": vision["width"],
        "text_width": text["width"],
        "text_num_layers": text["layers"],
        "head_width": head_width,
    }
    if isinstance(vision["layers"], list):
        return ClipResNet(**common, vision_num_blocks=tuple(vision["layers"])), text["vocab_size"]
    return (
        ClipVit(**common, vision_num_layers=vision["layers"], patch_side_px=vision["patch_size"]),
        text["vocab_size"],
    )


def _weights(folder: Path) -> Path:
    names = (WEIGHTS, "open_clip_pytorch_model.safetensors", "open_clip_pytorch_model.bin")
    found = next((folder / name for name in names if (folder / name).is_file()), None)
    if found is None:
        raise ValueError(f"{folder} holds none of {', '.join(names)}. Next: fetch the weights, too")
    return found
