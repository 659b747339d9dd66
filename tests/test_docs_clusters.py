"""docs/clusters.md: its commands work as they are printed, and its figures are what they print."""

import os
import shlex
import stat
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image

from manifests.store import read_manifest
from pipeline.__main__ import main as run_pipeline
from pipeline.config import RunOptions
from pipeline.plan.needs import Needs, Rates, needs_of
from pipeline.plan.predict import Assumed
from pipeline.plan.table import size
from pipeline.recipes import RECIPES
from train.__main__ import main as run_train
from train.plan import plan_run
from train.recipes import RECIPES as MODELS

PAGE = Path(__file__).parents[1] / "docs/clusters.md"
PROGRAMS = {"pipeline": run_pipeline, "train": run_train}
# Pairs, and of their plan: recipe, workers, candidates read for each that is fetched.
BUILDS = {
    10**6: ("laptop", 8, 14.0),
    10**8: ("webimagetext-400m", 64, 14.0),
    4 * 10**8: ("webimagetext-400m", 64, 14.0),
    5 * 10**9: ("webimagetext-400m", 64, 6.0),
}
PAPERS = ("rn50", "rn101", "rn50x4", "rn50x16", "rn50x64", "vit_b_32", "vit_b_16", "vit_l_14", "vit_l_14_336")
GPUS = {"rn50x16": 144, "rn50x64": 320}  # which a batch needs to be held


def blocks() -> Iterator[str]:
    """Yield the indented blocks of the page, without their indentation."""
    lines: list[str] = []
    for line in [*PAGE.read_text(encoding="utf-8").splitlines(), "."]:
        if line.startswith("    "):
            lines.append(line.removeprefix("    "))
        elif lines and line:
            yield "\n".join(lines)
            lines = []


def commands() -> list[list[str]]:
    """Return the words of every command on the page, in its order."""
    joined = "\n".join(block for block in blocks() if not block.startswith("#!")).replace("\\\n", " ")
    return [shlex.split(line) for line in joined.splitlines() if line.strip().startswith("python ")]


def build_row(needs: Needs) -> str:
    """Return a build as the page's table has it."""
    cells = [
        *(
            f"{needs.num_pairs:,}",
            f"{needs.workers:,}",
            f"{needs.num_candidates:,}",
            f"{needs.num_fetched:,}",
        ),
        *(f"{hours:,.1f}" for hours in (needs.find_hours, needs.fetch_hours, needs.rows_hours)),
        *(f"{needs.driver_hours:,.1f}", f"{needs.hours:,.1f}", f"{needs.workers * needs.hours:,.0f}"),
        *(size(needs.crawl_bytes), size(needs.download_bytes), f"{needs.gbit_per_s:.1f}"),
        *(size(needs.stored_bytes), size(needs.disk_bytes), size(needs.driver_memory_bytes)),
    ]
    return f"| {' | '.join(cells)} |"


def model_row(name: str) -> str:
    """Return the beginning of a model's row in the page's table, before what others say."""
    plan = plan_run(MODELS[name](), gpu="h200", num_gpus=GPUS.get(name, 64), num_pairs=400_000_000)
    gpu_hours, kwh = plan.hours * plan.num_gpus, plan.energy_kwh
    cells = (f"`{name}`", str(plan.num_gpus), f"{plan.hours:,.1f}", f"{gpu_hours:,.0f}", f"{kwh:,.0f}")
    return f"| {' | '.join(cells)} |"


def each_command() -> Iterator[Any]:
    """Yield every command as a parameter; the plans of two large models take seconds."""
    for words in commands():
        slow = words[2:4] == ["train", "plan"] and words[4] != "vit_b_32"
        yield pytest.param(words, id=" ".join(words), marks=[pytest.mark.slow] if slow else [])


@pytest.mark.parametrize("words", list(each_command()))
def test_a_command_works_as_it_is_printed(
    words: list[str], tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.chdir(tmp_path)
    if any(word.startswith("gs://") for word in words):
        pytest.importorskip("gcsfs", reason="no gcsfs: pip install 'openwit[gcs]'")
    assert words[:2] == ["python", "-m"]
    assert PROGRAMS[words[2]](words[3:]) == 0
    out = capsys.readouterr().out
    assert out
    if "--num-pairs" in words and "400000000" in words:
        shown = out.partition("\n\n")[2] or out  # what it costs, where prices are given
        assert shown.strip() in "\n".join(blocks())


def needs_in_table(num_pairs: int) -> Needs:
    """Return what a build takes by the command that the page prints."""
    recipe, workers, candidates = BUILDS[num_pairs]
    options, rates = RunOptions(dataset=Path("x"), workers=workers), Rates(candidates_per_fetched=candidates)
    return needs_of(num_pairs, RECIPES[recipe]().config, options, Assumed(), rates)


@pytest.mark.parametrize("num_pairs", BUILDS)
def test_the_table_of_builds_is_what_the_plans_say(num_pairs: int) -> None:
    assert build_row(needs_in_table(num_pairs)) in PAGE.read_text(encoding="utf-8")


@pytest.mark.parametrize(
    "name",
    ["vit_b_32", *(pytest.param(name, marks=pytest.mark.slow) for name in PAPERS if name != "vit_b_32")],
)
def test_the_table_of_models_is_what_the_plans_say(name: str) -> None:
    assert model_row(name) in PAGE.read_text(encoding="utf-8")


STAND_INS = {
    "scontrol": "printf '127.0.0.2\\n127.0.0.3\\n'",
    "srun": """for node in 127.0.0.2 127.0.0.3; do SLURMD_NODENAME=$node "$@" & pids="$pids $!"; done
trap "kill $pids" TERM
wait""",
    "python": """case "$*" in
  *' build '*) shift 4; exec {python} -m pipeline build laptop {flags} --workers 2 "$3" "$4" "$5" ;;
  *) exec {python} "$@" ;;
esac""",
}


@pytest.mark.slow
def test_the_batch_file_builds_on_a_pool_of_each_node(tmp_path: Path) -> None:
    """The nodes are two addresses of this machine, and the build is one of pictures that are here."""
    (tmp_path / "photos/cup").mkdir(parents=True)
    for number in range(12):
        rng = np.random.default_rng(number)
        pixels = np.kron(rng.integers(0, 256, (8, 8, 3), dtype=np.uint8), np.ones((16, 16, 1), np.uint8))
        Image.fromarray(pixels).save(tmp_path / f"photos/cup/{number}.png")
    (tmp_path / "terms.txt").write_text("cup\n")
    folder = f"--folder.paths {tmp_path}/photos --folder.templates 'A photo of a {{}} in the sun.'"
    flags = f"--dataset {tmp_path}/wit --queries {tmp_path}/terms.txt {folder} --quiet".replace("{{}}", "{}")
    for name, body in STAND_INS.items():
        script = tmp_path / "bin" / name
        script.parent.mkdir(exist_ok=True)
        script.write_text(
            "#!/bin/bash\n" + body.replace("{python}", sys.executable).replace("{flags}", flags)
        )
        script.chmod(script.stat().st_mode | stat.S_IXUSR)
    (tmp_path / "pools.sbatch").write_text(next(block for block in blocks() if block.startswith("#!")))
    environment = os.environ | {
        "PATH": f"{tmp_path}/bin:{os.environ['PATH']}",
        "SLURM_JOB_NODELIST": "n[1-2]",
    }
    environment["PYTHONPATH"] = str(PAGE.parents[1])
    done = subprocess.run(
        ["bash", "pools.sbatch"], cwd=tmp_path, env=environment, capture_output=True, text=True, timeout=400
    )
    assert done.returncode == 0, done.stderr
    assert read_manifest(tmp_path / "wit").num_pairs == 12
