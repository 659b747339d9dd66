"""A run on rented machines: a task of SkyPilot, which finds them, and others when they are taken back."""

import shlex
import subprocess
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from manifests.store import write_bytes
from train.launch.command import Nodes, fit_command, preflight_command
from train.launch.job import Job, run_of, value_of, values_of
from train.launch.shell import quoted
from train.launch.yaml_text import to_yaml

INSTALL = "pip install --quiet -e '.[train]' -c constraints.txt"


@dataclass(frozen=True, kw_only=True)
class Skypilot(Job):
    """Run `fit` on a cloud's machines by SkyPilot, also on spot ones; it goes on after each is taken back.

    Example: python -m train submit skypilot --gpu H100 --gpus-per-node 8 --spot --mounts /runs=s3://bucket \\
        -- vit_b_32 --data s3://bucket/wit --run /runs/b32
    """

    gpu: str = "H100"  # as SkyPilot names it
    cloud: str | None = None  # aws, gcp, azure, kubernetes, ...; None: where it is cheapest
    region: str | None = None
    spot: bool = False
    image: str | None = None  # docker:NAME, in place of this checkout, which is installed at the start
    mounts: tuple[str, ...] = ()  # /PATH=BUCKET, an object store as a directory; the run must be in one
    disk_gb: int = 256

    def __post_init__(self) -> None:
        super().__post_init__()
        for mount in self.mounts:
            path, _, bucket = mount.partition("=")
            if not path.startswith("/") or "://" not in bucket:
                raise ValueError(
                    f"mounts holds {mount!r}, must be /PATH=BUCKET. Next: --mounts /runs=s3://bucket"
                )
        if self.region and not self.cloud:
            raise ValueError(f"region is {self.region}, of no cloud. Next: --cloud NAME")

    def command(self, fit_arguments: Sequence[str]) -> list[str]:
        """Return what `submit` runs: a managed job, which SkyPilot watches and recovers."""
        return ["sky", "jobs", "launch", "--yes", "--name", self.name, _task_file(fit_arguments)]

    def submit(self, fit_arguments: Sequence[str]) -> int:
        """Write the task file here and launch it; return SkyPilot's exit status."""
        text = to_yaml([self.task(fit_arguments)])
        command = self.command(fit_arguments)
        if self.dry_run:
            print(f"# {shlex.join(command)}\n{text}", end="")
            return 0
        write_bytes(Path(_task_file(fit_arguments)), text.encode())
        try:
            return subprocess.run(command, check=False).returncode
        except FileNotFoundError:
            raise ValueError(
                "sky is not on this machine. Next: pip install skypilot, and sky check"
            ) from None

    def task(self, fit_arguments: Sequence[str]) -> dict[str, Any]:
        """Return the task as SkyPilot's YAML has it."""
        each, run = self.num_processes_per_node, value_of("--run", fit_arguments)
        places = [run.startswith(mount.partition("=")[0].rstrip("/") + "/") for mount in self.mounts]
        if self.spot and not any(places):
            raise ValueError(
                f"--run {run} is on the disk of a spot machine, which is lost with it. "
                f"Next: --mounts /runs=s3://BUCKET and --run /runs/NAME"
            )
        several = self.num_nodes > 1
        nodes = [
            Nodes(num_nodes=self.num_nodes, node_rank="$SKYPILOT_NODE_RANK", address="$head", port=port)
            if several
            else None
            for port in (29500, 29501)
        ]
        look = preflight_command(values_of("--data", fit_arguments), run, each, nodes[1], python="python")
        fit = fit_command(fit_arguments, each, self.max_restarts, nodes=nodes[0], python="python")
        lines = ["set -e", 'head=$(echo "$SKYPILOT_NODE_IPS" | head -n 1)'] if several else ["set -e"]
        free = {"--node-rank=$SKYPILOT_NODE_RANK", "--master-addr=$head"}
        lines += [quoted(line, free) for line in ([look, fit] if self.preflight else [fit])]
        resources: dict[str, Any] = {
            "accelerators": f"{self.gpu}:{self.gpus_per_node}" if self.gpus_per_node else None,
            "cpus": f"{self.cpus_per_process * each}+",
            "memory": f"{self.memory_gb}+" if self.memory_gb else None,
            "infra": "/".join(part for part in (self.cloud, self.region) if part) or None,
            "use_spot": self.spot or None,
            "image_id": self.image,
            "disk_size": self.disk_gb,
        }
        task: dict[str, Any] = {
            "name": self.name,
            "num_nodes": self.num_nodes,
            "resources": {name: value for name, value in resources.items() if value is not None},
            "envs": self.settings(),
            "secrets": dict.fromkeys(self.secrets, None),
            "file_mounts": {
                path: {"source": bucket, "mode": "MOUNT"}
                for path, _, bucket in (mount.partition("=") for mount in self.mounts)
            },
            "workdir": None if self.image else str(Path.cwd()),
            "setup": None if self.image else INSTALL,
            "run": "\n".join(lines) + "\n",
        }
        return {name: value for name, value in task.items() if value}


def _task_file(fit_arguments: Sequence[str]) -> str:
    """Return the name of the task's file in this directory; the run's own may be on the machines alone."""
    return f"{run_of(fit_arguments).name}.sky.yaml"
