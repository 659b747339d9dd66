"""Run inside .venv-peers: what the CLIPs of open_clip, transformers and OpenAI make of given files.

    .venv-peers/bin/python -m tests.bench.peer_clip JOBS.json

JOBS.json is a list of objects, each with the name of a function here (`do`) and its arguments; tensors come
and go in safetensors files. Prints one JSON list: what each job returned.
"""

import importlib.util
import json
import sys
from functools import cache
from pathlib import Path
from typing import Any

import numpy as np
import safetensors.torch
import torch
from PIL import Image
from torch import Tensor

from tests.bench.peer_ops import define_torchvision_ops


def features(name: str, changes: dict[str, Any], tensors: str, out: str) -> dict[str, Any]:
    """Load weights into open_clip's model of a name, some of its sizes changed, and write its features of
    images and text, and the state dict that it would save."""
    model = _model(name, changes)
    given = safetensors.torch.load_file(tensors)
    images, text = given.pop("images"), given.pop("text")
    model.load_state_dict(given, strict=True)
    with torch.inference_mode():
        found = {"image": model.encode_image(images), "text": model.encode_text(text)}
    saved = {f"state.{key}": value.contiguous() for key, value in model.state_dict().items()}
    safetensors.torch.save_file(found | saved, out)
    return {"num_parameters": sum(parameter.numel() for parameter in model.parameters())}


def count(name: str) -> dict[str, Any]:
    """Return the number of parameters of open_clip's model of a name, none of which is made."""
    with torch.device("meta"):
        model = _model(name, {})
    return {"num_parameters": sum(parameter.numel() for parameter in model.parameters())}


def step(name: str, changes: dict[str, Any], tensors: str, out: str, flags: list[str]) -> dict[str, Any]:
    """Train open_clip's model by its own trainer for the batches of a file, and write its weights."""
    _open_clip()
    from open_clip_train.params import parse_args
    from open_clip_train.scheduler import cosine_lr
    from open_clip_train.train import train_one_epoch

    args = parse_args(["--model", name, "--report-to", "", *flags])
    args.device, args.distributed, args.rank, args.local_rank, args.world_size = "cpu", False, 0, 0, 1
    args.distill, args.save_logs, args.wandb, args.tensorboard = False, False, False, False
    given = safetensors.torch.load_file(tensors)
    images, text = given.pop("images"), given.pop("text")  # (steps, B, 3, S, S) and (steps, B, L)
    model = _model(name, changes | {"output_dict": True})
    model.load_state_dict(given, strict=True)
    optimizer = torch.optim.AdamW(
        _groups(model, args.wd), lr=args.lr, betas=(args.beta1, args.beta2), eps=args.eps
    )
    loader = _Loader(list(zip(images, text, strict=True)), images.shape[1])
    scheduler = cosine_lr(optimizer, args.lr, args.warmup, len(images))
    data = {"train": _Data(loader)}
    loss = _open_clip().ClipLoss(cache_labels=True)
    train_one_epoch(model, data, loss, 0, optimizer, None, scheduler, None, args)
    safetensors.torch.save_file({key: value.contiguous() for key, value in model.state_dict().items()}, out)
    return {}


def tokens(strings: str, out: str, whose: str) -> dict[str, Any]:
    """Write the ids (N, 77) of the strings of a JSON file, by open_clip's tokenizer or by OpenAI's."""
    captions = json.loads(Path(strings).read_text())
    if whose == "open_clip":
        ids = _open_clip().SimpleTokenizer()(captions, context_length=77)
    else:
        tokenizer = _openai("simple_tokenizer").SimpleTokenizer()
        rows = [[49406, *tokenizer.encode(caption)[:75], 49407] for caption in captions]
        ids = torch.tensor([row + [0] * (77 - len(row)) for row in rows])
    np.save(out, ids.numpy().astype(np.uint16))
    return {}


def openai(tensors: str, archive: str, state: str, out: str) -> dict[str, Any]:
    """Make OpenAI's model of a state dict's shapes; trace and save it as they did, in half precision; write
    its features in float32, and those of its model of an exported file."""
    given = safetensors.torch.load_file(tensors)
    images, text = given.pop("images"), given.pop("text")
    build = _openai("model").build_model
    model, again = build(given), build(torch.load(state))
    for name in ("context_length", "vocab_size"):
        number = getattr(model, name)
        delattr(model, name)
        model.register_buffer(name, torch.tensor(number))
    model.register_buffer("input_resolution", torch.tensor(images.shape[-1]))
    inputs = {"forward": (images, text), "encode_image": images, "encode_text": text}
    torch.jit.trace_module(model, inputs, check_trace=False).save(archive)
    with torch.inference_mode():
        found = {"image": model.float().encode_image(images), "text": model.encode_text(text)}
        found["image_of_export"] = again.float().encode_image(images)
        found["text_of_export"] = again.encode_text(text)
    safetensors.torch.save_file(found, out)
    return {}


def pixels(pictures: list[str], side_px: int, out: str) -> dict[str, Any]:
    """Write what open_clip's transform for evaluations makes of pictures: (N, 3, S, S)."""
    transform = _open_clip().image_transform(side_px, is_train=False)
    found = torch.stack([transform(Image.open(path)) for path in pictures])
    safetensors.torch.save_file({"pixels": found}, out)
    return {}


def resized(name: str, changes: dict[str, Any], tensors: str, out: str) -> dict[str, Any]:
    """Write the position embedding that open_clip makes of one for another resolution."""
    state = safetensors.torch.load_file(tensors)
    _open_clip().model.resize_pos_embed(state, _model(name, changes))
    safetensors.torch.save_file(state, out)
    return {}


def local_dir(folder: str, tensors: str, captions: list[str], out: str) -> dict[str, Any]:
    """Load an exported folder as open_clip does, and write its features of images and captions."""
    model, _, preprocess = _open_clip().create_model_and_transforms(f"local-dir:{folder}")
    tokenizer = _open_clip().get_tokenizer(f"local-dir:{folder}")
    images = safetensors.torch.load_file(tensors)["images"]
    with torch.inference_mode():
        found = {"image": model.eval().encode_image(images), "text": model.encode_text(tokenizer(captions))}
    safetensors.torch.save_file(found, out)
    return {"preprocess": [type(part).__name__ for part in preprocess.transforms]}


def huggingface(folder: str, tensors: str, captions: list[str], picture: str, out: str) -> dict[str, Any]:
    """Load an exported folder as transformers does, and write its features of images and captions, and
    what its processor makes of a picture."""
    _open_clip()  # for torchvision, which transformers looks at
    from transformers import AutoTokenizer, CLIPImageProcessorPil, CLIPModel

    model = CLIPModel.from_pretrained(folder).eval()
    tokenizer = AutoTokenizer.from_pretrained(folder)
    given = safetensors.torch.load_file(tensors)
    text = tokenizer(captions, padding=True, truncation=True, return_tensors="pt")
    pixels = CLIPImageProcessorPil.from_pretrained(folder)(Image.open(picture), return_tensors="pt")
    with torch.inference_mode():
        found = {
            "image": _pooled(model.get_image_features(pixel_values=given["images"])),
            "text": _pooled(model.get_text_features(**text)),
            "pixels": pixels["pixel_values"],
            "ids": text["input_ids"],
        }
    safetensors.torch.save_file(found, out)
    return {"logit_scale": model.logit_scale.item()}


@cache
def _open_clip() -> Any:
    define_torchvision_ops()
    import open_clip

    return open_clip


def _openai(module: str) -> Any:
    """Return a module of OpenAI's package without importing the package."""
    package = importlib.util.find_spec("clip")
    assert package is not None and package.origin is not None
    path = Path(package.origin).with_name(f"{module}.py")
    spec = importlib.util.spec_from_file_location(f"openai_{module}", path)
    assert spec is not None and spec.loader is not None
    loaded = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(loaded)
    return loaded


def _pooled(found: Any) -> Tensor:
    """Newer versions of transformers return an object, older ones the features."""
    features: Tensor = found if isinstance(found, Tensor) else found.pooler_output
    return features.contiguous()


def _model(name: str, changes: dict[str, Any]) -> Any:
    """Return open_clip's model of a name with fields of its config changed: {"vision_cfg": {"layers": 2}}."""
    config = _open_clip().get_model_config(name)
    for part, values in changes.items():
        config[part] = config[part] | values if isinstance(values, dict) else values
    return _open_clip().CLIP(**config).eval()


def _groups(model: torch.nn.Module, weight_decay: float) -> list[dict[str, Any]]:
    """Return open_clip_train.main's groups of parameters, which it makes within a function of 400 lines."""
    without: list[Tensor] = []
    with_decay: list[Tensor] = []
    for name, parameter in model.named_parameters():
        named = any(part in name for part in ("bn", "ln", "bias", "logit_scale"))
        (without if parameter.ndim < 2 or named else with_decay).append(parameter)
    return [{"params": without, "weight_decay": 0.0}, {"params": with_decay, "weight_decay": weight_decay}]


class _Loader(list[tuple[Tensor, Tensor]]):
    """Batches with the numbers that open_clip's trainer asks its loaders for."""

    def __init__(self, batches: list[tuple[Tensor, Tensor]], batch_size: int) -> None:
        super().__init__(batches)
        self.num_batches, self.num_samples = len(batches), len(batches) * batch_size


class _Data:
    def __init__(self, dataloader: _Loader) -> None:
        self.dataloader = dataloader

    def set_epoch(self, epoch: int) -> None:
        """Called by the trainer; the batches are the same in every epoch."""


if __name__ == "__main__":
    torch.set_num_threads(1)
    jobs = json.loads(Path(sys.argv[1]).read_text())
    print(json.dumps([globals()[job.pop("do")](**job) for job in jobs]))
