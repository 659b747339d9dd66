"""run.json of a run: what it was made of at each start, so that it can be made again: code, data, config,
machines, packages.

first, last   all that was known at the first and at the newest start
starts        of each: when, from which step, and what differed from the start before

It holds places and times, so no two runs share it; what a run learns depends on none of that.
"""

import json
import os
import platform
import re
import socket
import subprocess
import sys
from collections.abc import Mapping
from datetime import UTC, datetime
from functools import cache
from importlib import metadata
from pathlib import Path
from typing import Any

import torch

from manifests.store import write_bytes
from train.config import differences
from train.distributed import gather_values, is_first

NAME = "run.json"
# What can change how a run goes. Not what tells its processes apart.
_VARIABLES = re.compile(r"(CUDA|NCCL|GLOO|TORCH|PYTORCH|OMP|MKL|OPENBLAS)_\w+|SLURM_JOB_(ID|NODELIST)")
_SECRET = re.compile(r"KEY|TOKEN|SECRET|PASSWORD|PASSWD|CREDENTIAL", re.IGNORECASE)

Json = dict[str, Any]


def record_start(run_dir: Path, description: Json, place: str, from_step: int, device: torch.device) -> None:
    """Add this start to RUN/run.json. `description` is config.json, `place` where the data lies. All
    processes must call; the first writes.
    """
    own = {"host": socket.gethostname(), "device": _name_of(device)}
    machines = gather_values(own)
    if not is_first():
        return
    now = {
        "code": code(),
        "config": {name: value for name, value in description.items() if name != "dataset"},
        "data": {"place": place, "dataset": description.get("dataset")},
        "environment": environment(os.environ),
        "processes": {str(number): machine for number, machine in enumerate(machines)},
        "command": sys.argv,
    }
    path = run_dir / NAME
    known: Json = json.loads(path.read_bytes()) if path.is_file() else {"first": now, "last": now}
    start = {
        "time": datetime.now(UTC).isoformat(timespec="seconds"),
        "from_step": from_step,
        "changed": differences(known["last"], now),
    }
    known |= {"last": now, "starts": [*known.get("starts", []), start]}
    write_bytes(path, (json.dumps(known, indent=1, ensure_ascii=False) + "\n").encode())


def code() -> Json:
    """Return the version of this code: the package's and, in a git work tree, the commit and whether any file
    of it was changed."""
    return dict(_code())


def environment(variables: Mapping[str, str]) -> Json:
    """Return the programs that compute, and those of the variables that change how: none that is a secret."""
    return {
        "python": platform.python_version(),
        "platform": platform.platform(),
        "cuda": torch.version.cuda,
        "cudnn": _cudnn(),
        "packages": dict(_packages()),
        "num_threads": torch.get_num_threads(),
        "variables": {
            name: value
            for name, value in sorted(variables.items())
            if _VARIABLES.fullmatch(name) and not _SECRET.search(name)
        },
    }


def _cudnn() -> int | None:
    if not torch.cuda.is_available():
        return None
    version: int = torch.backends.cudnn.version()  # type: ignore[no-untyped-call]  # it has no types
    return version


@cache
def _code() -> tuple[tuple[str, Any], ...]:
    root = Path(__file__).resolve().parent.parent
    commit, changed = None, None
    # An installed package may lie in a work tree of something else.
    if _git(root, "rev-parse", "--show-toplevel") == str(root):
        commit = _git(root, "rev-parse", "HEAD")
        changed = bool(_git(root, "status", "--porcelain", "--untracked-files=no"))
    return ("version", metadata.version("openwit")), ("commit", commit), ("changed", changed)


def _git(folder: Path, *words: str) -> str | None:
    """Return what git says, None where it is not there or says no."""
    try:
        asked = subprocess.run(
            ["git", "-C", str(folder), *words], capture_output=True, text=True, check=False
        )
    except OSError:
        return None
    return asked.stdout.strip() if asked.returncode == 0 else None


@cache
def _packages() -> tuple[tuple[str, str], ...]:
    """Return our direct dependencies that are installed, with their versions."""
    named = {re.split(r"[^\w.-]", line, maxsplit=1)[0].lower() for line in metadata.requires("openwit") or ()}
    found = []
    for name in sorted(named):
        try:
            found.append((name, metadata.version(name)))
        except metadata.PackageNotFoundError:
            continue  # of an extra that is not used
    return tuple(found)


def _name_of(device: torch.device) -> str:
    if device.type == "cuda":
        return torch.cuda.get_device_name(device)
    path = Path("/proc/cpuinfo")
    lines = path.read_text(encoding="utf-8").splitlines() if path.is_file() else []
    models = [line.partition(":")[2].strip() for line in lines if line.startswith("model name")]
    return f"{models[0] if models else platform.machine()}, {os.cpu_count()} cores"
