"""The dry run: every phase travels, and what would not travel is found."""

import sys
from collections.abc import Callable, Iterator
from types import FunctionType
from typing import Any

import apache_beam as beam
import pytest
from apache_beam.options.pipeline_options import PipelineOptions
from apache_beam.transforms.environments import DockerEnvironment

from pipeline.__main__ import main
from pipeline.blocks import GroupBlocks
from pipeline.dry_run import check, check_phases
from pipeline.recipes import demo
from tests.test_pipeline_clusters import CLOUD, FLINK, IMAGE

ENVIRONMENT = DockerEnvironment(container_image=IMAGE)
SHARED = ("build", "demo", "--dataset", "/data/mine", "--shared-disk", "--dry-run")


def test_every_phase_of_a_build_could_travel() -> None:
    found = {
        checked.phase: checked for checked in check_phases(demo().config, ENVIRONMENT, PipelineOptions([]))
    }
    assert {name: checked.faults for name, checked in found.items()} == dict.fromkeys(found, ())
    assert {name for name, checked in found.items() if not checked.num_shuffles} == {
        *("candidates", "fetched", "kept", "shards", "rejected")
    }


@pytest.mark.parametrize(
    "flags",
    [
        f"{FLINK} --flink.image {IMAGE}",
        f"--runner spark --spark.rest-url http://master:6066 --spark.image {IMAGE}",
        f"{CLOUD} --dataflow.region us-central1 --dataflow.image {IMAGE}",
        f"--runner portable --portable.job-endpoint jobs:8099 --portable.image {IMAGE}",
        "--runner direct --direct.pools 10.0.0.2:50001 10.0.0.3:50001 --workers 2",
    ],
)
def test_a_dry_run_says_the_options_and_a_verdict(flags: str, capsys: pytest.CaptureFixture[str]) -> None:
    assert main([*SHARED, *flags.split()]) == 0
    lines = capsys.readouterr().out.splitlines()
    assert lines[1].startswith("options     --runner=")
    assert IMAGE in lines[2] or "10.0.0.2:50001" in lines[2]
    assert lines[-1].startswith("verdict     11 phases could be handed to ")


class Flow(beam.PTransform):
    """Made by a function."""

    def __init__(self, steps: Callable[[Any], Any]) -> None:
        super().__init__()
        self.steps = steps

    def expand(self, begin: beam.pvalue.PBegin) -> beam.PCollection:
        return self.steps(begin | beam.Create([1]))


def keyed_by_set(number: int) -> Iterator[tuple[object, bytes]]:
    yield {number}, b"block"


def picture(number: int) -> tuple[int, bytes]:
    return number, b"\xff\xd8"


def of_main(number: int) -> int:
    return number


@pytest.mark.parametrize(
    ("steps", "said"),
    [
        (lambda ones: ones | beam.Map(picture) | beam.GroupByKey(), "what is no block of rows"),
        (lambda ones: ones | beam.FlatMap(keyed_by_set) | GroupBlocks(), "has keys of beam:coder:pickled"),
        (lambda ones: ones | beam.Map(lambda one: (one, [one])) | GroupBlocks(), "has values of beam:coder:"),
        (lambda ones: ones | "m" >> beam.Map(in_main(of_main)), "phase/m holds something of __main__"),
    ],
)
def test_what_would_not_travel_is_found(steps: Callable[[Any], Any], said: str) -> None:
    (fault,) = check("phase", Flow(steps), ENVIRONMENT, PipelineOptions([])).faults
    assert said in fault


def in_main(function: Any) -> FunctionType:
    """Return a function as it would be, were it of the program that runs."""
    there = FunctionType(function.__code__, vars(sys.modules["__main__"]), function.__name__)
    there.__module__ = "__main__"
    return there
