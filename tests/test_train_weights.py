"""Checkpoints of others: what is read, and what is refused without running it."""

import os
import pickle
import warnings
import zipfile
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import safetensors.torch
import torch
from torch import Tensor, nn

from train.models.clip import ClipVit
from train.models.openai import clean_state, config_of, fitted
from train.models.positions import resize_positions
from train.models.resnet import ClipResNet
from train.weights import read_weights

VIT = replace(ClipVit.tiny(), vision_width=64, vision_num_layers=2, text_width=64, head_width=64)
RESNET = replace(
    ClipResNet.tiny(), vision_width=4, vision_num_blocks=(1, 2, 1, 1), text_width=64, head_width=64
)


def archive(path: Path, config: ClipVit | ClipResNet) -> dict[str, Tensor]:
    """Save a model as OpenAI saved theirs: traced, with its sizes as buffers, weights in half precision."""
    torch.manual_seed(0)
    model = config.build(vocab_size=300).eval()
    images = torch.zeros(2, 3, config.image_side_px, config.image_side_px)
    text = torch.tensor([[298, 5, 299], [298, 299, 0]])
    sizes = {"input_resolution": config.image_side_px, "context_length": 16, "vocab_size": 300}
    for name, size in sizes.items():
        model.register_buffer(name, torch.tensor(size))
    inputs = {"forward": (images, text), "encode_image": images, "encode_text": text}
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # the tracer is out of fashion
        traced = torch.jit.trace_module(model, inputs)
        for parameter in traced.parameters():
            parameter.data = parameter.data.half() if parameter.ndim >= 2 else parameter.data
        torch.jit.save(traced, path)
    return {name: tensor for name, tensor in traced.state_dict().items() if name not in sizes}


@pytest.mark.parametrize("config", [VIT, RESNET])
def test_a_traced_archive_in_half_precision_is_read_and_its_model_recognised(
    config: ClipVit | ClipResNet, tmp_path: Path
) -> None:
    expected = archive(tmp_path / "clip.pt", config)
    found = clean_state(read_weights(tmp_path / "clip.pt"))
    assert found.keys() == expected.keys()
    assert all(torch.equal(found[name], expected[name].to(found[name].dtype)) for name in found)
    assert config_of(found) == config
    config.build(vocab_size=300).load_state_dict(fitted(found, config))


def test_an_archive_is_what_torch_itself_reads_out_of_it(tmp_path: Path) -> None:
    archive(tmp_path / "clip.pt", VIT)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        theirs = torch.jit.load(tmp_path / "clip.pt").state_dict()
    ours = read_weights(tmp_path / "clip.pt")
    assert ours.keys() == theirs.keys()
    assert all(
        torch.equal(ours[name], theirs[name]) and ours[name].dtype == theirs[name].dtype for name in ours
    )


@pytest.mark.parametrize(
    ("name", "save"),
    [
        ("plain.pt", torch.save),
        ("old.pt", lambda state, path: torch.save(state, path, _use_new_zipfile_serialization=False)),
        ("plain.safetensors", safetensors.torch.save_file),
        ("of_a_trainer.pt", lambda state, path: torch.save({"epoch": 3, "state_dict": state}, path)),
        (
            "of_many_gpus.pt",
            lambda state, path: torch.save({f"module.{name}": part for name, part in state.items()}, path),
        ),
    ],
)
def test_a_state_dict_is_read_as_whatever_it_was_saved(
    name: str, save: Callable[[Any, Path], None], tmp_path: Path
) -> None:
    state = VIT.build(vocab_size=300).state_dict()
    save(state, tmp_path / name)
    found = read_weights(tmp_path / name)
    assert found.keys() == state.keys()
    assert all(torch.equal(found[part], state[part]) for part in state)


class Evil:
    """What a pickle can do to whoever loads it."""

    def __reduce__(self) -> tuple[Any, ...]:
        return os.system, ("touch owned",)


def zipped(path: Path, data: bytes, *, torchscript: bool) -> None:
    """Write a torch archive whose pickle is `data`."""
    with zipfile.ZipFile(path, "w") as file:
        file.writestr("archive/data.pkl", data)
        file.writestr("archive/version", "3\n")
        file.writestr("archive/byteorder", "little")
        if torchscript:
            file.writestr("archive/constants.pkl", pickle.dumps(()))


@pytest.mark.parametrize(
    ("content", "message"),
    [
        ("plain", "none of it was run"),
        ("old", "none of it was run"),
        ("torchscript", "its pickle asks for posix.system, which holds no weights"),
        ("inside", "its pickle asks for posix.system, which holds no weights"),
    ],
)
def test_a_pickle_that_runs_a_command_is_refused_and_not_run(
    content: str, message: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    path = tmp_path / "evil.pt"
    if content == "plain":
        torch.save({"visual.proj": Evil()}, path)
    elif content == "old":
        path.write_bytes(pickle.dumps(Evil(), protocol=2))
    elif content == "torchscript":
        zipped(path, pickle.dumps(Evil()), torchscript=True)
    else:
        archive(tmp_path / "good.pt", VIT)
        evil = pickle.dumps({"a": Evil()}, protocol=2)
        path = changed(tmp_path / "good.pt", {"data.pkl": lambda data: evil})
    with pytest.raises(ValueError, match=message) as refused:
        read_weights(path)
    assert "\n" not in str(refused.value)
    assert "Next: " in str(refused.value)
    assert not (tmp_path / "owned").exists()


def changed(path: Path, changes: dict[str, Callable[[bytes], bytes]]) -> Path:
    """Return a copy of an archive in which some files are others."""
    out = path.with_name("changed.pt")
    with zipfile.ZipFile(path) as old, zipfile.ZipFile(out, "w") as new:
        for name in old.namelist():
            change = changes.get(name.partition("/")[2], bytes)
            new.writestr(name, change(old.read(name)))
    return out


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"data/0": lambda data: data[:-2]}, "storage 0 has 2046 bytes, not 1024 elements"),
        # The positions' 16 x 64 become 255 x 64, which are not there.
        ({"data.pkl": lambda data: data.replace(b"K\x10K@t", b"K\xffK@t", 1)}, "out of bounds"),
        ({"data.pkl": lambda data: data[:-100]}, "not read, none of it was run"),
        ({"data.pkl": lambda data: b"\x80\x02h\x00."}, "not read, none of it was run"),
        ({"data.pkl": lambda data: b""}, "not read, none of it was run"),
    ],
)
def test_an_archive_that_is_broken_or_lies_about_its_sizes_is_refused(
    changes: dict[str, Callable[[bytes], bytes]], message: str, tmp_path: Path
) -> None:
    archive(tmp_path / "clip.pt", VIT)
    with pytest.raises(ValueError, match=message):
        read_weights(changed(tmp_path / "clip.pt", changes))


def test_a_small_file_cannot_ask_for_much_memory(tmp_path: Path) -> None:
    torch.save({"visual.proj": torch.zeros(1).expand(10**12)}, tmp_path / "inflated.pt")
    with pytest.raises(ValueError, match=r"visual\.proj is larger than its bytes"):
        read_weights(tmp_path / "inflated.pt")
    with zipfile.ZipFile(tmp_path / "bomb.pt", "w", zipfile.ZIP_DEFLATED) as file:
        file.writestr("archive/constants.pkl", b"")
        file.writestr("archive/data.pkl", bytes(10**6))
    with pytest.raises(ValueError, match=r"none of it was run: archive/data\.pkl is compressed"):
        read_weights(tmp_path / "bomb.pt")


@pytest.mark.parametrize("content", [b"", b"PK\x03\x04 cut", b"GIF89a", b"\x80\x02}q\x00."])
def test_a_file_that_is_no_checkpoint_is_refused_in_one_line(content: bytes, tmp_path: Path) -> None:
    for name in ("file.pt", "file.safetensors"):
        (tmp_path / name).write_bytes(content)
        with pytest.raises(ValueError, match="Next: ") as refused:
            read_weights(tmp_path / name)
        assert "\n" not in str(refused.value)


def test_a_checkpoint_of_something_else_is_refused(tmp_path: Path) -> None:
    torch.save({"epoch": 3}, tmp_path / "no_weights.pt")
    with pytest.raises(ValueError, match="holds no state dict"):
        read_weights(tmp_path / "no_weights.pt")
    with pytest.raises(ValueError, match="no weights of a CLIP"):
        config_of(nn.Linear(2, 2).state_dict())


def test_weights_that_do_not_fit_are_named() -> None:
    state = VIT.build(vocab_size=300).state_dict()
    state["visual.proj"] = torch.zeros(3, 3)
    with pytest.raises(ValueError, match=r"1 weights do not fit the model, first visual.proj: \(3, 3\), not"):
        fitted(state, VIT)


def test_positions_of_the_same_number_stay_and_no_square_is_refused() -> None:
    positions = torch.randn(5, 3)
    assert resize_positions(positions, 5) is positions
    assert resize_positions(positions, 17).shape == (17, 3)
    assert torch.equal(resize_positions(positions, 17)[0], positions[0])
    with pytest.raises(ValueError, match="6 positions are no square and one"):
        resize_positions(torch.randn(6, 3), 17)


def test_weights_are_fitted_to_another_resolution_and_nothing_else() -> None:
    for config in (VIT, RESNET):
        state = config.build(vocab_size=300).state_dict()
        larger = replace(config, image_side_px=64)
        larger.build(vocab_size=300).load_state_dict(fitted(state, larger))
    with pytest.raises(ValueError, match="weights do not fit the model, first positional_embedding"):
        fitted(state, replace(RESNET, context_length=20))
