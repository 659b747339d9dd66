"""Options of speed and memory: what they leave alone, and what they save."""

from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import torch
from torch import Tensor

from tests.fakes import make_dataset
from tests.tiny_train import TINY_MODEL, tiny_config
from train.checkpoint import load_checkpoint
from train.config import SpeedConfig
from train.loop import fit
from train.models.clip import Clip
from train.models.transformer import Attention
from train.models.vit import keep_some
from train.speed import set_speed

NO_CAST = torch.autocast("cpu", enabled=False)


def model_with(**options: Any) -> Clip:
    """The tiny model, always with the same weights."""
    torch.manual_seed(0)
    model = replace(TINY_MODEL, vision_num_layers=2).build(300)
    set_speed(model, SpeedConfig(**options), NO_CAST)
    return model


def gradients(model: Clip, dtype: torch.dtype = torch.float32) -> list[Tensor]:
    torch.manual_seed(1)
    images, tokens = torch.randn(3, 3, 16, 16), torch.randint(300, (3, 9))
    with torch.autocast("cpu", dtype, enabled=dtype != torch.float32):
        features = model.encode_image(images), model.encode_text(tokens)
    (features[0].float() * features[1].float()).sum().backward()
    return [parameter.grad for parameter in model.parameters() if parameter.grad is not None]


@pytest.mark.parametrize("recompute", ["cheap", "blocks"])
@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16])
def test_computing_again_changes_no_bit_of_the_gradients(recompute: Any, dtype: torch.dtype) -> None:
    found, expected = (gradients(model_with(recompute=how), dtype) for how in (recompute, "none"))
    torch.testing.assert_close(found, expected, rtol=0, atol=0)


@pytest.mark.slow
@pytest.mark.filterwarnings("ignore")  # torch's compiler warns of torch's own TorchScript and of leaves
def test_compiled_blocks_compute_the_same_under_the_same_names(capsys: pytest.CaptureFixture[str]) -> None:
    compiled, plain = model_with(compile=True), model_with()
    assert capsys.readouterr().err == ""
    torch.testing.assert_close(gradients(compiled), gradients(plain), rtol=1e-4, atol=1e-6)
    assert compiled.state_dict().keys() == plain.state_dict().keys()


def test_what_cannot_be_compiled_is_said_and_runs_all_the_same(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    def no_compiler(*_: object) -> None:
        raise RuntimeError("no C++ compiler\nand more")

    monkeypatch.setattr(torch, "compile", no_compiler)
    model = model_with(compile=True)
    assert capsys.readouterr().err == "not compiled, slower by that: no C++ compiler\n"
    torch.testing.assert_close(gradients(model), gradients(model_with()), rtol=0, atol=0)


def test_attention_in_one_kernel_is_the_attention_of_its_parts() -> None:
    one, parts = model_with(), model_with()
    for part in one.modules():
        if isinstance(part, Attention):
            part.fused = True
    torch.testing.assert_close(gradients(one), gradients(parts), rtol=1e-4, atol=1e-6)


def test_patch_dropout_keeps_the_class_and_a_share_of_the_patches_in_order() -> None:
    x = torch.arange(11.0).expand(400, 11)[..., None]
    kept = keep_some(x, 0.6)[..., 0]
    assert kept.shape == (400, 5)
    assert (kept[:, 0] == 0).all()
    assert (kept.diff(dim=1) > 0).all()
    counts = torch.bincount(kept[:, 1:].flatten().long(), minlength=11)[1:]
    assert counts.sum() == 1600
    assert (counts - 160).abs().max() < 5 * (400 * 0.4 * 0.6) ** 0.5


def test_patch_dropout_is_for_training_alone() -> None:
    images = torch.randn(2, 3, 16, 16)
    some, whole = model_with(patch_dropout=0.5), model_with()
    with torch.no_grad():
        assert not torch.equal(some.encode_image(images), whole.encode_image(images))
        assert torch.equal(some.eval().encode_image(images), whole.eval().encode_image(images))


def test_a_run_with_all_of_them_goes_on_to_the_bit(tmp_path: Path) -> None:
    data = make_dataset(tmp_path / "data")
    config = tiny_config(speed=SpeedConfig(recompute="blocks", patch_dropout=0.5), num_checkpoints_kept=9)
    whole, again = (fit(config, data, tmp_path / name) for name in ("whole", "again"))
    (again / "checkpoints" / "latest").write_text("step-00000002.pt\n")
    fit(replace(config, speed=replace(config.speed, recompute="none")), data, again)
    one, two = load_checkpoint(whole), load_checkpoint(again)
    assert one is not None
    assert two is not None
    torch.testing.assert_close(one.model, two.model, rtol=0, atol=0)


def test_a_share_of_all_patches_is_refused() -> None:
    with pytest.raises(ValueError, match=r"patch_dropout is 1\.0, must be in \[0, 1\)"):
        SpeedConfig(patch_dropout=1.0)
