"""The jobs that were submitted: python -m train jobs list | status | logs | cancel."""

import time
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Literal, Protocol

import tyro

from train.launch import kubernetes, slurm
from train.launch.records import FILE, SubmittedJob, jobs_of

NUM_LINES = 20
JOBS_USAGE = """\
The jobs that `python -m train submit` gave to a scheduler.

  python -m train jobs list --run runs             the newest job of every run below a directory
  python -m train jobs status --run runs/b32       one run's
  python -m train jobs logs --run runs/b32 --follow --rank 3
  python -m train jobs cancel --run runs/b32       its newest checkpoint is kept
"""


class Scheduler(Protocol):
    """What a scheduler's module offers for its jobs."""

    def state_of(self, job: SubmittedJob) -> str:
        """Return the job's state in the scheduler's words."""

    def cancel(self, job: SubmittedJob) -> None:
        """Stop the job, or take it out of the queue."""


SCHEDULERS: dict[str, Scheduler] = {"slurm": slurm, "kubernetes": kubernetes}


@dataclass(frozen=True, kw_only=True)
class Jobs:
    """What is asked of the jobs of a run, or of all runs below a directory."""

    what: tyro.conf.Positional[Literal["list", "status", "logs", "cancel"]]
    run: Path
    rank: int | None = None  # whose log; None: the first process's
    num_lines: int = NUM_LINES  # of the log's end
    follow: bool = False  # go on as the log grows

    def lines(self) -> Iterator[str]:
        """Yield the answer line by line. Raises ValueError where the run has no job."""
        if self.what == "list":
            yield from _listed(self.run)
            return
        job = self._newest()
        if self.what == "status":
            yield _line(self.run, job)
        elif self.what == "cancel":
            SCHEDULERS[job.launcher].cancel(job)
            yield f"{job.launcher} job {job.job_id} is cancelled; its newest checkpoint is kept in {self.run}"
        elif job.launcher == "slurm":
            yield from self._file_lines(job)
        else:
            yield from kubernetes.log_lines(job, self.rank or 0, self.num_lines, self.follow)

    def _newest(self) -> SubmittedJob:
        jobs = jobs_of(self.run)
        if not jobs:
            raise ValueError(
                f"{self.run} has no job. Next: python -m train submit slurm -- demo --data D --run {self.run}"
            )
        return jobs[-1]

    def _file_lines(self, job: SubmittedJob) -> Iterator[str]:
        pattern = Path(job.logs.replace("-*", f"-{self.rank or 0}"))
        paths = list(pattern.parent.glob(pattern.name))
        if not paths:
            raise ValueError(f"no log at {job.logs} yet. Next: python -m train jobs status --run {self.run}")
        newest = max(paths, key=lambda path: path.stat().st_mtime)
        with newest.open(encoding="utf-8", errors="replace") as file:
            yield from (line.rstrip("\n") for line in file.readlines()[-self.num_lines :])
            while self.follow:
                line = file.readline()
                if line:
                    yield line.rstrip("\n")
                else:
                    time.sleep(0.5)


def _listed(root: Path) -> Iterator[str]:
    """Yield the newest job of every run at or below a directory."""
    found = sorted(path.parent for path in [root / FILE, *root.glob(f"*/{FILE}"), *root.glob(f"*/*/{FILE}")])
    runs = [run for run in found if (run / FILE).is_file()]
    if not runs:
        raise ValueError(f"no run at {root} was submitted. Next: python -m train submit --help")
    for run in runs:
        yield _line(run, jobs_of(run)[-1])


def _line(run: Path, job: SubmittedJob) -> str:
    state = SCHEDULERS[job.launcher].state_of(job)
    return f"{run}: {job.launcher} job {job.job_id} ({job.name}, {job.submitted_at}): {state}"
