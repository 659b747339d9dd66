"""What launchers would submit: exact files, checked as the schedulers' own programs would."""

import json
import os
import shlex
import subprocess
import sys
from pathlib import Path
from typing import Any

import kubernetes_validate
import pytest

from tests.fakes import make_dataset
from tests.tiny_train import tiny_flags
from train.__main__ import main
from train.checkpoint import load_checkpoint
from train.launch.job import value_of
from train.launch.kubernetes import Kubernetes
from train.launch.records import SubmittedJob, record_job
from train.launch.skypilot import CHECKOUT, Skypilot
from train.launch.slurm import Slurm
from train.launch.yaml_text import to_yaml

GOLDEN = Path(__file__).parent / "golden" / "launch"
FIT = ["cifar10", "--data", "/data/wit", "--run", "/runs/b32", "--num-epochs", "3"]
KUBERNETES = {
    "one-cpu": Kubernetes(name="tiny", image="openwit/train:1", gpus_per_node=0, preflight=False),
    "one-node": Kubernetes(
        image="registry.example/openwit@sha256:" + "a" * 64,
        gpus_per_node=8,
        memory_gb=900,
        hours=48,
        volumes=("wit:/data", "runs:/runs"),
        secrets=("AWS_SECRET_ACCESS_KEY", "AWS_ACCESS_KEY_ID"),
        secret="store",
    ),
    "four-nodes": Kubernetes(
        name="b32-four",
        image="openwit/train:1",
        num_nodes=4,
        gpus_per_node=8,
        namespace="research",
        node_selector=("gpu=h100",),
        pull_secret="registry",
        environment=("NCCL_SOCKET_IFNAME=eth0",),
        volumes=("runs:/runs",),
    ),
}
SLURM = {
    "two-nodes": Slurm(
        num_nodes=2,
        gpus_per_node=8,
        hours=24,
        partition="gpu",
        account="vision",
        secrets=("WANDB_API_KEY",),
        environment=("NCCL_IB_HCA=mlx5",),
        python=Path("/shared/openwit/bin/python"),
    ),
    "chain": Slurm(num_links=5, hours=4, image="openwit.sif", memory_gb=64),
}
SKYPILOT = {
    "spot": Skypilot(
        num_nodes=2,
        gpus_per_node=8,
        spot=True,
        mounts=("/runs=s3://bucket", "/data=gs://other"),
        cloud="aws",
        region="us-east-1",
        secrets=("WANDB_API_KEY",),
    ),
    "image": Skypilot(
        image="registry.example/openwit-train:1", gpu="A100-80GB", memory_gb=64, preflight=False
    ),
    "cpu": Skypilot(gpus_per_node=0, cpus_per_process=4, cloud="gcp"),
}


@pytest.fixture(autouse=True)
def _in_a_known_directory(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.chdir(tmp_path)


def check(name: str, text: str) -> None:
    """Compare with a golden file; GOLDEN=write makes it anew, to be looked at."""
    text = text.replace(str(Path.cwd()), "/home/someone").replace(str(CHECKOUT), "/home/someone")
    path = GOLDEN / name
    if os.environ.get("GOLDEN") == "write":
        path.parent.mkdir(exist_ok=True)
        path.write_text(text)
    assert text == path.read_text()


@pytest.mark.parametrize("name", SLURM)
def test_slurm_scripts_are_as_looked_at_and_are_a_shells(name: str) -> None:
    script = SLURM[name].script(FIT)
    check(f"slurm-{name}.sh", script)
    assert subprocess.run(["bash", "-n"], input=script, text=True, check=False).returncode == 0


@pytest.mark.parametrize("name", KUBERNETES)
def test_kubernetes_objects_are_as_looked_at_and_follow_the_schemas(name: str) -> None:
    objects = KUBERNETES[name].objects(FIT)
    check(f"kubernetes-{name}.yaml", to_yaml(objects))
    for part in objects:
        kubernetes_validate.validate(part, "1.34", strict=True)


def test_the_schemas_find_a_field_that_is_none() -> None:
    job = KUBERNETES["one-cpu"].objects(FIT)[1]
    job["spec"]["completionmode"] = job["spec"].pop("completionMode")
    with pytest.raises(kubernetes_validate.ValidationError):
        kubernetes_validate.validate(job, "1.34", strict=True)


@pytest.mark.parametrize("name", KUBERNETES)
def test_what_a_pod_runs_is_what_the_shell_makes_of_it(name: str) -> None:
    pod: Any = KUBERNETES[name].objects(FIT)[1]["spec"]["template"]["spec"]
    command = pod["containers"][0]["command"]
    assert command[:2] == ["/bin/sh", "-c"]
    echoed = command[2].replace("exec ", "").replace("python ", "echo ")
    shown = subprocess.run(
        ["/bin/sh", "-c", echoed],
        env={"JOB_COMPLETION_INDEX": "3", "PATH": os.environ["PATH"]},
        capture_output=True,
        text=True,
        check=True,
    ).stdout
    assert shown.endswith(f"train fit {shlex.join(FIT)}\n")
    assert ("--node-rank=3" in shown) == (name == "four-nodes")


@pytest.mark.parametrize("name", SKYPILOT)
def test_skypilot_tasks_are_as_looked_at(name: str) -> None:
    check(f"skypilot-{name}.yaml", to_yaml([SKYPILOT[name].task(FIT)]))


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["slurm", "--num-nodes", "0"], "num_nodes is 0, must be at least 1"),
        (["slurm", "--hours", "0.01"], "hours is 0.01, must be more than save_s, 180 s"),
        (["slurm", "--environment", "WANDB_API_KEY=x"], "environment holds WANDB_API_KEY, which looks like"),
        (["slurm", "--environment", "NAME"], "environment is NAME, must be NAME=VALUE"),
        (
            ["slurm", "--gpus-per-node", "8", "--processes-per-node", "2"],
            "processes_per_node is 2, must be 8",
        ),
        (["kubernetes", "--image", "a 1"], "image is 'a 1', must be as a registry has it"),
        (["kubernetes", "--image", "a:1", "--secrets", "TOKEN"], "secrets are TOKEN, of no Secret"),
        (["kubernetes", "--image", "a:1", "--volumes", "wit"], "volumes holds 'wit', must be CLAIM:/PATH"),
        (["kubernetes", "--image", "a:1", "--name", "B32"], "name is B32, must be lower-case letters"),
        (["skypilot", "--region", "us-east-1"], "region is us-east-1, of no cloud"),
        (["skypilot", "--image", "docker:a:1"], "image is 'docker:a:1', must be as a registry has it"),
        (["skypilot", "--hours", "4"], "hours is 4.0, and SkyPilot ends no run"),
        (["skypilot", "--mounts", "runs"], "mounts holds 'runs', must be /PATH=BUCKET"),
    ],
)
def test_a_wrong_value_is_one_line(
    arguments: list[str], message: str, capsys: pytest.CaptureFixture[str]
) -> None:
    try:
        status: Any = main(["submit", *arguments, "--dry-run", "--", *FIT])
    except SystemExit as exit_:
        status = exit_.code
    said = " ".join(capsys.readouterr().err.replace("│", " ").split())
    assert status == 2
    assert message in said
    assert "Next: " in said


def test_a_spot_machine_must_not_keep_the_run_on_its_own_disk(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["submit", "skypilot", "--spot", "--dry-run", "--", *FIT]) == 2
    assert "which is lost with it" in capsys.readouterr().err


@pytest.mark.parametrize("launcher", ["local", "slurm", "skypilot", "kubernetes"])
def test_a_dry_run_needs_no_scheduler_and_writes_nothing(
    launcher: str, capsys: pytest.CaptureFixture[str], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("PATH", "")
    image = ["--image", "a:1"] if launcher == "kubernetes" else []
    assert main(["submit", launcher, *image, "--dry-run", "--", *FIT]) == 0
    assert "fit cifar10 --data /data/wit" in capsys.readouterr().out.replace("\n", " ").replace("  ", " ")
    assert list(tmp_path.iterdir()) == []


def test_a_wrong_recipe_is_told_before_it_is_queued(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["submit", "slurm", "--dry-run", "--", "no-recipe"]) == 2
    assert "unknown 'no-recipe' as recipe" in capsys.readouterr().err


def test_what_would_fail_on_the_cluster_fails_here_first(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    data = make_dataset(tmp_path / "data")
    fit = [*tiny_flags(data, tmp_path / "run", num_epochs=1), "--tokenizer.kind", "clip"]
    vocabulary = ["--tokenizer.clip-vocab", str(tmp_path / "nowhere.txt.gz")]
    assert main(["submit", "slurm", "--", *fit, *vocabulary]) == 2
    assert "nowhere.txt.gz" in capsys.readouterr().err


def test_secrets_are_in_no_file(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("WANDB_API_KEY", "very-secret")
    script = SLURM["two-nodes"].script(FIT)
    assert "very-secret" not in script
    assert "#SBATCH --export=PATH,HOME,USER,LANG,WANDB_API_KEY" in script


def test_skypilot_is_given_the_file_that_was_written(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    program = tmp_path / "bin" / "sky"
    program.parent.mkdir()
    program.write_text('#!/bin/sh\ntest "$6 $7" = "--secret WANDB_API_KEY" && test -s "$8"\n')
    program.chmod(0o755)
    monkeypatch.setenv("PATH", f"{program.parent}:{os.environ['PATH']}")
    assert SKYPILOT["spot"].submit(FIT) == 0


def test_jobs_are_listed_where_no_scheduler_is(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    job = SubmittedJob(launcher="slurm", job_id="7", name="b32", submitted_at="now", logs="")
    record_job(tmp_path / "b32", job)
    monkeypatch.setenv("PATH", "")
    assert main(["jobs", "list", "--run", str(tmp_path)]) == 0
    assert "UNKNOWN, squeue is not on this machine" in capsys.readouterr().out
    assert main(["jobs", "cancel", "--run", str(tmp_path / "b32")]) == 2
    assert "scancel is not on this machine. Next: " in capsys.readouterr().err


def test_a_flag_is_found_in_both_forms() -> None:
    assert value_of("--run", ["demo", "--run=r"]) == value_of("--run", ["demo", "--run", "r"]) == "r"
    with pytest.raises(ValueError, match="the run to submit has no --run"):
        value_of("--run", ["demo"])


@pytest.mark.slow
def test_two_local_processes_of_which_one_is_killed_go_on_to_the_same_end(tmp_path: Path) -> None:
    data = make_dataset(tmp_path / "data")
    runs = [tmp_path / "whole", tmp_path / "cut"]
    for run in runs:
        script = [sys.executable, "-c", KILLED_ONCE if run.name == "cut" else STARTED, str(run)]
        flags = [*tiny_flags(data, run, num_epochs=20), "--precision", "float32"]
        subprocess.run([*script, json.dumps(flags)], check=True, timeout=200)
    whole, cut = (load_checkpoint(run) for run in runs)
    assert whole is not None
    assert cut is not None
    assert whole.step == cut.step == 40
    for name, value in whole.model.items():
        assert value.equal(cut.model[name]), name


STARTED = """
import json, sys
from train.launch.local import Local
sys.exit(Local(num_processes=2, max_restarts=2).submit(json.loads(sys.argv[2])))
"""
# From outside, one of the two is killed once the run has written a checkpoint in its middle.
KILLED_ONCE = (
    """
import glob, os, signal, sys, threading, time
def kill():
    run = sys.argv[1]
    while not os.path.exists(f"{run}/checkpoints/step-00000010.pt"):
        time.sleep(0.01)
    for path in glob.glob("/proc/[0-9]*/environ"):
        try:
            words = open(path, "rb").read().split(b"\\0")
            line = open(path.replace("environ", "cmdline"), "rb").read()
        except OSError:
            continue
        if b"LOCAL_RANK=1" in words and run.encode() in line:
            os.kill(int(path.split("/")[2]), signal.SIGKILL)
threading.Thread(target=kill, daemon=True).start()
"""
    + STARTED
)
