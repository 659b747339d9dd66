"""A run on rented machines: a task of SkyPilot, which finds them, and others when they are taken back."""

import re
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

# The Python of a cloud's machines is any; SkyPilot brings uv, which brings ours.
INSTALL = """\
set -e
export PATH="$HOME/.local/bin:$PATH"
uv venv --quiet --clear --python 3.11 ~/openwit
uv pip install --quiet --python ~/openwit/bin/python -c constraints.txt -e '.[{extras}]'
"""
EXTRAS = {"s3": "s3", "gs": "gcs", "az": "azure", "abfs": "azure"}  # of pyproject.toml, by scheme of --data
PYTHON = "~/openwit/bin/python"
CHECKOUT = Path(__file__).parents[2]


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
    image: str | None = None  # NAME:TAG of target `train`, in place of this checkout
    mounts: tuple[str, ...] = ()  # /PATH=BUCKET, an object store as a directory; a spot run must be in one
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
        if self.image is not None and not re.fullmatch(r"(?!docker:)\S+", self.image):
            raise ValueError(
                f"image is {self.image!r}, must be as a registry has it. Next: --image HOST/NAME:TAG"
            )
        if self.hours is not None:
            raise ValueError(f"hours is {self.hours}, and SkyPilot ends no run. Next: leave --hours out")

    def command(self, fit_arguments: Sequence[str]) -> list[str]:
        """Return what `submit` runs: a managed job, which SkyPilot watches and recovers. Secrets are names,
        whose values it takes from this environment."""
        secrets = [word for name in self.secrets for word in ("--secret", name)]
        launch = ["sky", "jobs", "launch", "--yes", "--name", self.name, *secrets]
        return [*launch, _task_file(fit_arguments)]

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
        task: dict[str, Any] = {
            "name": self.name,
            "num_nodes": self.num_nodes,
            "resources": self._resources(),
            "envs": self.settings(),
            "secrets": dict.fromkeys(self.secrets, None),
            "file_mounts": self._mounts(value_of("--run", fit_arguments)),
            **(self._image() if self.image else self._checkout(values_of("--data", fit_arguments))),
            "run": self._script(fit_arguments),
        }
        return {name: value for name, value in task.items() if value}

    def _resources(self) -> dict[str, Any]:
        named = {
            "accelerators": f"{self.gpu}:{self.gpus_per_node}" if self.gpus_per_node else None,
            "cpus": f"{self.cpus_per_process * self.num_processes_per_node}+",
            "memory": f"{self.memory_gb}+" if self.memory_gb else None,
            "infra": "/".join(part for part in (self.cloud, self.region) if part) or None,
            "use_spot": self.spot or None,
            "image_id": f"docker:{self.image}" if self.image else None,
            "disk_size": self.disk_gb,
            # On machines that are new: what one node has written, the others may not see at once.
            "job_recovery": {"max_restarts_on_errors": self.max_restarts},
        }
        return {name: value for name, value in named.items() if value is not None}

    def _mounts(self, run: str) -> dict[str, Any]:
        """Return buckets by path. That of the run is written through a disk's cache: it is added to, which
        plain mounts of most stores cannot."""
        places = dict(mount.split("=", 1) for mount in self.mounts)
        its = {path for path in places if run.startswith(path.rstrip("/") + "/")}
        if self.spot and not its:
            raise ValueError(
                f"--run {run} is on the disk of a spot machine, which is lost with it. "
                f"Next: --mounts /runs=s3://BUCKET and --run /runs/NAME"
            )
        return {
            path: {"source": bucket, "mode": "MOUNT_CACHED" if path in its else "MOUNT"}
            for path, bucket in places.items()
        }

    def _image(self) -> dict[str, Any]:
        """Return how the image's container runs: as root, since SkyPilot installs its own tools there."""
        pod = {"spec": {"securityContext": {"runAsUser": 0}}}
        return {"config": {"docker": {"run_options": ["--user=root"]}, "kubernetes": {"pod_config": pod}}}

    def _checkout(self, data: Sequence[str]) -> dict[str, str]:
        """Return what is sent in place of an image, and how it is installed there."""
        if not (CHECKOUT / "pyproject.toml").is_file():
            raise ValueError("this program is not in a checkout to send. Next: --image NAME:TAG")
        stores = {EXTRAS[scheme] for place in data if (scheme := place.partition("://")[0]) in EXTRAS}
        return {
            "workdir": str(CHECKOUT),
            "setup": INSTALL.format(extras=",".join(["train", *sorted(stores)])),
        }

    def _script(self, fit_arguments: Sequence[str]) -> str:
        """Return what every node runs."""
        each, run = self.num_processes_per_node, value_of("--run", fit_arguments)
        several = self.num_nodes > 1
        nodes = [
            Nodes(num_nodes=self.num_nodes, node_rank="$SKYPILOT_NODE_RANK", address="$head", port=port)
            if several
            else None
            for port in (29500, 29501)
        ]
        python = "python" if self.image else PYTHON
        look = preflight_command(values_of("--data", fit_arguments), run, each, nodes[1], python=python)
        fit = fit_command(fit_arguments, each, nodes=nodes[0], python=python, save_s=self.save_s)
        lines = ["set -e", 'head=$(echo "$SKYPILOT_NODE_IPS" | head -n 1)'] if several else ["set -e"]
        free = {"--node-rank=$SKYPILOT_NODE_RANK", "--master-addr=$head", PYTHON}
        lines += [quoted(line, free) for line in ([look, fit] if self.preflight else [fit])]
        return "\n".join(lines) + "\n"


def _task_file(fit_arguments: Sequence[str]) -> str:
    """Return the name of the task's file in this directory; the run's own may be on the machines alone."""
    return f"{run_of(fit_arguments).name}.sky.yaml"
