"""The jobs of a run: RUN/jobs.jsonl, a line for each that was submitted."""

import json
from dataclasses import asdict, dataclass
from datetime import UTC, datetime
from pathlib import Path

FILE = "jobs.jsonl"


@dataclass(frozen=True, kw_only=True)
class SubmittedJob:
    """A job that a scheduler took."""

    launcher: str  # of LAUNCHERS
    job_id: str  # as the scheduler names it
    name: str
    submitted_at: str  # UTC, ISO 8601
    logs: str  # a pattern of files, or what the scheduler keeps them under
    cluster: str = ""  # namespace and such, where the id alone does not find it


def now() -> str:
    """Return the present time as a record holds it."""
    return datetime.now(UTC).isoformat(timespec="seconds")


def record_job(run_dir: Path, job: SubmittedJob) -> None:
    """Write a job down beside its run."""
    run_dir.mkdir(parents=True, exist_ok=True)
    with (run_dir / FILE).open("a", encoding="utf-8") as file:
        file.write(json.dumps(asdict(job)) + "\n")


def jobs_of(run_dir: Path) -> list[SubmittedJob]:
    """Return the jobs of a run in the order of their submission; none where none was."""
    path = run_dir / FILE
    lines = path.read_text("utf-8").splitlines() if path.is_file() else []
    try:
        return [SubmittedJob(**json.loads(line)) for line in lines]
    except (ValueError, TypeError) as error:
        raise ValueError(f"{path} has a line that is no job: {error}. Next: remove the line") from error
