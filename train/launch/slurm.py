"""A run on a Slurm cluster: an sbatch script, put back into the queue by itself until the run is done."""

import shlex
import subprocess
import sys
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from manifests.store import write_bytes
from train.launch.job import Job, run_of, values_of
from train.launch.records import SubmittedJob, now, record_job
from train.launch.shell import answer

# The run was asked to stop and has saved: 75 of `python -m train`. A wrong request, 2, would be wrong again.
SCRIPT = """\
#!/bin/bash
{directives}
set -u
# The tasks get the signal themselves; the shell outlives it, to put the job back into the queue.
trap : TERM USR1
{exports}
first=$(scontrol show hostnames "$SLURM_JOB_NODELIST" | head -n 1)
MASTER_ADDR=$(scontrol show node "$first" | sed -n 's/.*NodeAddr=\\([^ ]*\\).*/\\1/p')
export MASTER_ADDR WORLD_SIZE={num_processes}

on_every_process() {{
  # One log for each process. When one ends, the others have a minute to end as well.
  srun --export=ALL --kill-on-bad-exit=0 --wait=60 --open-mode=append --output={logs}/{job}-%t.log \\
    bash -c 'export RANK=$SLURM_PROCID LOCAL_RANK=$SLURM_LOCALID; exec "$@"' -- "$@"
}}

again() {{
  scontrol requeue "$SLURM_JOB_ID" || exit "$1"
  exit 0
}}

export MASTER_PORT=$((20000 + SLURM_JOB_ID % 20000))
{preflight}export MASTER_PORT=$((MASTER_PORT + 1))
on_every_process {command}
status=$?
echo "fit ended with status $status on $(date --utc +%FT%TZ)"
case $status in
  75) {stopped}
  0 | 2) exit $status ;;
esac
# A crash. Slurm itself puts a job back whose node has failed.
[ "${{SLURM_RESTART_COUNT:-0}}" -lt {max_restarts} ] && again $status
exit $status
"""
PREFLIGHT = "on_every_process {command} || exit 1\n"


@dataclass(frozen=True, kw_only=True)
class Slurm(Job):
    """Queue `fit` on a Slurm cluster; the run goes on from its newest checkpoint after every interruption.

    Example: python -m train submit slurm --num-nodes 2 --gpus-per-node 8 --hours 24 --partition gpu -- \\
        vit_b_32 --data /data/wit --run /runs/b32
    """

    partition: str | None = None
    account: str | None = None
    qos: str | None = None
    constraint: str | None = None  # a feature of nodes, as the cluster names it
    python: Path = Path(sys.executable)  # on every node, with openwit installed
    image: str | None = None  # an Apptainer image that holds `python` instead; run with the NVIDIA libraries
    num_links: int = 1  # jobs in a chain, one after the other, where a cluster forbids to requeue

    def __post_init__(self) -> None:
        super().__post_init__()
        if self.num_links < 1:
            raise ValueError(f"num_links is {self.num_links}, must be at least 1. Next: leave it out")

    def command(self, fit_arguments: Sequence[str]) -> list[str]:
        """Return what `submit` runs, but for the script, which `script` returns."""
        return ["sbatch", "--parsable", str(self._script_path(fit_arguments))]

    def submit(self, fit_arguments: Sequence[str]) -> int:
        """Write the script beside the run and queue it; return 0."""
        script = self.script(fit_arguments)
        if self.dry_run:
            print(f"# {shlex.join(self.command(fit_arguments))}\n{script}", end="")
            return 0
        run_dir, path = run_of(fit_arguments), self._script_path(fit_arguments)
        (run_dir / "logs").mkdir(parents=True, exist_ok=True)
        write_bytes(path, script.encode())
        job_id = _slurm(self.command(fit_arguments)).split(";")[0]
        link = "_*" if self.num_links > 1 else ""
        logs = str(run_dir / "logs" / f"{job_id}{link}-*.log")
        record_job(
            run_dir,
            SubmittedJob(launcher="slurm", job_id=job_id, name=self.name, submitted_at=now(), logs=logs),
        )
        print(f"queued as job {job_id}; logs: {logs}. Next: python -m train jobs status --run {run_dir}")
        return 0

    def script(self, fit_arguments: Sequence[str]) -> str:
        """Return the sbatch script."""
        run_dir = run_of(fit_arguments)
        start = (
            ["apptainer", "exec", *(["--nv"] if self.gpus_per_node else []), self.image] if self.image else []
        )
        python = [*start, "python" if self.image else str(self.python), "-m", "train"]
        data = values_of("--data", fit_arguments)
        look = [*python, "preflight", "--data", *data, "--run", str(run_dir), "--num-processes"]
        fit = [*python, "fit", *fit_arguments]
        return SCRIPT.format(
            directives="\n".join(f"#SBATCH --{line}" for line in self._directives(run_dir)),
            exports="\n".join(f"export {name}={shlex.quote(text)}" for name, text in self.settings().items()),
            num_processes=self.num_processes,
            logs=shlex.quote(str(run_dir / "logs")),
            job=self._job_in_logs,
            preflight=PREFLIGHT.format(command=shlex.join([*look, str(self.num_processes)]))
            if self.preflight
            else "",
            command=shlex.join(fit),
            stopped="again 75 ;;" if self.num_links == 1 else "exit 0 ;;  # the next of the chain goes on",
            max_restarts=self.max_restarts,
        )

    def _directives(self, run_dir: Path) -> list[str]:
        minutes = None if self.hours is None else max(1, round(60 * self.hours))
        wanted = {
            "job-name": self.name,
            "nodes": self.num_nodes,
            "ntasks-per-node": self.num_processes_per_node,
            "cpus-per-task": self.cpus_per_process,
            "gpus-per-node": self.gpus_per_node or None,
            "mem": None if self.memory_gb is None else f"{self.memory_gb}G",
            "time": minutes,
            "signal": f"USR1@{self.save_s}",
            "array": f"1-{self.num_links}%1" if self.num_links > 1 else None,
            "partition": self.partition,
            "account": self.account,
            "qos": self.qos,
            "constraint": self.constraint,
            "output": run_dir / "logs" / f"{self._job_in_logs}.log",
            "open-mode": "append",
            "chdir": Path.cwd(),
            # By name: the values stay out of the script.
            "export": ",".join(("PATH", "HOME", "USER", "LANG", *self.secrets)),
        }
        return ["requeue", *(f"{name}={value}" for name, value in wanted.items() if value is not None)]

    @property
    def _job_in_logs(self) -> str:
        """A job's number in the names of its logs, as Slurm writes it; a chain's links share one."""
        return "%A_%a" if self.num_links > 1 else "%j"

    def _script_path(self, fit_arguments: Sequence[str]) -> Path:
        return run_of(fit_arguments) / f"{self.name}.sbatch"


def state_of(job: SubmittedJob) -> str:
    """Return a job's state as Slurm names it; UNKNOWN once it has forgotten the job."""
    command = ["squeue", "--noheader", "--states=all", "--format=%T %r", f"--jobs={job.job_id}"]
    try:
        # A job that it has forgotten is an error to it.
        shown = subprocess.run(command, capture_output=True, text=True, check=False).stdout
    except FileNotFoundError:
        return "UNKNOWN, squeue is not on this machine"
    return " ".join(shown.split()) or "UNKNOWN"


def cancel(job: SubmittedJob) -> None:
    """Take a job out of the queue, or stop it; what it has saved stays."""
    _slurm(["scancel", job.job_id])


def _slurm(command: Sequence[str]) -> str:
    return answer(command, "submit from a login node of the cluster")
