"""Models go out to open_clip, transformers and OpenAI's form, come back, and give the same features there."""

import json
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import safetensors.torch
import torch
from PIL import Image
from torch import Tensor

from manifests.storage import location
from tests.clip_peers import CLIP_VOCAB, PEERS, inputs, relative, run_jobs, seeded
from tests.fakes import make_dataset
from tests.test_train_zero_shot import make_folders
from tests.tiny_train import tiny_flags
from train.__main__ import main
from train.config import ModelConfig, TokenizerConfig
from train.interchange import WRITERS, read_model
from train.interchange.portable import PortableModel
from train.models.clip import ClipVit
from train.models.resnet import ClipResNet
from train.tokenizer import DatasetTokenizer, Tokenizer, build_tokenizer, encode
from train.trained import load_trained
from train.transforms import evaluation_pixels, normalise, stack

VIT = replace(ClipVit.tiny(), vision_width=64, text_width=128, context_length=77, head_width=64)
NARROW_HEADS = replace(ClipVit.tiny(), context_length=24)
RESNET = replace(ClipResNet.tiny(), vision_width=4, text_width=64, head_width=64)
CAPTIONS = ["a red car", "Two HOUSES by the sea, in Kraków!", "what's this? " * 40, "x"]

with_peers = pytest.mark.skipif(not PEERS.exists(), reason="no .venv-peers: make peers")


@pytest.fixture(scope="module")
def clip_tokenizer() -> Tokenizer:
    if not CLIP_VOCAB.is_file():
        pytest.skip(f"CLIP's vocabulary is not at {CLIP_VOCAB}")
    return build_tokenizer(TokenizerConfig(kind="clip", clip_vocab=CLIP_VOCAB), [])


def own_tokenizer() -> Tokenizer:
    return DatasetTokenizer.train(CAPTIONS * 3, vocab_size=300)


def portable(config: ModelConfig, tokenizer: Tokenizer) -> PortableModel:
    state = seeded(config, tokenizer.vocab_size).state_dict()
    return PortableModel(config=config, state=state, tokenizer=tokenizer)


def same(model: PortableModel, again: PortableModel) -> bool:
    return (
        again.config == model.config
        and again.state.keys() == model.state.keys()
        and all(torch.equal(again.state[name], part) for name, part in model.state.items())
        and again.tokenizer.state() == model.tokenizer.state()
    )


@pytest.mark.parametrize(
    ("form", "config"),
    [
        ("openai", VIT),
        ("openai", RESNET),
        ("open_clip", VIT),
        ("open_clip", RESNET),
        ("open_clip", NARROW_HEADS),
        ("huggingface", VIT),
        ("huggingface", NARROW_HEADS),
    ],
)
def test_a_model_comes_back_as_it_went_out(
    form: str, config: ModelConfig, clip_tokenizer: Tokenizer, tmp_path: Path
) -> None:
    model = portable(config, clip_tokenizer)
    WRITERS[form](model, tmp_path)
    assert same(model, read_model(tmp_path, CLIP_VOCAB))


@pytest.mark.parametrize("form", ["open_clip", "huggingface"])
def test_a_datasets_own_vocabulary_comes_back(form: str, tmp_path: Path) -> None:
    model = portable(NARROW_HEADS, own_tokenizer())
    WRITERS[form](model, tmp_path)
    assert same(model, read_model(tmp_path))


@pytest.mark.parametrize("form", WRITERS)
def test_a_model_goes_to_a_store_and_comes_back(form: str, clip_tokenizer: Tokenizer) -> None:
    model = portable(VIT, clip_tokenizer)
    WRITERS[form](model, location(f"memory://models/{form}"))
    assert same(model, read_model(location(f"memory://models/{form}"), CLIP_VOCAB))


def test_an_export_has_the_same_bytes_each_time(tmp_path: Path, clip_tokenizer: Tokenizer) -> None:
    model = portable(VIT, clip_tokenizer)
    for form, write in WRITERS.items():
        write(model, tmp_path / "one" / form)
        write(model, tmp_path / "two" / form)
    files = [path.relative_to(tmp_path / "one") for path in (tmp_path / "one").rglob("*.*")]
    assert len(files) == 12
    assert all((tmp_path / "one" / f).read_bytes() == (tmp_path / "two" / f).read_bytes() for f in files)


@pytest.mark.parametrize(
    ("form", "config", "message"),
    [
        (
            "openai",
            NARROW_HEADS,
            "heads are 8 wide, OpenAI's format knows 64 alone. Next: --format open_clip",
        ),
        ("openai", VIT, "the vocabulary is the dataset's own, OpenAI's is CLIP's. Next: --format open_clip"),
        ("huggingface", RESNET, "transformers' CLIP has no ResNets. Next: --format open_clip"),
    ],
)
def test_what_a_form_cannot_say_is_refused(
    form: str, config: ModelConfig, message: str, tmp_path: Path
) -> None:
    with pytest.raises(ValueError, match=message):
        WRITERS[form](portable(config, own_tokenizer()), tmp_path)
    assert not list(tmp_path.iterdir())


@pytest.mark.parametrize(
    ("file", "path", "value", "message"),
    [
        ("open_clip_config.json", ["model_cfg", "quick_gelu"], False, "quick_gelu is False, our models"),
        (
            "open_clip_config.json",
            ["model_cfg", "custom_text"],
            True,
            r"beyond a plain CLIP is \['custom_text",
        ),
        (
            "open_clip_config.json",
            ["model_cfg", "text_cfg", "heads"],
            4,
            "width of the text tower's heads is",
        ),
        ("open_clip_config.json", ["preprocess_cfg", "mean"], [0.5] * 3, "the mean of the colours is"),
        ("open_clip_config.json", ["model_cfg", "text_cfg"], {}, "is no config of a CLIP: KeyError"),
        ("config.json", ["vision_config", "patch_size"], "8", "is no config of a CLIP: TypeError"),
        ("config.json", ["vision_config", "hidden_act"], "gelu", "hidden_act is gelu, our models have quick"),
        ("config.json", ["model_type"], "siglip", "model_type is siglip, our models have clip"),
        ("preprocessor_config.json", ["image_std"], [0.5] * 3, "the deviation of the colours is"),
    ],
)
def test_a_model_that_would_compute_something_else_is_refused(
    file: str, path: list[str], value: Any, message: str, tmp_path: Path
) -> None:
    form = "open_clip" if file == "open_clip_config.json" else "huggingface"
    WRITERS[form](portable(NARROW_HEADS, own_tokenizer()), tmp_path)
    whole = part = json.loads((tmp_path / file).read_text())
    for name in path[:-1]:
        part = part[name]
    part[path[-1]] = value
    (tmp_path / file).write_text(json.dumps(whole))
    with pytest.raises(ValueError, match=message):
        read_model(tmp_path)


def test_a_place_that_holds_no_model_is_refused(tmp_path: Path) -> None:
    with pytest.raises(ValueError, match=r"is no file\. Next: give a checkpoint, or the folder"):
        read_model(tmp_path)
    (tmp_path / "config.json").write_text("[1]")
    with pytest.raises(ValueError, match=r"config.json holds no JSON object. Next: get it again"):
        read_model(tmp_path)


def test_a_run_is_exported_imported_and_started_from(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    data, run = make_dataset(tmp_path / "data"), tmp_path / "run"
    assert main(["fit", *tiny_flags(data, run, num_epochs=1)]) == 0
    out, again = str(tmp_path / "exported"), tmp_path / "again"
    assert main(["export", str(run), "--format", "open_clip", "--out", out]) == 0
    assert main(["import", out, "--run", str(again)]) == 0
    assert capsys.readouterr().out.splitlines()[-1].endswith(f"parameters for 16 px; run: {again}")
    pictures = str(make_folders(tmp_path / "pictures"))
    assert main(["eval", "--run", str(again), "--data", pictures, "--name", "colours"]) == 0
    one, two = load_trained(run), load_trained(again)
    assert torch.equal(one.text_features(CAPTIONS), two.text_features(CAPTIONS))
    further = [*tiny_flags(data, tmp_path / "further", num_epochs=1), "--model.image-side-px", "32"]
    assert main(["fit", *further, "--init", out]) == 0
    assert main(["import", out, "--run", str(again)]) == 2
    assert "is a run already. Next: pass another --run" in capsys.readouterr().err


def test_a_start_of_another_architecture_is_refused(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    WRITERS["open_clip"](portable(NARROW_HEADS, own_tokenizer()), tmp_path / "other")
    data = make_dataset(tmp_path / "data")
    flags = tiny_flags(data, tmp_path / "run", num_epochs=1)
    assert main(["fit", *flags, "--init", str(tmp_path / "other")]) == 2
    assert "has context_length 24, not 16, patch_side_px 8, not 4, " in capsys.readouterr().err


def features(model: PortableModel, images: Tensor) -> dict[str, Tensor]:
    """Return what our own towers give, of images (B, 3, S, S) and CAPTIONS."""
    towers = model.config.build(model.tokenizer.vocab_size).eval()
    towers.load_state_dict(model.state)
    with torch.inference_mode():
        text = towers.encode_text(encode(model.tokenizer, CAPTIONS, model.config.context_length))
        return {"image": towers.encode_image(images), "text": text}


@with_peers
def test_open_clip_and_transformers_load_what_is_exported(tmp_path: Path, clip_tokenizer: Tokenizer) -> None:
    models = {"clip": portable(VIT, clip_tokenizer), "own": portable(NARROW_HEADS, own_tokenizer())}
    models["resnet"] = portable(RESNET, clip_tokenizer)
    Image.effect_mandelbrot((90, 70), (-2, -1, 1, 1), 50).convert("RGB").save(tmp_path / "picture.png")
    jobs: list[dict[str, Any]] = []
    for name, model in models.items():
        side_px = model.config.image_side_px
        images = tmp_path / f"{name}.images"
        safetensors.torch.save_file({"images": torch.randn(2, 3, side_px, side_px)}, images)
        WRITERS["open_clip"](model, tmp_path / name / "open_clip")
        common = {"tensors": str(images), "captions": CAPTIONS}
        place = str(tmp_path / name / "open_clip")
        jobs.append(common | {"do": "local_dir", "folder": place, "out": f"{place}.found"})
        if name != "resnet":
            place = str(tmp_path / name / "huggingface")
            WRITERS["huggingface"](model, Path(place))
            more = {"do": "huggingface", "picture": str(tmp_path / "picture.png")}
            jobs.append(common | more | {"folder": place, "out": f"{place}.found"})
    answers = run_jobs(tmp_path, jobs)
    for job, answer in zip(jobs, answers, strict=True):
        model = models[Path(job["folder"]).parent.name]
        found = safetensors.torch.load_file(job["out"])
        expected = features(model, safetensors.torch.load_file(job["tensors"])["images"])
        for tower in ("image", "text"):
            assert relative(found[tower], expected[tower]) < 1e-5, (job["folder"], tower)
        if job["do"] == "huggingface":
            side_px = model.config.image_side_px
            pixels = stack([evaluation_pixels((tmp_path / "picture.png").read_bytes(), side_px)])
            assert torch.allclose(found["pixels"], normalise(pixels, torch.device("cpu")), atol=1e-6)
            assert answer["logit_scale"] == model.state["logit_scale"].item()


def in_half(tensor: Tensor) -> Tensor:
    return tensor.half().float() if tensor.is_floating_point() else tensor


@with_peers
def test_openais_own_archives_are_read_and_ours_are_read_by_openais_code(
    clip_tokenizer: Tokenizer, tmp_path: Path
) -> None:
    models, jobs = [], []
    for number, config in enumerate((VIT, replace(RESNET, context_length=77))):
        folder = tmp_path / str(number)
        model = portable(config, clip_tokenizer)
        # Half precision first, so that what is lost in it is lost for both.
        models.append(replace(model, state={name: in_half(part) for name, part in model.state.items()}))
        WRITERS["openai"](models[-1], folder)
        images, text = inputs(config, 49_408, 2)
        safetensors.torch.save_file(models[-1].state | {"images": images, "text": text}, folder / "given")
        files = {"tensors": "given", "state": "clip.pt", "archive": "archive", "out": "out"}
        jobs.append({"do": "openai"} | {name: str(folder / file) for name, file in files.items()})
    run_jobs(tmp_path, jobs)
    for model, job in zip(models, jobs, strict=True):
        read, found = read_model(Path(job["archive"]), CLIP_VOCAB), safetensors.torch.load_file(job["out"])
        assert same(model, read)
        towers = read.config.build(read.tokenizer.vocab_size).eval()
        towers.load_state_dict(read.state)
        images, text = inputs(read.config, 49_408, 2)
        with torch.inference_mode():
            ours = {"image": towers.encode_image(images), "text": towers.encode_text(text)}
        for tower in ("image", "text"):
            assert relative(ours[tower], found[tower]) < 1e-5
            assert torch.equal(found[tower], found[f"{tower}_of_export"])
