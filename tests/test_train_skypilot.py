"""SkyPilot's own readers take the task files and the command that are written for it."""

import json
import os
import subprocess
from pathlib import Path
from typing import Any

import pytest

from tests.test_train_launch import FIT, GOLDEN, SKYPILOT

# In an environment of its own among the peers': it pins what others must not.
PYTHON = Path(__file__).parents[1] / ".venv-peers/skypilot/bin/python"
pytestmark = pytest.mark.skipif(not PYTHON.exists(), reason="no SkyPilot: make peers")

READ = """
import json, sys, sky
read = {}
for path in sys.argv[1:]:
    task = sky.Task.from_yaml(path)
    (machines,) = task.resources
    read[path] = {
        "nodes": task.num_nodes,
        "accelerators": machines.accelerators,
        "spot": machines.use_spot,
        "image": machines.extract_docker_image(),
        "restarts": (machines.job_recovery or {}).get("max_restarts_on_errors"),
        "mounts": {path: mount.mode.value for path, mount in task.storage_mounts.items()},
        "envs": sorted(task.envs),
        "run": task.run,
    }
print(json.dumps(read))
"""
PARSE = """
import json, os, sys
from sky.client.cli.command import jobs_launch
context = jobs_launch.make_context("launch", sys.argv[1:])
print(json.dumps({name: context.params[name] for name in ("name", "secret", "yes", "entrypoint")}))
"""


def by_skypilot(tmp_path: Path, script: str, *words: str) -> subprocess.CompletedProcess[str]:
    """Run a script by SkyPilot's Python, at home in an empty folder, with a variable that is a secret."""
    settings = {
        "HOME": str(tmp_path),
        "SKYPILOT_DISABLE_USAGE_COLLECTION": "1",
        "WANDB_API_KEY": "very-secret",
    }
    command = [str(PYTHON), "-c", script, *words]
    return subprocess.run(command, env=os.environ | settings, capture_output=True, text=True, timeout=120)


def test_tasks_are_read_as_they_are_meant(tmp_path: Path) -> None:
    paths = {name: str(GOLDEN / f"skypilot-{name}.yaml") for name in SKYPILOT}
    done = by_skypilot(tmp_path, READ, *paths.values())
    assert done.returncode == 0, done.stderr
    read: Any = json.loads(done.stdout)
    for name, path in paths.items():
        asked, found = SKYPILOT[name], read[path]
        assert found["nodes"] == asked.num_nodes
        assert found["accelerators"] == ({asked.gpu: asked.gpus_per_node} if asked.gpus_per_node else None)
        assert (found["spot"], found["image"]) == (asked.spot, asked.image)
        assert found["restarts"] == asked.max_restarts
        assert set(asked.settings()) <= set(found["envs"])
        assert subprocess.run(["bash", "-n"], input=found["run"], text=True).returncode == 0
    assert read[paths["spot"]]["mounts"] == {"/runs": "MOUNT_CACHED", "/data": "MOUNT"}


def test_a_field_that_it_does_not_know_is_refused(tmp_path: Path) -> None:
    text = (GOLDEN / "skypilot-spot.yaml").read_text().replace("use_spot", "use_spots")
    (tmp_path / "task.yaml").write_text(text)
    done = by_skypilot(tmp_path, READ, str(tmp_path / "task.yaml"))
    assert done.returncode == 1
    assert "use_spots" in done.stderr


def test_its_command_line_takes_ours_and_finds_the_secret_in_the_environment(tmp_path: Path) -> None:
    _, _, _, *words = SKYPILOT["spot"].command(FIT)
    done = by_skypilot(tmp_path, PARSE, *words)
    assert done.returncode == 0, done.stderr
    assert json.loads(done.stdout) == {
        "name": "openwit",
        "secret": [["WANDB_API_KEY", "very-secret"]],
        "yes": True,
        "entrypoint": ["b32.sky.yaml"],
    }
