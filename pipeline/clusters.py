"""Beam's runners: what each must be told, checked, and written as its own options. Nothing here runs.

Who runs a build is no part of what is built: the same configuration gives the same bytes on all of them.
"""

import re
from collections.abc import Iterator
from dataclasses import dataclass, field, fields
from pathlib import Path
from typing import Annotated, ClassVar, Literal, Protocol

import tyro

RunnerName = Literal["direct", "flink", "spark", "dataflow", "portable"]

MIN_DISK_GB = 30
_ADDRESS = re.compile(r"([\w.-]+|\[[0-9a-fA-F:]+\]):\d{1,5}")
_REGION = re.compile(r"[a-z]+-[a-z]+\d+")
_PROJECT = re.compile(r"([a-z][a-z0-9.-]*:)?[a-z][a-z0-9-]{4,28}[a-z0-9]")
_IMAGE = re.compile(r"[a-z0-9][\w.:/-]*(:[\w][\w.-]*|@sha256:[0-9a-f]{64})")


class Runner(Protocol):
    """What every runner's settings can do."""

    remote: bool
    """Its workers are elsewhere, and see neither this machine's disk nor its packages."""

    def flags(self, workers: int) -> list[str]:
        """Return Beam's options, as words of a command line. Raises ValueError for wrong settings."""


@dataclass(frozen=True, kw_only=True)
class Direct:
    """This program itself, with its own worker processes or those of pools."""

    pools: tuple[str, ...] = ()
    """HOST:PORT of worker pools (`python -m pipeline pool`), which run the workers in turn. They must see the
    same disk under the same path."""
    remote = False

    def flags(self, workers: int) -> list[str]:
        """Return the options of Beam's in-process runner."""
        for pool in self.pools:
            _check_address("direct.pools", pool)
        if workers < len(self.pools):
            raise ValueError(
                f"workers: {workers} for {len(self.pools)} pools, each needs one at least. "
                f"Next: --workers {len(self.pools)}, or fewer pools"
            )
        return ["--runner=FnApiRunner", f"--direct_num_workers={workers}"]


@dataclass(frozen=True, kw_only=True)
class OnHosts:
    """What is asked of every runner that starts Beam's own workers on its hosts."""

    image: str = ""
    """Image of the workers, NAME:TAG (target `pipeline` of the Dockerfile); the hosts need Docker."""
    sidecar: str = ""
    """HOST:PORT of a worker pool that stands on each host, instead of an image."""
    workers_per_host: int = 1
    """Processes on each host."""
    name: ClassVar[str]
    remote = True

    def on_hosts(self) -> list[str]:
        """Return the options that say how workers start there."""
        _check_count(f"{self.name}.workers-per-host", self.workers_per_host)
        return [f"--sdk_worker_parallelism={self.workers_per_host}", *self._environment()]

    def _environment(self) -> list[str]:
        if self.image and self.sidecar:
            raise ValueError(
                f"{self.name}.image and {self.name}.sidecar: workers have one of them. Next: leave one out"
            )
        if self.sidecar:
            _check_address(f"{self.name}.sidecar", self.sidecar)
            return ["--environment_type=EXTERNAL", f"--environment_config={self.sidecar}"]
        image = _checked_image(self.name, self.image)
        return ["--environment_type=DOCKER", f"--environment_config={image}"]


@dataclass(frozen=True, kw_only=True)
class ByJobServer(OnHosts):
    """What is asked of runners that Beam reaches through its own job server (Java on this machine)."""

    job_server_jar: Path | None = None
    """Beam's job server for that cluster. None: Beam downloads it."""

    def by_job_server(self) -> list[str]:
        """Return the options of the job server and of its workers."""
        path = self.job_server_jar
        if path is not None and not path.is_file():
            raise ValueError(f"{self.name}.job-server-jar: {path} is not a file. Next: give the jar's path")
        jar = [] if path is None else [f"--{self.name}_job_server_jar={path}"]
        return [*jar, *self.on_hosts()]


@dataclass(frozen=True, kw_only=True)
class Flink(ByJobServer):
    """Apache Flink; its workers stand beside the task managers."""

    master: str = ""
    """HOST:PORT of Flink's REST service, or [local]: within the job server itself, to try it out."""
    version: Literal["1.19", "1.20", "2.0", "2.1", "2.2"] = "1.20"
    """The cluster's."""
    name: ClassVar[str] = "flink"

    def flags(self, workers: int) -> list[str]:
        """Return the options of Beam's Flink runner; its parallelism is the number of workers."""
        if self.master != "[local]":
            _check_address("flink.master", self.master)
        return [
            "--runner=FlinkRunner",
            f"--flink_master={self.master}",
            f"--flink_version={self.version}",
            f"--parallelism={workers}",
            *self.by_job_server(),
        ]


@dataclass(frozen=True, kw_only=True)
class Spark(ByJobServer):
    """Apache Spark 3; its workers stand beside the executors."""

    master: str = ""
    """spark://HOST:PORT, which a job server on this machine talks to, or local[CORES], to try it out. Leave
    it out where rest-url is given."""
    rest_url: str = ""
    """http://HOST:6066, the cluster's REST service, to which one jar with everything is handed."""
    name: ClassVar[str] = "spark"

    def flags(self, workers: int) -> list[str]:
        """Return the options of Beam's Spark runner. How many executors there are is the cluster's to say."""
        return ["--runner=SparkRunner", *self._target(), *self.by_job_server()]

    def _target(self) -> list[str]:
        if bool(self.master) == bool(self.rest_url):
            raise ValueError(
                f"spark.master {self.master!r} and spark.rest-url {self.rest_url!r}: one of the two says "
                "where the cluster is. Next: --spark.master spark://HOST:7077 or --spark.rest-url http://HOST:6066"
            )
        if re.fullmatch(r"local\[\d+\]", self.master):
            return [f"--spark_master_url={self.master}"]
        scheme, _, address = (self.master or self.rest_url).partition("://")
        wanted = ("spark",) if self.master else ("http", "https")
        if scheme not in wanted or not _ADDRESS.fullmatch(address):
            raise ValueError(f"spark: {self.master or self.rest_url!r} is not {wanted[0]}://HOST:PORT")
        if self.master:
            return [f"--spark_master_url={self.master}"]
        return ["--spark_submit_uber_jar", f"--spark_rest_url={self.rest_url}"]


@dataclass(frozen=True, kw_only=True)
class Dataflow:
    """Google Cloud Dataflow; needs pip install 'apache-beam[gcp]' to submit, not for a dry run."""

    project: str = ""
    region: str = ""
    """As us-central1."""
    temp_location: str = ""
    """gs://BUCKET/FOLDER for the service's own files."""
    staging_location: str = ""
    """gs://BUCKET/FOLDER for what is handed to workers. Empty: beside the temporary files."""
    image: str = ""
    """Image of the workers, NAME:TAG, in a registry that the project may read."""
    machine_type: str = "n2-standard-4"
    disk_gb: int = 100
    """Disk of each worker."""
    autoscaling: bool = False
    """Let the service choose how many workers, up to `workers`; otherwise exactly so many."""
    remote = True

    def flags(self, workers: int) -> list[str]:
        """Return the options of Beam's Dataflow runner."""
        self._check()
        scaling = "THROUGHPUT_BASED" if self.autoscaling else "NONE"
        number = f"--max_num_workers={workers}" if self.autoscaling else f"--num_workers={workers}"
        return [
            "--runner=DataflowRunner",
            f"--project={self.project}",
            f"--region={self.region}",
            f"--temp_location={self.temp_location}",
            f"--staging_location={self.staging_location or self.temp_location.rstrip('/') + '/staging'}",
            number,
            f"--autoscaling_algorithm={scaling}",
            f"--machine_type={self.machine_type}",
            f"--disk_size_gb={self.disk_gb}",
            f"--sdk_container_image={_checked_image('dataflow', self.image)}",
            "--sdk_location=container",  # the image has everything: nothing is staged again
        ]

    def _check(self) -> None:
        if not _PROJECT.fullmatch(self.project):
            raise ValueError(
                f"dataflow.project: {self.project!r} is no project's id (6 to 30 of a-z, 0-9, -). "
                "Next: --dataflow.project ID"
            )
        if not _REGION.fullmatch(self.region):
            raise ValueError(
                f"dataflow.region: {self.region!r} is no region, which looks like us-central1. "
                "Next: --dataflow.region NAME, without a zone's letter"
            )
        for name, place in (("temp", self.temp_location), ("staging", self.staging_location)):
            if not re.fullmatch(r"gs://[a-z0-9][\w.-]+(/.*)?", place) and (place or name == "temp"):
                raise ValueError(
                    f"dataflow.{name}-location: {place!r} is not in a bucket. "
                    f"Next: --dataflow.{name}-location gs://BUCKET/FOLDER"
                )
        if self.disk_gb < MIN_DISK_GB:
            raise ValueError(
                f"dataflow.disk-gb: {self.disk_gb} GB do not hold a worker's image, {MIN_DISK_GB} do. "
                f"Next: --dataflow.disk-gb {MIN_DISK_GB} or more"
            )


@dataclass(frozen=True, kw_only=True)
class Portable(OnHosts):
    """Any runner behind a running Beam job service."""

    job_endpoint: str = ""
    """HOST:PORT of the job service."""
    artifact_endpoint: str = ""
    """HOST:PORT of its artifact service, where it is another."""
    name: ClassVar[str] = "portable"

    def flags(self, workers: int) -> list[str]:
        """Return the options of Beam's portable runner, which hands parallelism on to the service."""
        _check_address("portable.job-endpoint", self.job_endpoint)
        artifacts = []
        if self.artifact_endpoint:
            _check_address("portable.artifact-endpoint", self.artifact_endpoint)
            artifacts = [f"--artifact_endpoint={self.artifact_endpoint}"]
        return [
            "--runner=PortableRunner",
            f"--job_endpoint={self.job_endpoint}",
            *artifacts,
            f"--parallelism={workers}",
            *self.on_hosts(),
        ]


@dataclass(frozen=True, kw_only=True)
class Clusters:
    """The settings of each runner; only those of the chosen one may be given."""

    direct: Direct = field(default_factory=Direct)
    flink: Flink = field(default_factory=Flink)
    spark: Spark = field(default_factory=Spark)
    dataflow: Dataflow = field(default_factory=Dataflow)
    portable: Portable = field(default_factory=Portable)

    def by_name(self) -> Iterator[tuple[str, Runner]]:
        """Yield every runner's settings."""
        yield from ((runner.name, getattr(self, runner.name)) for runner in fields(self))

    def chosen(self, name: RunnerName) -> Runner:
        """Return the settings of the chosen runner. Raises ValueError where another's are given."""
        plain = dict(Clusters().by_name())
        for other, runner in self.by_name():
            if other != name and runner != plain[other]:
                raise ValueError(
                    f"runner: {name} is chosen, but settings of {other} are given. "
                    f"Next: --runner {other}, or leave --{other}.* out"
                )
        return dict(self.by_name())[name]


ClusterFlags = Annotated[Clusters, tyro.conf.arg(name="")]


def _check_address(name: str, value: str) -> None:
    if not _ADDRESS.fullmatch(value) or not 1 <= int(value.rpartition(":")[2]) <= 65_535:
        raise ValueError(f"{name}: {value!r} is not HOST:PORT. Next: --{name} HOST:PORT")


def _check_count(name: str, value: int) -> None:
    if value < 1:
        raise ValueError(f"{name}: {value}, it must be 1 or more. Next: --{name} 1")


def _checked_image(runner: str, image: str) -> str:
    if not image:
        raise ValueError(
            f"{runner}.image: none, and workers elsewhere have none of our code. Next: docker build --target "
            f"pipeline --tag REGISTRY/openwit:1 ., push it, --{runner}.image REGISTRY/openwit:1"
        )
    if not _IMAGE.fullmatch(image):
        raise ValueError(
            f"{runner}.image: {image!r} has no tag, so that workers may run another version than this one. "
            f"Next: --{runner}.image NAME:TAG, or NAME@sha256:..."
        )
    return image
