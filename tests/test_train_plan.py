"""What a run is said to take: operations by the specification's table, memory by what torch really keeps."""

import json
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import torch
from torch import Tensor
from torch._subclasses.fake_tensor import FakeTensorMode
from torch.autograd.graph import saved_tensors_hooks

from train.__main__ import main
from train.config import DataConfig, SpeedConfig, TrainConfig
from train.flops import SampleFlops
from train.models.clip import ClipVit
from train.models.paper import PAPER_MODELS
from train.optim import build_optimizer
from train.parallel import Towers
from train.plan import ASSUMED_MFU, MEMORY_PASSES, plan_run
from train.plan_memory import count_saved, fused_attention, state_bytes, step_memory
from train.recipes import RECIPES

# GFLOP: a picture forward, a caption of 77 tokens forward, both in training.
TABLE = {
    "RN50": (11.59, 5.96, 52.6),
    "RN101": (19.01, 5.96, 74.9),
    "RN50x4": (41.16, 9.27, 151.3),
    "RN50x16": (145.74, 13.30, 477.1),
    "RN50x64": (520.25, 23.55, 1631.4),
    "ViT-B/32": (8.82, 5.96, 44.3),
    "ViT-B/16": (35.13, 5.96, 123.3),
    "ViT-L/14": (162.03, 13.30, 526.0),
    "ViT-L/14@336px": (381.92, 13.30, 1185.7),
}
VIT_B_32 = RECIPES["vit_b_32"]()


@pytest.mark.parametrize("name", TABLE)
def test_operations_are_those_of_the_table(name: str) -> None:
    flops = SampleFlops(PAPER_MODELS[name])
    image, text, training = (number / 1e9 for number in (flops.image, flops.text(77), flops.training(77)))
    assert (round(image, 2), round(text, 2), round(training, 1)) == TABLE[name]


@pytest.mark.parametrize(("num_tokens", "limit"), [(77, 17_820), (16, 26_248), (24, 24_700), (32, 23_400)])
def test_operations_follow_the_captions_length(num_tokens: int, limit: int) -> None:
    assert 790e12 / SampleFlops(PAPER_MODELS["ViT-B/32"]).training(num_tokens) == pytest.approx(limit, 5e-3)


def test_operations_are_the_sum_over_the_layers() -> None:
    config = PAPER_MODELS["ViT-L/14"]
    assert isinstance(config, ClipVit)

    def block(length: int, width: int) -> int:
        return 24 * length * width**2 + 4 * length**2 * width

    places, wide, side_px = 256, config.vision_width, config.patch_side_px
    image = 2 * places * 3 * side_px**2 * wide + 24 * block(places + 1, wide) + 2 * wide * 768
    flops = SampleFlops(config)
    assert (flops.image, flops.text(20)) == (image, 12 * block(20, 768) + 2 * 768 * 768)


def kept_by_autograd(towers: Towers, config: TrainConfig) -> int:
    """The bytes that torch really saves for the backward pass of 3 samples, parameters left out."""
    own = {parameter.untyped_storage().data_ptr() for parameter in towers.parameters()}
    kept: dict[int, Tensor] = {}

    def pack(tensor: Tensor) -> Tensor:
        kept.setdefault(tensor.untyped_storage().data_ptr(), tensor)
        return tensor

    side_px, cast = config.model.image_side_px, config.precision == "bfloat16"
    with saved_tensors_hooks(pack, lambda tensor: tensor), torch.autocast("cpu", enabled=cast):
        inputs = torch.zeros(3, 3, side_px, side_px), torch.zeros(3, 12, dtype=torch.int64)
        outputs = towers(*map(pack, inputs))  # which a step holds too
    assert outputs.image_features.requires_grad
    return sum(tensor.untyped_storage().nbytes() for key, tensor in kept.items() if key not in own)


@pytest.mark.parametrize("precision", ["float32", "bfloat16"])
@pytest.mark.parametrize("recipe", ["tiny_clip_vit", "tiny_clip_resnet"])
@pytest.mark.parametrize("fused", [False, True])
def test_memory_counted_without_bytes_is_what_torch_keeps(recipe: str, precision: Any, fused: bool) -> None:
    config = replace(RECIPES[recipe](), precision=precision)
    with FakeTensorMode():
        towers = Towers(config.model.build(300))
        if fused:
            fused_attention(towers)
        counted = count_saved(towers, config, 3, 12).total
    towers = Towers(config.model.build(300))
    if fused:
        fused_attention(towers)
    # Ours also counts the features, of 16; the CPU's convolutions in bfloat16 keep some small tensors more.
    assert counted == pytest.approx(kept_by_autograd(towers, config), rel=0.02, abs=2 * 3 * 16 * 4 + 8)


@pytest.mark.parametrize("recompute", ["cheap", "blocks"])
def test_what_is_computed_again_needs_no_memory(recompute: Any) -> None:
    config = replace(VIT_B_32, speed=SpeedConfig(recompute=recompute))
    less, more = (step_memory(one, 49_408, 1, 77).per_sample for one in (config, VIT_B_32))
    assert less < {"cheap": 0.85, "blocks": 0.5}[recompute] * more


def test_patches_that_are_left_out_cost_nothing() -> None:
    whole, half = (SampleFlops(PAPER_MODELS["ViT-B/16"], share) for share in (0.0, 0.5))
    places = {0.0: 197, 0.5: 99}
    block = {share: 24 * length * 768**2 + 4 * length**2 * 768 for share, length in places.items()}
    assert whole.image - half.image == 12 * (block[0.0] - block[0.5])
    assert whole.text(77) == half.text(77)


def test_memory_of_a_block_is_the_sum_of_what_its_layers_take_in() -> None:
    one, two = (
        replace(RECIPES["tiny_clip_vit"](), precision="bfloat16", model=model)
        for model in (ClipVit.tiny(), replace(ClipVit.tiny(), vision_num_layers=2))
    )
    growth = step_memory(two, 300, 1, 16).per_sample - step_memory(one, 300, 1, 16).per_sample
    places, width, heads = 5, 16, 2
    float32, bfloat16 = 4, 2
    norms = 2 * (width + 2) * float32  # their input, its mean and deviation
    products = (1 + 3 + 1 + 1 + 4 + 4) * width * bfloat16  # in_proj's input, q k v, out_proj's, c_fc's, ...
    assert growth == places * (norms + products + heads * float32)


def test_the_state_is_what_a_step_leaves() -> None:
    config = RECIPES["tiny_clip_vit"]()
    towers = Towers(config.model.build(300))
    optimizer = build_optimizer(towers, config.optim)
    for parameter in towers.parameters():
        parameter.grad = torch.zeros_like(parameter)
    optimizer.step()
    statistics = [value for state in optimizer.state.values() for value in state.values() if value.ndim]
    scalars = [state[name] for state in optimizer.state.values() for name in state if not state[name].ndim]
    tensors = [*towers.parameters(), *statistics, *(parameter.grad for parameter in towers.parameters())]
    found = sum(tensor.nbytes for tensor in tensors if tensor is not None)
    # A parameter that is a scalar has statistics that are; torch also counts the steps of each.
    assert abs(state_bytes(towers, config) - found) <= 4 * len(scalars)


def test_the_largest_micro_batch_fits_and_one_more_does_not() -> None:
    plan = plan_run(VIT_B_32, gpu="h200", num_gpus=1, num_pairs=400_000_000)
    memory = step_memory(VIT_B_32, 49_408, 1, 77)
    assert memory.of(plan.micro_batch_size) <= 0.92 * 141e9 < memory.of(plan.micro_batch_size + 1)
    assert plan.in_parts
    one = plan_run(VIT_B_32, gpu="h200", num_gpus=64, num_pairs=400_000_000)
    assert (one.micro_batch_size, one.samples_per_gpu, one.in_parts) == (512, 512, False)


def test_hours_and_energy_follow_from_the_speed() -> None:
    plan = plan_run(VIT_B_32, gpu="h200", num_gpus=64, num_pairs=400_000_000)
    memory = step_memory(VIT_B_32, 49_408, 64, 77)
    by_math = 790e12 * ASSUMED_MFU / plan.flops_per_sample
    assert plan.samples_per_s == 64 * min(by_math, 4.8e12 / MEMORY_PASSES / memory.per_sample)
    assert plan.num_samples == 32 * (400_000_000 // 32_768) * 32_768
    assert plan.hours == plan.num_samples / plan.samples_per_s / 3600
    assert plan.energy_kwh == pytest.approx(plan.hours * 64 * 0.7)


def test_what_was_measured_takes_the_assumptions_place(tmp_path: Path) -> None:
    path = tmp_path / "train_gpu.json"
    path.write_text("a table\n" + json.dumps({"models": {"ViT-L/14": {"mfu": 0.6}}}) + "\n")
    config = RECIPES["vit_l_14"]()
    plan = plan_run(config, gpu="h200", num_gpus=512, num_pairs=400_000_000, measured=path)
    assert (round(plan.mfu, 3), plan.mfu_source) == (0.6, f"measured, {path}")
    other = plan_run(VIT_B_32, gpu="h200", num_gpus=512, num_pairs=400_000_000, measured=path)
    assert other.mfu_source == "assumed; not among the measured"


def test_shards_of_the_state_lie_on_all_gpus() -> None:
    whole, shared = (
        step_memory(replace(VIT_B_32, parallel=kind), 49_408, 8, 77).state for kind in ("ddp", "fsdp")
    )
    assert shared == whole // 8


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["vit_b_32", "--gpu", "h9000"], "unknown GPU 'h9000', known: b200, h200"),
        (["vit_b_32", "--gpu", "a10", "--num-gpus", "0"], "0 GPUs and 400000000 pairs, must be"),
        (["vit_b_32", "--gpu", "a10", "--num-tokens", "99"], "num_tokens is 99, must be 3 to 77"),
        (["rn50", "--gpu", "a10"], "a batch of 32768 is 32768 samples for each GPU, of which "),
        (["rn50x64", "--gpu", "a10", "--data.batch-size", "800000"], "one sample needs "),
        (["vit_b_32", "--gpu", "a10", "--measured", "nowhere"], "nowhere does not end in what train_gpu"),
    ],
)
def test_a_wrong_plan_is_one_line_and_exits_2(
    arguments: list[str], message: str, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(["plan", *arguments]) == 2
    error = capsys.readouterr().err
    assert error.startswith(f"error: {message}")
    assert "Next: " in error
    assert error.count("\n") == 1


def test_the_command_prints_what_was_planned(capsys: pytest.CaptureFixture[str]) -> None:
    flags = ["plan", "vit_b_32", "--gpu", "h200", "--num-gpus", "64"]
    assert main(flags) == 0
    text = capsys.readouterr().out
    plan = plan_run(VIT_B_32, gpu="h200", num_gpus=64, num_pairs=400_000_000)
    assert f"{plan.samples_per_s:,.0f} samples/s" in text
    assert f"{plan.hours:,.1f} hours for 12,799,967,232 samples" in text
    assert main([*flags, "--json"]) == 0
    assert json.loads(capsys.readouterr().out)["hours"] == plan.hours


def test_a_gpu_hour_has_a_price_that_is_somebodys(capsys: pytest.CaptureFixture[str]) -> None:
    flags = ["plan", "vit_b_32", "--gpu", "h200", "--num-gpus", "64", "--gpu-hour-price", "2"]
    assert main([*flags, "--price-source", "mine, 2026-11-21", "--json"]) == 0
    plan = json.loads(capsys.readouterr().out)
    assert plan["cost"] == pytest.approx(2 * 64 * plan["hours"])
    assert main([*flags, "--price-source", "mine, 2026-11-21"]) == 0
    assert capsys.readouterr().out.splitlines()[-1] == f"cost        {plan['cost']:,.0f}, mine, 2026-11-21"
    assert main(flags) == 2
    assert "Next: --price-source" in capsys.readouterr().err


def test_the_assumption_is_the_recipes() -> None:
    """Recipes say hours at half of 790 TFLOP/s; a plan says no fewer, for memory may take longer."""
    config = replace(VIT_B_32, data=DataConfig(batch_size=1024))
    plan = plan_run(config, gpu="h200", num_gpus=1, num_pairs=400_000_000)
    assert 395 < plan.hours < 450
