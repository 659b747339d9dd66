"""A build on Flink and on Spark, through Beam's job servers, where their jars are given by path."""

import os
import subprocess
import sys
from pathlib import Path

import pytest

from tests.pools import pools
from tests.small_world import contents
from tests.test_pipeline_pools import alone, flags_of, photos

__all__ = ["alone", "photos"]  # fixtures

FLAGS = {"flink": ("--flink.master", "[local]"), "spark": ("--spark.master", "local[2]")}


@pytest.mark.slow
@pytest.mark.parametrize("runner", FLAGS)
def test_a_job_server_leaves_the_bytes_of_one_process(
    runner: str,
    photos: Path,
    alone: dict[str, bytes],
    tmp_path: Path,
) -> None:
    variable = f"OPENWIT_{runner.upper()}_JOB_SERVER_JAR"
    if (jar := os.environ.get(variable)) is None:
        pytest.skip(f"no {runner}: {variable} names no job server jar")
    command = [sys.executable, "-m", "pipeline", "build", "laptop", *flags_of(photos, tmp_path / "dataset")]
    command += ["--runner", runner, *FLAGS[runner], f"--{runner}.job-server-jar", jar, "--shared-disk"]
    with pools(1) as one:
        assert (
            subprocess.run([*command, f"--{runner}.sidecar", *one], timeout=900, check=False).returncode == 0
        )
    assert contents(tmp_path / "dataset") == alone
