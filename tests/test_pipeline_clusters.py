"""Settings of Beam's runners: the options that they become, and the one line that a mistake gets."""

from pathlib import Path

import pytest
from apache_beam.options.pipeline_options import GoogleCloudOptions, PortableOptions, WorkerOptions

from pipeline.__main__ import main
from pipeline.clusters import Clusters, Dataflow, Direct, Flink, Portable, Runner, Spark
from pipeline.config import RunOptions
from pipeline.runners import options_of

IMAGE = "registry.example:5000/team/openwit:1"
DATAFLOW = Dataflow(project="my-project", region="us-central1", temp_location="gs://bucket/tmp", image=IMAGE)


@pytest.mark.parametrize(
    ("runner", "flags"),
    [
        (Direct(), "--runner=FnApiRunner --direct_num_workers=4"),
        (
            Flink(master="jobs:8081", version="2.0", image=IMAGE),
            "--runner=FlinkRunner --flink_master=jobs:8081 --flink_version=2.0 --parallelism=4 "
            f"--sdk_worker_parallelism=1 --environment_type=DOCKER --environment_config={IMAGE}",
        ),
        (
            Spark(rest_url="http://master:6066", sidecar="localhost:50000", workers_per_host=2),
            "--runner=SparkRunner --spark_submit_uber_jar --spark_rest_url=http://master:6066 "
            "--sdk_worker_parallelism=2 --environment_type=EXTERNAL --environment_config=localhost:50000",
        ),
        (
            DATAFLOW,
            "--runner=DataflowRunner --project=my-project --region=us-central1 "
            "--temp_location=gs://bucket/tmp --staging_location=gs://bucket/tmp/staging --num_workers=4 "
            "--autoscaling_algorithm=NONE --machine_type=n2-standard-4 --disk_size_gb=100 "
            f"--sdk_container_image={IMAGE} --sdk_location=container",
        ),
        (
            Portable(job_endpoint="jobs:8099", artifact_endpoint="jobs:8098", image=IMAGE),
            "--runner=PortableRunner --job_endpoint=jobs:8099 --artifact_endpoint=jobs:8098 --parallelism=4 "
            f"--sdk_worker_parallelism=1 --environment_type=DOCKER --environment_config={IMAGE}",
        ),
    ],
)
def test_settings_of_a_runner_become_its_own_options(runner: Runner, flags: str) -> None:
    assert runner.flags(4) == flags.split()


def test_beam_understands_the_options() -> None:
    told = options_of(DATAFLOW, 4)
    assert told.view_as(WorkerOptions).disk_size_gb == 100
    assert told.view_as(GoogleCloudOptions).region == "us-central1"
    sidecar = options_of(Flink(master="jobs:8081", sidecar="localhost:50000"), 4)
    assert sidecar.view_as(PortableOptions).environment_type == "EXTERNAL"


FLINK = "--runner flink --flink.master jobs:8081"
CLOUD = "--runner dataflow --dataflow.project my-project --dataflow.temp-location gs://bucket/tmp"


@pytest.mark.parametrize(
    ("flags", "said"),
    [
        (f"{FLINK} --flink.image {IMAGE}:", "has no tag"),
        (FLINK, "flink.image: none, and workers elsewhere have none of our code. Next: docker build"),
        ("--runner flink", "flink.master: '' is not HOST:PORT. Next: --flink.master HOST:PORT"),
        (f"{FLINK} --flink.image {IMAGE} --workers 0", "workers must be >= 1"),
        (f"{FLINK} --flink.image {IMAGE}", "shared-disk: /data/mine/work on this machine's disk"),
        (f"{FLINK} --flink.image {IMAGE} --flink.sidecar a:1", "leave one out"),
        (f"{FLINK} --flink.image {IMAGE} --flink.job-server-jar no.jar", "no.jar is not a file"),
        (f"{FLINK} --flink.image {IMAGE} --flink.workers-per-host 0", "must be 1 or more"),
        (f"{CLOUD} --dataflow.region us-central1-a", "'us-central1-a' is no region"),
        (f"{CLOUD} --dataflow.region us-central1 --dataflow.disk-gb 10", "10 GB do not hold"),
        ("--runner dataflow --dataflow.project X", "dataflow.project: 'X' is no project's id"),
        (f"{CLOUD} --dataflow.region us-central1 --dataflow.staging-location /tmp", "is not in a bucket"),
        ("--runner spark", "one of the two says where the cluster is"),
        ("--runner spark --spark.master http://a:1", "is not spark://HOST:PORT"),
        ("--runner portable --portable.job-endpoint nowhere", "'nowhere' is not HOST:PORT"),
        ("--flink.image a:1", "direct is chosen, but settings of flink are given. Next: --runner flink"),
        ("--direct.pools a:1 b:2", "workers: 1 for 2 pools, each needs one at least. Next: --workers 2"),
        ("--direct.pools a:99999", "direct.pools: 'a:99999' is not HOST:PORT"),
    ],
)
def test_a_wrong_setting_gets_one_line(flags: str, said: str, capsys: pytest.CaptureFixture[str]) -> None:
    arguments = ["build", "demo", "--dataset", "/data/mine", "--dry-run", *flags.split()]
    assert main(arguments) == 2
    told = capsys.readouterr().err
    assert said in told
    assert told.count("\n") == 1


def test_workers_elsewhere_need_the_whole_path() -> None:
    clusters = Clusters(flink=Flink(master="jobs:8081", image=IMAGE))
    with pytest.raises(ValueError, match="begin it with /"):
        RunOptions(dataset=Path("runs/mine"), runner="flink", clusters=clusters, shared_disk=True)
