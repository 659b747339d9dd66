"""A real Slurm of two nodes on this machine, for the time of a test.

Debian's slurm-wlm and munge, as root and without systemd: one controller, two daemons on one address, which
stand for two nodes of two CPUs each.
"""

import os
import shutil
import signal
import socket
import subprocess
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from pathlib import Path

NEEDED = ("munged", "slurmctld", "slurmd", "sbatch", "srun", "scontrol")
NODES = ("n1", "n2")
STARTS_WITHIN_S = 30
MUNGE_SOCKET = Path("/run/munge/munge.socket.2")

CONFIG = """\
ClusterName=test
SlurmctldHost=localhost
AuthType=auth/munge
ProctrackType=proctrack/linuxproc
TaskPlugin=task/none
SelectType=select/cons_tres
SelectTypeParameters=CR_CPU
SlurmUser=root
MpiDefault=none
ReturnToService=2
JobRequeue=1
KillWait=20
# Jobs of the partition `urgent` put those of `main` back into the queue, {grace_s} s after a SIGTERM.
PreemptType=preempt/partition_prio
PreemptMode=REQUEUE
# Accounting and switches that this machine has not.
AccountingStorageType=accounting_storage/none
JobAcctGatherType=jobacct_gather/none
SwitchType=switch/none
SlurmctldPort={ports[0]}
SlurmctldPidFile={root}/slurmctld.pid
SlurmdPidFile={root}/slurmd-%n.pid
StateSaveLocation={root}/state
SlurmdSpoolDir={root}/spool-%n
SlurmctldLogFile={root}/slurmctld.log
SlurmdLogFile={root}/slurmd-%n.log
# A job that is put back waits no two minutes.
SchedulerParameters=batch_sched_delay=0,sched_interval=2,bf_interval=2
BatchStartTimeout=10
NodeName=n1 NodeHostname=localhost NodeAddr=127.0.0.1 Port={ports[1]} CPUs=2 RealMemory=4000
NodeName=n2 NodeHostname=localhost NodeAddr=127.0.0.1 Port={ports[2]} CPUs=2 RealMemory=4000
PartitionName=main Nodes=n1,n2 Default=YES State=UP PriorityTier=1 PreemptMode=REQUEUE GraceTime={grace_s}
PartitionName=urgent Nodes=n1,n2 State=UP PriorityTier=10 PreemptMode=OFF
"""


def why_not() -> str | None:
    """Return why a Slurm cannot be started here, or None where it can."""
    missing = [name for name in NEEDED if shutil.which(name, path=_path()) is None]
    if missing:
        return f"{', '.join(missing)} not installed (Debian: apt-get install slurm-wlm munge)"
    return None if os.geteuid() == 0 else "Slurm's daemons need root here"


@dataclass(frozen=True, kw_only=True)
class Slurm:
    """A running Slurm; `environment` is what its commands need."""

    root: Path
    environment: Mapping[str, str]

    def run(self, *command: str) -> str:
        """Return what a command of Slurm's printed."""
        done = subprocess.run(
            command, env=dict(self.environment), capture_output=True, text=True, check=False
        )
        assert done.returncode == 0, (command, done.stdout, done.stderr)
        return done.stdout.strip()

    def state(self, job: str) -> str:
        """Return a job's state, such as RUNNING."""
        shown = self.run("scontrol", "show", "job", job)
        return shown.partition("JobState=")[2].split()[0]

    def logs(self) -> str:
        """Return what the daemons wrote, for a test that fails."""
        return "\n".join(f"== {path.name}\n{path.read_text()[-3000:]}" for path in self.root.glob("*.log"))


@contextmanager
def running_slurm(root: Path, grace_s: int = 30) -> Iterator[Slurm]:
    """Start Slurm with its files under `root`; stop what was started at the end."""
    (root / "state").mkdir(parents=True)
    config = root / "slurm.conf"
    config.write_text(CONFIG.format(root=root, grace_s=grace_s, ports=_free_ports(3)))
    environment = os.environ | {"SLURM_CONF": str(config), "PATH": _path()}
    slurm = Slurm(root=root, environment=environment)
    with ExitStack() as stack:
        if not MUNGE_SOCKET.exists():
            MUNGE_SOCKET.parent.mkdir(exist_ok=True)
            shutil.chown(MUNGE_SOCKET.parent, "munge", "munge")
            stack.enter_context(
                _daemon(["runuser", "-u", "munge", "--", "munged", "--force", "--foreground"], environment)
            )
            _wait_for(MUNGE_SOCKET.exists, slurm)
        stack.enter_context(_daemon(["slurmctld", "-D", "-c"], environment))
        for node in NODES:
            stack.enter_context(_daemon(["slurmd", "-D", "-N", node], environment))
        _wait_for(lambda: "2" in _idle(slurm), slurm)
        yield slurm


def _idle(slurm: Slurm) -> str:
    command = ["sinfo", "--noheader", "--partition=main", "--states=idle", "--format=%D"]
    done = subprocess.run(command, env=dict(slurm.environment), capture_output=True, text=True, check=False)
    return done.stdout


@contextmanager
def _daemon(command: list[str], environment: Mapping[str, str]) -> Iterator[None]:
    quiet = subprocess.DEVNULL
    process = subprocess.Popen(
        command, env=dict(environment), stdout=quiet, stderr=quiet, start_new_session=True
    )
    try:
        yield
    finally:
        process.terminate()
        try:
            process.wait(timeout=10)
        except subprocess.TimeoutExpired:
            os.killpg(process.pid, signal.SIGKILL)
            process.wait()


def _wait_for(ready: Callable[[], bool], slurm: Slurm) -> None:
    for _ in range(STARTS_WITHIN_S * 10):
        if ready():
            return
        time.sleep(0.1)
    raise AssertionError(f"Slurm did not start within {STARTS_WITHIN_S} s\n{slurm.logs()}")


def _free_ports(number: int) -> list[int]:
    with ExitStack() as stack:
        probes = [stack.enter_context(socket.socket()) for _ in range(number)]
        for probe in probes:
            probe.bind(("127.0.0.1", 0))
        return [probe.getsockname()[1] for probe in probes]


def _path() -> str:
    return f"{os.environ['PATH']}:/usr/sbin:/sbin"
