"""Adam in half the memory: rounding that is right on average, and steps that follow the whole one's."""

import math
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import torch
from torch.distributed.device_mesh import init_device_mesh
from torch.distributed.tensor import Shard, distribute_tensor

from tests.fakes import make_dataset
from tests.processes import run_together
from tests.tiny_train import TINY_MODEL, tiny_config
from train.checkpoint import load_checkpoint, read_checkpoint
from train.config import OptimConfig
from train.distributed import num_processes, processes, rank
from train.loop import fit
from train.optim import build_optimizer, halve_text_weights
from train.parallel import Towers
from train.plan_memory import state_bytes
from train.small_adam import SmallAdamW, _first, random_bits, round_by_chance

SMALL = OptimConfig(peak_lr=1e-2, num_warmup_steps=2, statistics="bfloat16")
SMALLEST = replace(SMALL, text_weights="bfloat16")


def rounded_by(values: torch.Tensor, salt: int, first: int = 0) -> torch.Tensor:
    return round_by_chance(values, random_bits(salt, first, values.numel(), values.device) & 0xFFFF)


@pytest.mark.parametrize("value", [1.001, -1.001, 3e-9, 65_000.4])
def test_rounding_is_right_on_average(value: float) -> None:
    values = torch.full((100_000,), value)
    rounded = rounded_by(values, salt=7)
    down, up = rounded.min().item(), rounded.max().item()
    assert down < value < up
    share_up = (rounded == rounded.max()).float().mean().item()
    assert share_up == pytest.approx((value - down) / (up - down), abs=0.008)  # five standard deviations


def test_salts_round_differently_and_the_same_salt_alike() -> None:
    values = torch.full((100_000,), 1.0 + 2**-9)  # a quarter of the way up
    one, again, other = (rounded_by(values, salt) == 1 for salt in (1, 1, 2))
    assert torch.equal(one, again)
    assert (one & other).float().mean().item() == pytest.approx(0.75**2, abs=0.01)


def test_what_bfloat16_holds_stays_as_it_is() -> None:
    values = torch.tensor([0.0, -0.0, 1.0, -2.5, 3e38, float("inf"), -float("inf")])
    held = values.bfloat16().float()
    for salt in range(20):
        torch.testing.assert_close(rounded_by(held, salt).float(), held, rtol=0, atol=0)
    no_numbers = torch.tensor([0x7FC00000, 0x7FFFFFFF, -0x400000], dtype=torch.int32).view(torch.float32)
    for bits in (0, 0xFFFF):
        assert round_by_chance(no_numbers, torch.full((3,), bits, dtype=torch.int32)).isnan().all()


def test_what_is_too_small_for_a_step_of_bfloat16_adds_up() -> None:
    weights = torch.ones(10_000)
    nearest = weights.bfloat16()
    for salt in range(100):
        weights = rounded_by(weights - 1e-4, salt).float()
        nearest = (nearest.float() - 1e-4).bfloat16()
    assert weights.mean().item() == pytest.approx(0.99, abs=2e-4)
    assert nearest.mean().item() == 1.0


def test_steps_follow_those_of_the_whole_adam() -> None:
    torch.manual_seed(0)
    start, target = torch.randn(64, 64), torch.randn(64, 64)
    ended = []
    for config in (replace(SMALL, statistics="float32"), SMALL):
        model = torch.nn.Linear(64, 64, bias=False)
        model.weight.data = start.clone()
        optimizer = build_optimizer(model, config)
        for _ in range(50):
            optimizer.zero_grad()
            ((model.weight - target) ** 2).sum().backward()
            optimizer.step()
        ended.append(model.weight.detach())
    moved = (ended[0] - start).norm()
    assert (ended[1] - ended[0]).norm() < 0.02 * moved


def test_both_halves_of_the_bits_are_as_random_and_have_nothing_in_common() -> None:
    bits = random_bits(7, 0, 100_000, torch.device("cpu"))
    halves = torch.stack([bits & 0xFFFF, (bits >> 16) & 0xFFFF]).double()
    assert halves.mean(dim=1).tolist() == pytest.approx([32_767.5] * 2, abs=300)  # five standard deviations
    assert torch.corrcoef(halves)[0, 1].abs().item() < 0.016


def test_blocks_and_layouts_of_memory_change_nothing(monkeypatch: pytest.MonkeyPatch) -> None:
    start, gradient = torch.randn(8, 6, 5, 5), torch.randn(8, 6, 5, 5)
    ended = []
    for block, layout in ((1 << 16, torch.contiguous_format), (7, torch.channels_last)):
        monkeypatch.setattr("train.small_adam._BLOCK", block)
        weights = torch.nn.Parameter(start.clone(memory_format=layout))
        optimizer = SmallAdamW([weights], lr=0.1, betas=(0.9, 0.98), eps=1e-6)
        for _ in range(3):
            weights.grad = gradient.clone(memory_format=layout)
            optimizer.step()
        ended.append(weights.detach())
    torch.testing.assert_close(*ended, rtol=0, atol=0)


def test_it_takes_half_the_memory_that_is_said() -> None:
    config = tiny_config(optim=SMALLEST)
    towers = Towers(TINY_MODEL.build(300))
    whole = state_bytes(towers, tiny_config())
    halve_text_weights(towers.model)
    optimizer = build_optimizer(towers, config.optim)
    for parameter in towers.parameters():
        parameter.grad = torch.zeros_like(parameter)
    optimizer.step()
    tensors = [value for state in optimizer.state.values() for name, value in state.items() if name != "step"]
    found = sum(2 * parameter.nbytes for parameter in towers.parameters()) + sum(t.nbytes for t in tensors)
    assert found == state_bytes(towers, config)
    assert found < 0.7 * whole


@pytest.mark.parametrize("optim", [SMALL, SMALLEST])
def test_a_run_with_it_learns_and_goes_on_to_the_bit(tmp_path: Path, optim: OptimConfig) -> None:
    data = make_dataset(tmp_path / "data")
    config = tiny_config(optim=optim, precision="bfloat16", num_checkpoints_kept=9, ema_decay=0.9)
    whole, again = (fit(config, data, tmp_path / name) for name in ("whole", "again"))
    (again / "checkpoints" / "latest").write_text("step-00000002.pt\n")
    fit(config, data, again)
    one, two = load_checkpoint(whole), load_checkpoint(again)
    assert one is not None
    assert two is not None
    torch.testing.assert_close(one.model, two.model, rtol=0, atol=0)
    torch.testing.assert_close(one.ema, two.ema, rtol=0, atol=0)
    halves = {name for name, value in one.model.items() if value.dtype == torch.bfloat16}
    assert bool(halves) == (optim is SMALLEST)
    assert not any(name.startswith("visual.") for name in halves)


def distance(one: dict[str, torch.Tensor], other: dict[str, torch.Tensor]) -> float:
    squares = [(one[name].float() - other[name].float()).square().sum().item() for name in one]
    return math.sqrt(sum(squares))


@pytest.mark.parametrize(
    ("optim", "parallel", "precision", "limit"),
    [
        (SMALL, "ddp", "float32", 1e-3),
        (SMALL, "fsdp", "float32", 1e-3),
        (SMALLEST, "ddp", "bfloat16", 0.05),  # gradients are rounded, too, before they are added
    ],
)
def test_several_processes_learn_what_one_does(
    tmp_path: Path, optim: OptimConfig, parallel: Any, precision: Any, limit: float
) -> None:
    data = make_dataset(tmp_path / "data")
    # With a large eps, since the gradient of the keys' bias is zero but for rounding.
    optim = replace(optim, eps=1e-3)
    config = tiny_config(optim=optim, parallel=parallel, precision=precision, num_checkpoints_kept=9)
    one, several = fit(config, data, tmp_path / "one"), tmp_path / "several"
    run_together(2, fit, config, data, several)
    ours, theirs = load_checkpoint(several), load_checkpoint(one)
    start = read_checkpoint(one / "checkpoints" / "step-00000000.pt")
    assert ours is not None
    assert theirs is not None
    assert distance(ours.model, theirs.model) < limit * distance(start.model, theirs.model)


def rows_rounded(folder: Path) -> None:
    """Round this process's rows of one tensor, and write them."""
    with processes(torch.device("cpu")):
        mesh = init_device_mesh("cpu", (num_processes(),))
        spread = distribute_tensor(torch.full((5, 1000), 1.001), mesh, [Shard(0)])
        own = spread.to_local().flatten()
        torch.save(rounded_by(own, 7, _first(spread)), folder / f"{rank()}.pt")


def test_rows_are_rounded_alike_wherever_they_lie(tmp_path: Path) -> None:
    run_together(3, rows_rounded, tmp_path)  # 2, 2 and 1 rows
    rounded = torch.cat([torch.load(tmp_path / f"{number}.pt") for number in range(3)])
    torch.testing.assert_close(rounded, rounded_by(torch.full((5000,), 1.001), 7), rtol=0, atol=0)


def test_weights_in_bfloat16_need_what_goes_with_them(tmp_path: Path) -> None:
    with pytest.raises(ValueError, match="must be bfloat16 with text_weights in bfloat16"):
        replace(SMALLEST, statistics="float32")
    with pytest.raises(ValueError, match=r"must be with bfloat16 and ddp. Next: --precision bfloat16"):
        fit(tiny_config(optim=SMALLEST), make_dataset(tmp_path / "data"), tmp_path / "run")
    sharded = tiny_config(optim=SMALLEST, precision="bfloat16", parallel="fsdp")
    with pytest.raises(ValueError, match=r"with torch.bfloat16 and fsdp, must be with bfloat16 and ddp"):
        fit(sharded, make_dataset(tmp_path / "other"), tmp_path / "run2")
