"""A run on Kubernetes: an indexed Job, a pod for each node, and the service by which pods find each other."""

import json
import subprocess
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any

from train.launch.command import Nodes, fit_command, preflight_command
from train.launch.job import Job, run_of, value_of, values_of
from train.launch.records import SubmittedJob, now, record_job
from train.launch.shell import answer, quoted
from train.launch.yaml_text import to_yaml

PORT = 29500
MOUNT = "CLAIM:/PATH"
LABEL = "openwit/job"

Json = dict[str, Any]


@dataclass(frozen=True, kw_only=True)
class Kubernetes(Job):
    """Run `fit` as an indexed Job: pods that are lost are made anew, and go on from the newest checkpoint.

    Example: python -m train submit kubernetes --image registry.example/openwit-train:1 --num-nodes 2 \\
        --gpus-per-node 8 --volumes wit:/data runs:/runs -- vit_b_32 --data /data/wit --run /runs/b32
    """

    image: str  # the Dockerfile's `train` target, where the cluster can pull it
    volumes: tuple[
        str, ...
    ] = ()  # CLAIM:/PATH, persistent volume claims; the run's must be writable by all pods
    namespace: str = "default"
    secret: str | None = None  # the Secret that holds the variables of --secrets
    gpu_resource: str = "nvidia.com/gpu"
    shared_memory_gb: int = 16  # for NCCL between processes of a pod
    node_selector: tuple[str, ...] = ()  # LABEL=VALUE
    pull_secret: str | None = None

    def __post_init__(self) -> None:
        super().__post_init__()
        if not self.image or any(letter.isspace() for letter in self.image):
            raise ValueError(
                f"image is {self.image!r}, must be as a registry has it. Next: --image HOST/NAME:TAG"
            )
        if self.secrets and not self.secret:
            raise ValueError(
                f"secrets are {', '.join(self.secrets)}, of no Secret. Next: --secret NAME, made with "
                f"kubectl create secret generic NAME --from-literal={self.secrets[0]}=..."
            )
        for volume in self.volumes:
            claim, separator, path = volume.partition(":")
            if not (claim and separator and path.startswith("/")):
                raise ValueError(f"volumes holds {volume!r}, must be {MOUNT}. Next: --volumes wit:/data")
        for label in self.node_selector:
            if not all(label.partition("=")):
                raise ValueError(f"node_selector holds {label!r}, must be LABEL=VALUE. Next: correct it")

    def command(self, fit_arguments: Sequence[str]) -> list[str]:
        """Return what `submit` runs; it gives kubectl what `objects` returns."""
        return ["kubectl", "--namespace", self.namespace, "create", "--filename", "-"]

    def submit(self, fit_arguments: Sequence[str]) -> int:
        """Create the objects and return 0. Raises ValueError with what kubectl said instead."""
        text = to_yaml(self.objects(fit_arguments))
        if self.dry_run:
            print(text, end="")
            return 0
        _kubectl(self.command(fit_arguments), text)
        name, run_dir = self.name, run_of(fit_arguments)
        record_job(
            run_dir,
            SubmittedJob(
                launcher="kubernetes",
                job_id=name,
                name=name,
                submitted_at=now(),
                logs=f"{LABEL}={name}",
                cluster=self.namespace,
            ),
        )
        print(f"created Job {name} in {self.namespace}. Next: python -m train jobs status --run {run_dir}")
        return 0

    def objects(self, fit_arguments: Sequence[str]) -> list[Json]:
        """Return the service and the Job, as the API takes them."""
        service = {
            "apiVersion": "v1",
            "kind": "Service",
            "metadata": {"name": self.name, "namespace": self.namespace, "labels": {LABEL: self.name}},
            # Without an address of its own: each pod has a name, also before it is ready.
            "spec": {
                "clusterIP": "None",
                "publishNotReadyAddresses": True,
                "selector": {LABEL: self.name},
                "ports": [{"name": "rendezvous", "port": PORT}],
            },
        }
        return [service, self._job(fit_arguments)]

    def _job(self, fit_arguments: Sequence[str]) -> Json:
        spec: Json = {
            "completionMode": "Indexed",
            "completions": self.num_nodes,
            "parallelism": self.num_nodes,
            "backoffLimit": self.max_restarts * self.num_nodes,
            "ttlSecondsAfterFinished": 7 * 24 * 3600,
            # A node that is drained is no fault of the run's; a wrong request would be wrong again.
            "podFailurePolicy": {
                "rules": [
                    {"action": "Ignore", "onPodConditions": [{"type": "DisruptionTarget", "status": "True"}]},
                    {
                        "action": "FailJob",
                        "onExitCodes": {"containerName": "train", "operator": "In", "values": [2]},
                    },
                ]
            },
            "template": {
                "metadata": {"labels": {LABEL: self.name}},
                "spec": self._pod(fit_arguments),
            },
        }
        if self.hours is not None:
            spec["activeDeadlineSeconds"] = round(3600 * self.hours)
        return {
            "apiVersion": "batch/v1",
            "kind": "Job",
            "metadata": {"name": self.name, "namespace": self.namespace, "labels": {LABEL: self.name}},
            "spec": spec,
        }

    def _pod(self, fit_arguments: Sequence[str]) -> Json:
        claims = [volume.partition(":")[0] for volume in self.volumes]
        volumes: list[Json] = [
            {"name": f"claim-{number}", "persistentVolumeClaim": {"claimName": claim}}
            for number, claim in enumerate(claims)
        ]
        pod: Json = {
            "restartPolicy": "Never",
            "subdomain": self.name,
            "terminationGracePeriodSeconds": self.save_s + 30,
            "securityContext": {"runAsNonRoot": True, "seccompProfile": {"type": "RuntimeDefault"}},
            "automountServiceAccountToken": False,
            "containers": [self._container(fit_arguments)],
            "volumes": [
                *volumes,
                {
                    "name": "shared-memory",
                    "emptyDir": {"medium": "Memory", "sizeLimit": f"{self.shared_memory_gb}Gi"},
                },
            ],
        }
        if self.node_selector:
            pod["nodeSelector"] = dict(label.split("=", 1) for label in self.node_selector)
        if self.pull_secret:
            pod["imagePullSecrets"] = [{"name": self.pull_secret}]
        return pod

    def _container(self, fit_arguments: Sequence[str]) -> Json:
        resources = {"cpu": str(self.cpus_per_process * self.num_processes_per_node)}
        if self.memory_gb:
            resources["memory"] = f"{self.memory_gb}Gi"
        if self.gpus_per_node:
            resources[self.gpu_resource] = str(self.gpus_per_node)
        mounts = [
            {"name": f"claim-{number}", "mountPath": volume.partition(":")[2]}
            for number, volume in enumerate(self.volumes)
        ]
        secrets = [
            {"name": name, "valueFrom": {"secretKeyRef": {"name": self.secret, "key": name}}}
            for name in self.secrets
        ]
        return {
            "name": "train",
            "image": self.image,
            "command": ["/bin/sh", "-c", self._shell(fit_arguments)],
            "env": [*({"name": name, "value": text} for name, text in self.settings().items()), *secrets],
            "ports": [{"containerPort": PORT, "name": "rendezvous"}],
            "resources": {"requests": resources, "limits": resources},
            "securityContext": {"allowPrivilegeEscalation": False, "capabilities": {"drop": ["ALL"]}},
            "volumeMounts": [*mounts, {"name": "shared-memory", "mountPath": "/dev/shm"}],
        }

    def _shell(self, fit_arguments: Sequence[str]) -> str:
        """Return the line that a pod runs; Kubernetes numbers the pods by JOB_COMPLETION_INDEX."""
        several = self.num_nodes > 1
        address = f"{self.name}-0.{self.name}"
        nodes = [
            Nodes(num_nodes=self.num_nodes, node_rank="$JOB_COMPLETION_INDEX", address=address, port=port)
            if several
            else None
            for port in (PORT, PORT + 1)
        ]
        run = value_of("--run", fit_arguments)
        data, each = values_of("--data", fit_arguments), self.num_processes_per_node
        look = preflight_command(data, run, each, nodes[1], python="python")
        fit = fit_command(fit_arguments, each, nodes=nodes[0], python="python", save_s=self.save_s)
        free = {"--node-rank=$JOB_COMPLETION_INDEX"}
        start = f"exec {quoted(fit, free)}"
        return f"{quoted(look, free)} && {start}" if self.preflight else start


def state_of(job: SubmittedJob) -> str:
    """Return how many pods of a job are running, done and failed, and what the Job says of itself."""
    shown = _kubectl(["kubectl", "--namespace", job.cluster, "get", "job", job.job_id, "--output", "json"])
    status = json.loads(shown).get("status", {})
    counts = [f"{status.get(name, 0)} {name}" for name in ("active", "succeeded", "failed")]
    said = [part["type"] for part in status.get("conditions", []) if part.get("status") == "True"]
    return ", ".join(counts + said)


def cancel(job: SubmittedJob) -> None:
    """Delete the Job with its pods, and the service."""
    wanted = ["job,service", "--selector", f"{LABEL}={job.job_id}"]
    _kubectl(["kubectl", "--namespace", job.cluster, "delete", *wanted])


def log_lines(job: SubmittedJob, node: int, num_lines: int, follow: bool) -> Iterator[str]:
    """Yield the last lines that a pod wrote, newest pod of its number first."""
    chosen = f"{LABEL}={job.job_id},batch.kubernetes.io/job-completion-index={node}"
    asked = ["logs", "--selector", chosen, f"--tail={num_lines}", *(["--follow"] if follow else [])]
    with subprocess.Popen(
        ["kubectl", "--namespace", job.cluster, *asked], stdout=subprocess.PIPE, text=True
    ) as process:
        assert process.stdout is not None
        for line in process.stdout:
            yield line.rstrip("\n")


def _kubectl(command: Sequence[str], given: str = "") -> str:
    return answer(command, "install it, or --dry-run and apply the objects elsewhere", given)
