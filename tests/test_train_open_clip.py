"""The same weights, pictures and captions in open_clip 3.3.0 and in ours: the same numbers."""

import json
import math
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import safetensors.torch
import torch
from PIL import Image
from torch import Tensor

from tests.clip_peers import (
    CLIP_VOCAB,
    NAMES,
    NUM_PARAMETERS,
    PEERS,
    SHARED,
    hostile_captions,
    inputs,
    narrow,
    real_captions,
    relative,
    run_jobs,
    seeded,
    shallow,
)
from train.config import ModelConfig, OptimConfig, TokenizerConfig
from train.loss import clip_loss
from train.models.clip import Clip
from train.models.paper import PAPER_MODELS
from train.models.positions import resize_positions
from train.optim import build_optimizer, learning_rate
from train.tokenizer import Tokenizer, build_tokenizer, encode
from train.transforms import evaluation_pixels, normalise, stack

pytestmark = pytest.mark.skipif(not PEERS.exists(), reason="no .venv-peers: make peers")

VOCAB_SIZE, NUM_PAIRS = 1000, 3
TOKENIZERS = ("open_clip", "openai")
SPECIAL_WORDS = ["a <|startoftext|>dog<|endoftext|>", "<|ENDofText|>", "a <end_of_text> b"]
# Adam's first steps are the gradient's sign wherever it is above eps, also where it is nothing but what
# rounding left of a 0 (the bias of keys has no gradient). With an eps of 1 a step is as exact as that.
SMOOTH = OptimConfig(peak_lr=1e-2, num_warmup_steps=1, eps=1.0)
PAPERS = OptimConfig(peak_lr=5e-4, num_warmup_steps=1)
TRAININGS = {
    "RN50, smooth": ("RN50", SMOOTH, 1),
    "RN50": ("RN50", replace(PAPERS, beta2=0.999, eps=1e-8), 1),
    "ViT-B/32, smooth": ("ViT-B/32", SMOOTH, 3),
    "ViT-B/32": ("ViT-B/32", PAPERS, 1),
}
PICTURES = [
    *(("RGB", 300, 200), ("RGB", 97, 331), ("L", 224, 224), ("RGBA", 225, 400), ("P", 640, 480)),
    *(("CMYK", 250, 251), ("1", 100, 90), ("LA", 31, 47), ("RGB", 1023, 767)),
]
SIDES = (("ViT-B/32", 224, 384), ("ViT-L/14", 224, 336), ("ViT-B/16", 224, 160))


def features_job(folder: Path, name: str, config: ModelConfig, changes: dict[str, Any]) -> dict[str, Any]:
    """Write a model with its inputs, for open_clip to load."""
    vocab_size = VOCAB_SIZE if changes else 49_408
    images, text = inputs(config, vocab_size, NUM_PAIRS)
    given, found = folder / f"{NAMES[name]}.given", folder / f"{NAMES[name]}.found"
    state = seeded(config, vocab_size).state_dict()
    safetensors.torch.save_file(state | {"images": images, "text": text}, given)
    job = {"do": "features", "name": NAMES[name], "changes": changes}
    return job | {"tensors": str(given), "out": str(found)}


def step_job(folder: Path, training: str) -> dict[str, Any]:
    """Write a model with batches, for open_clip's trainer; its temperature is about to be clipped."""
    name, optim, num_steps = TRAININGS[training]
    config, changes = narrow(PAPER_MODELS[name])
    place = folder / training.replace("/", "-")
    batches = [inputs(config, VOCAB_SIZE, 8, seed) for seed in range(num_steps)]
    images, text = (torch.stack(parts) for parts in zip(*batches, strict=True))
    state = edge(seeded(config, VOCAB_SIZE)).state_dict()
    safetensors.torch.save_file(state | {"images": images, "text": text}, f"{place}.given")
    flags = ["--lr", str(optim.peak_lr), "--wd", str(optim.weight_decay), "--beta1", str(optim.beta1)]
    flags += ["--beta2", str(optim.beta2), "--eps", str(optim.eps), "--warmup", "1", "--precision", "fp32"]
    job = {"do": "step", "name": NAMES[name], "changes": changes, "tensors": f"{place}.given"}
    return job | {"out": f"{place}.trained", "flags": flags}


def edge(model: Clip) -> Clip:
    with torch.no_grad():
        model.logit_scale.fill_(math.log(100) - 1e-4)
    return model


def pictures(folder: Path) -> list[str]:
    """Make pictures of every mode and of odd sizes."""
    rng, made = np.random.default_rng(0), []
    for number, (mode, *size) in enumerate(PICTURES):
        colours = rng.integers(0, 256, (size[1] // 8 + 1, size[0] // 8 + 1, 3), dtype=np.uint8)
        picture = Image.fromarray(colours).resize((size[0], size[1]), Image.Resampling.BILINEAR).convert(mode)
        path = folder / f"{number}.{'tiff' if mode == 'CMYK' else 'png'}"
        picture.save(path)
        made.append(str(path))
    return made + [str(path) for path in sorted(SHARED.glob("pairs/openstax/images/*/*"))[:12]]


def captions(num_hostile: int) -> list[str]:
    return [*hostile_captions(num_hostile), *real_captions()]


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with what open_clip made of the small jobs, all in one process."""
    folder = tmp_path_factory.mktemp("open_clip")
    jobs = [features_job(folder, name, *narrow(PAPER_MODELS[name])) for name in NAMES]
    jobs += [step_job(folder, training) for training in TRAININGS]
    files = pictures(folder)
    jobs.append({"do": "pixels", "pictures": files, "side_px": 224, "out": str(folder / "pixels")})
    (folder / "pictures.json").write_text(json.dumps(files))
    for name, side_px, new_side_px in SIDES:
        config, place = PAPER_MODELS[name], folder / f"positions-{new_side_px}"
        width, patches = vars(config)["vision_width"], (side_px // vars(config)["patch_side_px"]) ** 2
        torch.manual_seed(0)
        old = {"visual.positional_embedding": torch.randn(1 + patches, width)}
        safetensors.torch.save_file(old, f"{place}.old")
        changes = {"vision_cfg": {"image_size": new_side_px, "layers": 1}, "text_cfg": {"layers": 1}}
        job = {"do": "resized", "name": NAMES[name], "changes": changes}
        jobs.append(job | {"tensors": f"{place}.old", "out": f"{place}.new"})
    (folder / "captions.json").write_text(json.dumps(captions(3000)[:5000]))
    (folder / "special.json").write_text(json.dumps(SPECIAL_WORDS))
    strings = [folder / "captions.json", folder / "special.json"]
    jobs += [tokens_job(place, whose) for place in strings for whose in TOKENIZERS]
    jobs += [{"do": "count", "name": name} for name in NAMES.values()]
    (folder / "answers.json").write_text(json.dumps(run_jobs(folder, jobs)))
    return folder


def tokens_job(strings: Path, whose: str) -> dict[str, Any]:
    return {"do": "tokens", "strings": str(strings), "out": f"{strings}.{whose}.npy", "whose": whose}


def check_features(folder: Path, name: str, config: ModelConfig, vocab_size: int) -> None:
    """Compare our features with open_clip's, and load what it saved into a new model of ours."""
    found = safetensors.torch.load_file(folder / f"{NAMES[name]}.found")
    images, text = inputs(config, vocab_size, NUM_PAIRS)
    again = seeded(config, vocab_size, seed=5)
    again.load_state_dict({k.removeprefix("state."): v for k, v in found.items() if k.startswith("state.")})
    with torch.inference_mode():
        assert relative(again.encode_image(images), found["image"]) < 1e-5
        assert relative(again.encode_text(text), found["text"]) < 1e-5


@pytest.mark.parametrize("name", NAMES)
def test_features_equal_open_clips_and_states_go_both_ways(name: str, folder: Path) -> None:
    check_features(folder, name, narrow(PAPER_MODELS[name])[0], VOCAB_SIZE)


def test_open_clip_counts_as_many_parameters(folder: Path) -> None:
    answers = json.loads((folder / "answers.json").read_text())[-len(NAMES) :]
    assert [answer["num_parameters"] for answer in answers] == [count for count, _ in NUM_PARAMETERS.values()]


def trained(training: str, given: dict[str, Tensor]) -> dict[str, Tensor]:
    """Return the weights after our steps on the batches that open_clip had."""
    name, optim, num_steps = TRAININGS[training]
    images, text = given.pop("images"), given.pop("text")
    model = narrow(PAPER_MODELS[name])[0].build(VOCAB_SIZE).train()
    model.load_state_dict(given)
    optimizer = build_optimizer(model, optim)
    for step in range(num_steps):
        for group in optimizer.param_groups:
            group["lr"] = learning_rate(step, num_steps, optim)
        optimizer.zero_grad()
        features = model.encode_image(images[step]), model.encode_text(text[step])
        torch.autograd.backward(clip_loss(*features, model.logit_scale.exp()))
        optimizer.step()
        with torch.no_grad():
            model.logit_scale.clamp_(0, math.log(optim.max_logit_scale))
    return model.state_dict()


@pytest.mark.parametrize("training", TRAININGS)
def test_steps_of_training_equal_open_clips(training: str, folder: Path) -> None:
    place = folder / training.replace("/", "-")
    given, expected = (safetensors.torch.load_file(f"{place}.{kind}") for kind in ("given", "trained"))
    found, lr = trained(training, given), TRAININGS[training][1].peak_lr
    assert found.keys() == expected.keys()
    assert found["logit_scale"].item() == pytest.approx(expected["logit_scale"].item(), abs=1e-6)
    steps = {part: (expected[part] - given[part]).float() for part in found}
    off = {part: (found[part] - expected[part]).float() for part in found}
    if "smooth" in training:
        longest = max(step.norm().item() for step in steps.values())
        shares = {
            part: off[part].norm().item() / max(steps[part].norm().item(), 1e-4 * longest) for part in off
        }
        assert max(shares.values()) < 1e-4, shares
    else:
        far = torch.cat([part.flatten() for part in off.values()]).abs() > 0.01 * lr
        assert far.float().mean().item() < 1e-3


def test_evaluation_pixels_equal_open_clips_bit_for_bit(folder: Path) -> None:
    files = [Path(path) for path in json.loads((folder / "pictures.json").read_text())]
    ours = normalise(
        stack([evaluation_pixels(path.read_bytes(), 224) for path in files]), torch.device("cpu")
    )
    assert torch.equal(ours, safetensors.torch.load_file(folder / "pixels")["pixels"])


@pytest.mark.parametrize(("name", "side_px", "new_side_px"), SIDES)
def test_positions_for_another_resolution_equal_open_clips(
    name: str, side_px: int, new_side_px: int, folder: Path
) -> None:
    old, new = (
        safetensors.torch.load_file(folder / f"positions-{new_side_px}.{kind}")["visual.positional_embedding"]
        for kind in ("old", "new")
    )
    assert len(old) != len(new)
    assert torch.allclose(resize_positions(old, len(new)), new, atol=1e-6, rtol=0)


@pytest.fixture(scope="module")
def tokenizer() -> Tokenizer:
    if not CLIP_VOCAB.is_file():
        pytest.skip(f"CLIP's vocabulary is not at {CLIP_VOCAB}")
    return build_tokenizer(TokenizerConfig(kind="clip", clip_vocab=CLIP_VOCAB), [])


def differing(tokenizer: Tokenizer, strings: Path, whose: str) -> list[str]:
    """Return the captions whose ids, cut and filled up to 77, are not the peer's."""
    found: list[str] = json.loads(strings.read_text())
    ours: Tensor = encode(tokenizer, found, 77)
    expected = np.load(f"{strings}.{whose}.npy")
    ours = torch.nn.functional.pad(ours, (0, 77 - ours.shape[1]))
    return [found[row] for row in np.flatnonzero((ours.numpy() != expected).any(axis=1))]


@pytest.mark.parametrize("whose", TOKENIZERS)
def test_ids_equal_the_peers(whose: str, tokenizer: Tokenizer, folder: Path) -> None:
    assert differing(tokenizer, folder / "captions.json", whose) == []


def test_the_words_for_start_and_end_are_openais(tokenizer: Tokenizer, folder: Path) -> None:
    # open_clip has other words for them, which are words like others to OpenAI and to us.
    assert differing(tokenizer, folder / "special.json", "openai") == []
    assert differing(tokenizer, folder / "special.json", "open_clip") == SPECIAL_WORDS


@pytest.mark.slow
@pytest.mark.parametrize("num_hostile", [100_000])
@pytest.mark.parametrize("whose", TOKENIZERS)
def test_ids_equal_the_peers_on_100_000_hostile_captions_and_all_real_ones(
    whose: str, num_hostile: int, tokenizer: Tokenizer, tmp_path: Path
) -> None:
    strings = tmp_path / "captions.json"
    strings.write_text(json.dumps(captions(num_hostile)))
    run_jobs(tmp_path, [tokens_job(strings, whose)])
    assert differing(tokenizer, strings, whose) == []


@pytest.mark.slow
@pytest.mark.parametrize("name", NAMES)
def test_features_equal_open_clips_at_the_papers_widths(name: str, tmp_path: Path) -> None:
    config, changes = shallow(PAPER_MODELS[name])
    run_jobs(tmp_path, [features_job(tmp_path, name, config, changes)])
    check_features(tmp_path, name, config, VOCAB_SIZE)


@pytest.mark.slow
@pytest.mark.parametrize("name", ["RN50", "ViT-B/32", "ViT-L/14"])
def test_features_of_whole_models_equal_open_clips(name: str, tmp_path: Path) -> None:
    run_jobs(tmp_path, [features_job(tmp_path, name, PAPER_MODELS[name], {})])
    check_features(tmp_path, name, PAPER_MODELS[name], 49_408)
